"""What a connector hands on must fit into a database: texts, numbers and times, however deep they lie."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

LONGEST = 5_000_000
INDEXED = {"tracking_number": 1_000, "order_id": 64, "id": 64, "line_id": 64, "user_id": 500}
"""Characters of what is a key somewhere: an index takes no entry of three kilobytes."""


def faults(value: Any, name: str = "") -> list[str]:
    """What no row could keep."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, str):
        return [f"{name}: {one}" for one in _of_text(value, INDEXED.get(name, LONGEST))]
    if isinstance(value, int):
        return [] if -(2**63) <= value < 2**63 else [f"{name}: no bigint"]
    if isinstance(value, float | Decimal):
        return [] if math.isfinite(value) and abs(value) < 10**18 else [f"{name}: no number"]
    if isinstance(value, datetime):
        return [] if value.tzinfo is not None else [f"{name}: a time without a zone"]
    return [one for inner, label in _parts(value, name) for one in faults(inner, label)]


def _of_text(text: str, longest: int) -> Iterator[str]:
    if "\x00" in text:
        yield "NUL"
    if text.encode("utf-8", "replace").decode() != text:
        yield "half a character"
    if len(text) > longest:
        yield f"{len(text)} characters"


def _parts(value: Any, name: str) -> Iterator[tuple[Any, str]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield getattr(value, field.name), field.name
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield key, f"{name} key"
            yield one, f"{name}.{key}"
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((one, name) for one in value)
