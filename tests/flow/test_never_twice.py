"""Never twice: each test takes away one thing that a careless hand might, and the supplier's ledger must not show it.

`tests/faults/mutants` breaks the code in just these ways (lifecycle, section 13, M1 to M10); each must fail here.
What was bought is read from what the supplier wrote down, never from our own database.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import Conflict, WaybillError
from app.jobs import guarded, sweep
from app.models import Interlock, Purchase
from app.pipeline import generation, import_order, not_there, reconcile
from app.pipeline.buy import claim as claiming
from app.pipeline.buy import run as buy
from app.pipeline.buy import step
from app.pipeline.due import claim_fairly
from tests.flow.test_claims import due, held_and_ready
from tests.flow.test_order_changes import order as order_of
from tests.flow.test_order_changes import shop
from tests.flow.test_unclear import fault, order
from tests.flow.world import World

LOOKS = 8
"""So often an unclear purchase is looked at here: more than the schedule has entries."""


def bought(world: World) -> int:
    """Pieces in the supplier's ledger, less those in orders that it closed."""
    ledger = world.aliexpress.control("ledger")
    closed = {line["order_id"] for line in ledger if line["op"] in {"close", "cancel"}}
    made = [line for line in ledger if line["op"] == "create" and line["order_id"] not in closed]
    return sum(int(item["quantity"]) for line in made for item in line["items"])


def nobody_tells(world: World) -> None:
    """No push ever arrives, so nothing but the answer itself says what became of a send."""
    world.aliexpress.control("push", {"lost": 1000})


def look_often(world: World) -> None:
    """Let the checks of unclear purchases come one after another, as over the hours."""
    for _ in range(LOOKS):
        world.pass_time("human")
        let_go(world)
        with world.container.database.transaction() as session:
            session.execute(sa.update(Purchase).where(Purchase.state == "READY").values(run_at=sa.func.now()))
        world.settle()


def let_go(world: World) -> None:
    """The interlock is over too: after an hour it protects nothing any more."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Interlock).values(release_at=Interlock.release_at - timedelta(hours=2)))
    sweep.free_leases(world.container)


def die_after_sending(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker sends a purchase, the supplier executes it, and the worker is gone before it learns of that."""
    whole, alive = step.send, [True]

    def send(*given: Any) -> Any:
        answer = whole(*given)
        if alive:
            alive.clear()
            raise SystemExit("killed")
        return answer

    monkeypatch.setattr(step, "send", send)
    held_and_ready(world)
    due(world)
    (mine,) = claiming.claim(world.container, 10)
    with suppress(SystemExit):
        buy(world.container, mine)
    assert bought(world) == 1, "the first send was executed"


def hours_later(world: World) -> None:
    """Every lease and every deadline of a send is over; the sweep looks for what dead workers left."""
    with world.container.database.transaction() as session:
        for column in (Purchase.lease_until, Purchase.sent_deadline):
            session.execute(sa.update(Purchase).values({column: column - timedelta(hours=2)}))
    let_go(world)
    due(world)
    world.settle()


def test_an_answer_that_does_not_come_is_not_asked_for_again(world: World) -> None:
    """M1: a retry on a time-out."""
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] or bought(world) > 1, seconds=20)
    assert bought(world) == 1


def test_looking_in_vain_is_no_proof_that_nothing_was_bought(world: World) -> None:
    """M2: a look-up that finds nothing taken for "not created"."""
    nobody_tells(world)
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"] or bought(world) > 1, seconds=20)
    look_often(world)
    assert bought(world) == 1
    assert world.tasks() == ["resolve_unclear"], "a person is asked"


def test_a_send_stands_in_the_database_before_it_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M3: no row before the send, so whoever comes next knows nothing of it."""
    nobody_tells(world)
    die_after_sending(world, monkeypatch)
    hours_later(world)
    look_often(world)
    assert bought(world) == 1


def test_a_lease_that_is_over_does_not_send_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M4: what a dead worker was sending is given to the next one, as a queue with retries would."""
    nobody_tells(world)
    die_after_sending(world, monkeypatch)
    hours_later(world)
    hours_later(world)
    assert bought(world) == 1


