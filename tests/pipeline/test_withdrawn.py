"""What the merchant took back from our location, while another line of the same purchase is still wanted."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.accounting import Line
from app.models import Outbox, ParcelItem, Purchase, ShippedParcel, Shop, SourceLine, StoreOrder
from app.pipeline import day_book, generation, match, order_book, requests
from app.pipeline.record import task
from tests.pipeline.stage import ONE, TWO, Stage

PIECE = (("P1", "S1", 1),)


def lines(stage: Stage, purchase: Purchase) -> list[SourceLine]:
    query = sa.select(SourceLine).where(SourceLine.order_id == purchase.order_id).order_by(SourceLine.id)
    return list(stage.session.scalars(query))


def derived(stage: Stage, purchase: Purchase) -> list[int]:
    """Pieces of its items, after the order was looked at once more."""
    stage.session.flush()
    match.derive_again(stage.container, stage.session, purchase.order_id)
    stage.session.flush()
    return [item.quantity for item in stage.items(purchase)]


@pytest.fixture
def mine(stage: Stage) -> Purchase:
    """Two lines at our location, asked for; the first one is taken back before anything was sent."""
    stage.session.get_one(Shop, stage.shop.id).request_needed = True
    made = stage.purchase("HELD", TWO, reason="shop_paused", held_for="shop_paused")
    for line in lines(stage, made):
        line.at_our_location, line.request = True, "accepted"
    first = lines(stage, made)[0]
    first.request, first.to_ship = requests.ASKED, 0
    assert derived(stage, made) == [0, 1]
    return made


def test_it_stays_taken_back_when_the_shop_opens_a_new_fulfilment_order(stage: Stage, mine: Purchase) -> None:
    first = lines(stage, mine)[0]
    assert first.withdrawn == 2
    first.request, first.to_ship = "none", 2
    assert derived(stage, mine) == [0, 1]
    assert stage.session.scalars(sa.select(Purchase.id)).all() == [mine.id], "nor does it become another purchase"
    assert (first.for_us, first.to_ship) == (0, 2), "the day book expects nothing of it"


def test_asked_for_anew_it_is_bought(stage: Stage, mine: Purchase) -> None:
    first = lines(stage, mine)[0]
    first.request, first.to_ship = "submitted", 2
    requests.asked_for(first, 2)
    assert (derived(stage, mine), first.withdrawn) == ([2, 1], 0)


def test_what_is_asked_for_beside_it_leaves_it_taken_back(stage: Stage) -> None:
    """Two fulfilment orders of one line: the other one's request speaks for the line."""
    made = stage.purchase("HELD", (("P1", "S1", 5),), reason="shop_paused", held_for="shop_paused")
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.requested, line.to_ship = True, requests.ASKED, 3, 3
    assert (derived(stage, made), line.withdrawn) == ([3], 2)
    line.request = "accepted"
    assert (derived(stage, made), line.withdrawn) == ([3], 2)
    line.to_ship = 5  # the merchant moves the two to a location of his own, to ship them himself
    assert (derived(stage, made), line.withdrawn) == ([3], 2)
    assert stage.session.scalars(sa.select(Purchase.id)).all() == [made.id]


def test_what_the_merchant_ships_himself_is_what_he_took_back(stage: Stage) -> None:
    """One of three pieces is taken back; it is not taken from the other two once more when it is shipped."""
    made = stage.purchase("HELD", (("P1", "S1", 3),), reason="shop_paused", held_for="shop_paused")
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.to_ship = True, requests.ASKED, 2
    assert (derived(stage, made), line.withdrawn) == ([2], 1)
    line.request, line.to_ship = "none", 3
    assert derived(stage, made) == [2]
    line.to_ship = 2
    assert derived(stage, made) == [2]
    line.to_ship = 1
    assert derived(stage, made) == [1]


