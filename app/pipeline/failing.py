"""What fails again and again in a way that nobody foresaw: staff are told from the second time on, until it works.

A fault of ours is logged each time (`step_failed`), but a log is read by nobody at night.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Alert
from app.pipeline.record import alert, end_alerts


def tell(session: Session, kind: str, key: object, error: str, *, shop_id: int | None = None) -> None:
    """It failed once more. `error`: the fault's type, nothing that it says: that may be personal."""
    text = f"{kind} {key} fails again and again ({error}), which nobody foresaw: see `step_failed` in the log."
    alert(session, f"step_failed:{kind}:{key}", "step_failed", text, shop_id=shop_id)


def worked(session: Session, kind: str, key: object) -> None:
    """It did not fail this time."""
    end_alerts(session, f"step_failed:{kind}:{key}")


def tell_many(session: Session, kind: str, error: str) -> None:
    """More rows of this kind fail than anybody wants to be told of one by one."""
    text = f"Many of kind {kind} fail ({error}), which nobody foresaw: see `step_failed` in the log, it names each."
    alert(session, f"step_failed:{kind}:{_MANY}", "step_failed", text)


def many_worked(session: Session, kind: str) -> None:
    """Few of them fail, or none."""
    worked(session, kind, _MANY)


def told(session: Session, kind: str) -> frozenset[str]:
    """Keys of this kind of which staff were told one by one, and which have not worked since."""
    open_ones = sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None), Alert.kind == "step_failed")
    begins = f"step_failed:{kind}:"
    found = {key.removeprefix(begins) for key in session.scalars(open_ones) if key.startswith(begins)}
    return frozenset(found - {_MANY})


_MANY = "many"
