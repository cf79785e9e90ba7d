"""The verdict as a table for people, and as figures for `bench/results/soak.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.soak.checker import Verdict

SHOWN = 10
"""Sentences of a kind that are printed."""


def table(verdict: Verdict, figures: Mapping[str, Any]) -> str:
    """One line for each figure of the verdict, then what is wrong."""
    rows = [
        ("lines", f"{verdict.lines} of {verdict.orders} orders"),
        ("orders made by the supplier", figures["creates"]),
        ("sends with an unclear end", figures["sends with an unclear end"]),
        ("sends whose worker never told", figures["sends whose worker never told"]),
        ("answers from journals of the dead", figures["answers from the journal of a dead worker"]),
        ("kills", figures["kills"]),
        ("incidents", figures["incidents"]),
        ("bought twice", len(verdict.twice)),
        ("lost", len(verdict.lost)),
        ("attached to the wrong customer", len(verdict.wrong)),
        ("resolved by a person", figures["resolved by a person"]),
        ("held, with a reason, at the end", len(verdict.waiting)),
        ("drained in", f"{figures['drained in seconds']} s"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    for name, wrong in (
        ("bought twice", verdict.twice),
        ("lost", verdict.lost),
        ("wrong customer", verdict.wrong),
        ("held", verdict.waiting),
    ):
        lines += [f"  {name}: {sentence}" for sentence in wrong[:SHOWN]]
    return "\n".join(lines)