@pytest.mark.parametrize(("shipped", "late"), [("by a purchase that died", True), ("by this one", False)])
def test_what_is_in_a_parcel_is_not_what_is_asked_back(stage: Stage, shipped: str, late: bool) -> None:
    """Two of three are shipped. The last one is asked back: it was ordered anew, or it never was ordered."""
    died = stage.purchase("REFUNDED" if late else "SHIPPED", (("P1", "S1", 3 if late else 2),), outcome="PLACED")
    (line,) = lines(stage, died)
    order = stage.supplier_order("81", died, (("P1", "S1", 2),))
    parcel = ShippedParcel(supplier_order_id=order.id, tracking_number="CN1", show_began_at=stage.now, items=[])
    parcel.shown_at = stage.session.get_one(StoreOrder, died.order_id).read_at
    stage.add(ParcelItem(parcel_id=stage.add(parcel).id, purchase_item_id=stage.items(died)[0].id, quantity=2))
    if late:
        heir = stage.purchase("PLACED_UNPAID", (("P1", "S1", 1),), outcome="PLACED", previous_id=died.id, generation=2)
        stage.items(heir)[0].source_line_id, heir.order_id = line.id, died.order_id
    line.quantity, line.at_our_location, line.request, line.to_ship = 3, True, requests.ASKED, 0
    derived(stage, died)
    (answer,) = stage.session.scalars(sa.select(Outbox).where(Outbox.kind == "answer_cancellation"))
    assert (bool(answer.payload["reject"]), line.withdrawn) == (late, 0 if late else 1)


def test_what_is_sent_beside_it_does_not_make_a_cancellation_too_late(stage: Stage) -> None:
    """Two of five are asked back, and the three that stay are sent before the shop has our answer."""
    made = stage.purchase("PLACED_UNPAID", (("P1", "S1", 3),), outcome="PLACED")
    (line,) = lines(stage, made)
    line.quantity, line.at_our_location, line.request, line.requested, line.to_ship = 5, True, requests.ASKED, 3, 3
    assert (derived(stage, made), line.withdrawn, stage.tasks()) == ([3], 2, [])
    (answer,) = stage.session.scalars(sa.select(Outbox).where(Outbox.kind == "answer_cancellation"))
    assert (answer.payload["reject"], answer.payload["accept"]) == ([], [line.external_id])
    line.request, line.requested, line.to_ship = requests.ASKED, 0, 0
    derived(stage, made)
    assert line.withdrawn == 2, "that the rest is asked back too late does not bring back the two"


def test_what_was_sent_is_not_taken_back_and_is_too_much(stage: Stage) -> None:
    made = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    first = lines(stage, made)[0]
    first.at_our_location, first.request, first.to_ship = True, requests.ASKED, 0
    assert derived(stage, made) == [2, 1]
    assert first.withdrawn == 0
    assert stage.tasks() == [f"cancel-asked:{made.id}"]


def test_a_line_that_was_taken_back_is_too_much_in_what_turns_up(stage: Stage) -> None:
    made = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    first = lines(stage, made)[0]
    first.withdrawn = 2
    derived(stage, made)
    assert stage.tasks() == [f"too-much:{first.id}:2"]


def test_what_other_locations_ship_of_the_same_line_is_bought_all_the_same(stage: Stage) -> None:
    """One of three pieces is asked back; two are at another location."""
    made = stage.purchase("HELD", (("P1", "S1", 3),), reason="shop_paused", held_for="shop_paused")
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.to_ship = True, requests.ASKED, 2
    assert (derived(stage, made), line.withdrawn) == ([2], 1)
    assert (derived(stage, made), line.withdrawn) == ([2], 1)
    line.request, line.to_ship = "none", 3
    assert derived(stage, made) == [2]


def test_a_new_generation_leaves_out_what_was_taken_back(stage: Stage) -> None:
    made = stage.purchase("SUPPLIER_CANCELLED", TWO, outcome="PLACED")
    lines(stage, made)[0].withdrawn = 2
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, made)
    assert heir is not None
    assert [(item.product_id, item.quantity) for item in stage.items(heir)] == [("P2", 1)]
    assert stage.items(heir)[0].source_line_id == lines(stage, made)[1].id


