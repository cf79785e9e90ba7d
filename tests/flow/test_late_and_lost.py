"""Faults that once were: late sends, one closed read counted twice, pushes to a dead account, lost pages of a poll."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app import shop_access
from app.jobs import sweep
from app.models import Attempt, Audit, Breaker, Credential, Inbox, Purchase, Shop, SupplierOrder
from app.pipeline import import_order, locks, poll, supplier_read
from app.pipeline.buy import step
from app.pipeline.due import Claim
from app.ports.errors import TryLater
from app.services import shops, todo
from app.shop_access import fresh, open_account, with_account
from tests.flow.test_order_changes import SHOP, order, shop
from tests.flow.test_unclear import fault
from tests.flow.world import World


def kinds(world: World) -> set[str]:
    """Kinds of open alerts."""
    return {row["kind"] for row in todo.alerts(world.container)}


def test_a_worker_held_up_after_the_commit_does_not_send(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read before the point of no return, so a pause anywhere after it shows."""
    whole, slow = step.commit, [True]

    def commit(*given: Any) -> Any:
        done = whole(*given)
        if done is not None and slow:
            slow.clear()
            time.sleep(world.container.timers.send_deadline.total_seconds() * 1.5)
        return done

    monkeypatch.setattr(step, "commit", commit)
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    with world.container.database.transaction() as session:
        assert session.scalars(sa.select(Attempt.outcome).order_by(Attempt.id)).all() == ["NOT_SENT", "PLACED"]
        said = session.scalars(sa.select(Audit.detail["reason"].astext).where(Audit.entity == "purchase")).all()
    assert "held_up" in said, "it is not the supplier that does not answer"
    assert world.calls_of_create() == 1


def test_an_address_that_changes_before_the_point_of_no_return_is_not_ordered_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, passed = step.commit, list[bool]()
    _, variant = shop(world)
    number = order(world, variant)

    def commit(*given: Any) -> Any:
        first = not passed
        if first:
            world.shopify.control(f"orders/{number}/address", {"address": {"address1": "New Street 99"}})
            import_order.refresh(world.container, 1, number, world.container.clock.now())
            with world.container.database.transaction() as session:  # within the second that the shop's version counts
                session.execute(
                    sa.text("UPDATE store_order SET source_version = :seen"), {"seen": given[2].source_version}
                )
        done = whole(*given)
        passed.append(done is not None)
        return done

    monkeypatch.setattr(step, "commit", commit)
    world.settle(until=lambda: bool(passed), seconds=10)
    if world.states() == ["HELD"]:  # else the shop's own event has set it going again already
        world.retry(1)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    assert passed == [False, True]
    assert len(world.created()) == 1


