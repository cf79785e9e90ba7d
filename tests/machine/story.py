"""A story as data: it can be played, told, and made shorter."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.fresh_databases import FreshDatabases
from tests.machine.acts import Act
from tests.machine.ending import end
from tests.machine.play import Play
from tests.machine.scene import Scene


class Servers:
    """What stories play on, shared by all of them; and how many were played."""

    databases: ClassVar[FreshDatabases]
    redis_url: ClassVar[str]
    played: ClassVar[int] = 0
    acts: ClassVar[int] = 0
    until: ClassVar[float] = math.inf
    """By the monotonic clock: no story begins later."""
    fresh: ClassVar[bool] = True
    """Whether the next story is the first of its seed: Hypothesis begins with the plainest one, which tells nothing."""


@dataclass(frozen=True)
class Story:
    """What happens, in its order; after it comes the ending."""

    scene: Scene
    acts: tuple[Act, ...] = ()

    def play(self) -> None:
        """Raises whatever breaks."""
        with stage(self.scene) as play:
            for act in self.acts:
                act.do(play)
            end(play)


@dataclass
class Telling:
    """A story that is being played: its acts so far, and what broke."""

    scene: Scene
    acts: list[Act] = field(default_factory=list)
    fault: BaseException | None = None

    @property
    def story(self) -> Story:
        """As far as it came."""
        return Story(self.scene, tuple(self.acts))


@contextmanager
def stage(scene: Scene) -> Iterator[Play]:
    """A fresh world for one story."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Servers.databases.migrated() as url,
        ExitStack() as stack,
    ):
        play = Play(url, Servers.redis_url, Path(folder), scene)
        stack.callback(play.close)
        Servers.played += 1
        yield play


def name_of(fault: BaseException) -> str:
    """What broke, without its numbers: "I1", or an error's type."""
    name = str(fault).partition(":")[0]
    return name if len(name) <= 3 and name[1:].isdigit() else type(fault).__name__


def tell(story: Story, fault: BaseException) -> str:
    """For a person to read."""
    lines = [f"{number:3}. {act}" for number, act in enumerate(story.acts, 1)]
    return "\n".join([f"{type(fault).__name__}: {fault}", f"     {story.scene}", *lines])
