"""Placing orders at the simulator.

What is executed, what is refused, and what is said when the line goes bad.
"""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.ports.http import DialPolicy, HTTPClient
from app.ports.supplier import PayResult, PlaceItem, PlaceOutcome
from connectors.aliexpress.supplier import AliExpress
from tests.connectors.aliexpress.harness import BOTTLE, BROWN, GREY, SOCKS, Running, place_order, running, until

TWO_SELLERS = (
    PlaceItem(BOTTLE, BROWN, "14:365458#Brown", 2, "CAINIAO_FULFILLMENT_STD"),
    PlaceItem(SOCKS, GREY, "14:691#Grey", 1, "CAINIAO_PREMIUM"),
)


def test_an_order_is_executed_once_and_noted_without_the_address(simulator: Running) -> None:
    placed = simulator.session().place(place_order())
    assert placed.outcome is PlaceOutcome.PLACED
    (line,) = simulator.ledger("create")
    assert (line["order_id"], line["out_order_id"]) == (*placed.order_ids, "100000000000000001")
    assert (line["items"][0]["product_id"], line["items"][0]["sku_id"], line["items"][0]["quantity"]) == (
        BOTTLE,
        BROWN,
        1,
    )
    assert (line["total"], line["country"]) == ("9.18", "DE")
    record = simulator.records[-1]
    assert (record.vendor, record.operation, record.outcome) == (
        "aliexpress",
        "aliexpress.ds.order.create",
        "ok",
    )
    told = json.dumps([simulator.control("ledger"), record.request, record.answer, placed.answer])
    assert "100000000000000001" in record.request
    assert placed.order_ids[0] in record.answer
    for private in ("Beispiel", "Musterweg", "301234567", "simulated-app-secret"):
        assert private not in told


def test_the_ledger_notes_each_call_with_the_hash_of_its_order(simulator: Running) -> None:
    simulator.session().place(place_order())
    (call,) = simulator.ledger("create_call")
    assert call["out_order_id"] == "100000000000000001"
    assert call["request_hash"] == simulator.supplier.request_hash(place_order())


def test_two_sellers_give_two_orders(simulator: Running) -> None:
    placed = simulator.session().place(place_order(items=TWO_SELLERS))
    assert len(placed.order_ids) == 2
    assert [line["order_id"] for line in simulator.ledger("create")] == list(placed.order_ids)


@pytest.mark.parametrize(
    ("kind", "executed"),
    [
        ("drop_before", 0),
        ("drop_after", 1),
        ("cut", 1),
        ("outage", 0),
        ("html", 0),
        ("empty", 0),
        ("success_without_ids", 1),
    ],
)
def test_a_bad_line_is_unknown_whatever_was_executed(simulator: Running, kind: str, executed: int) -> None:
    session = simulator.session()
    simulator.fault(kind)
    assert session.place(place_order()).outcome is PlaceOutcome.UNKNOWN
    assert len(simulator.ledger("create")) == executed
    assert len(simulator.ledger("create_call")) == 1
    assert simulator.records[-1].outcome == "unknown"


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("code", ["INVENTORY_HOLD_ERROR", "REPEATED_ORDER_ERROR", "NEVER_SEEN"])
def test_unclear_codes_are_unknown_whatever_was_executed(simulator: Running, code: str, executed: bool) -> None:
    session = simulator.session()
    simulator.fault("error", code=code, execute=executed)
    assert session.place(place_order()).outcome is PlaceOutcome.UNKNOWN
    assert len(simulator.ledger("create")) == executed


def test_ids_are_kept_with_an_error_and_when_some_are_missing(simulator: Running) -> None:
    session = simulator.session()
    simulator.fault("ids_with_error")
    unclear = session.place(place_order())
    assert unclear.outcome is PlaceOutcome.UNKNOWN
    assert unclear.order_ids == (simulator.ledger("create")[0]["order_id"],)
    simulator.fault("partial_ids")
    assert len(session.place(place_order("2", items=TWO_SELLERS)).order_ids) == 1
    assert len(simulator.ledger("create")) == 3


def test_call_limit_tells_how_long(simulator: Running) -> None:
    session = simulator.session()
    simulator.fault("call_limit", seconds=9)
    found = session.place(place_order())
    assert (found.outcome, found.reason, found.retry_after) == (PlaceOutcome.NOT_EXECUTED, "call_limit", 9.0)
    assert not simulator.ledger("create")


def test_dead_token_is_not_executed(simulator: Running) -> None:
    session = simulator.session()
    simulator.control("kill_token", {})
    found = session.place(place_order())
    assert (found.outcome, found.reason) == (PlaceOutcome.NOT_EXECUTED, "token_dead")


def test_nobody_listening_is_not_sent(simulator: Running) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        settings = simulator.supplier.settings.model_copy(update={"aliexpress_api_url": address})
        found = AliExpress(settings, HTTPClient(DialPolicy())).session("t").place(place_order())
    assert (found.outcome, found.code) == (PlaceOutcome.NOT_SENT, "connect_failed")


