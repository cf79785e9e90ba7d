"""What may happen in a story, by name, with the choices that each act leaves open. A story is a list of acts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.machine.play import Play

NUMBER = tuple(range(8))
"""Which of several: taken modulo how many there are."""


@dataclass(frozen=True)
class Kind:
    """Acts of one name. `choices`: for each parameter its possible values, the plainest first; `often`: its weight."""

    does: Callable[..., object]
    choices: Mapping[str, Sequence[Any]]
    possible: Callable[[Play], bool]
    often: int

    @property
    def says(self) -> str:
        """What happens, in a sentence."""
        return (inspect.getdoc(self.does) or "").partition("\n")[0]


KINDS: dict[str, Kind] = {}


@dataclass(frozen=True)
class Act:
    """One of them, with its choices made."""

    name: str
    given: tuple[tuple[str, Any], ...] = ()

    def do(self, play: Play) -> None:
        """Let it happen, if it can, and look whether everything still holds. Raises `Broken`."""
        kind = KINDS[self.name]
        if kind.possible(play):
            kind.does(play, **dict(self.given))
            play.after_step()

    def __str__(self) -> str:
        chosen = ", ".join(f"{name} {value}" for name, value in self.given)
        return KINDS[self.name].says + (f" ({chosen})" if chosen else "")


def act(
    *, possible: Callable[[Play], bool] = lambda _play: True, often: int = 1, **choices: Sequence[Any]
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Name a function of a play as something that may happen."""

    def keep(does: Callable[..., object]) -> Callable[..., object]:
        KINDS[does.__name__] = Kind(does, choices, possible, often)
        return does

    return keep
