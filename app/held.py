"""A lease is renewed before each call to the outside, so that whoever lost it writes nothing any more.

Whoever was stopped for longer than its lease finds that out at its next call, and the work belongs to somebody else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_thread = threading.local()


class LeaseLost(Exception):
    """The lease ran out, and somebody else may work on it by now."""

    counted_as = "lease_lost"
    """The label under which the call that was not made is counted."""


@contextmanager
def holding(renew: Callable[[], bool]) -> Iterator[None]:
    """Inside, each call to the outside of this thread first calls `renew`, which gives False if the lease is lost."""
    _thread.renew = renew
    try:
        yield
    finally:
        _thread.renew = None


def check() -> None:
    """Called before each call. Raises `LeaseLost`."""
    renew = getattr(_thread, "renew", None)
    if renew is not None and not renew():
        raise LeaseLost
