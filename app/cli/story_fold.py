"""Looks at a held purchase that found it held as before, folded into one line: they say nothing new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]

_LOOK = frozenset(("READY", "CLAIMED"))


@dataclass(slots=True)
class _Wait:
    """A purchase that is held: since the entry at `place`, found so again so many `times`."""

    text: str
    place: int
    times: int = 0


def folded(entries: Sequence[Entry]) -> list[Entry]:
    """The same story without the steps and calls of such looks; the last one of several leaves a line."""
    waits: dict[int, _Wait] = {}
    drop: set[int] = set()
    again: dict[int, str] = {}
    for place, entry in enumerate(entries):
        purchase, state = _moved(entry)
        if purchase is None or state in _LOOK:
            continue
        wait = waits.get(purchase)
        if wait is None or state != "HELD" or wait.text != entry["text"]:
            waits[purchase] = _Wait(entry["text"], place)
            continue
        drop.update(one for one in range(wait.place + 1, place) if _of_look(entries[one], purchase))
        if wait.times:
            drop.add(wait.place)
        wait.place, wait.times = place, wait.times + 1
        times = "once more" if wait.times == 1 else f"{wait.times} times more"
        again[place] = f"Purchase {purchase} was looked at {times}: it is held as before."
    return [
        {**entry, "text": again.get(place, entry["text"])} for place, entry in enumerate(entries) if place not in drop
    ]


def _moved(entry: Entry) -> tuple[int | None, str]:
    """The purchase that took a step here, and where to."""
    detail = entry["detail"]
    if entry["kind"] != "purchase" or not detail.get("state"):
        return None, ""
    return int(detail["purchase"]), str(detail["state"])


def _of_look(entry: Entry, purchase: int) -> bool:
    """Whether it is a step or a call of the look itself: its calls tell the purchase, those of its re-read none."""
    if entry["kind"] == "call":
        return entry["detail"].get("purchase") in {purchase, None}
    moved, state = _moved(entry)
    return moved == purchase and state in _LOOK
