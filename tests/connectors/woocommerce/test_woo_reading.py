"""Reading a simulated shop over real HTTP: profile, orders, lists, products, and every way of failing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.http import HTTPAnswer
from app.ports.money import Money
from app.ports.storefront import ShopAccess, StoreOrder
from connectors.woocommerce.verdict import judge
from tests.connectors.woocommerce.harness import SECRET, Shop, Simulated, running, storefront


def read(shop: Shop, order_id: object, **settings: Any) -> StoreOrder:
    found = shop.session(**settings).order(str(order_id))
    assert found is not None
    return found


def test_profile_finds_base_features_and_money(simulated: Simulated) -> None:
    shop = simulated.shop("laden", currency="JPY", decimals=0, country="JP", timezone="Asia/Tokyo", fulfilments=True)
    profile = shop.session().profile()
    assert (profile.key, profile.currency, profile.country) == (shop.url, "JPY", "JP")
    assert (profile.timezone, profile.api_version) == ("Asia/Tokyo", "11.0.1")
    capabilities = dict(profile.capabilities)
    assert capabilities["rest_base"] == f"{shop.url}/wp-json"
    assert (capabilities["fulfilments"], capabilities["decimals"]) == ("yes", "0")


def test_profile_of_an_inner_page_is_that_of_the_shop(shop: Shop) -> None:
    assert dict(shop.session().profile().capabilities)["fulfilments"] == "no"


def test_plain_permalinks_are_explained(simulated: Simulated) -> None:
    shop = simulated.shop(permalinks="plain")
    with pytest.raises(MerchantMustAct) as caught:
        shop.session().profile()
    assert "Permalinks" in caught.value.detail


def test_what_is_no_wordpress_is_said(simulated: Simulated, shop: Shop) -> None:
    access = ShopAccess(f"http://127.0.0.1:{simulated.port}/nothing", shop.secrets, {})
    with pytest.raises(MerchantMustAct) as caught:
        storefront().session(access).profile()
    assert caught.value.code == "no_wordpress"


def test_an_order_with_refunds(shop: Shop) -> None:
    made = shop.order()
    shop.act(made["id"], "refund", lines=[{"id": made["line_items"][0]["id"], "quantity": 1, "total": "12.50"}])
    order = read(shop, made["id"])
    assert order.paid
    assert [line.to_ship for line in order.lines] == [1, 1]
    assert [line.paid for line in order.lines] == [Money(2500, "USD"), Money(1300, "USD")]
    assert order.shipping_paid == Money(500, "USD")
    assert not any(line.at_our_location for line in order.lines)


def test_a_full_refund_cancels(shop: Shop) -> None:
    made = shop.order()
    shop.act(made["id"], "refund")
    assert read(shop, made["id"]).cancelled


def test_a_deleted_variation_and_an_add_on_are_told_apart(shop: Shop) -> None:
    extra = [{"key": "Engraving", "value": "Bob"}]
    made = shop.order(lines=[{"variation_id": shop.colours["SHIRT-RED"]}, {"product_id": shop.mug, "meta_data": extra}])
    shop.simulated.control(f"products/{shop.colours['SHIRT-RED']}/delete", {"shop": shop.slug})
    variation, mug = read(shop, made["id"]).lines
    assert (variation.product_id, variation.variant_id, variation.sku) == (str(shop.shirt), None, "SHIRT")
    assert mug.variant_id == str(shop.mug)


def test_gone_and_never_there(shop: Shop) -> None:
    made = shop.order()
    shop.act(made["id"], "trash")
    assert read(shop, made["id"]).gone
    shop.act(made["id"], "delete")
    session = shop.session()
    assert session.order(str(made["id"])) is None
    assert session.order("999999") is None
    assert session.order("../../users") is None
    assert session.order("0") is None


def test_unpaid_then_paid(shop: Shop) -> None:
    made = shop.order(payment_method="bacs")
    assert read(shop, made["id"]).unpaid_reason == "status is on-hold"
    shop.act(made["id"], "pay")
    assert read(shop, made["id"]).paid
    cash = shop.order(payment_method="cod")
    assert not read(shop, cash["id"]).paid
    assert read(shop, cash["id"], woocommerce_allow_cod=True).paid


def walk(shop: Shop, since: datetime, until: datetime) -> list[str]:
    session, cursor, found = shop.session(), None, []
    for _ in range(100):
        page = session.orders_changed(since, until, cursor)
        found += [ref.id for ref in page.orders]
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


def test_changed_orders_over_many_pages_within_one_second(shop: Shop) -> None:
    made = [shop.order(via="rest", lines=[{"product_id": shop.mug}], status="processing")["id"] for _ in range(230)]
    shop.act(made[3], "trash")
    draft = shop.order(status="checkout-draft")["id"]
    now = datetime.now(UTC)
    found = walk(shop, now - timedelta(minutes=10), now + timedelta(minutes=1))
    assert set(found) == {str(number) for number in made}
    assert str(draft) not in found
    assert walk(shop, now + timedelta(minutes=2), now + timedelta(minutes=3)) == []
    assert walk(shop, now - timedelta(minutes=10), now - timedelta(minutes=9)) == []


def test_placed_orders_over_many_pages_are_each_listed(shop: Shop) -> None:
    """Pages of one second, pages of several, and the trash: whatever the walk, nobody is left out."""
    made = [shop.order(via="rest", lines=[{"product_id": shop.mug}], status="processing")["id"] for _ in range(230)]
    time.sleep(1.1)
    made += [shop.order(via="rest", lines=[{"product_id": shop.mug}], status="pending")["id"] for _ in range(120)]
    shop.act(made[7], "trash")
    session, cursor, found = shop.session(), None, list[str]()
    now = datetime.now(UTC).replace(microsecond=0)
    for _ in range(20):
        page = session.orders_placed(now - timedelta(minutes=10), now + timedelta(seconds=2), cursor)
        found += page.ids
        cursor = page.next_cursor
        if cursor is None:
            break
    assert cursor is None
    assert set(found) == {str(number) for number in made}
    assert session.orders_placed(now + timedelta(minutes=2), now + timedelta(minutes=3), None).ids == ()


def test_a_foreign_cursor_is_refused(shop: Shop) -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="cursor"):
        shop.session().orders_changed(now, now, "pending|x|y")


def test_variants_by_sku_and_id(shop: Shop) -> None:
    session = shop.session()
    blue = session.variants(sku="SHIRT/BLUE 50%")
    assert [(one.product_id, one.variant_id, one.price) for one in blue] == [
        (str(shop.shirt), str(shop.colours["SHIRT/BLUE 50%"]), Money(1400, "USD"))
    ]
    assert session.variants(sku="MUG,SHIRT-RED") == ()
    assert session.variants(sku="SHIRT") == ()
    assert session.variants(sku="") == session.variants() == ()
    assert [one.title for one in session.variants(variant_id=str(shop.mug))] == ["Mug & Co"]
    assert sorted(one.title for one in session.variants(variant_id=str(shop.shirt))) == ["Shirt - Blue", "Shirt - Red"]
    assert session.variants(variant_id="999999") == session.variants(variant_id="x") == ()


@pytest.mark.parametrize(
    ("act", "kind", "reason"),
    [
        ("revoke", MerchantMustAct, "shop_token_dead"),
        ("owner_deleted", MerchantMustAct, "shop_token_dead"),
        ("no_rights", MerchantMustAct, "shop_permission"),
    ],
)
def test_dead_keys(shop: Shop, act: str, kind: type[OutsideError], reason: str) -> None:
    made = shop.order()
    shop.simulated.control("keys", {"shop": shop.slug, "act": act})
    with pytest.raises(kind) as caught:
        shop.session().order(str(made["id"]))
    assert isinstance(caught.value, MerchantMustAct)
    assert caught.value.reason == reason
    assert SECRET not in str(caught.value)


def test_a_wrong_secret_and_a_read_only_key(shop: Shop) -> None:
    shop.simulated.control("keys", {"shop": shop.slug, "act": "read_only"})
    with pytest.raises(MerchantMustAct) as caught:
        shop.session().check_webhooks("http://127.0.0.1:9/webhooks/woocommerce/x")
    assert caught.value.reason == "shop_permission"
    shop.secrets["consumer_secret"] = "cs_wrong"
    with pytest.raises(MerchantMustAct) as caught:
        shop.session().order("5")
    assert caught.value.reason == "shop_token_dead"
    shop.secrets["consumer_secret"] = ""
    with pytest.raises(MerchantMustAct):
        shop.session().order("5")


@pytest.mark.parametrize(
    ("kind", "params", "expected", "code"),
    [
        ("drop_before", {}, TryLater, "cut"),
        ("drop_after", {}, TryLater, "cut"),
        ("cut", {}, TryLater, "cut"),
        ("html", {}, TryLater, "html_answer"),
        ("html", {"status": 503}, TryLater, "http_503"),
        ("html", {"status": 403}, TryLater, "http_403"),
        ("html", {"status": 404}, TryLater, "http_404"),
        ("status", {"status": 500, "code": "internal_server_error"}, TryLater, "internal_server_error"),
        ("status", {"status": 429, "code": "slow", "retry_after": 7}, TryLater, "slow"),
        ("status", {"status": 400, "code": "rest_invalid_param"}, Refused, "rest_invalid_param"),
        ("status", {"status": 404, "code": "rest_no_route"}, Refused, "rest_no_route"),
        ("status", {"status": 301, "code": "moved"}, MerchantMustAct, "http_301"),
    ],
)
def test_every_failure_of_a_read_is_typed(
    shop: Shop, kind: str, params: dict[str, Any], expected: type[OutsideError], code: str
) -> None:
    made = shop.order()
    shop.simulated.fault("orders.get", kind, **params)
    session = shop.session()
    with pytest.raises(expected) as caught:
        session.order(str(made["id"]))
    assert (caught.value.code, caught.value.vendor, caught.value.operation) == (code, "woocommerce", "orders.get")
    if "retry_after" in params:
        assert isinstance(caught.value, TryLater)
        assert caught.value.retry_after == 7
    assert session.order(str(made["id"])) is not None


def test_plain_http_needs_the_setting_and_https_is_basic(shop: Shop) -> None:
    with pytest.raises(MerchantMustAct) as caught:
        shop.session(woocommerce_allow_http=False).order("5")
    assert caught.value.code == "plain_http"


def test_basic_is_ignored_on_plain_http_unless_a_proxy_ends_tls(shop: Shop) -> None:
    import base64  # noqa: PLC0415

    def ask(at: Simulated, one: Shop) -> int:
        pair = f"{one.secrets['consumer_key']}:{one.secrets['consumer_secret']}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return at.raw("GET", f"/{one.slug}/wp-json/wc/v3/orders", None, headers)[0]

    assert ask(shop.simulated, shop) == 401
    with running(trust_http="true") as trusting:
        assert ask(trusting, trusting.shop()) == 200


def test_refresh_and_links(shop: Shop) -> None:
    with pytest.raises(MerchantMustAct):
        storefront().refresh(ShopAccess(shop.url, shop.secrets, {}))
    assert (
        storefront()
        .order_url("https://shop.example/b", "47")
        .endswith("/b/wp-admin/admin.php?page=wc-orders&action=edit&id=47")
    )
    assert shop.secrets["consumer_secret"] not in repr(ShopAccess(shop.url, shop.secrets, {}))


def test_a_wrong_clock_is_no_dead_key(shop: Shop) -> None:
    """Plain http only: OAuth 1 refuses calls of another hour, and the keys are as good as before."""
    shop.simulated.control("settings", {"shop": shop.slug, "clock_ahead": 3600})
    with pytest.raises(TryLater) as caught:
        shop.session().order("5")
    assert caught.value.code == "shop_clock"
    shop.simulated.control("settings", {"shop": shop.slug, "clock_ahead": 0})
    assert read(shop, shop.order()["id"])


@pytest.mark.parametrize(("write", "outcome"), [(False, TryLater), (True, OutcomeUnknown)])
def test_a_call_that_a_proxy_repeated_is_no_dead_key(outcome: type[Exception], *, write: bool) -> None:
    body = (
        b'{"code": "woocommerce_rest_authentication_error", "message": "Invalid nonce - nonce has already been used."}'
    )
    answer = HTTPAnswer(401, {"Content-Type": "application/json"}, body, 0.1)
    with pytest.raises(outcome, match="shop_call_repeated"):
        judge(answer, write=write)
