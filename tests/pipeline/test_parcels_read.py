"""Parcels as they are read: which is which when numbers change, what is in each, and what no shop can show is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Outbox, ParcelItem, Purchase, ShippedParcel, SupplierOrder, Task
from app.pipeline import fulfil, track
from app.ports.storefront import Fulfilment, Parcel, ParcelLine
from app.ports.supplier import OrderPayment, OrderShipping, SupplierParcel, SupplierParcelItem
from tests.pipeline.stage import ONE, TWO, Items, Stage

Contents = Sequence[tuple[str, str, int]]
BAG: Contents = (("P1", "S1", 1),)
"""Half of `ONE`."""


def parcel(number: str, contents: Contents = (), **more: Any) -> SupplierParcel:
    """As the supplier tells it."""
    items = tuple(SupplierParcelItem(*one) for one in contents)
    return SupplierParcel(number, "Cainiao", "", items, **more)


def bought(stage: Stage, items: Items = ONE, **more: Any) -> SupplierOrder:
    """A paid order of a purchase of its own."""
    purchase = stage.purchase("PLACED_PAID", items, outcome="PLACED", **more)
    return stage.supplier_order(f"8{purchase.id}", purchase, items, payment="paid")


def read(stage: Stage, order: SupplierOrder, *parcels: SupplierParcel, items: Items = ONE, **more: Any) -> None:
    """A worker reads the order and these parcels."""
    usual: dict[str, Any] = {"payment": OrderPayment.PAID, "shipping": OrderShipping.SHIPPED}
    seen = stage.read(order.external_id, items, **{**usual, **more})
    track._store(stage.container, stage.session, order, seen, parcels)
    stage.session.flush()


def numbers(stage: Stage) -> dict[str, dict[str, int]]:
    """The pieces of each parcel by the SKU of their item, and each parcel by its number."""
    found: dict[str, dict[str, int]] = {}
    for one in stage.session.scalars(sa.select(ShippedParcel).order_by(ShippedParcel.id)):
        inside = sa.select(ParcelItem).where(ParcelItem.parcel_id == one.id).order_by(ParcelItem.purchase_item_id)
        found[one.tracking_number] = {str(row.purchase_item_id): row.quantity for row in stage.session.scalars(inside)}
    return found


def shared(stage: Stage, order: SupplierOrder) -> dict[str, list[int]]:
    """The pieces in each parcel, in the order of the purchase's items."""
    mine = [str(item.id) for item in stage.items(stage.session.get_one(Purchase, order.purchase_id))]
    return {number: [inside.get(item, 0) for item in mine] for number, inside in numbers(stage).items()}


