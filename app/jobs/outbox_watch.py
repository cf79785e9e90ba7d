"""Alerts for acts that cannot be done and for parcels that no buyer sees. They end with their cause."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.models import Alert
from app.pipeline.record import alert
from app.services import outbox
from app.services.outbox import LateActs, Unshown

NAMED = 5


def acts(container: Container, session: Session) -> None:
    """One alert for each shop, and one for mails."""
    texts = {}
    for one in outbox.late_acts(container, session):
        key = f"outbox-late:{one.shop_id or 'mail'}"
        texts[key] = _of_acts(one)
        alert(session, key, "outbox_late", texts[key], shop_id=one.shop_id)
    keep(session, "outbox_late", texts)


def parcels(container: Container, session: Session) -> None:
    """One alert for each shop."""
    texts = {}
    for one in outbox.unshown(container, session):
        key = f"unshown:{one.shop_id}"
        texts[key] = _of_parcels(one)
        alert(session, key, "parcel_unshown", texts[key], shop_id=one.shop_id)
    keep(session, "parcel_unshown", texts)


def keep(session: Session, kind: str, texts: Mapping[str, str]) -> None:
    """Open alerts of this kind say how it is now; those whose cause is over end."""
    mine = (Alert.kind == kind, Alert.ended_at.is_(None))
    session.execute(sa.update(Alert).where(*mine, Alert.dedupe_key.not_in(texts)).values(ended_at=sa.func.now()))
    for key, text in texts.items():
        session.execute(sa.update(Alert).where(*mine, Alert.dedupe_key == key, Alert.text != text).values(text=text))


def _of_acts(late: LateActs) -> str:
    whose = f"in shop {late.name}" if late.shop_id is not None else "by mail"
    kinds = ", ".join(f"{many} {kind}" for kind, many in sorted(late.kinds.items()))
    only = f" --shop {late.shop_id}" if late.shop_id is not None else ""
    why = late.result or "it broke off: see `step_failed` in the log"
    return (
        f"What is to be done {whose} cannot be done: {kinds}. The oldest, {late.oldest_id}, was asked for at "
        f"{late.oldest:%Y-%m-%d %H:%M} UTC ({why}). `flask outbox list{only}` names them, `flask outbox retry ID` "
        "tries one at once."
    )


def _of_parcels(unshown: Unshown) -> str:
    named = ", ".join(unshown.orders[:NAMED])
    more = f" and {len(unshown.orders) - NAMED} more" if len(unshown.orders) > NAMED else ""
    return (
        f"Parcels of shop {unshown.name} are not shown there since {unshown.since:%Y-%m-%d %H:%M} UTC: order(s) "
        f"{named}{more}. `flask outbox list --shop {unshown.shop_id}` tells what is under way."
    )
