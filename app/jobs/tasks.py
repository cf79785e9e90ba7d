"""What RQ is told. Three lines each, arguments are ids."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def listen(hook: Callable[[], None]) -> None:
    """Call `hook` in this process whenever the bell rings."""
    _listeners.append(hook)


def wake() -> None:
    """Something is due: look now instead of in two seconds."""
    for hook in _listeners:
        hook()
