"""What workers do, and what is done to them; time; and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.machine.acts import NUMBER, act
from tests.machine.shop_acts import CHANGES, change

if TYPE_CHECKING:
    from tests.machine.play import Play

UNITS = ("buy", "inbox", "any", "reconcile", "track", "act", "poll")
SWEEPS = ("leases", "journal", "held", "probe", "refresh_tokens", "watch", "hooks", "mails", "audit_seal")
JUMPS = (1.0, 5.0, 12.0, 35.0, 45.0, 70.0, 130.0, 400.0, 1_900.0, 3_800.0, 90_000.0)
BRINKS = (
    "answered: aliexpress aliexpress.ds.freight",
    "before the commit of app.pipeline.buy.claim",
    "before the first write of app.pipeline.buy.commit",
    "after the commit of app.pipeline.buy.commit",
    "before the call aliexpress aliexpress.ds.order.create",
    "answered: aliexpress aliexpress.ds.order.create",
    "before the journal",
    "after the journal",
    "after the commit of app.pipeline.buy.outcome",
)
"""Where a worker that buys may be left standing."""
CLICKS = ("again", "again", "retry", "approve", "look_into_unclear", "fix_addresses", "dismiss")


def _busy(play: Play) -> bool:
    return any(not worker.idle for worker in play.workers)


@act(often=3)
def work(play: Play) -> None:
    """Somebody works off all that is due."""
    play.work()


@act(often=2, who=(0, 1), what=UNITS)
def begin(play: Play, who: int, what: str) -> None:
    """A worker takes something, and stops at once where something can be seen of it."""
    if play.workers[who].idle:
        play.begin(play.workers[who], what)


@act(often=6, who=(0, 1), where=BRINKS)
def brink(play: Play, who: int, where: str) -> None:
    """All that is known is worked off; then a worker buys as far as this point. Somebody orders if nobody did."""
    play.brink(play.workers[who], where)


@act(often=5, who=(0, 1), where=BRINKS[:4], which=NUMBER, what=CHANGES)
def race(play: Play, who: int, where: str, which: int, what: str) -> None:
    """The same, and an order is changed in its shop while the worker stands there; we hear of it at once."""
    play.brink(play.workers[who], where)
    change(play, which, what, told=True)


@act(often=3, what=("buy", "buy", "any", "inbox", "act", "track", "reconcile"), stops=(1, 1, 1, 2, 3, 5, 8))
def two_workers(play: Play, what: str, stops: int) -> None:
    """Two workers take the same at the same moment; the second begins when the first has come to this stop."""
    play.something_to_buy()
    if all(worker.idle for worker in play.workers[:2]):
        _together(play, what, stops)


def _together(play: Play, what: str, stops: int) -> None:
    first, second = play.workers[:2]
    play.begin(first, what)
    play.go_on(first, stops - 1)
    play.begin(second, what)
    play.go_on(second, stops - 1)


@act(what=SWEEPS)
def sweep(play: Play, what: str) -> None:
    """The sweeper begins one of its jobs."""
    if play.workers[2].idle:
        play.begin(play.workers[2], what)


@act(possible=_busy, often=4, who=NUMBER, stops=(0, 1, 2, 4, 8))
def go(play: Play, who: int, stops: int) -> None:
    """A worker goes on for so many stops; 0 is to its end."""
    busy = [worker for worker in play.workers if not worker.idle]
    play.go(busy[who % len(busy)], stops)


@act(possible=_busy, often=3, who=NUMBER)
def kill(play: Play, who: int) -> None:
    """A worker dies where it stands."""
    busy = [worker for worker in play.workers if not worker.idle]
    play.kill(busy[who % len(busy)])


@act(often=4, seconds=JUMPS, swept=(False, True))
def wait(play: Play, seconds: float, swept: bool) -> None:
    """Time goes by; if swept, the periodic jobs are done afterwards, and nothing else."""
    play.pass_time(seconds)
    if swept:
        play.sweep()


@act()
def flush_redis(play: Play) -> None:
    """Everything in Redis is gone."""
    play.flush_redis()


@act(what=("pay", "ship", *CLICKS))
def people(play: Play, what: str) -> None:
    """Somebody does all there is to do of one kind."""
    getattr(play.people, what)()


@act(often=2, what=CLICKS, stops=(1, 2, 3, 5))
def two_people(play: Play, what: str, stops: int) -> None:
    """Two people do the same at the same moment; the second begins when the first has come to this stop."""
    if all(worker.idle for worker in play.workers[:2]):
        _together(play, what, stops)
        for worker in play.workers[:2]:
            play.go(worker, 0)


@act(possible=lambda play: bool(play.ledger.orders), often=2, stops=(1, 1, 2, 3))
def ordered_again_twice(play: Play, stops: int) -> None:
    """The supplier cancels all that was paid, and two people order it again at the same moment."""
    for what in ("pay", "cancel"):
        for number, order in sorted(play.ledger.orders.items()):
            if not order.closed:
                play.supplier(what, {"order_id": number})
        play.world.read_again()
        play.hear()
    two_people(play, "again", stops)


@act(what=("freeze", "release"))
def freeze(play: Play, what: str) -> None:
    """Staff stop all buying, or two of them let it go on."""
    play.people.freeze(stop=what == "freeze")