def test_a_purchase_of_which_all_is_taken_back_or_refunded_is_not_to_be_paid(stage: Stage) -> None:
    made = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    first, second = lines(stage, made)
    first.withdrawn = 2
    derived(stage, made)
    assert made.cancel_requested_at is None
    second.refunded, second.to_ship = 1, 0
    derived(stage, made)
    assert made.cancel_requested_at is not None


def shipped(stage: Stage, purchase: Purchase, pieces: int, *, certain: bool = True) -> None:
    """So many of its pieces are in a parcel that the shop shows, or `certain` False: was about to be shown."""
    order = stage.supplier_order(f"8{purchase.id}", purchase, (("P1", "S1", pieces),))
    parcel = ShippedParcel(supplier_order_id=order.id, tracking_number="CN1", show_began_at=stage.now, items=[])
    if certain:
        parcel.shown_at = stage.session.get_one(StoreOrder, purchase.order_id).read_at
    item = stage.items(purchase)[0]
    stage.add(ParcelItem(parcel_id=stage.add(parcel).id, purchase_item_id=item.id, quantity=pieces))


def beside(stage: Stage, first: Purchase, state: str, pieces: int, *, part: int = 2) -> Purchase:
    """Another purchase of its order's first line."""
    made = stage.purchase(state, (("P1", "S1", pieces),), part=part)
    stage.items(made)[0].source_line_id, made.order_id = lines(stage, first)[0].id, first.order_id
    return made


def accounted(stage: Stage, line: SourceLine) -> Line:
    """How the day book sees it."""
    stage.session.flush()
    order = stage.session.get_one(StoreOrder, line.order_id)
    return day_book._Books(stage.session, [order]).line(order, line)


def test_what_was_about_to_be_shown_was_ordered_all_the_same(stage: Stage) -> None:
    """The shop refuses the parcel, and the merchant asks to cancel what is on its way to the buyer."""
    made = stage.purchase("PLACED_PAID", PIECE, outcome="PLACED")
    shipped(stage, made, 1, certain=False)
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.to_ship = True, requests.ASKED, 0
    derived(stage, made)
    assert stage.tasks() == [f"cancel-asked:{made.id}"]


def test_what_is_shipped_before_the_rest_is_ordered_again_is_not_ordered_once_more(stage: Stage) -> None:
    """One of three was shipped, then the supplier closed the order, and the merchant had the other two ordered again."""
    made = stage.purchase("REFUNDED", (("P1", "S1", 3),), outcome="PLACED")
    shipped(stage, made, 1)
    (line,) = lines(stage, made)
    line.to_ship = 2
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, made)
    assert heir is not None
    assert [item.quantity for item in stage.items(heir)] == [2]
    assert derived(stage, heir) == [2]
    assert stage.session.scalars(sa.select(Purchase.id)).all() == [made.id, heir.id]
    assert accounted(stage, line) == Line(2, 2)


def test_what_a_dead_purchase_shipped_counts_when_its_heir_holds_too_much(stage: Stage) -> None:
    """One of three was shipped, two are ordered anew, and the buyer wants one less: one is too much."""
    died = stage.purchase("REFUNDED", (("P1", "S1", 3),), outcome="PLACED")
    shipped(stage, died, 1)
    (line,) = lines(stage, died)
    line.to_ship = 2
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, died)
    assert heir is not None
    heir.state = "PLACED_UNPAID"
    line.refunded, line.to_ship = 1, 1
    derived(stage, heir)
    assert stage.tasks() == [f"too-much:{line.id}:1"]


def test_a_piece_that_comes_back_may_be_owed_and_is_a_gap(stage: Stage) -> None:
    """Two purchases of a line, one shipped. Whether a refund is of what was shipped or of what is open, nobody tells."""
    first = stage.purchase("SHIPPED", PIECE, outcome="PLACED")
    shipped(stage, first, 1)
    (line,) = lines(stage, first)
    second = beside(stage, first, "HELD", 1)
    line.quantity, line.to_ship, line.refunded = 2, 1, 1
    assert derived(stage, second) == [0]
    assert accounted(stage, line) == Line(2, 1)
    line.to_ship = 0
    assert accounted(stage, line) == Line(1, 1)


