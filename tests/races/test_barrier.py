"""The barrier itself: a stop that nobody comes to is not passed over."""

from __future__ import annotations

import pytest

from app.pipeline.buy.claim import free_expired
from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.points import CREATE, left_out

SWEEP = "the commit of app.pipeline.buy.claim.free_expired"


def test_a_stop_that_nobody_comes_to_fails_the_race(shared_world: World) -> None:
    def sweep() -> object:
        return free_expired(shared_world.container)

    def scene() -> Scene:
        return sweep, sweep, list

    assert every_order(shared_world, scene, at=(SWEEP,), both=False) == len(("before it", "after it"))
    with pytest.raises(AssertionError, match="nobody stopped at") as failed:
        every_order(shared_world, scene, at=(SWEEP, *CREATE), both=False)
    assert all(name in str(failed.value) for name in CREATE)


def test_what_is_left_out_is_told() -> None:
    assert left_out([f"before {SWEEP}", "after the call shop.read"], ("buy.outcome.",)) == [f"before {SWEEP}"]
    assert not left_out([f"before {SWEEP}", "after the call shop.read"], ("buy.claim.",))
