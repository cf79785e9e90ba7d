"""A host's clock that jumps: in one process only, while it runs, as far as a file says.

There is no way to set one process's clock from outside, so the process is told: `install()` puts itself between the
process and the functions by which the product reads the time of day (`app.clock`, each connector's `utc_now`, and
`time.time`, which logs and libraries ask). Clocks that never jump (monotonic, boot time) are left as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from app.clock import SystemClock
from connectors.aliexpress import client as aliexpress
from connectors.shopify import storefront as shopify
from connectors.woocommerce import client as woocommerce

_LOOK = 0.1
"""Seconds for which what the file said is believed."""
_real = time.time
_state = {"looked": 0.0, "ahead": 0.0}


def install(file: Path) -> None:
    """From now on this process's clock is as many seconds ahead as `file` says; none while there is no file."""

    def ahead() -> float:
        now = time.monotonic()
        if now - _state["looked"] > _LOOK:
            _state["looked"] = now
            try:
                _state["ahead"] = float(file.read_text())
            except (OSError, ValueError):
                _state["ahead"] = 0.0
        return _state["ahead"]

    def seconds() -> float:
        return _real() + ahead()

    def moment(_self: object = None) -> datetime:
        return datetime.fromtimestamp(seconds(), UTC)

    time.time = seconds
    SystemClock.now = moment  # type: ignore[assignment,method-assign]
    for module in (aliexpress, shopify, woocommerce):
        for reader in [value for value in vars(module).values() if _reads_the_time(value)]:
            _exchange(reader, moment)


def _reads_the_time(value: object) -> bool:
    return getattr(value, "__name__", "") in {"utc_now", "_now", "_utc_now", "now"} and hasattr(value, "__code__")


def _exchange(reader: Callable[..., object], by: Callable[..., datetime]) -> None:
    """The function stays the same object, as it stands as a default in signatures: its body becomes a call of ours."""
    reader.__globals__["_soak_moment"] = by
    reader.__code__ = (lambda: _soak_moment()).__code__  # type: ignore[name-defined]  # noqa: F821, PLW0108
