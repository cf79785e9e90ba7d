"""Parcels: once, over the right fulfilment orders, whatever happens to the answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused, TryLater
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from connectors.shopify import fulfilment
from connectors.shopify.allocation import allocate
from connectors.shopify.carriers import known_carrier, tracking_input
from tests.connectors.shopify.harness import Simulated, parcel, read, running


def created(simulated: Simulated) -> list[dict[str, Any]]:
    return simulated.events("fulfillment_created")


def test_a_parcel_is_shown_once(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    sent = parcel(order)
    first = session.fulfil(order.id, sent)
    assert first.tracking_numbers == ("LP0001",)
    assert {(line.line_id, line.quantity) for line in first.lines} == {(line.id, line.to_ship) for line in order.lines}
    assert session.fulfil(order.id, sent) == first
    assert session.fulfilments(order.id) == (first,)
    assert [line["tracking"] for line in created(simulated)] == [
        [{"company": "Cainiao", "number": "LP0001", "url": "https://track.example/LP0001"}]
    ]


def test_two_parcels_with_quantities(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    mug, shirt = order.lines
    session.fulfil(order.id, parcel(order, "LP1", lines=(ParcelLine(mug.id, 1),)))
    session.fulfil(order.id, parcel(order, "LP2", lines=(ParcelLine(mug.id, 1), ParcelLine(shirt.id, 1))))
    assert [fulfilment.tracking_numbers for fulfilment in session.fulfilments(order.id)] == [("LP1",), ("LP2",)]
    assert [line.to_ship for line in read(session, order.id).lines] == [0, 0]


@pytest.mark.parametrize("kind", ["drop_after", "cut"])
def test_an_answer_lost_after_execution_is_found_by_reading_again(simulated: Simulated, kind: str) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", kind)
    found = session.fulfil(order.id, parcel(order))
    assert found.tracking_numbers == ("LP0001",)
    assert len(created(simulated)) == 1


@pytest.mark.parametrize(
    "fault", [{"kind": "drop_before"}, {"kind": "status", "status": 502}, {"kind": "internal"}], ids=lambda f: f["kind"]
)
def test_an_unclear_answer_with_nothing_to_see_stays_unknown(simulated: Simulated, fault: dict[str, Any]) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", **fault)
    with pytest.raises(OutcomeUnknown):
        session.fulfil(order.id, parcel(order))
    assert created(simulated) == []
    session.fulfil(order.id, parcel(order))
    assert len(created(simulated)) == 1


def test_if_reading_again_fails_too_the_first_error_is_told(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", "drop_after")
    # The first reading comes before the mutation, the second after it: only that one fails.
    simulated.fault("OrderFulfillments", "status", status=503, skip=1)
    with pytest.raises(OutcomeUnknown):
        session.fulfil(order.id, parcel(order))
    assert len(created(simulated)) == 1


def test_a_merchants_fulfilment_with_the_same_number_is_adopted(simulated: Simulated) -> None:
    session = simulated.session()
    made = simulated.order()
    order = read(session, made["id"])
    simulated.act(made, "fulfill", tracking={"number": " lp 0001"})
    assert session.fulfil(order.id, parcel(order)) == session.fulfilments(order.id)[0]
    assert len(created(simulated)) == 1


def test_never_more_than_remains(simulated: Simulated) -> None:
    session = simulated.session()
    made = simulated.order()
    order = read(session, made["id"])
    simulated.act(made, "fulfill", lines=[{"line": 0, "quantity": 1}], tracking={"number": "OTHER"})
    found = session.fulfil(order.id, parcel(order))
    assert [line.quantity for line in found.lines] == [1, 1]
    with pytest.raises(Refused, match="nothing_to_fulfil"):
        session.fulfil(order.id, parcel(order, "LP0002"))


def test_another_worker_shows_it_between_our_two_reads(simulated: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """No open quantity is left then, which is no refusal: it is there."""
    session, other = simulated.session(), simulated.session()
    order = read(session, simulated.order()["id"])
    whole, done = fulfilment.read_fulfillment_orders, list[Fulfilment]()

    def reads(client: Any, order_id: str) -> Any:
        monkeypatch.setattr(fulfilment, "read_fulfillment_orders", whole)
        done.append(other.fulfil(order.id, parcel(order)))
        return whole(client, order_id)

    monkeypatch.setattr(fulfilment, "read_fulfillment_orders", reads)
    assert session.fulfil(order.id, parcel(order)) == done[0]
    assert len(created(simulated)) == 1


def test_somebody_fulfils_between_our_reading_and_our_writing(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault(
        "fulfillmentCreate", "user_error", message="Invalid fulfillment order line item quantity requested."
    )
    with pytest.raises(Refused, match="Invalid fulfillment order"):
        session.fulfil(order.id, parcel(order))


def test_two_workers_show_one_parcel_once(simulated: Simulated) -> None:
    order = read(simulated.session(), simulated.order()["id"])
    start = threading.Barrier(4)

    def work(_number: int) -> Fulfilment | None:
        session = simulated.session()
        start.wait()
        # Who comes too late sees either the fulfilment or that nothing is left.
        with suppress(Refused):
            return session.fulfil(order.id, parcel(order))
        return None

    with ThreadPoolExecutor(4) as pool:
        found = [fulfilment for fulfilment in pool.map(work, range(4)) if fulfilment]
    assert len(created(simulated)) == 1
    assert len({fulfilment.id for fulfilment in found}) == 1


def test_split_and_moved_between_reading_and_fulfilling(simulated: Simulated) -> None:
    session = simulated.session()
    made = simulated.order(lines=[{"quantity": 5}])
    order = read(session, made["id"])
    simulated.act(made, "split", line=0, quantity=2)
    simulated.act(made, "split", line=0, quantity=1)
    found = session.fulfil(order.id, parcel(order))
    assert sum(line.quantity for line in found.lines) == 5
    assert len(created(simulated)) == 1


def test_a_parcel_over_two_locations_takes_one_call_each() -> None:
    with running(own_location="open") as simulated:
        simulated.shop()
        session = simulated.session()
        made = simulated.order(lines=[{"quantity": 2, "location": "ours"}, {"quantity": 1, "location": "merchant"}])
        order = read(session, made["id"])
        session.fulfil(order.id, parcel(order))
        assert len(created(simulated)) == 2
        session.fulfil(order.id, parcel(order))
        assert len(created(simulated)) == 2
        assert [line.to_ship for line in read(session, order.id).lines] == [0, 0]


def test_our_location_wants_a_request_first(simulated: Simulated) -> None:
    simulated.shop("ours.myshopify.com", our_location=True)
    session = simulated.session("ours.myshopify.com")
    made = simulated.order(shop="ours.myshopify.com")
    order = read(session, made["id"])
    with pytest.raises(MerchantMustAct) as caught:
        session.fulfil(order.id, parcel(order))
    assert caught.value.reason == "fulfilment_not_requested"
    simulated.act(made, "request_fulfillment")
    session.fulfil(order.id, parcel(order))
    assert [line["event"] for line in simulated.control("ledger")][-2:] == ["request_accepted", "fulfillment_created"]


def test_a_held_order_is_not_fulfilled(simulated: Simulated) -> None:
    session = simulated.session()
    made = simulated.order()
    order = read(session, made["id"])
    simulated.act(made, "hold")
    with pytest.raises(MerchantMustAct) as caught:
        session.fulfil(order.id, parcel(order))
    assert caught.value.reason == "fulfilment_on_hold"


def test_a_new_tracking_number(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    old = session.fulfil(order.id, parcel(order))
    new = session.update_tracking(order.id, old.id, parcel(order, "LP9", carrier="yunexpress"))
    assert (new.id, new.tracking_numbers) == (old.id, ("LP9",))
    assert simulated.events("fulfillment_updated")[0]["tracking"] == [
        {"company": "YunExpress", "number": "LP9", "url": None}
    ]
    with pytest.raises(Refused):
        session.update_tracking(order.id, "1", parcel(order, "LP9"))


def test_a_number_that_is_there_already_is_not_written_again(simulated: Simulated) -> None:
    """The buyer is mailed with each write; whoever stopped right after it does it again."""
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    old = session.fulfil(order.id, parcel(order))
    for _ in range(2):
        new = session.update_tracking(order.id, old.id, parcel(order, "LP9", notify=True))
        assert (new.id, new.tracking_numbers) == (old.id, ("LP9",))
    assert len(simulated.events("fulfillment_updated")) == 1


def test_a_lost_answer_to_a_new_tracking_number(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    old = session.fulfil(order.id, parcel(order))
    simulated.fault("fulfillmentTrackingInfoUpdate", "drop_after")
    assert session.update_tracking(order.id, old.id, parcel(order, "LP9")).tracking_numbers == ("LP9",)
    simulated.fault("fulfillmentTrackingInfoUpdate", "drop_before")
    with pytest.raises(TryLater):
        session.update_tracking(order.id, old.id, parcel(order, "LP10"))
    simulated.fault("fulfillmentTrackingInfoUpdate", "drop_before")
    with pytest.raises(OutcomeUnknown):
        session.update_tracking(order.id, old.id, parcel(order, "LP10", notify=True))


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "internal"])
def test_a_lost_answer_to_an_acceptance_may_be_repeated(simulated: Simulated, kind: str) -> None:
    simulated.shop("ours.myshopify.com", our_location=True)
    session = simulated.session("ours.myshopify.com")
    made = simulated.order(shop="ours.myshopify.com")
    simulated.act(made, "request_fulfillment")
    lines = [line.id for line in read(session, made["id"]).lines]
    simulated.fault("fulfillmentOrderAcceptFulfillmentRequest", kind)
    with pytest.raises(TryLater):
        session.answer_request(made["id"], lines, about="fulfilment", accept=True, reason="other", message="")
    session.answer_request(made["id"], lines, about="fulfilment", accept=True, reason="other", message="")
    assert len(simulated.events("request_accepted")) == 1


def test_requests_for_other_lines_are_left_alone(simulated: Simulated) -> None:
    simulated.shop("ours.myshopify.com", our_location=True)
    session = simulated.session("ours.myshopify.com")
    made = simulated.order(shop="ours.myshopify.com")
    simulated.act(made, "request_fulfillment")
    session.answer_request(made["id"], ["1"], about="fulfilment", accept=True, reason="other", message="")
    session.answer_request("1", ["1"], about="fulfilment", accept=True, reason="other", message="")
    assert simulated.events("request_accepted") == []


@pytest.mark.parametrize(
    ("carrier", "known"),
    [
        ("4PX", "4PX"),
        ("yunexpress", "YunExpress"),
        (" China  Post ", "China Post"),
        ("Cainiao", None),
        ("YANWEN", None),
        ("", None),
    ],
)
def test_carriers(carrier: str, known: str | None) -> None:
    assert known_carrier(carrier) == known


def test_tracking_links() -> None:
    sent = Parcel("k", " LP1 ", "Cainiao", "https://t.example/LP1", ())
    assert tracking_input(sent) == {"number": "LP1", "company": "Cainiao", "url": "https://t.example/LP1"}
    for url in ("javascript:alert(1)", "", "ftp://t.example/", "https://", "https://a b", "https://[x"):
        assert "url" not in tracking_input(Parcel("k", "LP1", "Cainiao", url, ()))
    assert tracking_input(Parcel("k", "LP1", "usps", "https://t.example", ())) == {"number": "LP1", "company": "USPS"}
    assert tracking_input(Parcel("k", "LP1", "", "", ())) == {"number": "LP1"}


def node(number: int, location: int, lines: dict[int, int], **more: Any) -> dict[str, Any]:
    items = [
        {"id": f"item-{number}-{line}", "remainingQuantity": left, "lineItem": {"id": f"gid://shopify/LineItem/{line}"}}
        for line, left in lines.items()
    ]
    return {
        "id": f"fo-{number}",
        "status": "OPEN",
        "requestStatus": "UNSUBMITTED",
        "assignedLocation": {"location": {"id": f"loc-{location}", "fulfillmentService": more.pop("service", None)}},
        "lineItems": {"nodes": items},
        **more,
    }


def test_allocation_prefers_ours_then_what_was_accepted_then_one_location_for_all() -> None:
    ours = {"handle": "waybill"}
    orders = [
        node(1, 1, {1: 2}),
        node(2, 2, {1: 2}, service=ours),
        node(3, 2, {1: 2}, service=ours, requestStatus="ACCEPTED"),
    ]
    (share,) = allocate(orders, {"1": 3}, "waybill")
    assert share.lines == [("fo-3", "item-3-1", 2), ("fo-2", "item-2-1", 1)]
    (share,) = allocate([node(1, 1, {1: 1}), node(2, 2, {1: 1, 2: 1})], {"1": 1, "2": 1}, "waybill")
    assert [found["id"] for found in share.fulfillment_orders] == ["fo-2"]
    shares = allocate([node(1, 1, {1: 1}), node(2, 2, {2: 1})], {"1": 1, "2": 1, "3": 1}, "waybill")
    assert [share.pieces for share in shares] == [1, 1]
    assert allocate([node(1, 1, {1: 5}, status="CLOSED"), node(2, 1, {1: 0})], {"1": 1}, "waybill") == []
