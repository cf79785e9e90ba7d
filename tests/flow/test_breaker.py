"""The breaker: what stops a send, what lets the next one try, what closes it again (lifecycle, section 6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Alert, Audit, Breaker, Instance, Purchase
from app.pipeline import breaker
from app.ports.errors import Refused, TryLater
from tests.flow.test_unclear import order
from tests.flow.world import World

SUPPLIER, ACCOUNT = "supplier:aliexpress", "account:1"


class Stop(Exception):
    """The send may not go on."""


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    """A transaction of the test's own."""
    with world.container.database.transaction() as made:
        yield made


def purchase(number: int = 1, state: str = "CLAIMED") -> Purchase:
    """One that is about to be sent with account 1."""
    return Purchase(id=number, account_id=1, supplier="aliexpress", state=state)


def put(session: Session, scope: str, state: str, **more: object) -> Breaker:
    """A breaker that stands so."""
    values = {"unclear_at": [], "failed_reads": 0, "clear_in_a_row": 0, "unclear_in_a_row": 0, **more}
    made = Breaker(scope=scope, state=state, **values)
    session.add(made)
    session.flush()
    return made


def goes(world: World, session: Session, one: Purchase) -> str:
    """What stops it, "" if nothing."""
    try:
        breaker.check(session, world.container, one, stop=Stop)
    except Stop as stop:
        return str(stop)
    return ""


@pytest.mark.parametrize("scope", [SUPPLIER, ACCOUNT])
def test_an_open_one_stops_what_it_is_about_and_nothing_else(world: World, session: Session, scope: str) -> None:
    put(session, scope, "OPEN")
    put(session, "account:2", "OPEN")
    assert goes(world, session, purchase()) == "breaker_open"
    session.get_one(Breaker, scope).state = "CLOSED"
    session.flush()
    assert goes(world, session, purchase()) == ""


def test_on_trial_one_goes_and_the_others_wait_until_it_has_ended(world: World) -> None:
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    with world.container.database.transaction() as session:
        trial = put(session, SUPPLIER, "TRIAL")
        session.execute(sa.update(Purchase).values(state="SENDING"))
        assert goes(world, session, purchase(1)) == ""
        assert trial.trial_purchase_id == 1
        assert goes(world, session, purchase(1)) == "", "the very one may go on"
        assert goes(world, session, purchase(2)) == "breaker_open"
        session.execute(sa.update(Purchase).values(state="PLACED_UNPAID"))
        assert goes(world, session, purchase(2)) == ""
        assert trial.trial_purchase_id == 2


def test_a_trial_that_ends_unclear_is_followed_by_a_pause_of_ten_minutes_then_of_an_hour(
    world: World, session: Session
) -> None:
    scale = world.container.settings.time_scale
    for scope in (SUPPLIER, ACCOUNT):
        put(session, scope, "TRIAL", clear_in_a_row=2, failed_trials=0)
    for minutes in (10, 60, 60):
        for scope in (SUPPLIER, ACCOUNT):
            session.get_one(Breaker, scope).state = "TRIAL"
        before = world.container.clock.now()
        breaker.note_outcome(session, world.container, purchase(), clear=False)
        for scope in (SUPPLIER, ACCOUNT):
            one = session.get_one(Breaker, scope)
            assert (one.state, one.clear_in_a_row) == ("OPEN", 0)
            assert one.trial_at is not None
            pause = (one.trial_at - before) * scale
            assert timedelta(minutes=minutes) <= pause < timedelta(minutes=minutes + 5)
    assert session.get_one(Breaker, SUPPLIER).failed_trials == 3
    session.flush()
    open_alerts = sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None)).order_by(Alert.dedupe_key)
    assert session.scalars(open_alerts).all() == [f"breaker:{ACCOUNT}", f"breaker:{SUPPLIER}"]


def test_three_clear_outcomes_in_a_row_close_it_and_leave_nothing_behind(world: World, session: Session) -> None:
    put(session, SUPPLIER, "TRIAL", failed_trials=2, unclear_at=[1.0], failed_reads=3, unclear_in_a_row=4)
    for place in (1, 2, 3):
        breaker.note_outcome(session, world.container, purchase(place), clear=True)
        one = session.get_one(Breaker, SUPPLIER)
        assert one.state == ("CLOSED" if place == 3 else "TRIAL")
        assert (one.unclear_in_a_row, one.trial_purchase_id) == (0, None)
    assert (one.unclear_at, one.failed_reads, one.failed_trials, one.trial_at) == ([], 0, 0, None)
    moves = session.scalars(sa.select(Audit.to_state).where(Audit.entity == "breaker")).all()
    assert moves == ["CLOSED"]