def test_what_the_merchant_opens_again_is_bought(stage: Stage) -> None:
    """A parcel with a false number: the supplier closed the order, and the merchant took it out of his shop."""
    made = stage.purchase("REFUNDED", (("P1", "S1", 2),), outcome="PLACED")
    shipped(stage, made, 1)
    (line,) = lines(stage, made)
    line.to_ship = 1
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, made)
    assert heir is not None
    line.to_ship = 2
    assert derived(stage, heir) == [2]
    heir.state = "PLACED_UNPAID"
    line.refunded, line.to_ship = 1, 1
    derived(stage, heir)
    assert f"too-much:{line.id}:1" in stage.tasks()


def test_an_heir_does_not_take_what_another_part_brings(stage: Stage) -> None:
    """Four pieces in two parts. One piece of the first was shipped before it died."""
    died = stage.purchase("REFUNDED", (("P1", "S1", 2),), outcome="PLACED")
    shipped(stage, died, 1)
    (line,) = lines(stage, died)
    beside(stage, died, "HELD", 2)
    line.quantity, line.to_ship = 4, 3
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, died)
    assert heir is not None
    assert [item.quantity for item in stage.items(heir)] == [1]


def test_what_we_turned_down_and_is_asked_once_more_brings_back_nothing_else(stage: Stage) -> None:
    made = stage.purchase("HELD", (("P1", "S1", 5),), reason="shop_paused", held_for="shop_paused")
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.requested, line.to_ship = True, requests.ASKED, 3, 3
    derived(stage, made)
    for request, pieces in (("rejected", 0), ("submitted", 3), ("accepted", 3)):
        line.request = request
        requests.asked_for(line, pieces)
        assert line.withdrawn == 2
    requests.asked_for(line, 5)
    assert line.withdrawn == 0


def test_what_is_left_out_of_a_cancellation_that_was_rejected_is_told(stage: Stage) -> None:
    """Two lines are asked back in one request, and one of them was ordered: the shop expects both, for all it knows."""
    made = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED")
    first, second = lines(stage, made)
    stage.items(made)[0].quantity = 0
    for line in (first, second):
        line.at_our_location, line.request, line.to_ship = True, requests.ASKED, 0
    derived(stage, made)
    assert (first.withdrawn, second.withdrawn) == (2, 0)
    first.request, first.to_ship, first.kept_back = "cancel_rejected", 2, 2
    second.request, second.to_ship, second.kept_back = "cancel_rejected", 1, 1
    derived(stage, made)
    assert stage.session.scalars(sa.select(Purchase.id)).all() == [made.id]
    assert f"left-out:{first.id}:2" in stage.tasks()
    first.request, first.kept_back = "submitted", 0
    requests.asked_for(first, 2)
    derived(stage, made)
    assert f"left-out:{first.id}:2" not in stage.tasks()
    assert len(stage.session.scalars(sa.select(Purchase.id)).all()) == 2


def test_what_is_left_out_of_one_line_is_told_as_well(stage: Stage) -> None:
    """Two of three were sent; the third one was not, and is asked back with them."""
    made = stage.purchase("PLACED_UNPAID", (("P1", "S1", 2),), outcome="PLACED")
    (line,) = lines(stage, made)
    rest = beside(stage, made, "HELD", 1)
    line.quantity, line.at_our_location, line.request, line.to_ship = 3, True, requests.ASKED, 0
    derived(stage, made)
    assert (rest.state, line.withdrawn) == ("CANCELLED", 1)
    line.request, line.to_ship, line.kept_back = "cancel_rejected", 3, 3
    derived(stage, made)
    assert f"left-out:{line.id}:1" in stage.tasks()


