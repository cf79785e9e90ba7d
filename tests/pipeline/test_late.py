"""What turns up for a generation that was given up: bought after all, or one too many."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.models import Attempt, Audit, Purchase, SupplierOrder
from app.pipeline import late
from tests.pipeline.stage import Stage


def chain(stage: Stage, *states: str) -> list[Purchase]:
    """Generations, each after the one before; those that are VOID were sent and given up."""
    made: list[Purchase] = []
    for number, state in enumerate(states, 1):
        sent = {"VOID": "VOID", "SENDING": "OPEN", "UNKNOWN": "UNKNOWN", "REJECTED": "REJECTED"}.get(state, "")
        sent = sent or ("PLACED" if state.startswith("PLACED") else "")
        before = made[-1].id if made else None
        made.append(stage.purchase(state, outcome=sent, generation=number, previous_id=before))
    return made


def turns_up(stage: Stage, purchase: Purchase, number: str = "81") -> SupplierOrder:
    attempt = stage.session.scalars(sa.select(Attempt).where(Attempt.purchase_id == purchase.id)).one()
    order = stage.supplier_order(number, purchase)
    late.turned_up(stage.session, order, purchase, attempt, "push")
    return order


def states(made: list[Purchase]) -> list[str]:
    return [purchase.state for purchase in made]


@pytest.mark.parametrize("last", ["DRAFT", "HELD", "READY", "CLAIMED"])
@pytest.mark.parametrize("between", [(), ("VOID",), ("REJECTED", "VOID")])
def test_nothing_was_bought_since_so_it_is_the_one(stage: Stage, between: tuple[str, ...], last: str) -> None:
    made = chain(stage, "VOID", *between, last)
    order = turns_up(stage, made[0])
    assert states(made) == ["PLACED_UNPAID", *between, "CANCELLED"]
    assert (made[0].facts, made[-1].reason, order.role) == ({"orders": "81"}, "late_evidence", "bought")
    assert (stage.tasks(), stage.alerts()) == ([], [])


@pytest.mark.parametrize("later", [("SENDING",), ("UNKNOWN",), ("PLACED_UNPAID",), ("CANCELLED",), ("VOID", "UNKNOWN")])
def test_something_was_bought_since_or_may_have_been(stage: Stage, later: tuple[str, ...]) -> None:
    made = chain(stage, "VOID", *later)
    order = turns_up(stage, made[0])
    assert (states(made), order.role) == (["VOID", *later], "duplicate")
    assert (stage.tasks(), stage.alerts()) == ([f"duplicate:{order.id}"], [f"duplicate:{order.id}"])


def test_of_two_that_were_given_up_the_second_that_turns_up_is_too_many(stage: Stage) -> None:
    made = chain(stage, "VOID", "VOID")
    assert turns_up(stage, made[0]).role == "bought"
    assert turns_up(stage, made[1], "82").role == "duplicate"
    assert states(made) == ["PLACED_UNPAID", "VOID"]


def test_it_stays_too_many_when_the_first_of_them_is_not_clear_yet(stage: Stage) -> None:
    made = chain(stage, "UNKNOWN", "REJECTED", "VOID")
    assert turns_up(stage, made[-1]).role == "duplicate"


@pytest.mark.parametrize("came_to", ["READY", "HELD", "REJECTED", "VOID"])
def test_a_duplicate_is_none_when_the_send_after_it_came_to_nothing(stage: Stage, came_to: str) -> None:
    first, second = made = chain(stage, "VOID", "SENDING")
    order = turns_up(stage, first)
    late.reconsider(stage.session, order, first)
    assert (states(made), order.role) == (["VOID", "SENDING"], "duplicate")
    assert len(stage.alerts()) == 1
    second.state = came_to
    stage.session.flush()
    late.reconsider(stage.session, order, first)
    stage.session.flush()
    assert states(made) == ["PLACED_UNPAID", came_to if came_to in {"REJECTED", "VOID"} else "CANCELLED"]
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
    late.reconsider(stage.session, order, first)
    assert (states(made), order.role) == before
