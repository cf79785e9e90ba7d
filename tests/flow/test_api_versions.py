"""An interface that answers by another version than we ask for, or warns of one, is an alert before it is a failure."""

from __future__ import annotations

from collections import Counter

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.models import Alert, Call
from app.services import metrics
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


def alerts(world: World) -> list[tuple[str, str]]:
    with world.container.database.transaction() as session:
        return [(one.kind, one.text) for one in session.scalars(sa.select(Alert).order_by(Alert.id))]


@pytest.mark.parametrize(
    ("kind", "outcome", "words"),
    [("version", "other_version", "by version 2026-01 instead of 2026-10"), ("deprecated", "deprecated", "deprecated")],
)
def test_staff_hear_of_it_once_and_it_is_counted(world: World, kind: str, outcome: str, words: str) -> None:
    world.shopify.control("faults", [{"op": "*", "kind": kind, "times": -1, "version": "2026-01"}])
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    sweep.flush_calls(world.container)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    sweep.flush_calls(world.container)
    [(found, text)] = alerts(world)
    assert found == "api_version"
    assert "shopify" in text
    assert words in text
    assert f'outcome="{outcome}",vendor="shopify"' in metrics.render(world.container, Counter())
    with world.container.database.transaction() as session:
        told = session.scalars(sa.select(Call.answer).where(Call.vendor == "shopify")).all()
    assert any(words in answer for answer in told)


def test_the_version_we_ask_for_is_nothing_to_tell(world: World) -> None:
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    sweep.flush_calls(world.container)
    assert alerts(world) == []
