"""A row whose work raises what nobody foresaw stands in nobody's way, and staff hear of it when it goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.jobs import periodic, sweep
from app.jobs import rows as one_by_one
from app.jobs.schedule import JOBS
from app.models import Alert, Credential, Inbox, PeriodicJob, Purchase, Shop, SupplierOrder
from app.pipeline import accounting, day_book, failing, generation, hooks, poll, track
from app.services import shops
from app.services.periods import PERIODS
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


class Fault(Exception):
    """Says something that may be personal."""

    def __str__(self) -> str:
        return "ada@example.com"


def told(world: World, kind: str = "step_failed") -> list[str]:
    """Texts of open alerts of this kind."""
    with world.container.database.transaction() as session:
        query = sa.select(Alert.text).where(Alert.kind == kind, Alert.ended_at.is_(None)).order_by(Alert.id)
        return list(session.scalars(query))


def stored(world: World, column: Any) -> list[Any]:
    with world.container.database.transaction() as session:
        return list(session.scalars(sa.select(column).order_by(column.class_.id)))


def raising(at: int, whole: Callable[..., Any], place: int) -> Callable[..., Any]:
    """As `whole`, but for the row of this number among its arguments."""

    def act(*given: Any, **more: Any) -> Any:
        row = given[place]
        if (row if isinstance(row, int) else row.id) == at:
            raise Fault
        return whole(*given, **more)

    return act


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_by_one, "_seen", {})


def test_a_poll_that_breaks_is_kept_told_and_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = shop(world)

    def look() -> None:
        with world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(poll_run_at=sa.func.now()))
        [claimed] = poll.due(world.container, 5)
        poll.run(world.container, claimed)

    with monkeypatch.context() as broken:
        broken.setattr(poll, "note", raising(made, poll.note, 1))
        with pytest.raises(Fault):
            look()
        assert (stored(world, Shop.poll_error), told(world)) == (["Fault"], [])
        assert stored(world, Shop.poll_lease_until) == [None]
        with pytest.raises(Fault):
            look()
        [text] = told(world)
        assert text.startswith(f"poll {made} fails again and again (Fault)")
        hour = world.container.timers.poll_alert
        with world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(poll_failing_since=Shop.poll_failing_since - hour))
        with pytest.raises(Fault):
            look()
        assert len(told(world, "shop_unread")) == 1
    look()
    assert (stored(world, Shop.poll_error), told(world), told(world, "shop_unread")) == ([""], [], [])


def test_a_supplier_order_whose_read_breaks_is_told_and_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parcels, its closing and its payment would be seen by nobody."""
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)

    def look() -> None:
        with world.container.database.transaction() as session:
            session.execute(sa.update(SupplierOrder).values(track_run_at=sa.func.now(), track_lease_until=None))
        [claimed] = track.due(world.container, 5)
        track.run(world.container, claimed)

    with monkeypatch.context() as broken:
        broken.setattr(track, "apply_read", lambda *_: {}["x"])
        number = world.created()[0]["order_id"]
        for texts in ([], [f"supplier order {number} fails again and again (KeyError), which nobody foresaw"]):
            with pytest.raises(KeyError):
                look()
            assert stored(world, SupplierOrder.track_error) == ["KeyError"]
            assert stored(world, SupplierOrder.track_lease_until) == [None]
            assert [text.partition(":")[0] for text in told(world)] == texts
    look()
    assert (stored(world, SupplierOrder.track_error), told(world)) == ([""], [])


def test_a_comparison_that_breaks_is_kept_told_and_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = shop(world)

    def look() -> None:
        with world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(account_run_at=sa.func.now()))
        [claimed] = accounting.due(world.container, 5)
        accounting.run(world.container, claimed)

    with monkeypatch.context() as broken:
        broken.setattr(day_book, "read", raising(made, day_book.read, 1))
        for alerts in ([], [f"account {made} fails again and again (Fault), which nobody foresaw"]):
            with pytest.raises(Fault):
                look()
            assert stored(world, Shop.account_error) == ["Fault"]
            assert [text.partition(":")[0] for text in told(world)] == alerts
        hour = world.container.timers.gap_alert
        with world.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(account_failing_since=Shop.account_failing_since - hour))
        with pytest.raises(Fault):
            look()
        assert len(told(world, "shop_uncompared")) == 1
    look()
    assert (told(world), told(world, "shop_uncompared")) == ([], [])


