"""Shops, accounts and links are connected, renewed and refused as they should be."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound, WaybillError
from app.models import Audit, Credential, Merchant, ProductLink, Purchase, Shop, SupplierAccount
from app.pipeline import hooks
from app.services import accounts, links, rates, shops
from tests.flow.world import BOTTLE, World


def shopify_keys(world: World, domain: str) -> dict[str, str]:
    made = world.shopify.control("shops", {"domain": domain})
    return {"access_token": made["access_token"], "refresh_token": made["refresh_token"]}


def connect_shopify(world: World, domain: str = "bottles.myshopify.com", **more: Any) -> shops.Connected:
    return shops.connect(world.container, "shopify", domain, shopify_keys(world, domain), actor="test", **more)


def connect_account(world: World, shop_id: int, **more: Any) -> SupplierAccount:
    made = world.aliexpress.control("accounts", {})
    expires = world.container.clock.now() + timedelta(seconds=int(made["expires_in"]))
    return accounts.connect(
        world.container, shop_id, made["access_token"], made["refresh_token"], expires, actor="test", **more
    )


def every(world: World, model: Any) -> list[Any]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(model).order_by(*model.__table__.primary_key)))


def test_shopify_shop_is_connected_with_what_it_says_of_itself(world: World) -> None:
    done = connect_shopify(world)
    assert done.fresh
    assert done.warning == ""
    told = shops.told(world.container, done.shop.id)
    assert (told["state"], told["keys"], told["account_id"]) == ("ACTIVE", "LIVE", None)
    assert told["currency"]
    assert told["webhook_url"] == f"{world.app.url}/webhooks/shopify"
    [credential] = every(world, Credential)
    assert b"access_token" not in credential.sealed
    assert [row.action for row in every(world, Audit)] == ["created", "connected"]


@pytest.mark.security("S07")
def test_woocommerce_shop_gets_an_unguessable_url_and_a_secret_of_its_own(world: World) -> None:
    made = world.woocommerce.control("shops", {"slug": "socks"})
    keys = {"consumer_key": made["consumer_key"], "consumer_secret": made["consumer_secret"]}
    done = shops.connect(world.container, "woocommerce", made["url"], keys, actor="test")
    assert done.warning == ""
    assert done.webhooks is not None
    assert len(done.webhooks.created) == 6
    url = hooks.webhook_url(world.container, done.shop)
    token = url.rpartition("/")[2]
    assert len(token) >= 43
    assert done.shop.delivery_token_hash == hashlib.sha256(token.encode()).digest()
    [credential] = every(world, Credential)
    secrets = world.container.vault.open_json(credential.sealed, credential.place)
    assert len(secrets["webhook_secret"]) >= 32
    again = shops.connect(world.container, "woocommerce", made["url"], keys, actor="test")
    assert not again.fresh
    assert hooks.webhook_url(world.container, again.shop) == url
    [credential] = every(world, Credential)
    assert world.container.vault.open_json(credential.sealed, credential.place) == secrets


def test_wrong_keys_store_nothing(world: World) -> None:
    shopify_keys(world, "bottles.myshopify.com")
    with pytest.raises(WaybillError, match="does not accept these keys"):
        shops.connect(
            world.container, "shopify", "bottles.myshopify.com", {"access_token": "shpat_wrong"}, actor="test"
        )
    assert every(world, Shop) == []
    assert every(world, Merchant) == []


def test_wrong_addresses_and_connectors_are_told_apart(world: World) -> None:
    with pytest.raises(WaybillError) as bad:
        shops.connect(world.container, "shopify", "example.com", {"access_token": "x"}, actor="test")
    assert bad.value.code == "bad_address"
    with pytest.raises(NotFound):
        shops.connect(world.container, "nothing", "example.com", {}, actor="test")


def test_a_shop_stays_with_its_merchant(world: World) -> None:
    first = connect_shopify(world)
    second = connect_shopify(world, "socks.myshopify.com", merchant_id=first.shop.merchant_id)
    assert second.shop.merchant_id == first.shop.merchant_id
    third = connect_shopify(world, "mugs.myshopify.com")
    assert third.shop.merchant_id != first.shop.merchant_id
    with pytest.raises(NotFound, match="no merchant"):
        connect_shopify(world, "hats.myshopify.com", merchant_id=99)


@pytest.mark.security("S22")
def test_account_of_another_merchant_is_refused(world: World) -> None:
    first, other = connect_shopify(world), connect_shopify(world, "socks.myshopify.com")
    same = connect_shopify(world, "mugs.myshopify.com", merchant_id=first.shop.merchant_id)
    account = connect_account(world, first.shop.id, user_id="777")
    with pytest.raises(Conflict, match="another merchant"):
        connect_account(world, other.shop.id, user_id="777")
    assert connect_account(world, same.shop.id, user_id="777").id == account.id


def test_new_tokens_replace_the_old_and_waiting_orders_go_on(world: World) -> None:
    shop = connect_shopify(world).shop
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    order = {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    account = connect_account(world, shop.id)
    links.add(world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Credential).where(Credential.account_id == account.id).values(state="DEAD"))
    world.shopify.control("orders", order)
    world.settle(until=lambda: world.reasons() == ["token_dead"])
    with pytest.raises(Conflict, match="dead"):
        accounts.refresh(world.container, account.id, actor="test")
    again = connect_account(world, shop.id)
    assert again.id == account.id
    assert world.states() == ["READY"]
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    [row] = accounts.listed(world.container)
    assert (row["token"], row["shops"]) == ("LIVE", [shop.id])
    assert accounts.refresh(world.container, account.id, actor="test") is not None


def test_orders_that_waited_for_a_link_go_on(world: World) -> None:
    shop = connect_shopify(world).shop
    connect_account(world, shop.id)
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    made = links.add(world.container, shop.id, variant=variant, product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    assert made["verified"]
    assert made["seller_id"]
    assert made["sku_attributes"]
    assert made["went_on"] == [world.purchases()[0].id]
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def test_links_to_what_does_not_exist_are_refused_with_what_exists(world: World) -> None:
    shop = connect_shopify(world).shop
    world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    with pytest.raises(WaybillError) as blind:
        links.add(world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    assert blind.value.code == "not_verifiable"
    connect_account(world, shop.id)
    with pytest.raises(NotFound, match=BOTTLE[1]):
        links.add(world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id="1", actor="test")
    with pytest.raises(WaybillError, match="stands for"):
        links.add(
            world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id=BOTTLE[1], sku_attr="1:2", actor="test"
        )
    with pytest.raises(NotFound, match="no variant"):
        links.add(world.container, shop.id, sku="NOTHING", product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    with pytest.raises(NotFound, match="no product"):
        links.add(world.container, shop.id, sku="BOTTLE", product="1", sku_id="1", actor="test")
    world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    with pytest.raises(Conflict, match="Several variants"):
        links.add(world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    assert every(world, ProductLink) == []


def test_link_without_an_account_is_believed_and_can_be_taken_away(world: World) -> None:
    shop = connect_shopify(world).shop
    world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    made = links.add(
        world.container, shop.id, sku="BOTTLE", product=BOTTLE[0], sku_id=BOTTLE[1], sku_attr="14:1", actor="test"
    )
    assert (made["verified"], made["seller_id"], made["sku_attributes"]) == (False, "", "14:1")
    assert [row["id"] for row in links.listed(world.container, shop_id=shop.id)] == [made["id"]]
    links.remove(world.container, made["id"], actor="test")
    assert links.listed(world.container) == []
    with pytest.raises(NotFound):
        links.remove(world.container, made["id"], actor="test")


def test_pausing_holds_orders_and_resuming_lets_them_go(world: World) -> None:
    shop = connect_shopify(world).shop
    connect_account(world, shop.id)
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    links.add(world.container, shop.id, variant=variant, product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    shops.pause(world.container, shop.id, actor="test")
    with pytest.raises(Conflict):
        shops.pause(world.container, shop.id, actor="test")
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    assert shops.resume(world.container, shop.id, actor="test") == 1
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


@pytest.mark.security("S27")
def test_after_a_reinstall_waiting_orders_wait_for_one_act(world: World) -> None:
    keys = shopify_keys(world, "bottles.myshopify.com")
    shop = shops.connect(world.container, "shopify", "bottles.myshopify.com", keys, actor="test").shop
    connect_account(world, shop.id)
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.settle(until=lambda: world.reasons() == ["mapping_missing"])
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(state="UNINSTALLED"))
        session.execute(sa.update(Purchase).values(reason="uninstalled"))
        session.execute(sa.delete(Credential).where(Credential.shop_id == shop.id))
    with pytest.raises(Conflict, match="removed"):
        shops.resume(world.container, shop.id, actor="test")
    again = shops.connect(world.container, "shopify", "bottles.myshopify.com", keys, actor="test")
    assert again.shop.state == "PAUSED"
    links.add(world.container, shop.id, variant=variant, product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    assert world.states() == ["HELD"]
    shops.resume(world.container, shop.id, actor="test")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def test_limits_are_set_checked_and_lift_what_they_held(world: World) -> None:
    shop = connect_shopify(world).shop
    connect_account(world, shop.id)
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    links.add(world.container, shop.id, variant=variant, product=BOTTLE[0], sku_id=BOTTLE[1], actor="test")
    shops.set_policy(world.container, shop.id, {"order_cap": 1}, actor="test")
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    changed = shops.set_policy(
        world.container, shop.id, {"order_cap": 50_000, "margin_percent": Decimal("0.5")}, actor="test"
    )
    assert changed["order_cap"] == {"before": 1, "after": 50_000}
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    for name, value in {"order_cap": 0, "margin_percent": Decimal(-1), "max_delivery_days": 1000, "name": "x"}.items():
        with pytest.raises(WaybillError):
            shops.set_policy(world.container, shop.id, {name: value}, actor="test")


def test_rates_are_kept_both_ways_into_the_suppliers_currency(world: World) -> None:
    rates.put(world.container, "eur", "USD", Decimal("1.25"), source="test", actor="test")
    rates.put(world.container, "USD", "GBP", Decimal("0.8"), source="test", actor="test")
    told = {(row["base"], row["quote"]): row["rate"] for row in rates.listed(world.container)}
    assert told == {("EUR", "USD"): "1.25", ("USD", "EUR"): "0.8", ("USD", "GBP"): "0.8"}
    for base, quote, rate in (("USD", "USD", "1"), ("US", "EUR", "1"), ("USD", "EUR", "0"), ("USD", "EUR", "NaN")):
        with pytest.raises(WaybillError):
            rates.put(world.container, base, quote, Decimal(rate), source="test", actor="test")
