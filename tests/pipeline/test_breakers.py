"""The breaker, move by move: what opens it, what lets a trial begin, what closes it, and how many sends may fly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Breaker, Instance, PlacementFreeze, Purchase
from app.pipeline import breaker
from app.ports.errors import MerchantMustAct, OutcomeUnknown, TryLater
from tests.pipeline.stage import Stage


class Stopped(Exception):
    pass


def row(stage: Stage, scope: str, **more: Any) -> Breaker:
    """A breaker as it was left."""
    usual = {"state": "CLOSED", "unclear_at": []}
    made: Breaker = stage.add(Breaker(scope=scope, **{**usual, **more}))
    return made


def check(stage: Stage, purchase: Purchase) -> str:
    """Why it may not be sent, "" if it may."""
    try:
        breaker.check(stage.session, stage.container, purchase, stop=Stopped)
    except Stopped as stopped:
        return str(stopped)
    stage.session.flush()
    return ""


def note(stage: Stage, purchase: Purchase, *, clear: bool) -> list[str]:
    """The states of the account's and the supplier's breaker after an outcome."""
    breaker.note_outcome(stage.session, stage.container, purchase, clear=clear)
    stage.session.flush()
    found = sa.select(Breaker.state).where(Breaker.scope.in_(breaker.scopes(purchase))).order_by(Breaker.scope)
    return list(stage.session.scalars(found))


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (TryLater("timeout"), True),
        (TryLater("ApiCallLimit"), False),
        (TryLater("AppCallLimit"), False),
        (TryLater("token_being_renewed"), False),
        (OutcomeUnknown("timeout"), False),
        (MerchantMustAct("token_dead", "x"), False),
    ],
)
def test_only_a_passing_fault_of_the_supplier_is_an_outage(error: Any, outage: bool) -> None:
    assert breaker.is_outage(error) is outage


def test_three_unclear_outcomes_within_a_minute_open_both(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    assert note(stage, mine, clear=False) == ["CLOSED", "CLOSED"]
    assert note(stage, mine, clear=False) == ["CLOSED", "CLOSED"]
    assert note(stage, mine, clear=False) == ["OPEN", "OPEN"]
    assert set(stage.alerts()) == {f"breaker:{scope}" for scope in breaker.scopes(mine)}
    one = stage.session.get_one(Breaker, breaker.scopes(mine)[0])
    assert 590 < stage.soon(one.trial_at) < 610
    assert (one.unclear_in_a_row, len(one.unclear_at), one.failed_trials) == (3, 3, 0)


def test_a_clear_outcome_between_counts_but_a_minute_forgets_it(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    scope = breaker.scopes(mine)[1]
    old = stage.now.timestamp() - 61
    one = row(stage, scope, unclear_at=[old, old], unclear_in_a_row=1)
    assert note(stage, mine, clear=True)[-1] == "CLOSED"
    assert (one.unclear_in_a_row, one.clear_in_a_row) == (0, 1)
    assert note(stage, mine, clear=False)[-1] == "CLOSED"
    assert one.unclear_at == [pytest.approx(stage.now.timestamp(), abs=5)]
    assert (one.unclear_in_a_row, one.clear_in_a_row) == (1, 0)


@pytest.mark.parametrize("how", ["in a row", "within a minute"])
def test_three_in_a_row_open_it_too_however_long_it_takes(stage: Stage, how: str) -> None:
    mine = stage.purchase("UNKNOWN")
    now = stage.now.timestamp()
    more: dict[str, Any] = {"unclear_in_a_row": 2} if how == "in a row" else {"unclear_at": [now - 59, now - 58]}
    row(stage, breaker.scopes(mine)[1], **more)
    assert note(stage, mine, clear=False) == ["CLOSED", "OPEN"]


def test_an_open_one_stays_as_it_is_when_more_comes_in(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    one = row(stage, breaker.scopes(mine)[1], state="OPEN", unclear_in_a_row=3)
    note(stage, mine, clear=False)
    assert (one.state, one.trial_at, one.failed_trials) == ("OPEN", None, 0)
    assert note(stage, mine, clear=True)[-1] == "OPEN"


@pytest.mark.parametrize(("failed", "minutes"), [(0, 10), (1, 60), (2, 60)])
def test_a_trial_that_ends_unclear_is_followed_by_a_longer_pause(stage: Stage, failed: int, minutes: int) -> None:
    mine = stage.purchase("UNKNOWN")
    one = row(stage, breaker.scopes(mine)[1], state="TRIAL", failed_trials=failed, clear_in_a_row=2)
    note(stage, mine, clear=False)
    assert (one.state, one.failed_trials, one.clear_in_a_row) == ("OPEN", failed + 1, 0)
    assert (minutes - 1) * 60 < stage.soon(one.trial_at) < (minutes + 1) * 60


def test_three_clear_trials_in_a_row_close_it(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    scope = breaker.scopes(mine)[1]
    one = row(stage, scope, state="TRIAL", unclear_at=[1.0], failed_reads=2, failed_trials=2, trial_at=stage.now)
    other = row(stage, "supplier:other", state="TRIAL", clear_in_a_row=2)
    for clear, state in ((1, "TRIAL"), (2, "TRIAL"), (0, "CLOSED")):
        one.trial_purchase_id = mine.id
        assert note(stage, mine, clear=True) == [state]
        assert (one.clear_in_a_row, one.trial_purchase_id) == (clear, None)
    assert (one.unclear_at, one.failed_reads, one.failed_trials, one.trial_at) == ([], 0, 0, None)
    assert (other.state, other.clear_in_a_row) == ("TRIAL", 2)


def test_a_clear_outcome_touches_nothing_while_all_is_well(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN")
    assert note(stage, mine, clear=True) == []
    one = row(stage, breaker.scopes(mine)[1])
    note(stage, mine, clear=True)
    assert one.clear_in_a_row == 0


@pytest.mark.parametrize("place", [0, 1])
def test_an_open_breaker_of_account_or_supplier_stops_a_send(stage: Stage, place: int) -> None:
    mine = stage.purchase("CLAIMED")
    row(stage, "supplier:other", state="OPEN")
    assert check(stage, mine) == ""
    row(stage, breaker.scopes(mine)[place], state="OPEN")
    assert check(stage, mine) == "breaker_open"


def test_one_send_at_a_time_is_tried(stage: Stage) -> None:
    mine, other = stage.purchase("CLAIMED"), stage.purchase("SENDING", outcome="OPEN")
    one = row(stage, breaker.scopes(mine)[1], state="TRIAL")
    assert check(stage, mine) == ""
    assert one.trial_purchase_id == mine.id
    mine.state = "SENDING"
    stage.session.flush()
    assert check(stage, mine) == "", "its own place"
    assert check(stage, other) == "breaker_open"
    mine.state = "UNKNOWN"
    stage.session.flush()
    assert check(stage, other) == ""
    assert one.trial_purchase_id == other.id


@pytest.mark.parametrize(
    ("mine", "released", "stops"),
    [(True, False, True), (None, False, True), (False, False, False), (True, True, False)],
)
def test_a_freeze_of_the_account_or_of_all_stops_a_send(
    stage: Stage, mine: bool | None, released: bool, stops: bool
) -> None:
    purchase = stage.purchase("CLAIMED")
    account = None if mine is None else stage.account.id if mine else stage.new_account().id
    stage.add(
        PlacementFreeze(
            reason="?",
            account_id=account,
            frozen_by="x",
            released_at=stage.now if released else None,
            released_by="",
            second="",
        )
    )
    assert check(stage, purchase) == ("placement_frozen" if stops else "")


@pytest.mark.parametrize(("epoch", "stops"), [(8, True), (9, False), (10, False), (11, False)])
def test_a_database_that_counts_backwards_is_an_older_one(stage: Stage, epoch: int, stops: bool) -> None:
    mine = stage.purchase("CLAIMED")
    instance = stage.session.get_one(Instance, 1)
    instance.epoch = 10
    stage.session.flush()
    assert check(stage, mine) == ""
    assert breaker.epoch_seen(stage.container) == 10
    instance.epoch = epoch
    stage.session.flush()
    assert check(stage, mine) == ("placement_frozen" if stops else "")
    assert breaker.epoch_seen(stage.container) == max(10, epoch)


def test_sends_in_flight_and_fresh_unclear_ones_share_four_places(stage: Stage) -> None:
    mine = stage.purchase("SENDING", outcome="OPEN")
    now = stage.now.timestamp()
    one = row(stage, breaker.scopes(mine)[1], unclear_at=[now - 30, now - 100])
    row(stage, "supplier:other", unclear_at=[now] * 9)
    for _ in range(2):
        stage.purchase("SENDING")
    stage.purchase("UNKNOWN")
    assert breaker.reserve_place(stage.session, stage.container, mine)
    one.unclear_at = [now - 30, now - 40]
    stage.session.flush()
    assert not breaker.reserve_place(stage.session, stage.container, mine)


def test_no_breaker_is_no_unclear_outcome(stage: Stage) -> None:
    mine = stage.purchase("SENDING", outcome="OPEN")
    assert breaker.reserve_place(stage.session, stage.container, mine)


def read(stage: Stage, supplier: str, *, ok: bool) -> None:
    """A read ended; it is noted in transactions of its own."""
    with stage.outside():
        breaker.note_read(stage.container, supplier, ok=ok)


def state(stage: Stage, scope: str) -> tuple[str, int]:
    found = stage.session.get_one(Breaker, scope)
    return found.state, found.failed_reads


def test_five_failed_reads_open_the_suppliers_and_a_good_one_lets_trials_begin(stage: Stage) -> None:
    row(stage, "account:1", state="OPEN", trial_at=stage.now + timedelta(hours=1))
    row(stage, "account:2")
    for count in range(1, 6):
        read(stage, "aliexpress", ok=False)
        assert state(stage, "supplier:aliexpress") == ("OPEN" if count == 5 else "CLOSED", count)
    read(stage, "aliexpress", ok=True)
    assert state(stage, "supplier:aliexpress") == ("TRIAL", 0)
    assert (state(stage, "account:1")[0], state(stage, "account:2")[0]) == ("TRIAL", "CLOSED")


def test_a_good_read_forgets_the_failed_ones_and_begins_no_trial_before_the_pause_is_over(stage: Stage) -> None:
    row(stage, "supplier:aliexpress", failed_reads=4)
    one = row(stage, "supplier:other", state="OPEN", trial_at=stage.now + timedelta(hours=1), failed_reads=5)
    row(stage, "account:1", state="OPEN")
    read(stage, "aliexpress", ok=True)
    assert state(stage, "supplier:aliexpress") == ("CLOSED", 0)
    read(stage, "other", ok=True)
    assert state(stage, one.scope) == ("OPEN", 0)
    assert state(stage, "account:1")[0] == "OPEN"
    stage.again(one).trial_at = stage.now - timedelta(hours=1)
    read(stage, "other", ok=True)
    assert state(stage, one.scope) == ("TRIAL", 0)
    assert state(stage, "account:1")[0] == "TRIAL"


def test_a_good_read_of_a_healthy_supplier_writes_nothing(stage: Stage) -> None:
    row(stage, "supplier:other")
    read(stage, "aliexpress", ok=True)
    read(stage, "other", ok=True)
    assert list(stage.session.scalars(sa.select(Breaker.scope))) == ["supplier:other"]


def test_reads_that_fail_during_a_trial_open_it_again(stage: Stage) -> None:
    row(stage, "supplier:aliexpress", state="TRIAL", failed_reads=3)
    read(stage, "aliexpress", ok=False)
    assert state(stage, "supplier:aliexpress") == ("TRIAL", 4)
    read(stage, "aliexpress", ok=False)
    assert state(stage, "supplier:aliexpress") == ("OPEN", 5)


def test_an_accounts_breaker_may_try_again_when_its_pause_is_over(stage: Stage) -> None:
    row(stage, "account:1", state="OPEN", trial_at=stage.now - timedelta(seconds=1))
    row(stage, "account:2", state="OPEN", trial_at=stage.now + timedelta(hours=1))
    row(stage, "account:3")
    row(stage, "supplier:aliexpress", state="OPEN", trial_at=stage.now - timedelta(seconds=1))
    with stage.outside():
        breaker.accounts_due(stage.container)
    found = [state(stage, scope)[0] for scope in ("account:1", "account:2", "account:3", "supplier:aliexpress")]
    assert found == ["TRIAL", "OPEN", "CLOSED", "OPEN"]
