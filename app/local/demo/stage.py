"""What every scene has at hand, and how it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.local.demo.cast import KINDS, NAMES, Case
from app.local.demo.commands import Commands, shown
from app.local.demo.people import People
from app.local.demo.shops import Shops
from app.local.demo.story import Story
from app.local.demo.view import Stand, View
from app.local.world import World

_LOOK = 0.15


class SceneFailedError(RuntimeError):
    """Something that must happen did not happen in time."""


@dataclass
class Stage:
    """`patience` in seconds: how long a scene waits for one thing. `ids`: our shop ids by connector."""

    world: World
    commands: Commands
    view: View
    story: Story
    shops: Shops
    people: People
    cases: Mapping[str, Case]
    patience: float
    ids: dict[str, int] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)

    def buy(self, key: str) -> Case:
        """A buyer orders."""
        case = self.cases[key]
        self.shops.buy(case)
        self.story.say("Buyer", f"orders {case.contents} at {NAMES[case.shop]} ({KINDS[case.shop]}): {case.number}.")
        return case

    def run(self, *words: object, by: str = "Merchant") -> Any:
        """A command that somebody types, told in the story."""
        self.story.say(by, f"types: {shown(*words)}")
        return self.commands.run(*words)

    def stand(self, case: Case) -> Stand | None:
        """Where the case stands in Waybill."""
        return self.view.stand(case.external_id, case.shop)

    def wait(self, what: str, holds: Callable[[], bool], *, seconds: float | None = None) -> None:
        """Wait until something holds. Raises `SceneFailedError`."""
        deadline = time.monotonic() + (self.patience if seconds is None else seconds)
        while not holds():
            if self.people.failures:
                raise SceneFailedError(self.people.failures[0])
            if time.monotonic() > deadline:
                raise SceneFailedError(f"it did not happen in time: {what}")
            time.sleep(_LOOK)

    def wait_path(self, case: Case, *marks: str) -> None:
        """Wait until a case has gone through all these states or reasons."""
        self.wait(
            f"{case.name} goes through {', '.join(marks)}",
            lambda: (stand := self.stand(case)) is not None and set(marks) <= stand.path,
        )

    def break_next(self, *rules: Mapping[str, object]) -> None:
        """Let the next calls to AliExpress go wrong."""
        self.world.controls["aliexpress"].post("faults", {"add": list(rules)})

    def wait_broken(self) -> None:
        """Wait until every fault has struck."""
        supplier = self.world.controls["aliexpress"]
        self.wait("the planned fault strikes", lambda: not supplier.get("faults"))
