"""Orders as our words: payment, holds, addresses, quantities, requests, pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.ports.errors import MerchantMustAct
from app.ports.inbound import HintKind
from app.ports.money import Money
from connectors.shopify.events import read_event
from connectors.shopify.identifiers import identifiers
from tests.connectors.shopify.harness import SHOP, Simulated, read, running

USD = "USD"


def test_a_plain_order(simulated: Simulated) -> None:
    product = simulated.control(
        "products", {"shop": SHOP, "title": "Mug", "variants": [{"sku": "MUG", "title": "Blue", "price": "12.50"}]}
    )
    variant = product["variants"][0]["id"]
    made = simulated.order(
        lines=[{"variant_id": variant, "quantity": 2, "attributes": {"engraving": "A"}}],
        shipping={"amount": "4.95"},
        address={"firstName": "Zoë", "company": "Acme", "address2": "Flat 2"},
        attributes={"CPF": "123.456.789-09"},
    )
    order = read(simulated.session(), made["id"])
    assert (order.id, order.number, order.currency) == (made["id"], made["name"], USD)
    assert (order.paid, order.unpaid_reason, order.cancelled, order.hold, order.test) == (True, "", False, None, False)
    assert order.version == int(order.updated_at.timestamp() * 1000)
    assert (order.total, order.shipping_paid) == (Money(2995, USD), Money(495, USD))
    line = order.lines[0]
    assert (line.variant_id, line.product_id, line.sku) == (variant, product["product_id"], "MUG")
    assert (line.quantity, line.to_ship, line.refunded, line.paid) == (2, 2, 0, Money(2500, USD))
    assert (line.attributes, line.at_our_location, line.request) == ((("engraving", "A"),), False, "none")
    assert order.address is not None
    assert (order.address.name, order.address.province_code, order.address.line2) == ("Zoë Example", "IL", "Flat 2")
    assert order.address.identifiers == (("cpf", "123.456.789-09"),)
    assert order.address.email == ""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("PENDING", "pending"),
        ("AUTHORIZED", "authorized"),
        ("PARTIALLY_PAID", "partially_paid"),
        ("REFUNDED", "refunded"),
        ("VOIDED", "voided"),
        ("EXPIRED", "expired"),
    ],
)
def test_only_paid_is_paid(simulated: Simulated, status: str, reason: str) -> None:
    order = read(simulated.session(), simulated.order(financial_status=status)["id"])
    assert (order.paid, order.unpaid_reason) == (False, reason)


def test_partly_refunded_orders_are_paid_unless_a_setting_says_no(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.act(made, "refund", lines=[{"line": 0, "quantity": 1}])
    assert not read(simulated.session(shopify_partially_refunded_is_paid=False), made["id"]).paid
    order = read(simulated.session(), made["id"])
    assert order.paid
    assert [(line.quantity, line.to_ship, line.refunded) for line in order.lines] == [(2, 1, 1), (1, 1, 0)]
    # What was paid stays what was paid for the ordered quantity.
    assert order.lines[0].paid == Money(2500, USD)
    assert order.total == Money(3250, USD)


def test_a_cancelled_order(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.act(made, "cancel")
    order = read(simulated.session(), made["id"])
    assert (order.cancelled, order.paid, order.unpaid_reason) == (True, False, "cancelled")
    assert [line.to_ship for line in order.lines] == [0, 0]


@pytest.mark.parametrize(
    ("risk", "hold"),
    [
        ({"recommendation": "CANCEL", "levels": ["HIGH"]}, "high_risk"),
        ({"recommendation": "CANCEL"}, "high_risk"),
        ({"recommendation": "INVESTIGATE", "levels": ["LOW", "HIGH"]}, "high_risk"),
        ({"recommendation": "INVESTIGATE", "levels": ["MEDIUM"]}, None),
        ({"recommendation": "ACCEPT", "levels": ["HIGH"]}, None),
        ({"recommendation": "NONE", "levels": ["PENDING"]}, None),
    ],
)
def test_fraud_risk_holds(simulated: Simulated, risk: dict[str, Any], hold: str | None) -> None:
    made = simulated.order()
    simulated.act(made, "risk", **risk)
    assert read(simulated.session(), made["id"]).hold == hold


def test_holds_of_fulfilment_orders(simulated: Simulated) -> None:
    made = simulated.order(hold="incorrect_address")
    assert read(simulated.session(), made["id"]).hold == "on_hold:incorrect_address"
    simulated.act(made, "hold", release=True)
    assert read(simulated.session(), made["id"]).hold is None


def test_money_without_tax_and_after_discounts(simulated: Simulated) -> None:
    line = {"price": "12.10", "quantity": 3, "discount": "3.30", "tax": "3.00"}
    shipping = {"amount": "6.05", "tax": "1.05"}
    included = simulated.order(lines=[line], shipping=shipping, taxes_included=True)
    excluded = simulated.order(lines=[line], shipping=shipping)
    order = read(simulated.session(), included["id"])
    assert (order.lines[0].paid, order.shipping_paid, order.total) == (
        Money(3000, USD),
        Money(500, USD),
        Money(3905, USD),
    )
    order = read(simulated.session(), excluded["id"])
    assert (order.lines[0].paid, order.shipping_paid) == (Money(3300, USD), Money(605, USD))


@pytest.mark.security("S65")
@pytest.mark.parametrize(
    ("currency", "price", "minor"), [("JPY", "1200", 1200), ("KWD", "1.235", 1235), ("EUR", "0.1", 10)]
)
def test_s65_currencies_and_long_ids_are_exact(simulated: Simulated, currency: str, price: str, minor: int) -> None:
    domain = f"{currency.lower()}.myshopify.com"
    simulated.shop(domain, currency=currency)
    order_id = 9_123_456_789_012_345_679
    made = simulated.order(shop=domain, id=order_id, lines=[{"price": price, "quantity": 3}])
    order = read(simulated.session(domain), made["id"])
    assert order.id == str(order_id)
    assert order.lines[0].paid == Money(3 * minor, currency)


def test_protected_data(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.control(f"shops/{SHOP}", {"protected_data_approved": False})
    order = read(simulated.session(), made["id"])
    assert (order.address, order.address_problem) == (None, "not_permitted")
    assert len(order.lines) == 2
    simulated.control(f"shops/{SHOP}", {"protected_data_approved": True})
    simulated.act(made, "address", address=None)
    order = read(simulated.session(), made["id"])
    assert (order.address, order.address_problem) == (None, "not_supplied")


def test_an_address_that_is_null_in_silence_is_no_empty_address(simulated: Simulated) -> None:
    made = simulated.order(address={"firstName": None, "lastName": None, "address1": None})
    order = read(simulated.session(), made["id"])
    assert (order.address, order.address_problem) == (None, "not_permitted")


def test_orders_that_are_not_there(simulated: Simulated) -> None:
    session = simulated.session()
    made = simulated.order()
    assert session.order("12345") is None
    assert session.order("no id") is None
    assert session.order("gid://shopify/Product/1") is None
    assert session.order("fulfillment_order:gid://shopify/FulfillmentOrder/1") is None
    simulated.act(made, "delete")
    assert session.order(made["id"]) is None


@pytest.mark.security("S06")
def test_s06_another_shops_order_does_not_exist(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.shop("two.myshopify.com")
    other = simulated.session("two.myshopify.com")
    assert other.order(made["id"]) is None
    assert other.order(f"fulfillment_order:{made['fulfillment_orders'][0]['id']}") is None
    assert other.fulfilments(made["id"]) == ()


def test_a_fulfilment_orders_event_leads_to_its_order(simulated: Simulated) -> None:
    made = simulated.order()
    body = b'{"fulfillment_order":{"id":"%s"}}' % made["fulfillment_orders"][0]["id"].encode()
    hint = read_event("fulfillment_orders/order_routing_complete", body)
    assert hint.kind is HintKind.ORDER
    assert read(simulated.session(), str(hint.ref)).id == made["id"]


def test_pages_of_lines_and_of_fulfilment_orders(simulated: Simulated) -> None:
    lines = [{"title": f"Item {number}", "price": "1.00", "location": "ours"} for number in range(160)]
    made = simulated.order(lines=[*lines, {"title": "last", "quantity": 30, "location": "merchant"}])
    for _ in range(14):
        simulated.act(made, "split", line=160, quantity=1)
        split = next(one for one in simulated.control("state")["orders"] if one["id"] == made["id"])
        assert split["fulfillment_orders"]
    order = read(simulated.session(), made["id"])
    assert len(order.lines) == 161
    assert [line.to_ship for line in order.lines[:160]] == [1] * 160
    assert all(line.at_our_location for line in order.lines[:160])
    assert order.lines[160].to_ship == 30
    assert len(split["fulfillment_orders"]) > 10


def test_before_the_order_is_routed_the_unfulfilled_quantity_counts() -> None:
    with running(fo_delay="3600") as simulated:
        simulated.shop(our_location=True)
        order = read(simulated.session(), simulated.order()["id"])
        assert [(line.to_ship, line.at_our_location, line.request) for line in order.lines] == [
            (2, False, "none"),
            (1, False, "none"),
        ]


def test_what_others_fulfilled_is_not_left_to_ship(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.act(made, "fulfill", lines=[{"line": 0, "quantity": 1}], tracking={"number": "OTHER"})
    order = read(simulated.session(), made["id"])
    assert [line.to_ship for line in order.lines] == [1, 1]
    simulated.act(made, "fulfill")
    order = read(simulated.session(), made["id"])
    assert [line.to_ship for line in order.lines] == [0, 0]


def test_edits(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.act(made, "edit", changes=[{"line": 0, "quantity": 1}], add=[{"title": "New", "price": "3"}])
    order = read(simulated.session(), made["id"])
    assert [(line.quantity, line.to_ship) for line in order.lines] == [(2, 1), (1, 1), (1, 1)]


def test_what_is_taken_out_and_put_back_is_to_be_sent_again(simulated: Simulated) -> None:
    made = simulated.order()

    def first() -> tuple[int, int]:
        line = read(simulated.session(), made["id"]).lines[0]
        return line.quantity - line.refunded, line.to_ship

    for quantity in (0, 2, 1, 3):
        simulated.act(made, "edit", changes=[{"line": 0, "quantity": quantity}])
        assert first() == (quantity, quantity)
    simulated.act(made, "cancel")
    assert "cancelled" in simulated.refused(f"orders/{made['id']}/edit", {"changes": [{"line": 0, "quantity": 4}]})


def test_requests_at_our_location(simulated: Simulated) -> None:
    simulated.shop("ours.myshopify.com", our_location=True)
    made = simulated.order(shop="ours.myshopify.com")
    session = simulated.session("ours.myshopify.com")

    def states() -> set[tuple[bool, str]]:
        return {(line.at_our_location, line.request) for line in read(session, made["id"]).lines}

    lines = [line.id for line in read(session, made["id"]).lines]
    assert states() == {(True, "none")}
    simulated.act(made, "request_fulfillment")
    assert states() == {(True, "submitted")}
    session.answer_request(made["id"], lines, about="fulfilment", accept=True, reason="other", message="")
    assert states() == {(True, "accepted")}
    simulated.act(made, "request_cancellation")
    assert states() == {(True, "cancel_requested")}
    session.answer_request(made["id"], lines, about="fulfilment", accept=False, reason="other", message="no")
    assert states() == {(True, "cancel_requested")}, "another request's answer answers nothing"
    assert {line.to_ship for line in read(session, made["id"]).lines} == {0}
    session.answer_request(made["id"], lines, about="cancellation", accept=False, reason="other", message="on its way")
    assert states() == {(True, "cancel_rejected")}
    assert {line.to_ship for line in read(session, made["id"]).lines} != {0}
    assert [(line.kept_back, line.requested) for line in read(session, made["id"]).lines] == [(2, 0), (1, 0)]
    simulated.act(made, "request_cancellation")
    session.answer_request(made["id"], lines, about="cancellation", accept=True, reason="other", message="")
    # Shopify opens a new fulfilment order in place of the cancelled one.
    assert states() == {(True, "none")}
    simulated.act(made, "request_fulfillment")
    session.answer_request(
        made["id"], lines, about="fulfilment", accept=False, reason="out_of_stock", message="sold out"
    )
    assert states() == {(True, "rejected")}
    assert simulated.events("request_rejected")[0]["reason"] == "INVENTORY_OUT_OF_STOCK"
    session.answer_request(made["id"], lines, about="fulfilment", accept=True, reason="other", message="")
    assert len(simulated.events("request_accepted")) == 1


def test_a_partial_request_leaves_only_its_pieces_to_ship(simulated: Simulated) -> None:
    simulated.shop("ours.myshopify.com", our_location=True)
    made = simulated.order(shop="ours.myshopify.com", lines=[{"quantity": 3}])
    simulated.act(made, "request_fulfillment", line=0, quantity=2)
    session = simulated.session("ours.myshopify.com")
    line = read(session, made["id"]).lines[0]
    assert (line.quantity, line.to_ship, line.request, line.requested) == (3, 2, "submitted", 2)
    session.answer_request(made["id"], [line.id], about="fulfilment", accept=True, reason="other", message="")
    line = read(session, made["id"]).lines[0]
    assert (line.to_ship, line.request, line.requested) == (2, "accepted", 2)
    simulated.act(made, "request_cancellation")
    line = read(session, made["id"]).lines[0]
    assert (line.to_ship, line.request, line.requested) == (0, "cancel_requested", 0)


def test_a_moved_fulfilment_order(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.act(made, "move", to="ours")
    assert [(line.to_ship, line.at_our_location) for line in read(simulated.session(), made["id"]).lines] == [
        (2, True),
        (1, True),
    ]


def test_changed_orders_come_in_pages(simulated: Simulated) -> None:
    ids = [simulated.order()["id"] for _ in range(103)]
    session = simulated.session()
    now = datetime.now(UTC)
    first = session.orders_changed(now - timedelta(hours=1), now + timedelta(minutes=1), None)
    assert (len(first.orders), bool(first.next_cursor)) == (100, True)
    second = session.orders_changed(now - timedelta(hours=1), now + timedelta(minutes=1), first.next_cursor)
    assert second.next_cursor is None
    assert sorted(ref.id for ref in (*first.orders, *second.orders)) == sorted(ids)
    assert session.orders_changed(now + timedelta(hours=1), now + timedelta(hours=2), None).orders == ()
    assert session.orders_changed(now - timedelta(hours=2), now - timedelta(hours=1), None).orders == ()


def test_placed_orders_come_in_pages(simulated: Simulated) -> None:
    ids = [simulated.order()["id"] for _ in range(103)]
    session = simulated.session()
    now = datetime.now(UTC).replace(microsecond=0)
    first = session.orders_placed(now - timedelta(hours=1), now + timedelta(minutes=1), None)
    assert (len(first.ids), bool(first.next_cursor)) == (100, True)
    second = session.orders_placed(now - timedelta(hours=1), now + timedelta(minutes=1), first.next_cursor)
    assert second.next_cursor is None
    assert sorted((*first.ids, *second.ids)) == sorted(ids)
    assert session.orders_placed(now - timedelta(hours=2), now - timedelta(hours=1), None).ids == ()


def test_variants(simulated: Simulated) -> None:
    skus = ["A-1", "a-1", "A-10", 'O\'Brien \\ "x"']
    made = simulated.control("products", {"shop": SHOP, "variants": [{"sku": sku, "price": "5"} for sku in skus]})
    session = simulated.session()
    for sku, variant in zip(skus, made["variants"], strict=True):
        assert [found.variant_id for found in session.variants(sku=sku)] == [variant["id"]]
    wanted = made["variants"][0]["id"]
    assert session.variants(variant_id=wanted) == session.variants(variant_id=f"gid://shopify/ProductVariant/{wanted}")
    assert session.variants(variant_id=wanted)[0].price == Money(500, USD)
    assert session.variants(variant_id="1") == session.variants(variant_id="x") == session.variants(sku="none") == ()
    assert session.variants(variant_id=wanted, sku="other") == session.variants() == ()


def test_the_profile(simulated: Simulated) -> None:
    simulated.shop("two.myshopify.com", currency="EUR", timezone="Europe/Berlin", country="DE")
    profile = simulated.session("two.myshopify.com").profile()
    assert (profile.key, profile.currency, profile.timezone, profile.country) == (
        "two.myshopify.com",
        "EUR",
        "Europe/Berlin",
        "DE",
    )
    assert profile.api_version == "2026-10"
    assert "write_assigned_fulfillment_orders" in profile.scopes
    with pytest.raises(MerchantMustAct) as caught:
        simulated.storefront().session(simulated.access(SHOP, access_token="another")).profile()
    assert caught.value.reason == "shop_token_dead"


def test_the_webhook_report_names_the_apps_subscriptions(simulated: Simulated) -> None:
    report = simulated.session().check_webhooks("https://waybill.example/webhooks/shopify")
    assert "orders/paid" in report.present
    assert (report.created, report.reenabled, report.gap_possible) == ((), (), False)


@pytest.mark.parametrize(
    ("localized", "attributes", "found"),
    [
        ([("TAX_CREDENTIAL_BR", "123.456.789-09")], [], [("cpf", "123.456.789-09")]),
        ([("SHIPPING_CREDENTIAL_BR", "12.345.678/0001-95")], [], [("cnpj", "12.345.678/0001-95")]),
        ([("SHIPPING_CREDENTIAL_KR", "P123456789012")], [], [("pccc", "P123456789012")]),
        ([("TAX_CREDENTIAL_CL", "12.345.678-5")], [("RUT", "other")], [("rut", "12.345.678-5")]),
        ([("TAX_CREDENTIAL_TYPE_CO", "CC"), ("TAX_CREDENTIAL_CO", "99")], [], [("tax_id", "99")]),
        ([], [("Passport Number", " X1 "), ("gift", "yes")], [("passport", "X1")]),
        ([], [("개인통관고유부호", "P1"), ("PCCC", "P2")], [("pccc", "P1")]),
        ([("SHIPPING_CREDENTIAL_KR", " ")], [("cpf", "")], []),
    ],
)
def test_identifiers(
    localized: list[tuple[str, str]], attributes: list[tuple[str, str]], found: list[tuple[str, str]]
) -> None:
    fields = [{"key": key, "value": value} for key, value in localized]
    assert list(identifiers(fields, attributes)) == found


def test_localized_fields_come_with_the_order(simulated: Simulated) -> None:
    made = simulated.order(localized_fields=[{"key": "TAX_CREDENTIAL_BR", "countryCode": "BR", "value": "12345678909"}])
    address = read(simulated.session(), made["id"]).address
    assert address is not None
    assert address.identifiers == (("cpf", "12345678909"),)
