"""What turns up for a generation that was given up: bought after all, or one too many."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.models import Attempt, Audit, Purchase, SourceLine, Spend, StoreOrder, SupplierOrder, Task
from app.pipeline import evidence, generation, late, match, reconcile
from app.pipeline.day_book import _Books
from app.pipeline.record import task
from app.services import orders, standing
from tests.pipeline.stage import ONE, TWO, Items, Stage


def chain(stage: Stage, *states: str) -> list[Purchase]:
    """Generations, each after the one before; those that are VOID were sent and given up."""
    made: list[Purchase] = []
    for number, state in enumerate(states, 1):
        sent = {"VOID": "VOID", "SENDING": "OPEN", "UNKNOWN": "UNKNOWN", "REJECTED": "REJECTED"}.get(state, "")
        sent = sent or ("PLACED" if state.startswith("PLACED") else "")
        before = made[-1].id if made else None
        made.append(stage.purchase(state, outcome=sent, generation=number, previous_id=before))
    return made


def turns_up(stage: Stage, purchase: Purchase, number: str = "81", *, closed: bool = False) -> SupplierOrder:
    attempt = stage.session.scalars(sa.select(Attempt).where(Attempt.purchase_id == purchase.id)).one()
    order = stage.supplier_order(number, purchase)
    late.turned_up(stage.container, stage.session, order, purchase, attempt, "push", closed=closed)
    return order


def states(made: list[Purchase]) -> list[str]:
    return [purchase.state for purchase in made]


@pytest.mark.parametrize("last", ["DRAFT", "HELD", "READY", "CLAIMED"])
@pytest.mark.parametrize("between", [(), ("VOID",), ("REJECTED", "VOID")])
def test_nothing_was_bought_since_so_it_is_the_one(stage: Stage, between: tuple[str, ...], last: str) -> None:
    made = chain(stage, "VOID", *between, last)
    order = turns_up(stage, made[0])
    assert states(made) == ["PLACED_UNPAID", *["CANCELLED"] * len(made[1:])]
    assert all(heir.gave_way for heir in made[1:])
    assert (made[0].facts, order.role) == ({"orders": "81"}, "bought")
    assert (stage.tasks(), stage.alerts()) == ([], [])


@pytest.mark.parametrize("later", [("SENDING",), ("UNKNOWN",), ("PLACED_UNPAID",), ("CANCELLED",), ("VOID", "UNKNOWN")])
def test_something_was_bought_since_or_may_have_been(stage: Stage, later: tuple[str, ...]) -> None:
    made = chain(stage, "VOID", *later)
    order = turns_up(stage, made[0])
    assert (states(made), order.role) == (["VOID", *later], "duplicate")
    assert (stage.tasks(), stage.alerts()) == ([f"duplicate:{order.id}"], [f"duplicate:{order.id}"])


def test_of_two_that_were_given_up_the_second_that_turns_up_is_too_many(stage: Stage) -> None:
    first, second = made = chain(stage, "VOID", "VOID")
    assert turns_up(stage, first).role == "bought"
    order = stage.supplier_order("82")
    attempt = stage.session.scalars(sa.select(Attempt).where(Attempt.purchase_id == second.id)).one()
    evidence.give(stage.container, stage.session, order, second, attempt, source="push")
    assert (states(made), order.role) == (["PLACED_UNPAID", "CANCELLED"], "duplicate")
    assert "after an earlier one was found" in stage.session.scalars(sa.select(Task.text)).one()


@pytest.mark.parametrize("came_to", ["READY", "HELD", "REJECTED", "VOID"])
def test_a_duplicate_is_none_when_the_send_after_it_came_to_nothing(stage: Stage, came_to: str) -> None:
    first, second = made = chain(stage, "VOID", "SENDING")
    order = turns_up(stage, first)
    late.reconsider(stage.container, stage.session, order, first, closed=False)
    assert (states(made), order.role) == (["VOID", "SENDING"], "duplicate")
    assert len(stage.alerts()) == 1
    second.state = came_to
    stage.session.flush()
    late.reconsider(stage.container, stage.session, order, first, closed=False)
    stage.session.flush()
    assert (states(made), second.gave_way) == (["PLACED_UNPAID", "CANCELLED"], True)
    assert (order.role, stage.tasks(), stage.alerts()) == ("bought", [], [])
    said = sa.select(Audit.action).where(Audit.entity == "supplier_order", Audit.entity_id == order.id)
    assert stage.session.scalars(said).all() == ["no_duplicate"]


@pytest.mark.parametrize("how", ["closed", "kept", "placed", "not sent"])
def test_others_are_let_alone(stage: Stage, how: str) -> None:
    first, second = made = chain(stage, "VOID", "SENDING")
    order = turns_up(stage, first)
    second.state = "READY"
    if how == "closed":
        order.closed = True
    if how == "kept":
        order.role = "foreign"
    if how == "placed":
        first.state = "PLACED_PAID"
    if how == "not sent":
        stage.session.execute(sa.update(Attempt).where(Attempt.purchase_id == first.id).values(outcome="NOT_SENT"))
    stage.session.flush()
    before = states(made), order.role
    late.reconsider(stage.container, stage.session, order, first, closed=False)
    assert (states(made), order.role) == before


def replaced(stage: Stage, items: Items = ONE) -> tuple[Purchase, Purchase]:
    """A purchase that was given up, and the one that was derived after it."""
    given_up = stage.purchase("VOID", items, outcome="VOID")
    heir = generation.next_generation(stage.container, stage.session, given_up)
    assert heir is not None
    return given_up, heir


def of_its_order(stage: Stage, purchase: Purchase) -> list[tuple[int, int, str]]:
    query = sa.select(Purchase).where(Purchase.order_id == purchase.order_id).order_by(Purchase.id)
    return [(one.part, one.generation, one.state) for one in stage.session.scalars(query)]


def test_what_was_adopted_and_expires_is_followed_by_a_number_that_was_never_used(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    turns_up(stage, given_up)
    assert heir.state == "CANCELLED"
    given_up.state = "EXPIRED"
    stage.session.flush()
    third = generation.next_generation(stage.container, stage.session, given_up)
    assert third is not None
    assert (heir.generation, third.generation, third.part) == (2, 3, 1)


def test_a_second_heir_beside_a_living_one_fails_by_the_unique_key(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    assert heir.state == "HELD"
    assert generation.next_generation(stage.container, stage.session, given_up) is None, "all is on its way"
    stage.session.execute(sa.text("UPDATE source_line SET quantity = quantity * 2, to_ship = to_ship * 2"))
    stage.session.expire_all()
    with pytest.raises(sa.exc.IntegrityError), stage.session.begin_nested():
        generation.next_generation(stage.container, stage.session, given_up)


def test_after_the_supplier_cancelled_it_a_person_decides_and_may_order_again(stage: Stage) -> None:
    given_up, _ = replaced(stage)
    turns_up(stage, given_up)
    given_up.state = "SUPPLIER_CANCELLED"
    stage.session.flush()
    before = of_its_order(stage, given_up)
    match.derive_again(stage.container, stage.session, given_up.order_id)
    assert of_its_order(stage, given_up) == before
    with stage.outside():
        again = reconcile.buy_again(stage.container, given_up.id, by="merchant:1")
    assert again.generation == 3


@pytest.mark.parametrize("between", ["VOID", "REJECTED"])
def test_however_many_tries_came_after_it_none_is_in_the_way(stage: Stage, between: str) -> None:
    given_up, second = replaced(stage)
    second.state = between
    third = generation.next_generation(stage.container, stage.session, second)
    assert third is not None
    turns_up(stage, given_up)
    made = [given_up, second, third]
    heirs = standing.heirs(stage.session, [one.id for one in made])
    assert heirs == {}
    assert [one.id for one in orders.living(made, heirs)] == [given_up.id]
    given_up.state = "EXPIRED"
    stage.session.flush()
    fourth = generation.next_generation(stage.container, stage.session, given_up)
    assert fourth is not None
    assert fourth.generation == 4


def test_it_stands_where_it_stands_and_the_one_that_gave_way_is_no_more_in_the_way(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    heirs = standing.heirs(stage.session, [given_up.id])
    assert heirs == {given_up.id: heir.id}
    assert [one.id for one in orders.living([given_up, heir], heirs)] == [heir.id]
    turns_up(stage, given_up)
    assert standing.heirs(stage.session, [given_up.id]) == {}
    assert [one.id for one in orders.living([given_up, heir], {})] == [given_up.id]
    order = stage.session.get_one(StoreOrder, given_up.order_id)
    assert [one.id for one in _Books(stage.session, [order]).purchases_of(order)] == [given_up.id]


def test_of_a_send_that_became_two_orders_both_are_bought_after_all(stage: Stage) -> None:
    given_up, heir = replaced(stage, TWO)
    heir.state = "SENDING"
    first, second = turns_up(stage, given_up), turns_up(stage, given_up, "82")
    assert (first.role, second.role) == ("duplicate", "duplicate")
    heir.state = "READY"
    stage.session.flush()
    late.reconsider(stage.container, stage.session, first, given_up, closed=False)
    assert (first.role, second.role, given_up.state) == ("bought", "bought", "PLACED_UNPAID")
    stage.session.flush()
    assert (stage.tasks(), stage.alerts()) == ([], [])


@pytest.mark.parametrize("how", ["seen closed once", "read as closed now"])
def test_one_that_the_supplier_closed_stops_nothing(stage: Stage, how: str) -> None:
    given_up, heir = replaced(stage)
    heir.state = "SENDING"
    order = turns_up(stage, given_up)
    heir.state = "READY"
    order.closed_seen = int(how == "seen closed once")
    stage.session.flush()
    late.reconsider(stage.container, stage.session, order, given_up, closed=how == "read as closed now")
    assert (given_up.state, heir.state, order.role) == ("VOID", "READY", "duplicate")


@pytest.mark.parametrize(
    ("to_ship", "parts"), [(3, [(1, "PLACED_UNPAID", 2), (2, "HELD", 1)]), (2, [(1, "PLACED_UNPAID", 2)])]
)
def test_pieces_that_the_buyer_wants_beside_it_are_bought_beside_it(
    stage: Stage, to_ship: int, parts: list[tuple[int, str, int]]
) -> None:
    given_up, _ = replaced(stage)
    line = stage.session.get_one(SourceLine, stage.items(given_up)[0].source_line_id)
    line.quantity = line.to_ship = to_ship
    stage.session.flush()
    turns_up(stage, given_up)
    query = sa.select(Purchase).where(Purchase.order_id == given_up.order_id, ~Purchase.gave_way)
    alive = stage.session.scalars(query.order_by(Purchase.id)).all()
    assert [(one.part, one.state, stage.items(one)[0].quantity) for one in alive] == parts


def test_pieces_that_nobody_wants_any_more_are_told(stage: Stage) -> None:
    given_up, _ = replaced(stage)
    line = stage.session.get_one(SourceLine, stage.items(given_up)[0].source_line_id)
    line.quantity = line.to_ship = 1
    stage.session.flush()
    turns_up(stage, given_up)
    assert stage.tasks() == [f"too-much:{line.id}:1"]


def test_its_money_is_counted_again_and_questions_about_the_other_end(stage: Stage) -> None:
    given_up, heir = replaced(stage)
    stage.session.execute(sa.update(Spend).values(state="RELEASED"))
    task(stage.session, f"stray:7:{heir.id}", "stray_order", turn="us", text="?", purchase_id=heir.id)
    turns_up(stage, given_up)
    assert stage.session.scalars(sa.select(Spend.state)).all() == ["RESERVED"]
    assert stage.tasks() == []
