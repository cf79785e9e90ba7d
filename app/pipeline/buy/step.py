"""One purchase through claim, pre-flight, point of no return, send and outcome."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from app.calls import Story
from app.container import Container
from app.errors import NotFound
from app.logs import logger
from app.pipeline import locks
from app.pipeline.buy.claim import WORKER, Claimed
from app.pipeline.buy.commit import commit
from app.pipeline.buy.outcome import record, replay, sent_before
from app.pipeline.buy.preflight import Held, LostClaim, Plan, check
from app.pipeline.buy.send import send
from app.pipeline.buy.watch import watched
from app.pipeline.generation import reject_request
from app.pipeline.match import REJECTED_FOR
from app.pipeline.record import move, next_look
from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater

log = logger(__name__)


def run(container: Container, claimed: Claimed) -> None:
    """Buy what was claimed, or put it where it belongs. Never sends more than once."""
    with container.calls.story(claimed.order_id, claimed.id) as story:
        plan = _plan(container, claimed, story)
        if plan is None:
            return
        if not sent_before(container, plan.order.out_order_id):
            _buy(container, claimed, plan, story)
            return
        # The journal holds what the database forgot: it is put back, out of the same files, and not sent.
        _put(container, claimed, story, "sent_before", {})
    replay(container, kept=True)


def _plan(container: Container, claimed: Claimed, story: Story) -> Plan | None:
    try:
        return check(container, claimed)
    except LostClaim:
        with container.database.transaction() as session:
            story.write(session)
    except Held as held:
        _put(container, claimed, story, held.reason, held.facts)
    except MerchantMustAct as error:
        _put(container, claimed, story, error.reason, {"detail": error.detail} if error.detail else {})
    except (Refused, NotFound) as error:
        _put(container, claimed, story, "needs_person", {"code": error.code})
    except (TryLater, OutcomeUnknown) as error:
        _later(container, claimed, story, error, tries=claimed.tries)
    return None


def _buy(container: Container, claimed: Claimed, plan: Plan, story: Story) -> None:
    with container.pace.permit(_patience(container, plan)) as allowed:
        if not allowed:
            _later(container, claimed, story, TryLater("own_pace", vendor=claimed.supplier, retry_after=5))
            return
        # The clock is read before T3: whoever is stopped anywhere after it, never sends late.
        begun = container.clock.boottime()
        with watched(container, begun):
            committed = commit(container, claimed, plan, story)
            if committed is None:
                return
            result = send(container, begun, plan, claimed.supplier)
        if result.reason == "call_limit":
            container.pace.slow_down(result.retry_after or 1.0)
        # Inside the permit: whoever comes next must see how this one ended.
        record(
            container,
            committed.attempt_id,
            committed.purchase_id,
            result,
            sent_at=committed.sent_at,
            story=story,
            source="answer",
            number=plan.order.out_order_id,
        )


def _patience(container: Container, plan: Plan) -> float:
    """Seconds that a send may wait for its turn: what was asked must not be too old by then (T3)."""
    most = min(container.timers.claim_lease, container.timers.shop_age_most).total_seconds() / 3
    if not plan.order.autopay:
        return most
    left = plan.quoted_boottime + container.timers.quote_age_most.total_seconds() - container.clock.boottime()
    return max(min(most, left - 1.0), 0.0)


def _put(container: Container, claimed: Claimed, story: Story, reason: str, facts: dict[str, object]) -> None:
    with container.database.transaction() as session:
        purchase = locks.purchase(session, claimed.id)
        story.write(session)
        if purchase.state != "CLAIMED" or purchase.fence != claimed.fence:
            return
        move(
            session,
            purchase,
            "HELD",
            actor=WORKER,
            reason=reason,
            facts={key: value if isinstance(value, int | str) else str(value) for key, value in facts.items()},
            run_at=sa.func.clock_timestamp() + next_look(container, purchase, reason),  # type: ignore[arg-type]
        )
        if reason in REJECTED_FOR:
            reject_request(session, purchase, REJECTED_FOR[reason])


def _later(container: Container, claimed: Claimed, story: Story, error: OutsideError, *, tries: int = 1) -> None:
    wait = min(2.0 ** min(tries, 9), 300.0)
    if isinstance(error, TryLater) and error.retry_after:
        wait = max(error.retry_after, 1.0)
    with container.database.transaction() as session:
        purchase = locks.purchase(session, claimed.id)
        story.write(session)
        if purchase.state != "CLAIMED" or purchase.fence != claimed.fence:
            return
        reason = "supplier_down" if error.vendor == purchase.supplier else "storefront_down"
        move(
            session,
            purchase,
            "READY",
            actor=WORKER,
            reason=reason,
            facts={"code": error.code},
            run_at=sa.func.clock_timestamp() + timedelta(seconds=wait) / container.settings.time_scale,  # type: ignore[arg-type]
        )
