"""Plays a number of stories of one seed, until one breaks; that one is told as short as it can be made."""

from __future__ import annotations

import dataclasses
import sys
import time

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import get_state_machine_test

from tests.machine.holds import Broken
from tests.machine.scene import Scene
from tests.machine.shorten import shorten
from tests.machine.stories import Broke, Enough, Stories
from tests.machine.story import Servers, Story, Telling, name_of, tell


def play(*, seed: int, examples: int, steps: int, seconds: float = 60.0) -> None:
    """`steps`: acts of a story; `seconds`: how long one that broke may be shortened. Raises `Broken` with its text."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    Servers.fresh = True
    try:
        hypothesis.seed(seed)(get_state_machine_test(Stories, settings=settings))()
    except Enough:
        return
    except Broke as broke:
        story, fault = _shortest(broke.telling, seconds)
        raise Broken(tell(story, fault)) from fault


def _shortest(told: Telling, seconds: float) -> tuple[Story, BaseException]:
    """The acts that it needs, then the plainest scene in which it breaks as well."""
    assert told.fault is not None
    print(f"After {len(told.acts)} acts: {told.fault!r}"[:300], file=sys.stderr, flush=True)
    name, faults = name_of(told.fault), {told.story: told.fault}

    def still(story: Story) -> bool:
        try:
            story.play()
        except Exception as fault:  # noqa: BLE001 - told if it is the one that is looked for
            faults[story] = fault
            return name_of(fault) == name
        return False

    story, end = told.story, time.monotonic() + seconds
    acts = shorten(story.acts, lambda fewer: still(dataclasses.replace(story, acts=fewer)), seconds)
    story = dataclasses.replace(story, acts=acts)
    for field in dataclasses.fields(Scene):
        plainer = dataclasses.replace(story.scene, **{field.name: field.default})
        if plainer != story.scene and time.monotonic() < end and still(dataclasses.replace(story, scene=plainer)):
            story = dataclasses.replace(story, scene=plainer)
    return story, faults[story]
