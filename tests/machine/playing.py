"""Plays a number of stories of one seed."""

from __future__ import annotations

from unittest.mock import patch

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import get_state_machine_test

from tests.machine.stories import Stories


def play(*, seed: int, examples: int, steps: int, shorten: int = 60) -> None:
    """`steps`: acts of a story at most; `shorten`: seconds that a story which broke something may be shortened for.

    Raises what the shortest story raised that broke something; the story is in the notes of that error."""
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    test = get_state_machine_test(Stories, settings=settings)
    with patch.object(engine, "MAX_SHRINKING_SECONDS", shorten):
        hypothesis.seed(seed)(test)()
