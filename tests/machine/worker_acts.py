"""What workers do, and what is done to them; time; and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.machine.acts import NUMBER, act

if TYPE_CHECKING:
    from tests.machine.play import Play

UNITS = ("buy", "inbox", "any", "reconcile", "track", "act", "poll")
SWEEPS = ("leases", "journal", "held", "probe", "refresh_tokens", "watch", "hooks", "mails", "audit_seal")
JUMPS = (1.0, 5.0, 12.0, 35.0, 70.0, 130.0, 400.0, 1_900.0, 3_800.0, 90_000.0)
BRINKS = (
    "answered: aliexpress freight",
    "before the commit of app.pipeline.buy.claim",
    "before the first write of app.pipeline.buy.commit",
    "after the commit of app.pipeline.buy.commit",
    "before the call aliexpress order.create",
    "answered: aliexpress order.create",
    "before the journal",
    "after the journal",
    "after the commit of app.pipeline.buy.outcome",
)
"""Where a worker that buys may be left standing."""
CLICKS = ("again", "retry", "approve", "look_into_unclear", "fix_addresses", "dismiss")


def _busy(play: Play) -> bool:
    return any(not worker.idle for worker in play.workers)


@act()
def work(play: Play) -> None:
    """Somebody works off all that is due."""
    play.work()


@act(who=(0, 1), what=UNITS)
def begin(play: Play, who: int, what: str) -> None:
    """A worker takes something, and stops at once where something can be seen of it."""
    if play.workers[who].idle:
        play.begin(play.workers[who], what)


@act(often=4, who=(0, 1), where=BRINKS)
def brink(play: Play, who: int, where: str) -> None:
    """All that is known is worked off; then a worker buys as far as this point."""
    worker = play.workers[who]
    if worker.idle:
        play.hear()
        play.begin(worker, "buy")
        play.go_until(worker, where)


@act(what=SWEEPS)
def sweep(play: Play, what: str) -> None:
    """The sweeper begins one of its jobs."""
    if play.workers[2].idle:
        play.begin(play.workers[2], what)


@act(possible=_busy, often=2, who=NUMBER, stops=(0, 1, 2, 4, 8))
def go(play: Play, who: int, stops: int) -> None:
    """A worker goes on for so many stops; 0 is to its end."""
    busy = [worker for worker in play.workers if not worker.idle]
    play.go(busy[who % len(busy)], stops)


@act(possible=_busy, who=NUMBER)
def kill(play: Play, who: int) -> None:
    """A worker dies where it stands."""
    busy = [worker for worker in play.workers if not worker.idle]
    play.kill(busy[who % len(busy)])


@act(often=2, seconds=JUMPS, swept=(False, True))
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
        first, second = play.workers[:2]
        play.begin(first, what)
        play.go(first, stops - 1)
        play.begin(second, what)
        play.go(second, stops - 1)
        play.go(first, 0)
        play.go(second, 0)


@act(what=("freeze", "release"))
def freeze(play: Play, what: str) -> None:
    """Staff stop all buying, or two of them let it go on."""
    play.people.freeze(stop=what == "freeze")
