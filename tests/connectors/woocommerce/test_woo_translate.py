"""Recorded orders in our words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from app.ports.money import Money
from app.ports.storefront import Address, StoreOrder
from connectors.woocommerce import states, translate
from connectors.woocommerce.payload import Unreadable, load
from connectors.woocommerce.settings import WooCommerceSettings
from tests.connectors.woocommerce.harness import body_of

SETTINGS = WooCommerceSettings()


def read(name: str, refunds: Any = (), **settings: Any) -> StoreOrder:
    return translate.order(body_of(name), refunds, WooCommerceSettings(**settings))


def address(name: str) -> Address:
    found = read(name).address
    assert found is not None
    return found


def test_a_cod_order_counts_only_by_opt_in() -> None:
    assert read("rest-order-get").unpaid_reason == "cash on delivery"
    assert read("rest-order-get", woocommerce_allow_cod=True).paid


def test_lines_money_and_ids() -> None:
    order = read("rest-order-get")
    mug, shirt = order.lines
    assert (order.id, order.number, order.currency, order.version) == ("47", "47", "USD", 1795431738000)
    assert (mug.product_id, mug.variant_id, mug.sku, mug.quantity) == ("11", "11", "SIMPLE-1", 1)
    assert (shirt.product_id, shirt.variant_id, shirt.attributes) == ("12", "13", (("color", "Red"),))
    assert (order.total, order.shipping_paid, shirt.paid) == (
        Money(5220, "USD"), Money(500, "USD"), Money(2520, "USD"),
    )  # fmt: skip


def test_what_was_paid_for_a_line_is_after_coupons_and_without_tax() -> None:
    raw = body_of("webhook-order.created-tax-coupon-fee")
    order = read("webhook-order.created-tax-coupon-fee")
    assert order.paid
    assert [line.paid for line in order.lines] == [Money.parse(line["total"], "USD") for line in raw["line_items"]]
    assert order.shipping_paid == Money(500, "USD")


def test_paid_later() -> None:
    assert read("webhook-order.updated-paid-later").paid
    pending = {**body_of("webhook-order.updated-paid-later"), "status": "pending", "date_paid_gmt": None}
    assert translate.order(pending, [], SETTINGS).unpaid_reason == "status is pending"
    unclear = {**pending, "status": "processing"}
    assert translate.order(unclear, [], SETTINGS).unpaid_reason == "no time of payment"


@pytest.mark.parametrize(
    ("status", "paid", "cancelled", "gone", "hold", "ignored"),
    [
        ("completed", True, False, False, None, ""),
        ("cancelled", False, True, False, None, ""),
        ("refunded", False, True, False, None, ""),
        ("trash", False, False, True, None, ""),
        ("on-hold", True, False, False, "on-hold", ""),
        ("failed", False, False, False, None, ""),
        ("checkout-draft", False, False, False, None, "checkout-draft"),
        ("awaiting-parts", True, False, False, "status:awaiting-parts", ""),
        ("", False, False, False, None, ""),
    ],
)
def test_statuses(status: str, paid: bool, cancelled: bool, gone: bool, hold: str | None, ignored: str) -> None:
    raw = {**body_of("webhook-order.updated-paid-later"), "status": status}
    order = translate.order(raw, [], SETTINGS)
    assert (order.paid, order.cancelled, order.gone, order.hold, order.ignored) == (
        paid,
        cancelled,
        gone,
        hold,
        ignored,
    )


@pytest.mark.parametrize("status", ["on-hold", "awaiting-parts"])
def test_what_was_never_paid_is_not_held(status: str) -> None:
    raw = {**body_of("webhook-order.updated-paid-later"), "status": status, "date_paid_gmt": None}
    order = translate.order(raw, [], SETTINGS)
    assert (order.paid, order.unpaid_reason, order.hold) == (False, f"status is {status}", None)


@pytest.mark.parametrize(
    ("allowed", "paid", "hold"), [(False, False, None), (True, True, "status:awaiting-parts")], ids=["no", "opt-in"]
)
def test_cash_on_delivery_in_a_status_of_a_plugin(*, allowed: bool, paid: bool, hold: str | None) -> None:
    raw = {**body_of("rest-order-get"), "status": "awaiting-parts"}
    order = translate.order(raw, [], WooCommerceSettings(woocommerce_allow_cod=allowed))
    assert (order.paid, order.hold) == (paid, hold)


def test_a_status_that_the_settings_call_paid_is_no_hold() -> None:
    raw = {**body_of("webhook-order.updated-paid-later"), "status": "awaiting-parts"}
    order = translate.order(raw, [], WooCommerceSettings(woocommerce_paid_statuses="processing,wc-awaiting-parts"))
    assert (order.paid, order.hold) == (True, None)


def test_left_to_ship_after_two_refunds() -> None:
    refunds = body_of("rest-order-refunds-list")
    lines = read("webhook-order.updated-second-refund", refunds).lines
    assert [line.quantity for line in lines] == [3, 2, 1]
    assert [line.to_ship for line in lines] == [1, 1, 1]
    assert [line.refunded for line in lines] == [2, 1, 0]


def test_more_refunded_than_ordered_leaves_nothing() -> None:
    raw = body_of("rest-order-get")
    refund = {"line_items": [{"quantity": -5, "meta_data": [{"key": "_refunded_item_id", "value": "69"}]}]}
    assert translate.order(raw, [refund], SETTINGS).lines[1].to_ship == 0


def test_a_line_outlives_its_product() -> None:
    book, nameless, deleted, trashed, variation, free = read("webhook-order.updated-products-deleted").lines
    assert book.variant_id == "255"
    assert nameless.sku == ""
    assert (deleted.product_id, deleted.variant_id, deleted.title) == (None, None, "To be deleted")
    assert trashed.variant_id == "258"
    assert (variation.product_id, variation.variant_id, variation.sku) == ("183", None, "AE-1005001")
    assert variation.title == "Ceramic Mug \u2013 Größe & Farbe - Grün, M"
    assert free.variant_id is None


def test_a_simple_product_with_add_ons_keeps_its_variant() -> None:
    raw = body_of("webhook-order.updated-products-deleted")
    assert translate.doubtful_products(raw) == {"183"}
    order = translate.order(raw, [], SETTINGS, simple_products=frozenset({"183"}))
    assert order.lines[4].variant_id == "183"


def test_an_order_without_any_address() -> None:
    order = read("webhook-order.admin-made-no-customer")
    assert order.address is None
    assert order.address_problem == "not_supplied"
    assert order.paid


def test_japan_in_a_shop_without_decimals() -> None:
    order = read("webhook-order.created-jpy-japan")
    assert order.total == Money(5910, "JPY")
    assert address("webhook-order.created-jpy-japan").province_code == "13"


@pytest.mark.security("S65")
def test_s65_three_decimals_and_other_decimals_than_the_currency_are_exact() -> None:
    assert read("webhook-order.created-kwd-no-state").total == Money(4693, "KWD")
    raw = {**body_of("webhook-order.created-jpy-japan"), "total": "589.17"}
    assert translate.order(raw, [], SETTINGS).total == Money(589, "JPY")
    assert load(b'{"a":0.1}')["a"] == Decimal("0.1")


def test_billing_is_taken_as_a_whole_and_the_phone_alone_falls_back() -> None:
    brazil = address("webhook-order.created-brazil-ship-elsewhere")
    assert (brazil.name, brazil.city, brazil.province_code) == ("Maria Araújo", "Belo Horizonte", "MG")
    assert brazil.phone == "(11) 9 8765-4321"
    assert brazil.identifiers == (("cpf", "529.982.247-25"),)
    raw = body_of("webhook-order.created-brazil-ship-elsewhere")
    raw["shipping"] = dict.fromkeys(raw["shipping"], "") | {"country": "BR"}
    billed = translate.order(raw, [], SETTINGS).address
    assert billed is not None
    assert (billed.name, billed.line1) == ("João da Conceição Gonçalves", "Rua São João, 1234")
    assert billed.line2.count("Vila Mariana") == 1


def test_house_number_and_quarter_of_a_checkout_plugin_are_added() -> None:
    raw = body_of("webhook-order.created-brazil-ship-elsewhere")
    raw["shipping"] = dict.fromkeys(raw["shipping"], "")
    raw["billing"] |= {"address_1": "Rua São João", "address_2": ""}
    billed = translate.order(raw, [], SETTINGS).address
    assert billed is not None
    assert (billed.line1, billed.line2) == ("Rua São João, 1234", "Vila Mariana")


@pytest.mark.parametrize(
    ("country", "state", "expected"),
    [
        ("JP", "JP13", ("", "13")),
        ("UA", "UA30", ("", "30")),
        ("DE", "DE-NW", ("", "NW")),
        ("US", "ca", ("", "CA")),
        ("BR", "São Paulo", ("São Paulo", "")),
        ("MX", "JA", ("", "JAL")),
        ("CN", "CN2", ("CN2", "")),
        ("KW", "", ("", "")),
        ("PL", "", ("", "")),
        ("FR", "Île-de-France", ("Île-de-France", "")),
        ("", "CA", ("CA", "")),
    ],
)
def test_states(country: str, state: str, expected: tuple[str, str]) -> None:
    assert states.normalise(country, state) == expected


@pytest.mark.parametrize("name", ["webhook-order.created-ukraine", "webhook-order.created-germany-company"])
def test_foreign_addresses_keep_their_letters(name: str) -> None:
    raw = body_of(name)["shipping"]
    assert address(name).line1 == raw["address_1"]
    assert address(name).phone == raw["phone"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"currency": "USDT"}, {"total": "NaN"}, {"total": 12.5},
        {"line_items": [{"id": 1, "quantity": "x"}]},
        {"date_modified_gmt": None, "date_created_gmt": "x"}, {"shipping_total": "1e99"},
    ],
)  # fmt: skip
def test_an_unreadable_order_is_never_half_read(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        translate.order({**body_of("rest-order-get"), **change}, [], SETTINGS)


def test_control_characters_and_lone_surrogates_do_not_reach_the_database() -> None:
    raw = body_of("rest-order-get")
    raw["shipping"] |= {"first_name": "A\ud800\x00\x07da", "last_name": "\U0001f64f"}
    found = translate.order(raw, [], SETTINGS).address
    assert found is not None
    assert found.name == "A?da \U0001f64f"


def test_only_downloads_need_no_parcel() -> None:
    raw = {**body_of("rest-order-get"), "needs_processing": False}
    assert not any(line.requires_shipping for line in translate.order(raw, [], SETTINGS).lines)


@pytest.mark.parametrize(
    "broken",
    [{"woocommerce_paid_statuses": " , "}, {"woocommerce_meta_prefix": "x"}, {"woocommerce_identifier_meta": "a;b"}],
)
def test_broken_settings_are_refused(broken: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WooCommerceSettings(**broken)
