"""Pure translations: times, statuses, totals, fees, parcels; and every read sample of the reference."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.ports.errors import OutcomeUnknown, TryLater
from app.ports.http import DialPolicy, HTTPClient
from app.ports.money import Money
from app.ports.supplier import OrderPayment, OrderShipping, SupplierSKU
from connectors.aliexpress import envelope, wire
from connectors.aliexpress.countries import country_code, locale
from connectors.aliexpress.errors import LONGEST_BAN, ban_seconds, read_error, write_error
from connectors.aliexpress.instants import local_instants, zoned_instant
from connectors.aliexpress.oauth import grant
from connectors.aliexpress.products import read_option, read_product
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.supplier import AliExpress
from connectors.aliexpress.tracking import read_paid_row, read_parcels
from connectors.aliexpress.translate import read_order

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "reference" / "aliexpress-samples"
PACIFIC = "America/Los_Angeles"
with_samples = pytest.mark.skipif(not SAMPLES.exists(), reason="shared/reference is not on this machine")


def order(**changes: Any) -> dict[str, Any]:
    child = {"product_id": 1005, "sku_id": "12000", "product_count": 2, **changes.pop("child", {})}
    plain = {
        "gmt_create": "2024-09-09 21:00:03",
        "order_status": "PLACE_ORDER_SUCCESS",
        "logistics_status": "NO_LOGISTICS",
        "order_amount": {"amount": "8.34", "currency_code": "USD"},
        "child_order_list": {"aeop_child_order_info": [child]},
        "pay_timeout_second": "86400",
    }
    return {key: value for key, value in {**plain, **changes}.items() if value is not None}


PAID = "2024-09-09T21:05:47-07:00[America/Los_Angeles]"
ENDED = {"end_reason": "CANCELED"}


@pytest.mark.parametrize(
    ("changes", "payment", "shipping", "closed"),
    [
        ({}, "unpaid", "none", False),
        ({"order_paidtime_string": PAID}, "checking", "none", False),
        ({"order_status": "PAYMENT_PROCESSING"}, "checking", "none", False),
        ({"order_status": "RISK_CONTROL", "order_paidtime_string": PAID}, "checking", "none", False),
        ({"order_status": "WAIT_SELLER_SEND_GOODS"}, "paid", "none", False),
        ({"order_status": "SELLER_PART_SEND_GOODS"}, "paid", "part", False),
        ({"order_status": "WAIT_BUYER_ACCEPT_GOODS"}, "paid", "shipped", False),
        ({"order_status": "IN_CANCEL"}, "checking", "none", False),
        ({"order_status": "IN_CANCEL", "child": ENDED, "order_paidtime_string": PAID}, "paid", "none", True),
        ({"order_status": "IN_ISSUE", "logistics_status": "SELLER_SEND_GOODS"}, "paid", "shipped", False),
        ({"order_status": "FINISH"}, "unpaid", "none", True),
        ({"order_status": "FINISH", "child": ENDED}, "unpaid", "none", True),
        ({"order_status": "FINISH", "logistics_status": "BUYER_ACCEPT_GOODS"}, "paid", "delivered", False),
        ({"order_status": "FINISH", "order_paidtime_string": PAID}, "paid", "delivered", False),
        ({"order_status": "FINISH", "order_paidtime_string": PAID, "child": ENDED}, "paid", "none", True),
        ({"order_status": "SOMETHING_NEW", "order_paidtime_string": PAID}, "checking", "none", False),
    ],
)
def test_status(changes: dict[str, Any], payment: str, shipping: str, closed: bool) -> None:
    read = read_order("1", order(**changes), PACIFIC)
    assert (read.payment, read.shipping, read.closed) == (
        OrderPayment(payment),
        OrderShipping(shipping),
        closed,
    )


@pytest.mark.parametrize("absent", ["order_status", "order_amount", "child_order_list"])
def test_an_order_without_its_essentials_is_not_read(absent: str) -> None:
    with pytest.raises(ValueError, match="no "):
        read_order("1", order(**{absent: None}), PACIFIC)


def test_times_are_read_in_the_zone() -> None:
    read = read_order("1", order(), PACIFIC)
    assert read.created_at == datetime(2024, 9, 10, 4, 0, 3, tzinfo=UTC)
    assert read.created_at_alternatives == ()
    assert read.pay_until == datetime(2024, 9, 11, 4, 0, 3, tzinfo=UTC)
    assert read_order("1", order(), "Asia/Shanghai").created_at == datetime(2024, 9, 9, 13, 0, 3, tzinfo=UTC)
    assert read_order("1", order(gmt_create="soon"), PACIFIC).created_at is None


def test_the_repeated_hour_means_both_instants() -> None:
    read = read_order("1", order(gmt_create="2024-11-03 01:30:00"), PACIFIC)
    assert read.created_at_alternatives == (
        datetime(2024, 11, 3, 8, 30, tzinfo=UTC),
        datetime(2024, 11, 3, 9, 30, tzinfo=UTC),
    )
    assert read.created_at == read.created_at_alternatives[0]


@pytest.mark.parametrize("text", ["", "2024-02-30 00:00:00", "0000-00-00 00:00:00", "9999-12-31 23:59:59", "1"])
def test_odd_times(text: str) -> None:
    assert local_instants(text, PACIFIC) == ()
    assert zoned_instant(text, PACIFIC) is None


def test_paid_time() -> None:
    assert zoned_instant(PAID, PACIFIC) == datetime(2024, 9, 10, 4, 5, 47, tzinfo=UTC)


def option(**fields: Any) -> dict[str, Any]:
    return {
        "code": "S",
        "free_shipping": False,
        "shipping_fee_cent": "1.99",
        "shipping_fee_currency": "EUR",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "conservative", "official"),
    [
        ({}, "1.99", "1.99"),
        ({"free_shipping": True}, "0", "0"),
        ({"free_shipping": "true", "shipping_fee_cent": None}, "0", "0"),
        ({"mayHavePFS": True, "free_shipping_threshold": "0,00€"}, "1.99", "0"),
        ({"mayHavePFS": True, "free_shipping_threshold": "$10.00"}, "1.99", "1.99"),
        ({"mayHavePFS": False, "free_shipping_threshold": "0,00€"}, "1.99", "1.99"),
    ],
)
def test_fees(fields: dict[str, Any], conservative: str, official: str) -> None:
    for rule, expected in ((False, conservative), (True, official)):
        read = read_option(option(**fields), "EUR", official=rule)
        assert read is not None
        assert read.fee == Money.parse(expected, "EUR")


def test_an_option_without_a_readable_fee_is_left_out() -> None:
    assert read_option(option(shipping_fee_cent=None), "EUR", official=False) is None
    assert read_option(option(code=""), "EUR", official=False) is None


def test_countries_and_languages() -> None:
    assert [country_code(code) for code in ("GB", "gb", "UK", "RS", "ME", "XK", "US")] == [
        "UK", "UK", "UK", "SRB", "MNE", "KS", "US"
    ]  # fmt: skip
    assert [locale(text) for text in ("en", "fr", "pt-BR", "de_AT", "")] == [
        "en_US",
        "fr_FR",
        "pt_BR",
        "de_AT",
        "en_US",
    ]


def test_ban_seconds() -> None:
    assert ban_seconds("Api access frequency exceeds the limit. this ban will last 12 seconds") == 12.0
    assert ban_seconds("limit") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1], [1]),
        ({"x": [1, 2]}, [1, 2]),
        ({"x": {"a": 1}}, [{"a": 1}]),
        ({}, []),
        (None, []),
        ("x", []),
        ({"a": 1, "b": [2]}, []),
    ],
)
def test_lists_in_every_dress(value: Any, expected: list[Any]) -> None:
    assert wire.rows(value) == expected


def test_money_is_exact_and_a_kuwaiti_one_has_three_digits() -> None:
    amount = {"amount": "9007199254740.993", "currency_code": "KWD"}
    assert read_order("1", order(order_amount=amount), PACIFIC).total == Money(9007199254740993, "KWD")


def test_token_lives_come_from_the_answer() -> None:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    read = grant({"access_token": "a", "expires_in": "10", "refresh_expires_in": 0}, now)
    assert (read.expires_at - now).total_seconds() == 10  # type: ignore[operator]
    assert read.refresh_expires_at == now
    assert read.refresh_token is None
    early = grant({"access_token": "a", "expires_in": 86_400, "expire_time": 1735689660000}, now)
    assert early.expires_at == datetime(2025, 1, 1, 0, 1, tzinfo=UTC)


def test_delivered_is_said_by_words_only() -> None:
    def parcel(words: str) -> bool:
        nodes = {"detail_node": [{"time_stamp": 1, "tracking_detail_desc": words}]}
        line = {"mail_no": "1", "detail_node_list": nodes}
        (read,) = read_parcels({"data": {"tracking_detail_line_list": [line]}}, ())
        return read.delivered

    assert parcel("Package delivered")
    for words in (
        "Not delivered",
        "Out for delivery",
        "Package will be delivered today",
        "Delivery attempt failed",
    ):
        assert not parcel(words)


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))["cases"]
    return found


def opened(name: str, case: dict[str, Any]) -> envelope.Answer:
    return envelope.open_sync(name, json.dumps(case["body"]).encode())


@with_samples
def test_order_samples() -> None:
    name = "aliexpress.trade.ds.order.get"
    found = {}
    for case in cases(name):
        answer = opened(name, case)
        if answer.error is None:
            read = read_order("1", answer.payload["result"], PACIFIC)
            found[case["name"].split(" ")[0]] = (read.payment.value, read.shipping.value, read.closed)
    assert found == {
        "finished": ("paid", "delivered", False),
        "unpaid": ("unpaid", "none", False),
        "paid-waiting-for-shipment": ("paid", "none", False),
        "shipped": ("paid", "shipped", False),
        "cancelled": ("unpaid", "none", True),
        "reference-demo": ("checking", "shipped", True),
    }


@with_samples
def test_product_samples() -> None:
    name = "aliexpress.ds.product.get"
    for case in cases(name):
        answer = opened(name, case)
        if answer.error is None and "result" in answer.payload:
            read = read_product("1", answer.payload["result"], country="US", with_charges=True)
            assert read.skus, case["name"]
            assert all(sku.sku_id.isdigit() and sku.price.minor > 0 for sku in read.skus)
        if case["name"] == "success-multi-sku":
            assert read.order_product_id == "3256805705742037"
            assert read.seller_id == "1102346399"
        if case["name"].startswith("success-single-sku"):
            assert read.skus[0].attributes == ""
            assert read.skus[0].price == Money.parse("5.14", "USD")


def sku(**changes: Any) -> SupplierSKU | None:
    row = {"sku_id": "12000", "sku_attr": "", "currency_code": "USD", "offer_sale_price": "4.00", "sku_price": "9.00"}
    found = {"ae_item_sku_info_dtos": {"ae_item_sku_info_d_t_o": [{**row, **changes}]}}
    return next(iter(read_product("1", found, country="US", with_charges=True).skus), None)


@pytest.mark.parametrize(
    ("told", "prices"),
    [
        ({}, ["4.00"] * 3),
        ({"limit_strategy": "create_order_fail"}, ["4.00"] * 3),
        ({"buy_amount_limit_set_by_promotion": "0", "limit_strategy": "create_order_fail"}, ["4.00"] * 3),
        ({"buy_amount_limit_set_by_promotion": "2"}, ["4.00", "4.00", "9.00"]),
        ({"buy_amount_limit_set_by_promotion": 2, "limit_strategy": "back_to_normal_price"}, ["4.00", "4.00", "9.00"]),
        ({"buy_amount_limit_set_by_promotion": 2, "limit_strategy": "create_order_fail"}, ["4.00", "4.00", None]),
        ({"buy_amount_limit_set_by_promotion": 2, "limit_strategy": "something_new"}, ["4.00", "4.00", None]),
        ({"buy_amount_limit_set_by_promotion": 2, "sku_price": None}, ["4.00", "4.00", None]),
        ({"buy_amount_limit_set_by_promotion": 2, "sku_price": "1.00"}, ["4.00"] * 3),
        ({"buy_amount_limit_set_by_promotion": 2, "estimated_import_charges": "1.00"}, ["5.00", "5.00", "10.00"]),
        ({"price_include_tax": False, "tax_amount": "0.50"}, ["4.50"] * 3),
        ({"price_include_tax": "false", "tax_amount": "0.50", "tax_currency_code": "USD"}, ["4.50"] * 3),
        ({"price_include_tax": True, "tax_amount": "652"}, ["4.00"] * 3),
        ({"price_include_tax": False}, ["4.00"] * 3),
    ],
    ids=str,
)
def test_prices_by_number_of_pieces(told: dict[str, Any], prices: list[str | None]) -> None:
    found = sku(**told)
    assert found is not None
    wanted = [None if price is None else Money.parse(price, "USD") for price in prices]
    assert [found.price_for(pieces) for pieces in (1, 2, 3)] == wanted


def test_a_tax_in_another_currency_leaves_no_price() -> None:
    assert sku(price_include_tax=False, tax_amount="0.50", tax_currency_code="EUR") is None
    assert sku(price_include_tax=False, tax_amount="much") is None


@with_samples
def test_freight_samples() -> None:
    name = "aliexpress.ds.freight.query"
    for case in cases(name):
        for row in wire.rows(opened(name, case).payload["result"].get("delivery_options")):
            read = read_option(row, "EUR", official=False)
            assert read is not None, case["name"]
            assert read.fee.minor == 0 or read.fee.amount < 200


@with_samples
def test_tracking_samples() -> None:
    name = "aliexpress.ds.order.tracking.get"
    counts = {case["name"]: len(read_parcels(opened(name, case).payload["result"], ())) for case in cases(name)}
    assert counts == {"success": 1, "two-packages": 2, "not-shipped-or-unknown-order": 0, "reference-demo": 1}


@with_samples
def test_commission_samples() -> None:
    name = "aliexpress.ds.commissionorder.listbyindex"
    (row,) = wire.rows(opened(name, cases(name)[0]).payload["result"]["orders"])
    read = read_paid_row(row, PACIFIC)
    assert (read.order_id, read.product_id) == ("8198352049851315", "1005005892056789")
    assert read.paid_at == datetime(2024, 9, 10, 4, 5, 47, tzinfo=UTC)


@with_samples
def test_platform_errors_and_tokens() -> None:
    for case in cases("platform-errors"):
        raw = json.dumps(case["body"]).encode()
        rest = case["name"] == "rest-style"
        answer = envelope.open_rest("/auth/token/create", raw) if rest else envelope.open_sync("any", raw)
        assert answer.error is not None, case["name"]
        assert read_error(answer.error).code
    now = datetime(2025, 1, 1, tzinfo=UTC)
    for name in ("auth.token.create", "auth.token.refresh"):
        for case in cases(name):
            answer = envelope.open_rest("/" + name.replace(".", "/"), json.dumps(case["body"]).encode())
            if answer.error is None:
                assert grant(answer.payload, now).access_token


def test_a_used_up_quota_is_waited_for_long_and_proves_nothing() -> None:
    quota = envelope.GatewayError(code="AppCallLimit", message="quota")
    waits = read_error(quota)
    assert isinstance(waits, TryLater)
    assert waits.retry_after == LONGEST_BAN
    assert isinstance(write_error(quota), OutcomeUnknown)


@with_samples
def test_push_samples() -> None:
    keys = {"aliexpress_app_key": "1", "aliexpress_app_secret": "s"}
    supplier = AliExpress(AliExpressSettings(**keys), HTTPClient(DialPolicy()))  # type: ignore[arg-type]
    for case in cases("push.DROPSHIPPER_ORDER_STATUS_UPDATE"):
        hint = supplier.read_push(json.dumps(case["body"]).encode())
        assert (hint.ref, hint.status) == ("1105933950463697", case["body"]["data"]["orderStatus"])


def test_texts_hold_nothing_that_no_row_can_keep() -> None:
    """One NUL in a parcel's news would stop its tracking for ever."""
    line = {
        "mail_no": "LP\x0000123",
        "carrier_name": "Cai\x00niao",
        "detail_node_list": [{"tracking_name": "\x00left"}],
    }
    (parcel,) = read_parcels({"data": {"tracking_detail_line_list": {"tracking_detail": [line]}}}, ())
    assert (parcel.tracking_number, parcel.carrier, parcel.last_event) == ("LP00123", "Cainiao", "left")
    assert read_order("1", order(order_status="FINI\x00SH"), PACIFIC).status == "FINISH"


def test_an_order_made_at_the_end_of_the_calendar_has_no_time_to_pay_until() -> None:
    read = read_order("1", order(gmt_create="9999-12-31 23:00:00", pay_timeout_second="8640000"), "UTC")
    assert read.pay_until is None
