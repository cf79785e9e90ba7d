"""The outbox: acts on the world outside other than buying. Each is done once, again and again until it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.calls import Story
from app.container import Container
from app.db import changed
from app.domain.reasons import explain
from app.errors import NotFound
from app.held import LeaseLost, holding
from app.logs import logger
from app.models import Outbox, StoreOrder, Task
from app.pipeline import fulfil, letters, permission, requests
from app.pipeline.due import OUTBOX, Claim, claim_due
from app.pipeline.record import end_all_tasks, end_tasks, task
from app.ports.errors import MerchantMustAct, OutsideError, Refused

log = logger(__name__)
TRIES = (2, 10, 60, 300, 900, 3600)
"""Seconds until an act is tried again; the last one repeats."""
ACTS: dict[str, Callable[[Container, Outbox], str]] = {
    "fulfil": lambda container, row: fulfil.show(container, int(row.payload["parcel_id"])),
    "reject_request": requests.reject,
    "answer_cancellation": requests.answer,
    "mail": letters.send,
}
"""Kind of an outbox row → what does it: container, row → a sentence for the order's story."""


def due(container: Container, most: int) -> Sequence[Claim]:
    """Outbox rows that are due."""
    return claim_due(container, "outbox", OUTBOX, most)


def run(container: Container, claimed: Claim) -> None:
    """Do one act of the outbox."""
    row = _taken(container, claimed)
    if row is None:
        return
    lease = _Lease(container, row)
    with container.calls.story(row.order_id) as story:
        try:
            with holding(lease.renew):
                result = ACTS.get(row.kind, _unknown)(container, row)
            _now_permitted(container, row, story)
            _done(container, row, lease, "DONE", result, story)
        except LeaseLost:
            log.info("lease_lost", kind=row.kind, key=row.id)  # somebody else does it
        except Refused as error:
            _done(container, row, lease, "STUCK", f"refused: {error.code}", story)
        except MerchantMustAct as error:
            _wait(container, row, lease, error, story)
        except (OutsideError, NotFound) as error:
            wait = getattr(error, "retry_after", None) or TRIES[min(row.attempts, len(TRIES)) - 1]
            with container.database.transaction() as session:
                _again(container, session, row, lease, f"later: {error.code}", wait, story)


def _taken(container: Container, claimed: Claim) -> Outbox | None:
    """The row, unless it is not ours any more, or another act of its order is under way: then it is given back."""
    with container.database.transaction() as session:
        row = session.get_one(Outbox, claimed.id)
        if row.state != "DUE" or row.lease_until != claimed.lease_until:
            return None
        busy = sa.exists().where(
            Outbox.order_id == row.order_id,
            Outbox.id != row.id,
            Outbox.state == "DUE",
            Outbox.lease_until > sa.func.clock_timestamp(),
        )
        if row.order_id is None or not session.scalar(sa.select(busy)):
            return row
        back = sa.update(Outbox).where(Outbox.id == row.id, Outbox.lease_until == row.lease_until)
        pause = timedelta(seconds=1 + row.id % 2) / container.settings.time_scale  # not both at once again
        session.execute(back.values(lease_until=None, run_at=sa.func.clock_timestamp() + pause))
        return None


class _Lease:
    """The lease of a row that is being done, for each call anew: what one act needs may take longer than a lease."""

    def __init__(self, container: Container, row: Outbox) -> None:
        self._container = container
        self._id, self.until = row.id, row.lease_until

    def renew(self) -> bool:
        """Whether it is still ours, and then for the whole time again."""
        mine = sa.update(Outbox).where(Outbox.id == self._id, Outbox.lease_until == self.until)
        until = sa.func.clock_timestamp() + self._container.timers.inbox_lease
        alive = mine.where(Outbox.lease_until > sa.func.clock_timestamp()).values(lease_until=until)
        with self._container.database.transaction() as session:
            renewed = session.scalar(alive.returning(Outbox.lease_until))
        self.until = renewed or self.until
        return renewed is not None


def _unknown(_: Container, row: Outbox) -> str:
    raise NotFound("unknown_act", f"The outbox holds an act of unknown kind {row.kind!r}.")


