"""What a story begins with, before anything happens in it."""

from __future__ import annotations

from dataclasses import dataclass

DEDUPES = ("none", "replay", "reject")


@dataclass(frozen=True)
class Scene:
    """`dedupe`: what the supplier does with a number that it knows. `night`: in the end nobody is awake for hours."""

    dedupe: str = "none"
    night: bool = False
