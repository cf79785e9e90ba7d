"""Tokens are tried before they replace others: with those of another account an order would be bought twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, WaybillError
from app.models import Credential, SupplierAccount
from app.pipeline import not_there
from app.ports.errors import MerchantMustAct
from app.services import accounts
from app.shop_access import open_account, renew
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"


def furnish(world: World) -> str:
    """A shop whose account is known, and a linked variant."""
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    return variant


def order(world: World, variant: str) -> None:
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})


def bought(world: World) -> None:
    """One order that was placed and read with the account's own token."""
    order(world, furnish(world))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.read_again()
    world.settle(until=lambda: read_at(world) is not None)


def read_at(world: World) -> object:
    with world.container.database.transaction() as session:
        return session.scalar(sa.text("SELECT min(read_at) FROM supplier_order"))


def connect(world: World, grant: dict[str, Any], **more: Any) -> SupplierAccount:
    return accounts.connect(world.container, 1, grant["access_token"], grant["refresh_token"], actor="merchant", **more)


def token(world: World) -> str:
    return open_account(world.container, 1).secrets["access_token"]


def test_tokens_of_another_account_do_not_replace_those_of_the_shops_account(world: World) -> None:
    bought(world)
    before, foreign = token(world), world.aliexpress.control("accounts", {"user_id": "222333444"})
    with pytest.raises(Conflict, match="another account"):
        connect(world, foreign)
    with pytest.raises(Conflict, match="another account"):
        connect(world, foreign, user_id=str(world.account["user_id"]))
    assert token(world) == before
    assert connect(world, foreign, user_id="222333444").id != 1
    own = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    assert connect(world, own, user_id=str(world.account["user_id"])).id == 1
    assert token(world) == own["access_token"]


def test_tokens_that_are_refused_replace_nothing(world: World) -> None:
    furnish(world)
    before = token(world)
    with pytest.raises(WaybillError, match="does not accept these tokens"):
        connect(world, {"access_token": "x", "refresh_token": "y"})
    assert token(world) == before


def test_while_an_order_is_unclear_an_account_of_which_nothing_is_known_is_not_guessed(world: World) -> None:
    variant = furnish(world)
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_after", "times": 1}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    own = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    with pytest.raises(Conflict, match="--user-id"):
        connect(world, own)
    assert connect(world, own, user_id=str(world.account["user_id"])).id == 1


def test_an_account_whose_renewal_tells_another_number_is_dead(world: World) -> None:
    furnish(world)
    foreign = world.aliexpress.control("accounts", {"user_id": "222333444"})
    connect(world, foreign, user_id=str(world.account["user_id"]))  # nothing was bought yet: it is believed
    with pytest.raises(MerchantMustAct):
        renew(world.container, open_account(world.container, 1))
    with world.container.database.transaction() as session:
        credential = session.scalars(sa.select(Credential).where(Credential.account_id == 1)).one()
    assert credential.state == "DEAD"
    assert "222333444" in credential.dead_reason


def test_an_account_of_unknown_number_learns_it(world: World) -> None:
    furnish(world)
    with world.container.database.transaction() as session:
        session.execute(sa.update(SupplierAccount).values(user_id="unknown:1"))
    renew(world.container, open_account(world.container, 1))
    assert accounts.get(world.container, 1).user_id == str(world.account["user_id"])


def test_not_there_is_refused_when_a_newer_order_than_the_named_one_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names an old order looked at an old list: what they miss there may be there by now."""
    bought(world)
    world.aliexpress.control("push", {"lost": 1000})
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_after", "times": 1}])
    order(world, world.variant_ids["BOTTLE"])
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "UNKNOWN"], seconds=20)
    world.pass_time("quarantine")
    with world.container.database.transaction() as session:  # as if the first order were from an hour before
        session.execute(
            sa.text(
                "INSERT INTO supplier_order (account_id, external_id, role, source, status, payment, pay_failed,"
                " shipping, closed, closed_seen, currency, reminders, tracks, created_at_supplier)"
                " SELECT account_id, '8999', 'orphan', 'push', '', 'unpaid', false, 'none', false, 0, '', 0, 0,"
                " created_at_supplier + interval '1 hour' FROM supplier_order"
            )
        )
    monkeypatch.setattr(not_there, "LOOKING", -timedelta(hours=2) * world.container.settings.time_scale)
    old = world.created()[0]["order_id"]
    with pytest.raises(Conflict, match="another one was made after it"):
        not_there.give_up(world.container, world.purchases()[1].id, newest_seen=old, by="merchant:1")
    assert world.states() == ["PLACED_UNPAID", "UNKNOWN"]
