"""Renewals of one token race with each other."""

from __future__ import annotations

from app import shop_access
from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.scene import Shop


def test_refresh_and_refresh(shop: Shop, shared_world: World) -> None:
    """What is stored at the end is alive, and can be renewed again."""
    container = shared_world.container
    assert shop.id

    def scene() -> Scene:
        opened = shop_access.open_account(container, 1)

        def renew() -> None:
            shop_access.renew(container, opened)

        def problems() -> list[str]:
            now = shop_access.open_account(container, 1)
            if (now.state, now.version) != ("LIVE", opened.version + 1):
                return [f"{now.state} {now.dead_reason} {now.version - opened.version}"]
            shop_access.renew(container, now)
            return []

        return renew, renew, problems

    assert every_order(shared_world, scene, patience=0.3) > 4
