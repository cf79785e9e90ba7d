"""Makes a broken story short: acts are left out, many at once and then one by one, as long as the same thing breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shorten(whole: Sequence[T], still: Callable[[tuple[T, ...]], bool], seconds: float) -> tuple[T, ...]:
    """A part of `whole` in its order of which `still` says that it breaks too.

    Nothing more can be left out of it, unless time was over before.
    """
    kept, size, end = tuple(whole), max(len(whole) // 2, 1), time.monotonic() + seconds
    while kept:
        smaller = _once(kept, size, still, end)
        if time.monotonic() >= end:
            return smaller
        if size == 1 and smaller == kept:
            break
        kept, size = smaller, max(size // 2, 1)
    return kept


def _once(kept: tuple[T, ...], size: int, still: Callable[[tuple[T, ...]], bool], end: float) -> tuple[T, ...]:
    """Each piece of this size is left out once, the last ones first."""
    for start in reversed(range(0, len(kept), size)):
        without = kept[:start] + kept[start + size :]
        if len(without) < len(kept) and time.monotonic() < end and still(without):
            kept = without
    return kept