def test_clear_outcomes_touch_nothing_while_all_is_well(world: World, session: Session) -> None:
    breaker.note_outcome(session, world.container, purchase(), clear=True)
    assert session.scalars(sa.select(Breaker)).all() == []


def test_old_unclear_outcomes_do_not_count_by_time_but_those_in_a_row_do(world: World, session: Session) -> None:
    put(session, SUPPLIER, "CLOSED", unclear_at=[1.0, 2.0], unclear_in_a_row=0)
    put(session, ACCOUNT, "CLOSED", unclear_at=[1.0, 2.0], unclear_in_a_row=2)
    breaker.note_outcome(session, world.container, purchase(), clear=False)
    assert session.get_one(Breaker, SUPPLIER).state == "CLOSED"
    assert len(session.get_one(Breaker, SUPPLIER).unclear_at) == 1
    assert session.get_one(Breaker, ACCOUNT).state == "OPEN"


def test_an_open_one_that_is_told_once_more_does_not_ring_twice(world: World, session: Session) -> None:
    put(session, SUPPLIER, "OPEN", unclear_in_a_row=5)
    breaker.note_outcome(session, world.container, purchase(), clear=False)
    assert session.scalars(sa.select(Alert.kind).where(Alert.dedupe_key == f"breaker:{SUPPLIER}")).all() == []


def test_five_failed_reads_open_it_and_a_good_one_after_the_pause_begins_a_trial(world: World) -> None:
    def state() -> str:
        with world.container.database.transaction() as session:
            return session.get_one(Breaker, SUPPLIER).state

    def read(*, ok: bool) -> str:
        breaker.note_read(world.container, "aliexpress", ok=ok)
        return state()

    assert [read(ok=False) for _ in range(4)] == ["CLOSED"] * 4
    assert read(ok=True) == "CLOSED"
    assert [read(ok=False) for _ in range(5)] == [*["CLOSED"] * 4, "OPEN"], "counted from the last good one"
    with world.container.database.transaction() as session:
        session.get_one(Breaker, SUPPLIER).trial_at = world.container.clock.now() + timedelta(hours=1)
        put(session, ACCOUNT, "OPEN", trial_at=world.container.clock.now() + timedelta(hours=1))
        put(session, "account:2", "CLOSED")
    assert read(ok=True) == "OPEN", "its pause is not over"
    with world.container.database.transaction() as session:
        session.get_one(Breaker, SUPPLIER).trial_at = world.container.clock.now()
    assert read(ok=True) == "TRIAL"
    with world.container.database.transaction() as session:
        assert session.get_one(Breaker, ACCOUNT).state == "TRIAL", "accounts follow the supplier"
        assert session.get_one(Breaker, "account:2").state == "CLOSED"
    assert read(ok=True) == "TRIAL"


def test_an_accounts_pause_ends_by_the_clock(world: World) -> None:
    now = world.container.clock.now()
    with world.container.database.transaction() as session:
        put(session, ACCOUNT, "OPEN", trial_at=now + timedelta(hours=1))
        put(session, "account:2", "OPEN", trial_at=now - timedelta(seconds=1))
        put(session, "account:3", "OPEN")
        put(session, SUPPLIER, "OPEN")
    breaker.accounts_due(world.container)
    with world.container.database.transaction() as session:
        states = {one.scope: one.state for one in session.scalars(sa.select(Breaker))}
    assert states == {ACCOUNT: "OPEN", "account:2": "TRIAL", "account:3": "TRIAL", SUPPLIER: "OPEN"}


def test_a_database_that_is_older_than_what_was_seen_stops_everything(world: World, session: Session) -> None:
    assert goes(world, session, purchase()) == ""
    session.execute(sa.update(Instance).values(epoch=Instance.epoch + 5))
    assert goes(world, session, purchase()) == ""
    session.execute(sa.update(Instance).values(epoch=Instance.epoch - 1))
    assert goes(world, session, purchase()) == "", "another thread read it before"
    session.execute(sa.update(Instance).values(epoch=Instance.epoch - 1))
    assert goes(world, session, purchase()) == "placement_frozen"


@pytest.mark.parametrize("other", ["timeline = timeline + 1", "system = system || '1'"])
def test_a_database_that_lives_on_another_server_than_noted_stops_everything(
    world: World, session: Session, other: str
) -> None:
    assert goes(world, session, purchase()) == ""
    session.execute(sa.text(f"UPDATE instance SET {other}"))
    assert goes(world, session, purchase()) == "placement_frozen"


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (TryLater("http_503"), True),
        (TryLater("ApiCallLimit"), False),
        (TryLater("AppCallLimit"), False),
        (TryLater("token_being_renewed"), False),
        (Refused("x"), False),
    ],
)
def test_only_what_speaks_of_the_suppliers_health_is_an_outage(error: TryLater, outage: bool) -> None:
    assert breaker.is_outage(error) is outage
