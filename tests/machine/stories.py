"""The state machine: Hypothesis chooses what happens next, of all kinds of acts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.machine import shop_acts, supplier_acts, worker_acts
from tests.machine.acts import KINDS, Act, Kind
from tests.machine.ending import end
from tests.machine.play import Play
from tests.machine.scene import DEDUPES, Scene
from tests.machine.story import Servers, Telling, stage

FAMILIES = (shop_acts, supplier_acts, worker_acts)
"""The modules whose acts there are."""
SCENES = st.builds(
    Scene,
    dedupe=st.sampled_from(DEDUPES),
    silent=st.booleans(),
    stall=st.sampled_from((0.0, 12.0)),
    deaths=st.booleans(),
    night=st.booleans(),
)


def _chosen(kind: Kind) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.sampled_from(values) for name, values in kind.choices.items()}


class Broke(BaseException):
    """Ends Hypothesis' search: a story broke. It is no Exception, so that Hypothesis does not play it once more."""

    def __init__(self, telling: Telling) -> None:
        super().__init__(str(telling.fault))
        self.telling = telling


class Enough(BaseException):
    """Ends Hypothesis' search: time is over."""


class Stories(RuleBasedStateMachine):
    """One story."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ExitStack()
        self.play: Play
        self.telling = Telling(Scene())

    @initialize(scene=SCENES, **{**_chosen(KINDS["order"]), "paid": st.just(value=True)})
    def opening(self, scene: Scene, **bought: Any) -> None:
        """Somebody buys something. Raises `Enough`."""
        if time.monotonic() > Servers.until:
            raise Enough
        if Servers.fresh:
            Servers.fresh = False
            reject()
        self.telling = Telling(scene)
        self.play = self._whole.enter_context(stage(scene))
        self.do(Act("order", tuple(sorted(bought.items()))))

    def do(self, act: Act) -> None:
        """One act. Raises `Broke`."""
        self.telling.acts.append(act)
        Servers.acts += 1
        self._judge(lambda: act.do(self.play))

    def teardown(self) -> None:
        """The end of a story that did not break before."""
        try:
            if self.telling.acts and self.telling.fault is None:
                self._judge(lambda: end(self.play))
        finally:
            self._whole.close()

    def _judge(self, happens: Callable[[], object]) -> None:
        try:
            happens()
        except Exception as fault:
            self.telling.fault = fault
            raise Broke(self.telling) from fault


def _rule(name: str, kind: Kind) -> Callable[..., None]:
    @precondition(lambda story: kind.possible(story.play))
    @rule(**_chosen(kind))
    def happen(self: Stories, **given: Any) -> None:
        self.do(Act(name, tuple(sorted(given.items()))))

    return happen


for _name, _kind in KINDS.items():
    for _copy in range(_kind.often):
        setattr(Stories, f"{_name}_{_copy}", _rule(_name, _kind))