def test_two_clicks_on_order_again_buy_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M5: two derivations of the next generation at the same moment, and no unique key between them."""
    _, variant = shop(world)
    order_of(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    made = world.created()[0]["order_id"]
    world.aliexpress.control("pay", {"order_id": made})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": made})

    def gone() -> bool:
        world.read_again()
        return world.states() == ["SUPPLIER_CANCELLED"]

    world.settle(until=gone, seconds=30)
    whole, meeting, clicked = generation.next_generation, threading.Barrier(2), list[str]()

    def derive(*given: Any, **more: Any) -> Any:
        with suppress(threading.BrokenBarrierError):  # where one waits for the other they never meet
            meeting.wait(timeout=1)
        return whole(*given, **more)

    def click() -> None:
        try:
            reconcile.buy_again(world.container, 1, by="merchant:1")
        except (Conflict, sa.exc.IntegrityError) as refused:
            clicked.append(type(refused).__name__)
        else:
            clicked.append("ordered")

    monkeypatch.setattr(generation, "next_generation", derive)
    together(click, click)
    world.settle(until=lambda: not {"READY", "CLAIMED", "SENDING"} & set(world.states()), seconds=30)
    assert bought(world) == 1
    assert clicked.count("ordered") == 1


def test_two_workers_that_claim_at_once_do_not_both_get_it(world: World) -> None:
    """M6: a claim that does not look whether somebody else has it."""
    held_and_ready(world)
    due(world)
    late = list[Any]()
    given = {"owner": "the first", "lease": world.container.timers.claim_lease}
    with world.container.database.transaction() as session:
        first = claim_fairly(world.container, session, "purchase", claiming._CLAIM, 10, given)
        second = threading.Thread(target=lambda: late.extend(claiming.claim(world.container, 10)))
        second.start()
        second.join(timeout=2)  # who skips what is locked is back at once, who waits for it is not
    second.join()
    assert len(first) + len(late) == 1
    claims = [claiming.Claimed(one.id, one.fence, one.claimed_at, 1, "aliexpress", 1, 1, "") for one in (*first, *late)]
    together(*(lambda one=one: guarded("buy", one.id, lambda: buy(world.container, one)) for one in claims))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert bought(world) == 1


def test_who_wakes_up_after_it_was_given_up_does_not_send(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M7: a worker that stands still after its commit, until a person has said that nothing is there."""
    whole, asleep, woken = step.send, threading.Event(), threading.Event()

    def send(*given: Any) -> Any:
        if not asleep.is_set():
            asleep.set()
            woken.wait(timeout=60)
        return whole(*given)

    monkeypatch.setattr(step, "send", send)
    held_and_ready(world)
    due(world)
    (mine,) = claiming.claim(world.container, 10)
    sleeper = threading.Thread(target=lambda: buy(world.container, mine))
    sleeper.start()
    try:
        assert asleep.wait(timeout=20)
        hours_later(world)
        world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
        world.pass_time("quarantine")
        not_there.give_up(world.container, 1, newest_seen="none", by="staff:ann", confirm_by="staff:bob")
        world.settle(until=lambda: world.states() == ["VOID", "PLACED_UNPAID"], seconds=20)
    finally:
        woken.set()
        sleeper.join()
    assert bought(world) == 1


def test_what_is_cancelled_after_the_checks_is_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """M8: the point of no return that believes the pre-flight's reading of the order."""
    whole, once = step.commit, [True]
    _, variant = shop(world)
    number = order_of(world, variant)

    def commit(*given: Any) -> Any:
        if once:
            once.clear()
            world.shopify.control(f"orders/{number}/cancel", {})
            import_order.refresh(world.container, 1, number, world.container.clock.now())
        return whole(*given)

    monkeypatch.setattr(step, "commit", commit)
    world.settle(until=lambda: not once and world.states() != ["CLAIMED"], seconds=20)
    world.settle()
    assert (bought(world), world.calls_of_create()) == (0, 0)
    assert world.states() == ["CANCELLED"]


@pytest.mark.parametrize("tells", [True, False])
def test_the_same_number_is_not_sent_twice(world: World, tells: bool) -> None:
    """M9: the supplier does not promise to know a number again, so the second send would be a second order."""
    if not tells:
        nobody_tells(world)
    fault(world, "drop_after")
    order(world)
    world.settle(until=lambda: world.states() in (["UNKNOWN"], ["PLACED_UNPAID"]) or bought(world) > 1, seconds=20)
    look_often(world)
    numbers = [line["out_order_id"] for line in world.aliexpress.control("ledger") if line["op"] == "create_call"]
    assert len(numbers) == len(set(numbers))
    assert bought(world) == 1


def test_out_of_stock_and_then_silence_is_no_proof(world: World) -> None:
    """M10: "insufficient stock or system error" and no further word, after the supplier had executed it."""
    nobody_tells(world)
    fault(world, "error", code="INVENTORY_HOLD_ERROR", execute=True)
    order(world)
    world.settle(until=lambda: world.states() == ["UNKNOWN"] or bought(world) > 1, seconds=20)
    look_often(world)
    assert bought(world) == 1
    assert world.states() == ["HUMAN"]


def together(*acts: Any) -> None:
    """At the same time; what one refuses is its own."""

    def run(act: Any) -> None:
        with suppress(WaybillError):
            act()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
