"""What a step reads in order to decide, it locks: nobody changes it before the step has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import NotFound
from app.models import Attempt, Breaker, Evidence, Purchase, Shop, SourceLine, StoreOrder, SupplierOrder
from app.pipeline import adopt, breaker, follow, generation, late, locks, supplier_read, unverified
from app.pipeline.buy import commit
from tests.pipeline.stage import ONE, Stage


def free(stage: Stage, row: Any) -> bool:
    """Whether another transaction could take this row now."""
    model = type(row)
    key = sa.inspect(model).primary_key[0]
    query = sa.select(key).where(key == sa.inspect(row).identity[0]).with_for_update(skip_locked=True)
    with stage.container.database.engine.connect() as other:
        return other.scalar(query) is not None


def one(stage: Stage, model: Any) -> Any:
    return stage.session.scalars(sa.select(model).order_by(sa.inspect(model).primary_key[0]).limit(1)).one()


def _by_id(stage: Stage, mine: int) -> None:
    locks.purchase(stage.session, mine)


def _reserve(stage: Stage, mine: int) -> None:
    purchase = stage.session.get_one(Purchase, mine)
    stage.session.get_one(Shop, purchase.shop_id).state = "PAUSED"
    with pytest.raises(commit._Stop):
        commit._reserve(stage.session, purchase, stage.attempt(purchase, "NOT_SENT"), None)  # type: ignore[arg-type]


def _heir(stage: Stage, mine: int) -> None:
    generation.next_generation(stage.container, stage.session, stage.session.get_one(Purchase, mine))


def _reconsider(stage: Stage, mine: int) -> None:
    generation.reconsider(stage.session, stage.session.get_one(Purchase, mine), again=True)


def _row(stage: Stage, mine: int) -> None:
    adopt.row(stage.session, stage.account.id, "81", "push")


def _read(stage: Stage, mine: int) -> None:
    supplier_read.apply_read(stage.container, stage.session, one(stage, SupplierOrder), stage.read("81", ONE))


def _overshoot(stage: Stage, mine: int) -> None:
    follow.match_shop(stage.session, stage.session.get_one(Purchase, mine).shop_id)


def _breaker(stage: Stage, mine: int) -> None:
    breaker._row(stage.session, "supplier:aliexpress")


def _check(stage: Stage, mine: int) -> None:
    breaker.check(stage.session, stage.container, stage.session.get_one(Purchase, mine), stop=ValueError)


def _attempt(stage: Stage, mine: int) -> None:
    adopt.open_attempt(stage.session, stage.session.get_one(Purchase, mine))


@pytest.mark.parametrize(
    ("step", "model"),
    [
        (_by_id, Purchase),
        (_by_id, StoreOrder),
        (_reserve, Shop),
        (_heir, StoreOrder),
        (_heir, SourceLine),
        (_reconsider, StoreOrder),
        (_row, SupplierOrder),
        (_read, Purchase),
        (_overshoot, Shop),
        (_breaker, Breaker),
        (_check, Breaker),
        (_attempt, Attempt),
    ],
)
def test_a_step_locks_what_it_decides_by(stage: Stage, step: Callable[[Stage, int], None], model: Any) -> None:
    mine = stage.purchase("HUMAN", outcome="PLACED").id
    stage.supplier_order("81", stage.session.get_one(Purchase, mine), ONE)
    stage.add(Breaker(scope="supplier:aliexpress", state="TRIAL", unclear_at=[]))
    with stage.outside():
        pass
    row = one(stage, model)
    assert free(stage, row)
    step(stage, mine)
    assert not free(stage, row)


def test_the_heir_of_what_was_given_up_is_locked_before_it_is_cancelled(stage: Stage) -> None:
    mine = stage.purchase("VOID", outcome="VOID")
    heir = stage.purchase("SENDING", previous_id=mine.id)
    order = stage.supplier_order("81")
    with stage.outside():
        pass
    order, mine = stage.again(order), stage.again(mine)
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    late.turned_up(stage.container, stage.session, order, mine, attempt, "push", closed=False)
    assert not free(stage, heir)


def test_a_purchase_is_read_anew_when_it_is_locked(stage: Stage) -> None:
    mine = stage.purchase("HUMAN")
    with stage.outside():
        pass
    known, order = locks.with_order(stage.session, mine.id)
    with stage.outside():
        pass
    known, order = stage.again(known), stage.again(order)
    with stage.container.database.engine.begin() as other:
        other.execute(sa.text("UPDATE purchase SET reason = 'new'"))
        other.execute(sa.text("UPDATE store_order SET hold = 'new'"))
    again, its = locks.with_order(stage.session, mine.id)
    assert (again, its) == (known, order)
    assert (again.reason, its.hold) == ("new", "new")
    with pytest.raises(NotFound) as missing:
        locks.purchase(stage.session, mine.id + 1)
    assert missing.value.code == "no_purchase"


def test_one_transaction_at_a_time_records_for_an_account(stage: Stage) -> None:
    locks.account(stage.session, 7)
    query = sa.text("SELECT pg_try_advisory_xact_lock(hashtext('waybill:account'), :id)")
    with stage.container.database.engine.connect() as other:
        assert [other.scalar(query, {"id": account}) for account in (7, 8)] == [False, True]


def test_one_send_at_a_time_is_counted(stage: Stage) -> None:
    breaker.reserve_place(stage.session, stage.container, stage.purchase("SENDING"))
    with stage.container.database.engine.connect() as other:
        assert other.scalar(sa.text("SELECT pg_try_advisory_xact_lock(hashtext('waybill:placing'))")) is False


def test_what_was_said_is_locked_while_it_is_checked(stage: Stage) -> None:
    mine = stage.purchase("CANCELLED")
    said = stage.add(
        Evidence(kind="human", account_id=stage.account.id, purchase_id=mine.id, supplier_order_ref="none", detail={})
    )
    with stage.outside():
        unverified.check(stage.container, said.id)
    assert stage.again(said).detail == {"verified": True}
