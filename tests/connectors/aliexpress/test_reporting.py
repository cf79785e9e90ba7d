"""What is reported to AliExpress and what it tells of commission, against the simulator and its samples."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused, TryLater, Withdrawn
from app.ports.money import Money
from app.ports.reporting import Commission, CommissionState, ReportAnswer, SaleReport, UserReport
from connectors.aliexpress import commissions
from connectors.aliexpress.supplier import AliExpressSession
from tests.connectors.aliexpress.harness import BOTTLE, Running, place_order, running

SHOP = UserReport("https://bottles.example.com")
SUBMIT = "aliexpress.ds.member.orderdata.submit"
WINDOW = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def registered(request: pytest.FixtureRequest) -> Any:
    with running({"registered": "1", **getattr(request, "param", {})}) as made:
        yield made


def bought(simulator: Running, session: AliExpressSession, number: int = 1) -> str:
    """A paid order."""
    (order_id,) = session.place(place_order(f"10000000000000{number:04d}")).order_ids
    simulator.control("pay", {"order_ids": [order_id]})
    return order_id


def sale(order_id: str) -> SaleReport:
    return SaleReport(
        order_id=order_id,
        product_id=BOTTLE,
        sku_attributes="14:365458#Brown;200007763:201336100#China",
        product_amount=Money(1990, "USD"),
        order_amount=Money(2485, "USD"),
        paid_at=datetime(2026, 9, 10, 6, 5, 47, tzinfo=UTC),
        product_url="https://bottles.example.com/products/bottle",
    )


def test_a_user_is_reported_by_its_own_token(registered: Running) -> None:
    session = registered.session(user_id="77")
    answer = session.report_user(SHOP)
    assert (answer.accepted, answer.code, answer.is_registered) == (True, "200", True)
    assert answer.request_id
    [line] = registered.ledger("report_user")
    assert (line["user_id"], line["store_url"]) == ("77", "https://bottles.example.com")


def test_a_sale_is_reported_in_the_words_of_the_reference(registered: Running) -> None:
    session = registered.session()
    order_id = bought(registered, session)
    assert session.report_sale(sale(order_id)).accepted
    [line] = registered.ledger("report_sale")
    assert line["told"] == {
        "ae_product_id": BOTTLE,
        "ae_orderid": order_id,
        "ae_sku_info": "14:365458;200007763:201336100",
        "product_amount": "19.90",
        "order_amount": "24.85",
        "paytime": "20260910:060547",
        "product_url": "https://bottles.example.com/products/bottle",
    }


def test_who_is_not_registered_is_told_so(simulator: Running) -> None:
    session = simulator.session()
    wanted = ReportAnswer(
        accepted=False, code="401", message="This publisher is not registered", request_id="", is_registered=False
    )
    for answer in (session.report_user(SHOP), session.report_sale(sale(bought(simulator, session)))):
        assert replace(answer, request_id="") == wanted
    assert simulator.ledger("report_user") == simulator.ledger("report_sale") == []
    with pytest.raises(Refused, match="401"):
        session.commissions(CommissionState.PAID, *WINDOW)


def test_what_is_not_accepted_is_told_with_the_supplier_s_words(registered: Running) -> None:
    session, other = registered.session(), registered.session(user_id="78")
    theirs = bought(registered, other)
    answer = session.report_sale(sale(theirs))
    assert (answer.accepted, answer.code, answer.message) == (False, "404", "order not found")
    answer = session.report_sale(replace(sale(bought(registered, session, 2)), product_url="no address"))
    assert (answer.accepted, answer.message) == (False, "product_url is invalid")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"product_url": ""}, "product_url"),
        ({"sku_attributes": ""}, "ae_sku_info"),
        ({"product_amount": Money(1990, "JPY")}, "an amount in JPY"),
        ({"order_amount": Money(1990, "EUR")}, "an amount in EUR"),
    ],
)
def test_what_the_method_has_no_words_for_is_not_sent(registered: Running, more: dict[str, Any], why: str) -> None:
    """A product with one variant has no attributes, and all parameters are required; dollars are what is expected."""
    session = registered.session()
    with pytest.raises(ValueError, match=why):
        session.report_sale(replace(sale("8100000000000001"), **more))
    assert [one for one in registered.records if one.operation == SUBMIT] == []


@pytest.mark.parametrize("registered", [{"withdrawn": f"aliexpress.ds.add.info {SUBMIT}"}], indirect=True)
def test_a_method_that_was_withdrawn_is_told_apart_from_everything_else(registered: Running) -> None:
    session = registered.session()
    with pytest.raises(Withdrawn, match="InvalidApiPath"):
        session.report_user(SHOP)
    with pytest.raises(Withdrawn, match="InvalidApiPath"):
        session.report_sale(sale("8100000000000001"))


@pytest.mark.parametrize(
    ("kind", "more", "error"),
    [
        ("drop_after", {}, OutcomeUnknown),
        ("status", {"status": 503}, OutcomeUnknown),
        ("html", {}, OutcomeUnknown),
        ("gateway", {"code": "ServiceTimeout"}, OutcomeUnknown),
        ("gateway", {"code": "ServiceUnavailable"}, OutcomeUnknown),
        ("gateway", {"code": "15", "sub_code": "isv.insufficient-permission"}, Refused),
        ("call_limit", {"seconds": 3}, TryLater),
        ("gateway", {"code": "IllegalAccessToken"}, MerchantMustAct),
    ],
)
def test_an_unclear_end_is_no_refusal(
    registered: Running, kind: str, more: dict[str, Any], error: type[Exception]
) -> None:
    session = registered.session()
    registered.fault(kind, op="ds.add.info", **more)
    with pytest.raises(error):
        session.report_user(SHOP)


def test_commission_follows_the_order_and_incentive_only_what_was_reported(registered: Running) -> None:
    session = registered.session()
    reported, silent = bought(registered, session, 1), bought(registered, session, 2)
    session.report_user(SHOP)
    session.report_sale(sale(reported))
    page = session.commissions(CommissionState.PAID, *WINDOW)
    found = {row.order_id: row for row in page.rows}
    assert set(found) == {reported, silent}
    row = found[reported]
    assert (row.product_id, row.state, row.finished_at) == (BOTTLE, CommissionState.PAID, None)
    assert row.paid is not None
    assert row.paid_at is not None
    assert abs(row.paid_at - datetime.now(UTC)) < timedelta(minutes=61), "in the hour that comes twice, an hour off"
    assert row.commission == Money(row.paid.minor * 3 // 100, "USD")
    assert (row.incentive, found[silent].incentive) == (Money(row.paid.minor * 2 // 100, "USD"), Money(0, "USD"))
    registered.control("ship", {"order_id": reported})
    registered.control("deliver", {"order_id": reported})
    registered.control("cancel", {"order_id": silent})
    assert session.commissions(CommissionState.PAID, *WINDOW).rows == ()
    [received] = session.commissions(CommissionState.RECEIVED, *WINDOW).rows
    [invalid] = session.commissions(CommissionState.INVALID, *WINDOW).rows
    assert (received.order_id, invalid.order_id) == (reported, silent)


def test_pages_follow_each_other_until_the_last(registered: Running) -> None:
    session = registered.session()
    ids = [bought(registered, session, number) for number in range(commissions.PAGE_SIZE + 3)]
    first = session.commissions(CommissionState.PAID, *WINDOW)
    assert (len(first.rows), bool(first.cursor)) == (commissions.PAGE_SIZE, True)
    second = session.commissions(CommissionState.PAID, *WINDOW, first.cursor)
    assert [row.order_id for row in (*first.rows, *second.rows)] == ids
    third = session.commissions(CommissionState.PAID, *WINDOW, second.cursor)
    assert (third.rows, third.cursor) == ((), ""), "only an empty page tells that it was all"


def test_a_row_is_read_as_the_documentation_writes_it() -> None:
    """Numbers or texts, hundredths, and US Pacific time; what is finished counts before the estimate."""
    row = {
        "parent_order_number": 8198000000000015,
        "sub_order_id": "8198000000000016",
        "item_id": 1005000000000789,
        "paid_time": "2026-09-09 21:05:47",
        "finished_time": "2026-10-01 10:00:00",
        "paid_amount": 812,
        "finished_amount": "800",
        "estimated_paid_commission": 24,
        "estimated_finished_commission": "23",
        "estimated_incentive_paid_commission": "16",
        "estimated_incentive_finished_commission": 15,
        "effect_status": "Completed settlement",
        "publisher_settled_currency": "USD",
    }
    assert commissions.read_commission(row) == Commission(
        "8198000000000015", "8198000000000016", "1005000000000789", CommissionState.SETTLED,
        datetime(2026, 9, 10, 4, 5, 47, tzinfo=UTC), datetime(2026, 10, 1, 17, tzinfo=UTC),
        Money(800, "USD"), Money(23, "USD"), Money(15, "USD"),
    )  # fmt: skip
    early = commissions.read_commission(row | {"effect_status": "Payment Completed", "finished_amount": "0"})
    assert (early.paid, early.commission, early.incentive) == (Money(812, "USD"), Money(24, "USD"), Money(16, "USD"))
    odd = commissions.read_commission({"effect_status": 5, "paid_amount": "x", "order_id": "no"})
    assert odd == Commission("", "", "", CommissionState.OTHER, None, None, None, None, None)
