"""A worker that dies while it polls a shop: the shop is polled again as soon as time, however fast it runs, allows."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from app.models import Shop
from app.pipeline import poll
from tests.flow.world import World


def test_a_shop_whose_poller_died_is_polled_again_after_its_lease(world: World) -> None:
    made = world.shopify_shop()
    assert [claim.id for claim in poll.due(world.container, 5)] == [made]
    assert list(poll.due(world.container, 5)) == [], "whoever took it lives, as far as anybody knows"
    ten_minutes = timedelta(minutes=10) / 10  # as a call's time, it is divided by ten at most
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_lease_until=Shop.poll_lease_until - ten_minutes))
    assert [claim.id for claim in poll.due(world.container, 5)] == [made]