def show_all(stage: Stage) -> None:
    """A worker does what is asked for, but calls no shop: every parcel with lines is shown."""

    with stage.outside(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(fulfil, "with_shop", lambda *_: type("Made", (), {"id": "f1"}))
        with stage.container.database.reading() as session:
            due = session.scalars(sa.select(Outbox).where(Outbox.state == "DUE").order_by(Outbox.id)).all()
        for row in due:
            said = fulfil.show(stage.container, int(row.payload["parcel_id"]))
            with stage.container.database.transaction() as session:
                session.get_one(Outbox, row.id).state = "DONE"
                session.get_one(Outbox, row.id).result = said


def shows(stage: Stage) -> list[tuple[str, str]]:
    """Each parcel's number, and the one that the shop shows of it."""
    query = sa.select(ShippedParcel.tracking_number, ShippedParcel.shown_number).order_by(ShippedParcel.id)
    return [(one, other) for one, other in stage.session.execute(query)]


def asked(stage: Stage) -> list[str]:
    """What merchants are asked because of parcels."""
    query = sa.select(Task.text).where(~Task.over, Task.kind == "parcel_not_shown").order_by(Task.id)
    return list(stage.session.scalars(query))


def test_a_number_that_is_gone_was_replaced_by_the_one_that_came(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    show_all(stage)
    read(stage, stage.again(order), parcel("US1", ONE))
    show_all(stage)
    assert shows(stage) == [("US1", "US1")]
    assert asked(stage) == []


def test_a_number_without_contents_replaces_as_well(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    read(stage, stage.again(order), parcel("US1"))
    read(stage, stage.again(order), parcel("DE1", ONE))
    assert shared(stage, order) == {"DE1": [2]}


def test_two_parcels_of_the_same_contents_are_renumbered_in_their_order(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("LP1", BAG, provisional=True), parcel("LP2", BAG, provisional=True))
    show_all(stage)
    read(stage, stage.again(order), parcel("UA1", BAG), parcel("UA2", BAG))
    show_all(stage)
    assert shows(stage) == [("UA1", "UA1"), ("UA2", "UA2")]
    assert shared(stage, order) == {"UA1": [1], "UA2": [1]}


def test_of_two_equal_parcels_only_the_one_that_is_gone_is_renumbered(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("LP1", BAG, provisional=True), parcel("LP2", BAG, provisional=True))
    read(stage, stage.again(order), parcel("LP1", BAG, provisional=True), parcel("UA2", BAG))
    assert shared(stage, order) == {"LP1": [1], "UA2": [1]}


def test_a_second_bag_is_no_new_number_of_the_first(stage: Stage) -> None:
    """The first one's number is provisional, and still there."""
    order = bought(stage)
    read(stage, order, parcel("LP1", BAG, provisional=True))
    read(stage, stage.again(order), parcel("LP1", BAG, provisional=True), parcel("UA2", BAG))
    assert shared(stage, order) == {"LP1": [1], "UA2": [1]}


def test_a_provisional_number_may_be_told_on_beside_the_final_one(stage: Stage) -> None:
    order = bought(stage)
    both = (parcel("LP1", ONE, provisional=True), parcel("UA1", ONE))
    read(stage, order, both[0])
    for _ in range(2):
        read(stage, stage.again(order), *both)
        show_all(stage)
    assert (shows(stage), asked(stage)) == ([("UA1", "UA1")], [])


def test_a_provisional_number_that_was_replaced_takes_no_piece_that_is_left(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("LP1", BAG, provisional=True))
    read(stage, stage.again(order), parcel("UA1", BAG))
    read(stage, stage.again(order), parcel("LP1", BAG, provisional=True), parcel("UA1", BAG))
    assert shared(stage, order) == {"UA1": [1]}
    read(stage, stage.again(order), parcel("UA1", BAG), parcel("UA2", BAG))
    assert shared(stage, order) == {"UA1": [1], "UA2": [1]}


@pytest.mark.parametrize("told_on", [False, True])
def test_a_final_number_that_was_taken_for_a_second_bag_is_right_once_that_one_comes(
    stage: Stage, told_on: bool
) -> None:
    order = bought(stage)
    first = parcel("LP1", BAG, provisional=True)
    read(stage, order, first)
    read(stage, stage.again(order), first, parcel("UA1", BAG))
    read(stage, stage.again(order), *([first] if told_on else []), parcel("UA1", BAG), parcel("UA2", BAG))
    assert shared(stage, order) == {"UA2": [1], "UA1": [1]}


def test_an_old_answer_does_not_bring_the_provisional_number_back(stage: Stage) -> None:
    order = bought(stage)
    for number in ("LP1", "UA1", "LP1"):
        read(stage, stage.again(order), parcel(number, ONE, provisional=number == "LP1"))
        show_all(stage)
    assert (shows(stage), asked(stage)) == ([("UA1", "UA1")], [])


def test_a_parcel_that_was_only_left_out_once_is_one_of_its_own_again(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", BAG))
    read(stage, stage.again(order), parcel("CN2", BAG))
    read(stage, stage.again(order), parcel("CN1", BAG), parcel("CN2", BAG))
    assert shared(stage, order) == {"CN2": [1], "CN1": [1]}


def test_what_arrived_keeps_its_number(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", BAG, delivered=True))
    read(stage, stage.again(order), parcel("CN2", BAG))
    assert shared(stage, order) == {"CN1": [1], "CN2": [1]}


def test_an_old_and_a_new_number_side_by_side_are_one_parcel_once_the_old_one_is_gone(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    read(stage, stage.again(order), parcel("CN1", ONE), parcel("US1", ONE))
    show_all(stage)
    assert len(asked(stage)) == 1
    read(stage, stage.again(order), parcel("US1", ONE))
    show_all(stage)
    assert (shows(stage), asked(stage)) == ([("US1", "US1")], [])


def test_a_number_given_by_hand_is_replaced_by_the_one_that_is_read(stage: Stage) -> None:
    order = bought(stage)
    purchase_item = stage.items(stage.session.get_one(Purchase, order.purchase_id))[0]
    by_hand = stage.add(ShippedParcel(supplier_order_id=order.id, tracking_number="HAND", items=[]))
    stage.add(ParcelItem(parcel_id=by_hand.id, purchase_item_id=purchase_item.id, quantity=2))
    read(stage, order, parcel("CN1", ONE))
    assert shared(stage, order) == {"CN1": [2]}


def test_another_order_s_parcel_is_never_renumbered(stage: Stage) -> None:
    order, other = bought(stage), bought(stage)
    read(stage, other, parcel("CN1", ONE))
    read(stage, order, parcel("CN2", ONE))
    assert set(numbers(stage)) == {"CN1", "CN2"}


def test_a_parcel_for_which_nothing_is_left_is_told_until_it_is_over(stage: Stage) -> None:
    """Two parcels that tell no contents: the first one is shown with everything."""
    order = bought(stage)
    read(stage, order, parcel("CN1"), parcel("CN2"))
    show_all(stage)
    assert shared(stage, order) == {"CN1": [2], "CN2": [0]}
    (text,) = asked(stage)
    assert "CN2" in text
    assert order.external_id in text
    read(stage, stage.again(order), parcel("CN1"), parcel("CN2"))
    show_all(stage)
    assert len(asked(stage)) == 1
    read(stage, stage.again(order), parcel("CN1"), parcel("CN2", delivered=True))
    assert asked(stage) == []


def test_what_nothing_was_left_for_is_told_by_its_new_number(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("LP1", provisional=True), parcel("LP2", provisional=True))
    show_all(stage)
    read(stage, stage.again(order), parcel("UA1"), parcel("UA2"))
    show_all(stage)
    assert shared(stage, order) == {"UA1": [2], "UA2": [0]}
    (text,) = asked(stage)
    assert "UA2" in text


def test_what_became_of_two_out_of_one_shows_a_number_that_lives(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    read(stage, stage.again(order), parcel("US1", BAG), parcel("US2", BAG))
    show_all(stage)
    assert shared(stage, order) == {"US1": [2], "US2": [0]}
    (text,) = asked(stage)
    assert "US2" in text


def test_contents_that_are_nothing_of_the_order_tell_nothing(stage: Stage) -> None:
    order = bought(stage, TWO)
    read(stage, order, parcel("CN1", [("P9", "S9", 1)]), parcel("CN2", BAG), items=TWO)
    assert shared(stage, order) == {"CN2": [1, 0], "CN1": [1, 1]}


def test_the_further_part_of_a_bundle_is_told_where_the_shop_shows_the_first(stage: Stage) -> None:
    order = bought(stage, TWO)
    first, second = stage.items(stage.session.get_one(Purchase, order.purchase_id))
    second.source_line_id, second.position = first.source_line_id, 2
    read(stage, order, parcel("CN1", [("P1", "S1", 2)]), parcel("CN2", [("P2", "S2", 1)]), items=TWO)
    show_all(stage)
    assert shows(stage) == [("CN1", "CN1"), ("CN2", "")]
    (text,) = asked(stage)
    assert "CN2" in text
    assert "bundle" in text
    told = parcel("CN2", [("P2", "S2", 1)], delivered=True)
    read(stage, stage.again(order), parcel("CN1", [("P1", "S1", 2)]), told, items=TWO)
    assert asked(stage) == []


def test_of_what_the_supplier_closed_no_number_is_asked_for(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1"), parcel("CN2"))
    show_all(stage)
    assert len(asked(stage)) == 1
    for _ in range(2):
        order = stage.again(order)
        order.read_at = stage.now - timedelta(hours=1)
        read(stage, order, closed=True)
    assert asked(stage) == []


def test_a_row_without_a_sku_counts_once(stage: Stage) -> None:
    """As in the vendor's own sample: a product of two SKUs, and a parcel that holds one piece of it."""
    two = (("P1", "S1", 1), ("P1", "S2", 1))
    order = bought(stage, two)
    read(stage, order, parcel("CN1", [("P1", "", 1)]), items=two)
    assert shared(stage, order) == {"CN1": [1, 0]}
    read(stage, stage.again(order), parcel("CN1", [("P1", "", 1)]), parcel("CN2", [("P1", "", 1)]), items=two)
    assert shared(stage, order) == {"CN1": [1, 0], "CN2": [0, 1]}


def test_rows_with_a_sku_go_before_those_without(stage: Stage) -> None:
    two = (("P1", "S1", 2), ("P1", "S2", 1))
    order = bought(stage, two)
    read(stage, order, parcel("CN1", [("P1", "", 1), ("P1", "S1", 2)]), items=two)
    assert shared(stage, order) == {"CN1": [2, 1]}


def test_an_order_s_parcel_holds_no_more_than_that_order(stage: Stage) -> None:
    """One purchase that became two orders, a piece in each."""
    order = bought(stage)
    purchase = stage.session.get_one(Purchase, order.purchase_id)
    stage.stored(order)[0].quantity = 1
    other = stage.supplier_order("99", purchase, BAG, payment="paid")
    read(stage, order, parcel("CN1", ONE), items=BAG)
    read(stage, other, parcel("CN2"), items=BAG)
    assert shared(stage, order) == {"CN1": [1], "CN2": [1]}


def test_what_was_closed_is_in_no_parcel_that_tells_nothing(stage: Stage) -> None:
    order = bought(stage, TWO)
    stage.stored(order)[1].closed = True
    read(stage, order, parcel("CN1"), items=TWO[:1])
    assert shared(stage, order) == {"CN1": [2, 0]}


def test_two_strange_numbers_one_after_the_other_are_one_parcel(stage: Stage) -> None:
    """Neither tells anything that is in the order."""
    order = bought(stage)
    read(stage, order, parcel("CN1", [("P9", "S9", 1)]))
    read(stage, stage.again(order), parcel("CN2", [("P8", "S8", 1)]))
    assert shared(stage, order) == {"CN2": [2]}


def test_a_provisional_parcel_is_not_lost_to_another_one_that_tells_as_little(stage: Stage) -> None:
    order = bought(stage)
    read(stage, order, parcel("LP1", provisional=True), parcel("UA2"))
    show_all(stage)
    assert shared(stage, order) == {"LP1": [2], "UA2": [0]}
    assert len(asked(stage)) == 1


def refused_and_done_by_hand(stage: Stage, *, merchant: bool = False) -> None:
    """The shop refuses every act, and a person has done what was refused."""
    for one in stage.session.scalars(sa.select(Outbox)):
        one.state = "STUCK"
        key = one.dedupe_key.replace("fulfil", "parcel") if merchant else f"outbox:{one.id}"
        stage.add(Task(dedupe_key=key, kind="shop_refused", turn="us", text="?", done_at=stage.now, done_by="ann"))


def acts(stage: Stage) -> list[tuple[str, str]]:
    """Each act's number and state."""
    query = sa.select(Outbox.dedupe_key, Outbox.state).order_by(Outbox.id)
    return [(key.rpartition(":")[2], state) for key, state in stage.session.execute(query)]


@pytest.mark.parametrize("merchant", [False, True])
def test_what_a_person_did_by_hand_is_asked_for_again_only_by_a_new_number(stage: Stage, merchant: bool) -> None:
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    refused_and_done_by_hand(stage, merchant=merchant)
    read(stage, stage.again(order), parcel("CN1", ONE))
    assert acts(stage) == [("CN1", "STUCK")]
    read(stage, stage.again(order), parcel("US1", ONE))
    assert acts(stage) == [("CN1", "STUCK"), ("US1", "DUE")]


@pytest.mark.parametrize("done", [False, True])
def test_what_nobody_did_by_hand_is_asked_for_again(stage: Stage, done: bool) -> None:
    """Nor if the task is over: it was of an earlier refusal."""
    order = bought(stage)
    read(stage, order, parcel("CN1", ONE))
    refused_and_done_by_hand(stage)
    stage.session.execute(sa.update(Task).values(over=True) if done else sa.update(Task).values(done_at=None))
    read(stage, stage.again(order), parcel("CN1", ONE))
    assert acts(stage) == [("CN1", "DUE")]


def test_the_shop_hears_what_the_order_s_other_parcels_hold(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One purchase that became two supplier orders, sent in one bag; another order's parcel is none of it."""
    order, strange = bought(stage), bought(stage)
    stage.stored(order)[0].quantity = 1
    other = stage.supplier_order("99", stage.session.get_one(Purchase, order.purchase_id), BAG, payment="paid")
    given = list[Parcel]()

    def fulfil_there(_: object, __: int, act: Callable[[Any], Fulfilment]) -> Fulfilment:
        shown = Fulfilment(f"f{len(given)}", (), ())
        return act(SimpleNamespace(fulfil=lambda _, parcel: (given.append(parcel), shown)[1]))

    monkeypatch.setattr(fulfil, "with_shop", fulfil_there)
    for one, items in ((strange, ONE), (order, BAG), (other, BAG)):
        read(stage, one, parcel("CN1"), items=items)
    made = stage.session.scalars(sa.select(ShippedParcel.id).order_by(ShippedParcel.id)).all()
    with stage.outside():
        for parcel_id in made:
            fulfil.show(stage.container, parcel_id)
    line = given[1].lines[0].line_id
    assert [one.others for one in given] == [(), (), (Fulfilment("f1", ("CN1",), (ParcelLine(line, 1),)),)]


def test_an_act_for_a_row_that_became_another_s_number_does_nothing(stage: Stage) -> None:
    with stage.outside():
        assert fulfil.show(stage.container, 999) == "its number is another parcel's by now"