def test_what_is_left_of_an_order_that_came_to_nothing_is_told_as_well(stage: Stage) -> None:
    """The merchant asked to cancel too late, did not pay as he was told, and the supplier closed the order."""
    made = stage.purchase("PLACED_UNPAID", PIECE, outcome="PLACED")
    (line,) = lines(stage, made)
    line.at_our_location, line.request, line.to_ship = True, requests.ASKED, 0
    derived(stage, made)
    line.request, line.to_ship, line.kept_back = "cancel_rejected", 1, 1
    derived(stage, made)
    assert f"left-out:{line.id}:1" not in stage.tasks()
    made.state, made.reason = "CANCELLED", "cancelled_by_shop"
    assert accounted(stage, line) == Line(1, 0), "so the order is read again, which derives it anew"
    derived(stage, made)
    assert f"left-out:{line.id}:1" in stage.tasks()
    assert accounted(stage, line) == Line(0, 0)


def test_what_a_dead_purchase_shipped_is_not_made_up_for_by_what_was_taken_back(stage: Stage) -> None:
    """Two of five are taken back and open at the merchant's own location; one of ours was shipped before it died."""
    died = stage.purchase("REFUNDED", (("P1", "S1", 3),), outcome="PLACED")
    shipped(stage, died, 1)
    (line,) = lines(stage, died)
    line.quantity, line.withdrawn, line.to_ship, line.request = 5, 2, 4, "accepted"
    stage.session.flush()
    heir = generation.next_generation(stage.container, stage.session, died)
    assert heir is not None
    assert derived(stage, heir) == [2]
    assert accounted(stage, line) == Line(2, 2)


def test_of_a_rejected_cancellation_nothing_is_left_out_that_is_under_way(stage: Stage) -> None:
    mine = stage.purchase("PLACED_UNPAID", ONE, outcome="PLACED")
    order = stage.session.get_one(StoreOrder, mine.order_id)
    (line,) = stage.session.scalars(sa.select(requests.SourceLine))
    line.at_our_location, line.request, line.kept_back, line.withdrawn = True, "cancel_rejected", 2, 1
    book = order_book.read(stage.session, order)
    assert requests.tell_left_out(stage.session, order, [line], book) == set()
    mine.state = "CANCELLED"
    stage.session.flush()
    book = order_book.read(stage.session, order)
    assert requests.tell_left_out(stage.session, order, [line], book) == {f"left-out:{line.id}:1"}


def test_of_which_lines_the_merchant_was_told_is_known_by_their_ids(stage: Stage) -> None:
    order, (one, other) = stage.new_order(5, 5)
    task(stage.session, f"left-out:{other.id}:4", "left_out", turn="merchant", text="?", order_id=order.id)
    assert requests.left_out(stage.session, [one, other]) == {other.id}


def test_of_a_line_of_which_all_is_taken_back_nothing_is_expected(stage: Stage) -> None:
    order, (line,) = stage.new_order(2)
    line.to_ship, line.withdrawn = 0, 2
    assert order_book.read(stage.session, order).expected(order, line) == 0


@pytest.mark.parametrize("lock", [False, True])
def test_purchases_are_locked_for_whoever_asks_for_that(stage: Stage, lock: bool) -> None:
    mine = stage.purchase("READY", PIECE)
    order = stage.session.get_one(StoreOrder, mine.order_id)
    with stage.outside(), stage.container.database.transaction() as session:
        order_book.read(session, session.merge(order), lock=lock)
        free = sa.select(Purchase.id).where(Purchase.id == mine.id).with_for_update(skip_locked=True, key_share=True)
        with stage.container.database.engine.connect() as other:
            assert (other.scalar(free) is None) is lock


@pytest.mark.parametrize("gave_way", [True, False])
def test_goods_that_turned_up_are_not_turned_down(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, gave_way: bool
) -> None:
    mine = stage.purchase("CANCELLED", reason="late_evidence" if gave_way else "out_of_stock")
    row = Outbox(order_id=mine.order_id, payload={"purchase_id": mine.id, "reason": "out_of_stock"})
    asked: list[Any] = []
    monkeypatch.setattr(requests, "_answer", lambda *given, **_: asked.append(given))
    with stage.outside():
        said = requests.reject(stage.container, row)
    assert (said, len(asked)) == (("an earlier order turned up", 0) if gave_way else ("rejected", 1))
