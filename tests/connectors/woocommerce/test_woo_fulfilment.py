"""Parcels in the shop: shown once, whatever breaks on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.ports.errors import OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from tests.connectors.woocommerce.harness import Receiver, Shop, Simulated, until


@pytest.fixture
def modern(simulated: Simulated) -> Shop:
    """A shop with the order fulfilments feature."""
    return simulated.shop("modern", fulfilments=True)


def parcel(
    made: Any, key: str = "p1", number: str = "LP00123456CN", *, lines: slice = slice(None), **more: Any
) -> Parcel:
    pieces = tuple(ParcelLine(str(line["id"]), line["quantity"]) for line in made["line_items"][lines])
    return Parcel(key, number, "Cainiao", f"https://track.example/{number}", pieces, **more)


def status(shop: Shop, made: Any) -> str:
    return str(shop.simulated.control("state")["shops"][shop.slug]["orders"][str(made["id"])]["status"])


def test_note_meta_and_status(shop: Shop) -> None:
    made, session = shop.order(), shop.session()
    shown = session.fulfil(str(made["id"]), parcel(made))
    assert shown == session.fulfil(str(made["id"]), parcel(made))
    assert session.fulfilments(str(made["id"])) == (shown,)
    assert shown.tracking_numbers == ("LP00123456CN",)
    (note,) = shop.simulated.events("note_created")
    assert not note["customer_note"]
    assert "LP00123456CN" in note["note"]
    assert status(shop, made) == "completed"


def test_the_order_is_completed_with_the_last_parcel_only(shop: Shop) -> None:
    made, session = shop.order(), shop.session()
    session.fulfil(str(made["id"]), parcel(made, "p1", "LP1", lines=slice(0, 1), notify=True))
    assert status(shop, made) == "processing"
    session.fulfil(str(made["id"]), parcel(made, "p2", "LP12", lines=slice(1, 2)))
    assert status(shop, made) == "completed"
    notes = shop.simulated.events("note_created")
    assert [note["customer_note"] for note in notes] == [True, False]
    assert len(session.fulfilments(str(made["id"]))) == 2


def test_refunded_pieces_need_not_be_shipped(shop: Shop) -> None:
    made, session = shop.order(), shop.session()
    shop.act(made["id"], "refund", lines=[{"id": made["line_items"][1]["id"], "quantity": 1, "total": "13.00"}])
    session.fulfil(str(made["id"]), parcel(made, lines=slice(0, 1)))
    assert status(shop, made) == "completed"


@pytest.mark.parametrize("state", ["cancelled", "refunded", "on-hold"])
def test_an_order_that_is_not_paid_any_more_is_not_completed(shop: Shop, state: str) -> None:
    made, session = shop.order(), shop.session()
    shop.act(made["id"], "status", status=state)
    session.fulfil(str(made["id"]), parcel(made))
    assert status(shop, made) == state


@pytest.mark.parametrize("op", ["notes.create", "orders.update"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut", "status_after", "html"])
def test_a_call_that_broke_is_mended_by_the_next_one(shop: Shop, op: str, kind: str) -> None:
    made, session = shop.order(), shop.session()
    shop.simulated.fault(op, kind, status=500)
    with pytest.raises(OutcomeUnknown):
        session.fulfil(str(made["id"]), parcel(made))
    session.fulfil(str(made["id"]), parcel(made))
    session.fulfil(str(made["id"]), parcel(made))
    assert len(shop.simulated.events("note_created")) == 1
    written = [line for line in shop.simulated.events("order_status_changed") if line["meta"]]
    assert len(written) == 1
    assert status(shop, made) == "completed"


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut", "status_after", "html"])
def test_a_fulfilment_is_made_once_whatever_breaks(modern: Shop, kind: str) -> None:
    made, session = modern.order(), modern.session()
    modern.simulated.fault("fulfillments.create", kind, status=500)
    with pytest.raises(OutcomeUnknown):
        session.fulfil(str(made["id"]), parcel(made))
    shown = session.fulfil(str(made["id"]), parcel(made))
    assert session.fulfil(str(made["id"]), parcel(made)) == shown
    assert len(modern.simulated.events("fulfillment_created")) == 1
    assert modern.simulated.events("note_created") == []
    assert session.fulfilments(str(made["id"])) == (shown,)


@pytest.mark.parametrize("status", [202, 204, 206, 301, 302, 303, 307, 308, 408])
@pytest.mark.parametrize("kind", ["status", "status_after", "html"])
def test_a_write_that_was_answered_neither_way_is_unclear(modern: Shop, status: int, kind: str) -> None:
    made, session = modern.order(), modern.session()
    modern.simulated.fault("fulfillments.create", kind, status=status, code="odd")
    with pytest.raises(OutcomeUnknown):
        session.fulfil(str(made["id"]), parcel(made))
    session.fulfil(str(made["id"]), parcel(made))
    assert len(modern.simulated.events("fulfillment_created")) == 1


def pieces(session: Any, made: Any) -> list[tuple[str, dict[str, int]]]:
    """What the shop shows: (number, pieces by line) of each fulfilment."""
    shown = session.fulfilments(str(made["id"]))
    return [(one.tracking_numbers[0], {line.line_id: line.quantity for line in one.lines}) for one in shown]


def test_a_fulfilment_of_somebody_else_with_our_number_is_adopted(modern: Shop) -> None:
    made, session = modern.order(), modern.session()
    first = modern.session(woocommerce_meta_prefix="_someone_").fulfil(str(made["id"]), parcel(made, "7"))
    assert session.fulfil(str(made["id"]), parcel(made, "p1")).id == first.id
    assert len(modern.simulated.events("fulfillment_created")) == 1


def test_two_parcels_of_ours_do_not_adopt_the_same_fulfilment(modern: Shop) -> None:
    made, session = modern.order(), modern.session()
    piece = (ParcelLine(str(made["line_items"][0]["id"]), 1),)
    first = replace(parcel(made), lines=piece)
    theirs = modern.session(woocommerce_meta_prefix="_someone_").fulfil(str(made["id"]), first)
    adopted = session.fulfil(str(made["id"]), first)
    its = Fulfilment(adopted.id, adopted.tracking_numbers, piece)
    second = session.fulfil(str(made["id"]), replace(first, key="p2", others=(its,)))
    assert adopted.id == theirs.id
    assert second.id != theirs.id
    assert second.lines == piece


@pytest.mark.parametrize("second", [slice(1, 2), slice(0, 1)])
def test_two_parcels_of_ours_with_one_number_are_both_shown(modern: Shop, second: slice) -> None:
    """Two AliExpress orders may be shipped together under one number; each may even hold pieces of the same line."""
    made, session = modern.order(), modern.session()
    other = parcel(made, "p2", lines=second)
    one = ParcelLine(str(made["line_items"][0]["id"]), 1)
    other = replace(other, lines=(one,)) if second.start == 0 else other
    shown = [session.fulfil(str(made["id"]), each) for each in (replace(parcel(made), lines=(one,)), other) * 2]
    assert len({each.id for each in shown}) == 2
    assert shown[:2] == shown[2:]
    assert shown[1].lines == other.lines
    assert len(modern.simulated.events("fulfillment_created")) == 2


def test_a_fulfilment_of_somebody_else_for_other_lines_hides_no_parcel(modern: Shop) -> None:
    made, session = modern.order(), modern.session()
    theirs = modern.session(woocommerce_meta_prefix="_someone_").fulfil(
        str(made["id"]), parcel(made, lines=slice(1, 2))
    )
    shown = session.fulfil(str(made["id"]), parcel(made, lines=slice(0, 1)))
    assert shown.id != theirs.id
    assert [line.to_ship for line in session.order(str(made["id"])).lines] == [0, 0]


def test_what_somebody_else_shows_of_a_parcel_is_not_shown_twice(modern: Shop) -> None:
    made, session = modern.order(), modern.session()
    first, second = (str(line["id"]) for line in made["line_items"])
    theirs = replace(parcel(made), lines=(ParcelLine(first, 1),))
    modern.session(woocommerce_meta_prefix="_someone_").fulfil(str(made["id"]), theirs)
    shown = session.fulfil(str(made["id"]), parcel(made))
    assert session.fulfil(str(made["id"]), parcel(made)) == shown
    assert pieces(session, made) == [("LP00123456CN", {first: 1}), ("LP00123456CN", {first: 1, second: 1})]
    session.update_tracking(str(made["id"]), shown.id, parcel(made, number="YT999"))
    assert pieces(session, made) == [("LP00123456CN", {first: 1}), ("YT999", {first: 1, second: 1})]


def test_what_anyone_has_shipped_is_no_longer_open(modern: Shop) -> None:
    made, session = modern.order(), modern.session(woocommerce_meta_prefix="_someone_")
    session.fulfil(str(made["id"]), parcel(made, lines=slice(0, 1)))
    order = modern.session().order(str(made["id"]))
    own = session.order(str(made["id"]))
    assert order is not None
    assert own is not None
    assert [line.to_ship for line in order.lines] == [0, 1]
    assert [line.to_ship for line in own.lines] == [0, 1]


@pytest.mark.parametrize("fulfilments", [False, True])
def test_a_new_number_replaces_the_old_one_once(simulated: Simulated, fulfilments: bool) -> None:
    shop = simulated.shop(fulfilments=fulfilments)
    made, session = shop.order(), shop.session()
    shown = session.fulfil(str(made["id"]), parcel(made))
    lines = len(simulated.control("ledger"))
    assert session.update_tracking(str(made["id"]), shown.id, parcel(made)) == shown
    assert len(simulated.control("ledger")) == lines
    for _ in range(2):
        moved = session.update_tracking(str(made["id"]), shown.id, parcel(made, number="YT999"))
    assert (moved.id, moved.tracking_numbers) == (shown.id, ("YT999",))
    assert session.fulfilments(str(made["id"])) == (moved,)
    assert len(simulated.events("fulfillment_updated" if fulfilments else "note_created")) == (1 if fulfilments else 2)
    with pytest.raises(Refused):
        session.update_tracking(str(made["id"]), "999", parcel(made))


@pytest.mark.parametrize("fulfilments", [False, True])
def test_an_order_that_is_gone_refuses_the_parcel(simulated: Simulated, fulfilments: bool) -> None:
    shop = simulated.shop(fulfilments=fulfilments)
    made = shop.order()
    shop.act(made["id"], "delete")
    with pytest.raises(Refused):
        shop.session().fulfil(str(made["id"]), parcel(made))
    assert shop.session().fulfilments(str(made["id"])) == ()


def test_the_feature_may_be_switched_on_later(shop: Shop) -> None:
    made = shop.order()
    shop.simulated.control("settings", {"shop": shop.slug, "fulfilments": True})
    shop.session().fulfil(str(made["id"]), parcel(made))
    assert len(shop.simulated.events("fulfillment_created")) == 1


def test_supplier_texts_are_escaped_in_notes(shop: Shop) -> None:
    made = shop.order()
    evil = Parcel(
        "k", "LP<b>1", "<script>x</script>", "javascript:alert(1)", (ParcelLine(str(made["line_items"][0]["id"]), 1),)
    )
    shop.session().fulfil(str(made["id"]), evil)
    shop.session().fulfil(str(made["id"]), evil)
    (note,) = shop.simulated.events("note_created")
    assert "<" not in note["note"]
    assert "javascript" not in note["note"]


def test_a_read_that_fails_before_anything_was_written_may_be_repeated(shop: Shop) -> None:
    made = shop.order()
    shop.simulated.fault("orders.get", "drop_before")
    with pytest.raises(TryLater):
        shop.session().fulfil(str(made["id"]), parcel(made))


def test_the_echo_of_our_own_write_leads_to_no_further_write(shop: Shop, receiver: Receiver) -> None:
    made, session = shop.order(), shop.session()
    session.check_webhooks(receiver.url)
    before = session.order(str(made["id"]))
    session.fulfil(str(made["id"]), parcel(made, lines=slice(0, 1)))
    until(lambda: "order.updated" in receiver.topics())
    lines = [line for line in shop.simulated.control("ledger") if not line["event"].startswith("webhook")]
    after = session.order(str(made["id"]))
    session.fulfil(str(made["id"]), parcel(made, lines=slice(0, 1)))
    assert [line for line in shop.simulated.control("ledger") if not line["event"].startswith("webhook")] == lines
    assert before is not None
    assert after is not None
    assert (before.paid, before.address) == (after.paid, after.address)
    assert [replace(line, to_ship=0) for line in before.lines] == [replace(line, to_ship=0) for line in after.lines]


def test_answer_request_is_no_step_here(shop: Shop) -> None:
    shop.session().answer_request("1", [], about="fulfilment", accept=True, reason="other", message="")
    with pytest.raises(OutsideError):
        shop.session().fulfil("999999", Parcel("k", "n", "", "", ()))
