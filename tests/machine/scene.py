"""What a story begins with, before anything happens in it, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

DEDUPES = ("none", "none", "replay", "reject")


@dataclass(frozen=True)
class Scene:
    """The plainest is the default.

    `dedupe`: what the supplier does with a number that it knows. `silent`: its pushes are lost until the end.
    In the end: `stall`: seconds that workers which stand somewhere stand still before they go on; `deaths`: they die
    instead; `night`: nobody is awake for hours whom Waybill could ask.
    """

    dedupe: str = "none"
    silent: bool = False
    stall: float = 0.0
    deaths: bool = False
    night: bool = False
