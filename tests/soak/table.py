"""The verdict as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.soak.verdict import MOST_MINUTES, NEVER, Verdict

SHOWN = 40
"""Sentences about what is wrong that are printed."""


def table(verdict: Verdict, figures: Mapping[str, Any]) -> str:
    """One line for each figure of the verdict, then what is wrong."""
    minutes = "never" if verdict.minutes == NEVER else f"{verdict.minutes} minutes of the product's time"
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
        ("not shown at the end", len(verdict.hidden)),
        ("accounted for after recovery in", f"{minutes} (at most {MOST_MINUTES:g})"),
        ("drained in", f"{figures['drained in seconds']} s"),
        ("load average, mean and most", " and ".join(str(one) for one in figures["load average"])),
    ]
    width = max(len(name) for name, _ in rows)
    failures = verdict.failures()
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join([*lines, *(f"  {sentence}" for sentence in failures[:SHOWN])])
