"""What has to be beyond doubt: the code that places, and the code that finds out what became of it; and its tests."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
WORK = ROOT / "var" / "teeth"
"""Measured data: git ignores it."""
_PIPELINE = (
    "adopt",
    "breaker",
    "closing",
    "computed",
    "evidence",
    "fit",
    "forgotten",
    "generation",
    "not_there",
    "reconcile",
    "unverified",
)
_BUY = ("caps", "claim", "commit", "outcome", "preflight", "send", "step", "watch")
_READING = (
    "app/domain/caps.py",
    "app/domain/matching.py",
    "app/domain/purchase_flow.py",
    "connectors/aliexpress/verdict.py",
)
MODULES = (
    *(f"app/pipeline/{name}.py" for name in _PIPELINE),
    *(f"app/pipeline/buy/{name}.py" for name in _BUY),
    *_READING,
)
"""Placement and reconciliation, and how an answer and a product are read."""
TESTS = (
    "tests/domain",
    "tests/model",
    "tests/unit",
    "tests/connectors/aliexpress",
    "tests/services",
    "tests/flow",
)
"""Unit, flow and model tests: in one process each, so that what they run can be counted."""
