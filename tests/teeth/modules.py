"""What has to be beyond doubt: the code that places, and the code that finds out what became of it; and its tests."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
WORK = ROOT / "var" / "teeth"
"""Measured data: git ignores it."""
_PIPELINE = (
    "accounting",
    "adopt",
    "breaker",
    "closing",
    "computed",
    "day_book",
    "evidence",
    "fit",
    "follow",
    "forgotten",
    "generation",
    "interlock",
    "late",
    "locks",
    "margin",
    "newest",
    "not_there",
    "numbers",
    "order_book",
    "recall",
    "reconcile",
    "requests",
    "supplier_read",
    "track",
    "unverified",
)
_BUY = ("caps", "claim", "commit", "outcome", "preflight", "send", "step", "watch")
_READING = (
    "app/boot.py",
    "app/domain/accounting.py",
    "app/domain/caps.py",
    "app/domain/matching.py",
    "app/domain/purchase_flow.py",
    "app/journal.py",
    "app/journal_numbers.py",
    "connectors/aliexpress/verdict.py",
)
MODULES = (
    *(f"app/pipeline/{name}.py" for name in _PIPELINE),
    *(f"app/pipeline/buy/{name}.py" for name in _BUY),
    *_READING,
)
"""Placement and reconciliation, what they stand on, and how an answer and a product are read."""
TESTS = (
    "tests/domain",
    "tests/model",
    "tests/unit",
    "tests/pipeline",
    "tests/connectors/aliexpress",
    "tests/services",
    "tests/flow",
)
"""Unit, flow and model tests: in one process each, so that what they run can be counted."""