def test_one_closed_read_is_no_proof_however_often_it_is_told(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    _, variant = shop(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    made = world.created()[0]["order_id"]
    world.aliexpress.control("close", {"order_id": made})
    read = with_account(world.container, 1, lambda supplier: supplier.order(made))
    assert read is not None
    assert read.closed

    def tell(times: int, *, later: bool) -> bool:
        with world.container.database.transaction() as session:
            locks.account(session, 1)
            locks.purchase(session, 1)
            row = session.scalars(sa.select(SupplierOrder).with_for_update()).one()
            row.read_at = world.container.clock.now() + (timedelta(hours=-1) if later else timedelta(hours=1))
            for _ in range(times):
                supplier_read.apply_read(world.container, session, row, read)
                row.read_at = world.container.clock.now() + timedelta(hours=1)
            return bool(row.closed)

    assert not tell(3, later=False)
    assert world.states() == ["PLACED_UNPAID"]
    assert tell(1, later=True)
    assert world.states()[0] == "EXPIRED"


def test_paid_by_itself_above_the_limit_raises_an_alarm_and_ends_autopay(world: World) -> None:
    _, variant = shop(world)
    world.aliexpress.control("accounts", {"user_id": world.account["user_id"], "autopay": True, "tokens": False})
    shops.set_policy(world.container, 1, {"autopay": True}, actor="test")
    fault(world, "price_change", factor=5)
    order(world, variant)
    world.settle(until=lambda: "autopay_over_limit" in kinds(world), seconds=20)
    with world.container.database.transaction() as session:
        assert session.scalar(sa.select(Shop.autopay)) is False


def test_an_unclear_purchase_reaches_staff_though_the_merchant_knows(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    _, variant = shop(world)
    fault(world, "drop_before")
    order(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    world.pass_time("human")
    world.settle(until=lambda: world.states() == ["HUMAN"] and "outcome_unknown" in kinds(world), seconds=20)
    for _ in range(2):
        world.pass_time("human")
        world.settle()
    world.settle(until=lambda: "outcome_unknown_old" in kinds(world), seconds=20)


def test_a_push_to_a_dead_account_is_kept_and_tried_after_its_renewal(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    _, variant = shop(world)
    fault(world, "drop_after")
    order(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    world.aliexpress.control("kill_token", {"user_id": world.account["user_id"], "refresh": True})
    with world.container.database.transaction() as session:
        session.execute(sa.update(Credential).where(Credential.account_id.is_not(None)).values(state="DEAD"))
        session.execute(sa.delete(Inbox))
    world.aliexpress.control("push", {"lost": 0})
    world.aliexpress.control("pay", {"order_id": world.created()[0]["order_id"]})

    def pushes() -> list[tuple[str, int]]:
        with world.container.database.transaction() as session:
            rows = session.execute(sa.select(Inbox.state, Inbox.attempts).where(Inbox.source == "aliexpress"))
            return [(row.state, row.attempts) for row in rows]

    world.settle(until=lambda: bool(pushes()) and all(tries for _, tries in pushes()), seconds=10)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).values(attempts=50, run_at=sa.func.now()))
    world.settle(until=lambda: all(tries > 50 for _, tries in pushes()), seconds=10)
    assert {state for state, _ in pushes()} == {"DUE"}, "never called foreign while the account is dead"
    world.reconnect_account()
    with world.container.database.transaction() as session:
        session.execute(sa.update(Inbox).values(run_at=sa.func.now()))
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)


def test_what_was_refused_is_not_sent_again_because_time_went_by(world: World) -> None:
    _, variant = shop(world)
    code = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
    fault(world, "error", code=code, execute=False)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"], seconds=10)
    for _ in range(3):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).values(run_at=sa.func.now() - timedelta(days=1)))
        sweep.recheck_held(world.container)
        world.settle()
    assert (world.states(), world.calls_of_create()) == (["REJECTED", "HELD"], 1)


def test_a_poll_that_fails_half_way_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, variant = shop(world)
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    with world.container.database.transaction() as session:
        session.get_one(Shop, made).poll_cursor = world.container.clock.now()
        session.get_one(Shop, made).poll_full_at = world.container.clock.now()
    order(world, variant)

    def look() -> Shop:
        poll.run(world.container, Claim(made, world.container.clock.now()))
        with world.container.database.transaction() as session:
            return session.get_one(Shop, made)

    before = shops.get(world.container, made).poll_cursor
    whole = poll._changed
    monkeypatch.setattr(poll, "_changed", lambda *_: (_ for _ in ()).throw(TryLater("away", vendor="shopify")))
    failed = look()
    assert (failed.poll_cursor, failed.poll_error) == (before, "away")
    monkeypatch.setattr(poll, "_changed", whole)
    again = look()
    assert (again.poll_error, again.poll_failing_since) == ("", None)
    assert again.poll_cursor is not None
    assert before is not None
    assert again.poll_cursor > before
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_a_shop_that_could_not_be_listed_for_an_hour_is_told_until_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = shop(world)

    def away(*_: object) -> None:
        raise TryLater("away", vendor="shopify")

    def look(after: timedelta) -> set[str]:
        poll.run(world.container, Claim(made, world.container.clock.now() + after))
        return kinds(world)

    hour = world.container.timers.poll_alert
    with monkeypatch.context() as broken:
        broken.setattr(poll, "_changed", away)
        assert [look(timedelta(0)), look(hour / 2), look(hour * 2)] == [set(), set(), {"shop_unread"}]
    assert look(hour * 2) == set()


def test_an_order_that_changes_while_its_window_is_walked_is_found_by_the_next_walk(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next window begins where this one began, not where it ended, less the overlap."""
    made, variant = shop(world)
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    number = order(world, variant)
    whole, begun = poll._changed, list[Any]()

    def changed(*given: Any) -> Any:
        page = whole(*given)
        if not begun:  # the answer is on its way: what it says of this order is already old
            begun.append(given[1])
            world.edit(number, 3)
        return page

    monkeypatch.setattr(poll, "_changed", changed)
    poll.run(world.container, Claim(made, world.container.clock.now()))
    assert shops.get(world.container, made).poll_cursor == begun[0]


def test_a_second_change_within_a_second_is_found_by_the_nightly_walk(world: World) -> None:
    """Shops tell whole seconds only: what was read within one may have changed once more in it, and its event be lost."""
    made, variant = shop(world)
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    order(world, variant)

    def walk() -> int:
        before = world.inbox_rows()
        with world.container.database.transaction() as session:
            session.get_one(Shop, made).poll_full_at = None
        poll.run(world.container, Claim(made, world.container.clock.now()))
        world.settle()
        return world.inbox_rows() - before

    walk()
    with world.container.database.transaction() as session:  # as if the shop's clock were a second ahead of its reads
        session.execute(sa.text("UPDATE store_order SET read_at = changed_at + interval '0.4 seconds'"))
    assert walk() == 1
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE store_order SET read_at = changed_at + interval '5 seconds'"))
    assert walk() == 0, "what is known for good is not read again"


def test_two_who_need_a_new_token_make_one_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, asked = shop_access._ask, list[int]()

    def ask(container: Any, opened: Any) -> Any:
        asked.append(opened.credential_id)
        return whole(container, opened)

    monkeypatch.setattr(shop_access, "_ask", ask)
    shop(world)
    with world.container.database.transaction() as session:
        ends = world.container.clock.now() + timedelta(minutes=1)
        session.execute(sa.update(Credential).where(Credential.account_id.is_not(None)).values(expires_at=ends))
    least, tokens = timedelta(minutes=10), list[str]()

    def need() -> None:
        opened = fresh(world.container, open_account(world.container, 1), least)
        tokens.append(opened.secrets["access_token"])

    threads = [threading.Thread(target=need) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(tokens), len(set(tokens)), len(asked)) == (4, 1, 1)


def test_on_trial_one_send_goes_at_a_time_until_three_went_well(world: World) -> None:
    made, variant = shop(world)
    world.pause_shop(made)
    others = [world.shopify_variant(SHOP, f"B{number}") for number in range(3)]
    products = [row for row in _catalogue(world) if row[0] != ""][1:4]
    for other, target in zip(others, products, strict=True):
        world.link(made, other, target)
    for each in (variant, *others):
        order(world, each)
    world.settle(until=lambda: len(world.states()) == 4, seconds=10)
    with world.container.database.transaction() as session:
        session.add(
            Breaker(
                scope="supplier:aliexpress",
                state="TRIAL",
                unclear_at=[],
                failed_reads=0,
                clear_in_a_row=0,
                unclear_in_a_row=0,
            )
        )
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "latency", "times": 3, "seconds": 0.3}])
    shops.resume(world.container, made, actor="test")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 4, seconds=30)
    calls = sorted(float(line["at"]) for line in world.aliexpress.control("ledger") if line["op"] == "create_call")
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(calls[:3])), calls
    with world.container.database.transaction() as session:
        assert session.get_one(Breaker, "supplier:aliexpress").state == "CLOSED"


def _catalogue(world: World) -> list[tuple[str, str]]:
    """(product, first SKU) of everything that ships to the United States for less than our prices."""
    products = world.aliexpress.control("state")["products"]
    rows = products.values() if isinstance(products, dict) else products
    return [(str(row["product_id"]), str(row["skus"][0]["sku_id"])) for row in rows]