def test_a_held_purchase_that_breaks_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, variant = shop(world)
    shops.set_policy(world.container, made, {"order_cap": 1}, actor="test")
    order(world, variant)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"] * 2)
    with world.container.database.transaction() as session:  # unseen by what looks at once when a limit changes
        session.execute(sa.update(Shop).values(order_cap=10**6))

    def sweep_again() -> None:
        with world.container.database.transaction() as session:
            long_ago = sa.func.now() - timedelta(days=1)
            session.execute(sa.update(Purchase).where(Purchase.state == "HELD").values(run_at=long_ago))
        sweep.recheck_held(world.container)

    monkeypatch.setattr(sweep, "BATCH", 1)
    with monkeypatch.context() as broken:
        broken.setattr(generation, "reconsider", raising(1, generation.reconsider, 1))
        with world.container.database.transaction() as session:
            session.execute(
                sa.update(Purchase).values(run_at=sa.func.now() - timedelta(days=1) + Purchase.id * timedelta(hours=1))
            )
        sweep.recheck_held(world.container)
        sweep.recheck_held(world.container)
        world.settle(until=lambda: world.states() == ["HELD", "PLACED_UNPAID"])
        assert told(world) == [], "once is nothing to tell of"
        sweep_again()
        [text] = told(world)
        assert text.startswith("held 1 fails again and again (Fault)")
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).where(Purchase.id == 1).values(state="CANCELLED"))
        sweep_again()
        assert told(world) == [], "nobody looks at it any more"
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).where(Purchase.id == 1).values(state="HELD"))
        sweep_again()
        sweep_again()
        assert len(told(world)) == 1
    sweep_again()
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2)
    assert told(world) == []


def test_a_token_that_breaks_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world)
    refreshed: list[int] = []
    broken = raising(1, lambda _, opened: refreshed.append(opened.credential_id), 1)

    def renew(container: Any, opened: Any, **_: Any) -> None:
        if opened.credential_id == stored(world, Credential.id)[0]:
            raise Fault
        broken(container, type("Row", (), {"id": 0, "credential_id": opened.credential_id})())

    monkeypatch.setattr(sweep, "renew", renew)
    monkeypatch.setattr(sweep, "BATCH", 1)
    first, second = stored(world, Credential.id)
    with world.container.database.transaction() as session:
        due = sa.func.now() - timedelta(days=1) + Credential.id * timedelta(hours=1)
        session.execute(sa.update(Credential).values(refresh_due_at=due))
    sweep.refresh_tokens(world.container)
    assert refreshed == []
    sweep.refresh_tokens(world.container)
    assert refreshed == [second]
    monkeypatch.setattr(sweep, "BATCH", 200)
    sweep.refresh_tokens(world.container)
    [text] = told(world)
    assert text.startswith(f"token {first} fails again and again (Fault)")


def test_a_shop_whose_webhooks_break_the_check_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.shopify_shop()
    second = world.woocommerce_shop()
    checked: list[int] = []
    monkeypatch.setattr(hooks, "check", raising(first, lambda _, shop: checked.append(shop.id), 1))
    monkeypatch.setattr(sweep, "BATCH", 1)
    with world.container.database.transaction() as session:
        session.execute(
            sa.update(Shop).values(hooks_checked_at=sa.func.now() - timedelta(days=1) + Shop.id * timedelta(hours=1))
        )
    sweep.check_hooks(world.container)
    sweep.check_hooks(world.container)
    assert checked == [second]


def work(world: World, keys: range, broken: set[int], **more: Any) -> list[int]:
    """A run over rows of no table; gives those that were begun."""
    begun: list[int] = []

    def act(key: int) -> None:
        begun.append(key)
        if key in broken:
            raise Fault

    among = sa.select(sa.func.generate_series(1, 10**5).column_valued())
    one_by_one.each(world.container, "row", keys, act, lambda *_: None, among=among, **more)
    return begun


def test_many_rows_that_break_are_told_at_once_by_one_alert(world: World) -> None:
    everything = range(1, 31)
    for _ in range(2):
        work(world, everything, set(range(1, 12)))
        assert told(world) == [
            "Many of kind row fail (Fault), which nobody foresaw: see `step_failed` in the log, it names each."
        ]
    work(world, range(20, 31), set())
    assert len(told(world)) == 1, "those that broke were not looked at"
    work(world, everything, {1})
    assert [text.partition(" (")[0] for text in told(world)] == ["row 1 fails again and again"]
    work(world, everything, set())
    assert told(world) == []