def test_an_order_that_cannot_be_written_is_not_sent_again_and_again(simulator: Running) -> None:
    item = replace(place_order().items[0], product_id="not a number")
    found = simulator.session().place(place_order(items=(item,)))
    assert (found.outcome, found.reason) == (PlaceOutcome.REJECTED, "needs_person")
    assert not simulator.ledger("create_call")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sku_attributes": "14:365458"}, "needs_person"),
        ({"product_id": "1005009999999999"}, "needs_person"),
        ({"service": "NO_SUCH_SERVICE"}, "shipping_service"),
    ],
)
def test_wrong_items_are_refused(simulator: Running, change: dict[str, str], reason: str) -> None:
    found = simulator.session().place(place_order(items=(replace(place_order().items[0], **change),)))
    assert (found.outcome, found.reason) == (PlaceOutcome.REJECTED, reason)
    assert not simulator.ledger("create")


def test_too_little_stock_is_only_a_hint(simulator: Running) -> None:
    simulator.control("products", {"product_id": BOTTLE, "sku_changes": {BROWN: {"stock": 0}}})
    found = simulator.session().place(place_order())
    assert (found.outcome, found.reason) == (PlaceOutcome.UNKNOWN, "out_of_stock")


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("blacklisted", "account_blocked"), ("disabled", "account_blocked"), ("suspicious", "needs_person")],
)
def test_account_standing(simulator: Running, flag: str, reason: str) -> None:
    assert simulator.session(**{flag: True}).place(place_order()).reason == reason


@pytest.mark.parametrize(
    ("country", "fields", "field"),
    [
        ("DE", {"city": " "}, "city"),
        ("DE", {"mobile_no": "12345"}, "mobile_no"),
        ("DE", {"phone_country": "+ 49"}, "mobile_no"),
        ("US", {"full_name": "Cher", "contact_person": "Cher"}, "full_name"),
        ("US", {"address": "1 A"}, "address"),
        ("US", {"province": "Other"}, "province"),
        ("ES", {"mobile_no": "12345678"}, "mobile_no"),
        ("MX", {}, "passport_no"),
        ("AU", {"full_name": "Zoë Example"}, "full_name"),
        ("IL", {"passport_no": "123456789"}, "passport_no"),
        ("SA", {"mobile_no": "512345678", "nat_addr": "AB12"}, "nat_addr"),
        ("SA", {"mobile_no": "412345678"}, "mobile_no"),
        ("SA", {"mobile_no": "512345678", "city": "R"}, "city"),
        ("SA", {"mobile_no": "512345678", "full_name": "山田 太郎"}, "full_name"),
        ("BR", {"province": "Berlin"}, "province"),
        ("BR", {"province": "Bahia", "city": "Other"}, "city"),
        ("BR", {"province": "Bahia", "zip": "3011"}, "zip"),
        ("BR", {"province": "Bahia", "zip": "30112020", "birthday": "31131990"}, "birthday"),
        ("KR", {}, "passport_no"),
    ],
)
def test_address_rules(simulator: Running, country: str, fields: dict[str, str], field: str) -> None:
    order = place_order()
    order = replace(
        order,
        address=replace(order.address, country=country),
        address_fields=tuple({**dict(order.address_fields), **fields}.items()),
    )
    found = simulator.session().place(order)
    assert (found.outcome, found.reason, found.field) == (PlaceOutcome.REJECTED, "address_refused", field)


def _to(country: str, **fields: str) -> Any:
    order = place_order()
    named = {"full_name": "Maria Silva", "mobile_no": "11912345678", **fields}
    return replace(order, address=replace(order.address, country=country), address_fields=tuple(named.items()))


def test_extra_fields_of_countries_arrive(simulator: Running) -> None:
    session = simulator.session()
    brazil = {"cpf": "52998224725", "birthday": "01021990", "zip": "01310-100", "province": "São Paulo"}
    assert session.place(_to("BR", **brazil)).outcome is PlaceOutcome.PLACED
    refused = session.place(_to("BR", **{**brazil, "cpf": "11111111111"}))
    assert (refused.reason, refused.field) == ("customs_id", "cpf")
    simulator.control("cpf", {"cpf": "529.982.247-25", "name": "Joana Silva"})
    other = session.place(_to("BR", **brazil, contact_person="Maria Silva"))
    assert (other.reason, other.field, other.code) == (
        "customs_id",
        "cpf",
        "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_NOT_MATCH",
    )
    assert session.place(_to("BR", **brazil, contact_person="JOANA SILVA")).outcome is PlaceOutcome.PLACED
    saudi = {"mobile_no": "512345678", "phone_country": "+966", "nat_addr": "abcd1234", "zip": "12211"}
    assert session.place(_to("SA", **saudi)).outcome is PlaceOutcome.PLACED
    israel = {"passport_no": "123456789", "foreigner_passport_no": "123456789", "is_foreigner": "false"}
    assert session.place(_to("IL", **israel)).outcome is PlaceOutcome.PLACED


@pytest.mark.parametrize(("iso", "theirs"), [("GB", "UK"), ("RS", "SRB"), ("ME", "MNE"), ("FR", "FR")])
def test_their_country_codes_are_sent(simulator: Running, iso: str, theirs: str) -> None:
    assert simulator.session().place(_to(iso)).outcome is PlaceOutcome.PLACED
    assert simulator.ledger("create")[0]["country"] == theirs


