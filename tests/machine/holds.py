"""How an invariant is told to be broken."""

from __future__ import annotations


class Broken(AssertionError):
    """An invariant does not hold. The text begins with its name."""


def holds(true: bool, what: str) -> None:
    """Raises `Broken` unless it is true."""
    if not true:
        raise Broken(what)