def _done(container: Container, row: Outbox, lease: _Lease, state: str, result: str, story: Story) -> bool:
    """Whether that was the end of it: it may have been asked for again meanwhile, and then it stays due.

    What was done is done whoever has the lease by now; that it cannot be done is for whoever has it to say.
    """
    with container.database.transaction() as session:
        story.write(session)
        mine = sa.update(Outbox).where(Outbox.id == row.id)
        done = {"state": state, "result": result[:300], "done_at": sa.func.clock_timestamp(), "lease_until": None}
        open_still = mine.where(Outbox.run_at == row.run_at, Outbox.state != "DONE")
        if state == "STUCK":
            open_still = open_still.where(Outbox.state == "DUE", Outbox.lease_until == lease.until)
        if not changed(session, open_still.values(**done)):
            session.execute(mine.where(Outbox.lease_until == lease.until).values(lease_until=None))
            return False
        end_tasks(session, f"outbox:{row.id}", "done")
        if state == "STUCK":
            _tell_refused(session, row, result)
        return True


def _tell_refused(session: Session, row: Outbox, result: str) -> None:
    """A task for whoever can do something about it."""
    if row.kind == "fulfil" and result.endswith(fulfil.NOTHING_OPEN):
        fulfil.tell_nothing_open(session, int(row.payload["parcel_id"]))
        return
    task(
        session,
        f"outbox:{row.id}",
        "shop_refused",
        turn="us",
        text=f"The shop refused what we wanted to write ({row.kind}): {result}.",
        shop_id=row.shop_id,
        order_id=row.order_id,
    )


def _now_permitted(container: Container, row: Outbox, story: Story) -> None:
    """The shop let it be done: if an act was told to lack a permission there, it was granted.

    In a transaction of its own: this takes purchases, and whoever holds one may ask for an act. Before the act is
    recorded: whoever stops in between does it again.
    """
    lacked = row.result.endswith(permission.LACKING)
    if row.shop_id is not None and (lacked or story.calls):
        with container.database.transaction() as session:
            permission.worked(session, row.shop_id, lacked=lacked)


UNTOLD = frozenset(("fulfilment_not_requested", "fulfilment_on_hold"))
"""What only a write in the shop finds out; dead connections and shops that left are told where they are noticed."""
WAITS = "shop_waits"
"""Kind of the task that tells the merchant what an act waits for."""


def _wait(container: Container, row: Outbox, lease: _Lease, error: MerchantMustAct, story: Story) -> None:
    """The merchant has to do something; the act waits for it as long as it takes, and in nobody's way."""
    with container.database.transaction() as session:
        said = f"waits for the merchant: {error.reason}"
        if not _again(container, session, row, lease, said, 900, story, waits=True):
            return
        if row.shop_id is not None:
            permission.told(session, row.shop_id, error, order_id=row.order_id)
        key = f"outbox:{row.id}"
        # The shop refuses it no longer; such a task, done or not, would keep the merchant from being told.
        end_all_tasks(session, (Task.dedupe_key == key) & (Task.kind != WAITS), "waits for the merchant")
        if error.reason not in UNTOLD:
            return
        number = session.scalar(sa.select(StoreOrder.number).where(StoreOrder.id == row.order_id))
        task(
            session,
            key,
            WAITS,
            turn="merchant",
            text=f"Order {number}: {explain(error.reason, code=error.code).text}",
            shop_id=row.shop_id,
            order_id=row.order_id,
        )


def _again(
    container: Container,
    session: Session,
    row: Outbox,
    lease: _Lease,
    result: str,
    wait: float,
    story: Story,
    *,
    waits: bool = False,
) -> bool:
    """Have it tried again, if it is still ours; whether it is. What was asked for anew meanwhile is due as it is."""
    if row.attempts in {1, 5}:
        story.write(session)
    mine = sa.update(Outbox).where(Outbox.id == row.id, Outbox.state == "DUE", Outbox.lease_until == lease.until)
    later = sa.func.clock_timestamp() + timedelta(seconds=wait) / container.settings.time_scale
    run_at = sa.case((Outbox.run_at == row.run_at, later), else_=Outbox.run_at)
    return bool(changed(session, mine.values(result=result[:300], lease_until=None, run_at=run_at, waits=waits)))