def test_us_destinations_need_the_us_id(simulator: Running) -> None:
    session = simulator.session()
    shears = session.product("1005006000000007", country="US", currency="USD", language="en")
    assert shears is not None
    assert shears.order_product_id == "3256805700000007"
    order = replace(_to("US"), items=(PlaceItem("1005006000000007", "12000036000000701", "", 1, ""),))
    assert session.place(order).outcome is PlaceOutcome.REJECTED
    order = replace(order, items=(replace(order.items[0], product_id=shears.order_product_id),))
    assert session.place(order).outcome is PlaceOutcome.PLACED


@pytest.mark.parametrize(("mode", "created"), [("none", 2), ("replay", 1), ("reject", 1)])
def test_a_repeated_number_in_the_three_modes(mode: str, created: int) -> None:
    with running({"dedupe": mode}) as simulator:
        session = simulator.session()
        first, second = session.place(place_order()), session.place(place_order())
        assert len(simulator.ledger("create")) == created
        if mode == "replay":
            assert second.order_ids == first.order_ids
        if mode == "reject":
            assert (second.outcome, second.code) == (PlaceOutcome.UNKNOWN, "REPEATED_ORDER_ERROR")
        simulator.control("advance", {"seconds": 86_401})
        simulator.session().place(place_order())
        assert len(simulator.ledger("create")) == 1 + (mode != "replay") * (created - 1) + 1


def test_autopay(simulator: Running) -> None:
    able, unable = simulator.session(autopay=True), simulator.session()
    assert able.place(place_order(autopay=True)).pay is PayResult.SAID_PAID
    failed = unable.place(place_order("2", autopay=True))
    assert (failed.outcome, failed.pay) == (PlaceOutcome.PLACED, PayResult.FAILED)
    simulator.fault("autopay_fail")
    assert able.place(place_order("3", autopay=True)).pay is PayResult.FAILED
    assert len(simulator.ledger("pay")) == 1


def test_a_price_that_rose_at_creation_shows_in_the_order(simulator: Running) -> None:
    session = simulator.session()
    simulator.fault("price_change", factor="2")
    order = session.order(session.place(place_order()).order_ids[0])
    assert order is not None
    assert str(order.total) == "16.37 USD"


def test_a_killed_simulator_forgets_nothing(tmp_path: Path) -> None:
    options = {"ledger": str(tmp_path / "ledger.jsonl")}
    with running(options) as simulator:
        session = simulator.session()
        placed = session.place(place_order())
        simulator.control("pay", {"order_ids": placed.order_ids})
    with (tmp_path / "ledger.jsonl").open("a", encoding="utf-8") as torn:
        torn.write('{"op":"create","order_id":"8')
    with running(options) as again:
        resumed = again.supplier.session(session.token)
        order = resumed.order(placed.order_ids[0])
        assert order is not None
        assert order.payment.value == "paid"
        assert resumed.place(place_order("2")).order_ids[0] != placed.order_ids[0]
        state = again.control("state")
        bottle = next(product for product in state["products"] if product["product_id"] == BOTTLE)
        assert bottle["skus"][0]["stock"] == 997


@pytest.mark.security
def test_s65_nineteen_digit_orders_all_the_way() -> None:
    with running({"id_digits": "19"}) as simulator:
        session = simulator.session()
        (order_id,) = session.place(place_order()).order_ids
        assert len(order_id) == 19
        assert order_id == simulator.ledger("create")[0]["order_id"]
        order = session.order(order_id)
        assert order is not None
        assert order.order_id == order_id


def test_a_scenario_file_sets_the_stage_and_time_does_the_rest(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(
        json.dumps(
            {
                "accounts": [{"user_id": "777", "login": "c@example.test", "autopay": True}],
                "products": [{"product_id": BOTTLE, "sku_changes": {}, "on_sale": False}],
                "faults": [{"op": "order.create", "kind": "drop_after", "times": 1}],
            }
        ),
        "utf-8",
    )
    options = {"scenario": str(scenario), "time_scale": "1000", "auto_ship_after": "60", "auto_deliver_after": "60"}
    with running(options) as simulator:
        session = simulator.session(user_id="777")
        items = (PlaceItem(SOCKS, GREY, "14:691#Grey", 1, ""),)
        assert session.place(place_order()).outcome is PlaceOutcome.UNKNOWN
        assert not simulator.ledger("create")
        (order_id,) = session.place(place_order("2", items=items, autopay=True)).order_ids
        until(lambda: simulator.ledger("deliver"))
        assert session.parcels(order_id)[0].delivered


def test_many_at_once_are_each_executed_once(simulator: Running) -> None:
    session = simulator.session()
    with ThreadPoolExecutor(8) as pool:
        placed = list(pool.map(lambda number: session.place(place_order(str(number))), range(1, 41)))
    ids = [result.order_ids[0] for result in placed]
    assert len(set(ids)) == 40
    assert sorted(ids) == sorted(line["order_id"] for line in simulator.ledger("create"))
