"""Renewals of a token race with each other, with another consent, and with a shop that leaves or comes back."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from app import shop_access
from app.errors import WaybillError
from app.models import Credential
from app.pipeline import leave
from app.ports.errors import MerchantMustAct, OutsideError
from app.services import accounts, shops
from tests.flow.world import World
from tests.races.barrier import Scene, every_order
from tests.races.points import READ
from tests.races.scene import Shop

RENEWING = (
    "shop_access._take_lease",
    "before the call aliexpress.auth.token.refresh",
    "after the call aliexpress.auth.token.refresh",
    "shop_access._store",
)
"""Points of one who renews the account's token."""
CONNECTING = (*RENEWING[:3], "shop_access.", "services.accounts.connect", READ)
"""Points of him, successful or not, and of one who connects the account."""
LEAVING = (
    "shop_access.",
    "before the call shopify.token_refresh",
    "after the call shopify.token_refresh",
    "pipeline.leave.uninstalled",
)
"""Points of one who renews a shop's token, and of one who works off that the shop has left."""


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

    assert every_order(shared_world, scene, patience=0.3, at=RENEWING, both=False) > 5


@pytest.mark.parametrize("dead", [False, True])
def test_renewal_and_another_consent(shop: Shop, shared_world: World, *, dead: bool) -> None:
    """The account's holder connects it again: what is kept is what he gave, and it works.

    `dead`: because what we have is refused at the supplier, and a worker that read it before comes to know that.
    """
    container = shared_world.container

    def scene() -> Scene:
        opened = shop_access.open_account(container, 1)
        if dead:
            shared_world.aliexpress.control("kill_token", {"user_id": opened.user_id, "refresh": True})
        fresh = shared_world.aliexpress.control("accounts", {"user_id": opened.user_id})
        given = list[str]()

        def renew() -> None:
            with contextlib.suppress(MerchantMustAct):
                shop_access.renew(container, opened)

        def connect() -> None:
            tokens = fresh["access_token"], fresh["refresh_token"]
            with contextlib.suppress(WaybillError):  # told that a renewal has ended the access token that he gave
                accounts.connect(container, shop.id, *tokens, user_id=opened.user_id, actor="test")
                given.append(fresh["refresh_token"])

        def problems() -> list[str]:
            now = shop_access.open_account(container, 1)
            if now.state != "LIVE":
                return [f"{now.state} {now.dead_reason}"]
            if given and now.secrets["refresh_token"] != given[0]:
                return ["what he gave was written over by the renewal of the pair before"]
            shop_access.with_account(container, 1, lambda supplier: supplier.order("1"))
            return []

        return renew, connect, problems

    assert every_order(shared_world, scene, patience=0.3, at=CONNECTING) > 5


numbers = itertools.count(1)


class Leaver:
    """A Shopify shop of its own whose merchant removes the app."""

    def __init__(self, world: World) -> None:
        self.world, self.container = world, world.container
        self.domain = f"leaver{next(numbers)}.myshopify.com"
        self.id = world.shopify_shop(self.domain)
        self.opened = shop_access.open_shop(self.container, self.id)

    def removes(self) -> None:
        """The app is removed, and its token is dead there."""
        self.world.shopify.control("uninstall", {"shop": self.domain})

    def leaves(self) -> None:
        """The event about it is worked off."""
        with contextlib.suppress(OutsideError):
            leave.uninstalled(self.container, self.id)

    def renew(self) -> None:
        """A worker renews the token that it read before."""
        with contextlib.suppress(OutsideError, WaybillError):
            shop_access.renew(self.container, self.opened)

    def comes_back(self) -> None:
        """The merchant installs the app again."""
        made: dict[str, Any] = self.world.shopify.control("shops", {"domain": self.domain})
        keys = {"access_token": made["access_token"], "refresh_token": made["refresh_token"]}
        shops.connect(self.container, "shopify", self.domain, keys, actor="test")

    def stands(self) -> tuple[str, list[str]]:
        """The shop's state and those of its tokens."""
        with self.container.database.transaction() as session:
            states = session.scalars(sa.select(Credential.state).where(Credential.shop_id == self.id)).all()
        return shops.get(self.container, self.id).state, list(states)


def test_renewal_and_a_shop_that_leaves(shop: Shop, shared_world: World) -> None:
    """Nothing of its token stays."""
    assert shop.id

    def scene() -> Scene:
        leaver = Leaver(shared_world)

        def leaves() -> None:
            leaver.removes()
            leaver.leaves()

        def problems() -> list[str]:
            leaver.leaves()  # an event that could not be worked off is tried again
            return [] if leaver.stands() == ("UNINSTALLED", []) else [str(leaver.stands())]

        return leaver.renew, leaves, problems

    assert every_order(shared_world, scene, patience=0.3, at=LEAVING) > 4


def test_a_shop_that_leaves_and_comes_back(shop: Shop, shared_world: World) -> None:
    """The event of its leaving is worked off while it is connected again: it stays, with its new token."""
    assert shop.id

    def scene() -> Scene:
        leaver = Leaver(shared_world)
        leaver.removes()

        def problems() -> list[str]:
            leaver.leaves()
            return [] if leaver.stands() == ("ACTIVE", ["LIVE"]) else [str(leaver.stands())]

        return leaver.leaves, leaver.comes_back, problems

    assert every_order(shared_world, scene, patience=0.3, at=(*LEAVING, "services.shops.connect")) > 4
