"""Tasks and alerts end by their key: that of purchase 1 is not that of purchase 10."""

from __future__ import annotations

import sqlalchemy as sa

from app.db import Database
from app.models import Alert, Task
from app.pipeline.record import alert, end_alerts, end_tasks, task

KEYS = ("unclear:1", "unclear:1:staff", "unclear:10", "unclear:10:staff", "unclear:11", "unclear:100", "unclear")
LEFT = {"unclear:10", "unclear:10:staff", "unclear:11", "unclear:100", "unclear"}


def test_what_ends_for_one_purchase_stays_open_for_those_whose_number_begins_alike(database_url: str) -> None:
    database = Database(database_url)
    with database.transaction() as session:
        for key in KEYS:
            alert(session, key, "outcome_unknown", "text")
            task(session, key, "resolve_unclear", turn="merchant", text="text")
        end_alerts(session, "unclear:1")
        end_tasks(session, "unclear:1", "evidence")
        assert set(session.scalars(sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None)))) == LEFT
        assert set(session.scalars(sa.select(Task.dedupe_key).where(Task.done_at.is_(None)))) == LEFT
    database.dispose()


def test_ending_looks_at_what_is_open_only(database_url: str) -> None:
    database = Database(database_url)
    with database.transaction() as session:
        session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        session.execute(sa.text("SET LOCAL plan_cache_mode = force_generic_plan"))
        session.execute(
            sa.text(
                "PREPARE ending (text, text, text) AS UPDATE task SET over = true "
                "WHERE (dedupe_key = $1 OR dedupe_key ~>=~ $2 AND dedupe_key ~<~ $3) AND NOT over"
            )
        )
        plan = session.scalars(sa.text("EXPLAIN EXECUTE ending ('price:1', 'price:1:', 'price:1;')")).all()
    database.dispose()
    assert "uq_task_present" in "\n".join(plan)


def test_a_cause_that_comes_back_is_a_new_task_and_one_that_a_person_closed_is_not_asked_for_again(
    database_url: str,
) -> None:
    database = Database(database_url)
    with database.transaction() as session:

        def ask() -> list[bool]:
            task(session, "price:1", "price_over_limit", turn="merchant", text="text")
            query = sa.select(Task.done_at).where(Task.dedupe_key == "price:1").order_by(Task.id)
            return [at is None for at in session.scalars(query)]

        assert [ask(), ask()] == [[True], [True]]
        session.execute(sa.update(Task).values(done_at=sa.func.now(), done_by="ann"))
        assert ask() == [False]
        end_tasks(session, "price:10", "evidence")
        assert ask() == [False]
        end_tasks(session, "price:1", "evidence")
        assert ask() == [False, True]
        assert session.scalars(sa.select(Task.done_by).order_by(Task.id)).all() == ["ann", ""]
    database.dispose()