def test_more_rows_that_break_than_anybody_counts_are_told_although_they_come_one_by_one(world: World) -> None:
    many = range(1, 1102)
    for key in many:
        one_by_one._seen.setdefault("row", one_by_one._Seen()).failed.add(key)
    for key in many[:12]:
        work(world, range(key, key + 1), set(many))
    texts = told(world)
    assert (len(texts), texts[-1][:12]) == (11, "Many of kind")


def test_another_process_ends_what_was_told_of_many_only_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(world, range(1, 21), set(range(1, 21)))
    monkeypatch.setattr(one_by_one, "_seen", {})
    work(world, range(100, 110), set())
    assert len(told(world)) == 1
    one_by_one._seen["row"].since -= one_by_one.WATCHED.total_seconds()
    work(world, range(100, 110), set())
    assert told(world) == []


def test_a_run_begins_nothing_more_when_its_time_is_over(world: World) -> None:
    assert work(world, range(1, 4), set(), within=timedelta(0)) == []
    assert work(world, range(1, 4), set(), within=timedelta(minutes=1)) == [1, 2, 3]


@pytest.mark.parametrize("job", ["hooks", "refresh_tokens", "held"])
def test_a_long_job_stops_at_half_of_its_lease(job: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[timedelta] = []
    monkeypatch.setattr(one_by_one, "each", lambda *_, within, **__: given.append(within))
    JOBS[job].act(world.container)
    half = PERIODS[job].hold(world.container) / 2
    assert given == ([half, half / 2] if job == "held" else [half])  # "held" goes on to what people said


def test_a_held_purchase_that_is_swept_no_more_is_told_no_more(world: World) -> None:
    made, variant = shop(world)
    shops.set_policy(world.container, made, {"order_cap": 1}, actor="test")
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    with world.container.database.transaction() as session:
        failing.tell(session, "held", 1, "Fault")
    sweep.recheck_held(world.container)
    assert len(told(world)) == 1
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(reason="needs_person"))
    sweep.recheck_held(world.container)
    assert told(world) == []


def test_events_that_stay_broken_in_one_shop_hide_none_of_another(world: World) -> None:
    first, second = world.shopify_shop(), world.woocommerce_shop()

    def stuck(shop_id: int, key: str) -> None:
        with world.container.database.transaction() as session:
            values = {"shop_id": shop_id, "attempts": 9, "received_at": sa.func.now() - timedelta(hours=1)}
            values |= {"run_at": sa.func.now() + timedelta(hours=1), "source": "shopify", "topic": "x"}
            values |= {"dedupe": key.encode(), "state": "DUE"}
            session.execute(sa.insert(Inbox).values(**values))

    stuck(first, "a")
    sweep.watch(world.container)
    stuck(first, "b")
    stuck(second, "c")
    sweep.watch(world.container)
    begin = [text.partition(" could")[0] for text in told(world, "inbox_old")]
    assert begin == ["2 events of shop bottles", "1 events of shop Socks Shop"]
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).where(Inbox.shop_id == first).values(state="DONE"))
    sweep.watch(world.container)
    assert len(told(world, "inbox_old")) == 1


def test_one_look_that_breaks_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world)

    def broken(*_: Any) -> None:
        raise Fault

    monkeypatch.setattr(sweep, "_watch_inbox", broken)
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE credential SET state = 'DEAD' WHERE account_id IS NOT NULL"))
    with pytest.raises(Fault):
        sweep.watch(world.container)
    assert world.tasks() == ["token_dead"]


def test_a_job_that_fails_again_and_again_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    periodic.make_due(world.container)
    with monkeypatch.context() as broken:
        broken.setattr(sweep, "_watch_inbox", raising(0, lambda *_: None, 0))
        for alerts in (0, 1):
            with pytest.raises(AttributeError):
                periodic.run_job(world.container, periodic.Turn("watch", None))
            assert len(told(world)) == alerts
        with world.container.database.transaction() as session:
            assert session.get_one(PeriodicJob, "watch").last_error == "AttributeError"
    periodic.run_job(world.container, periodic.Turn("watch", None))
    assert told(world) == []
