"""A target: what may be tried, and what must hold for each case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.stage import Stage


@dataclass(frozen=True)
class Target:
    """`check(stage, case)` raises for a case that goes wrong. Cases are plain JSON. `smoke`: cases in `make test`."""

    name: str
    cases: st.SearchStrategy[Any]
    curated: Callable[[], Iterable[Any]]
    check: Callable[[Stage, Any], None]
    smoke: int
    touches: bool = True
    """Whether a case changes the database: then everything is put back before it."""


def leaks(words: Iterable[str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """Where a secret word stands in clear."""
    words = list(words)
    return [f"{where} tells {word[:8]}…" for where, text in texts for word in words if word in text]
