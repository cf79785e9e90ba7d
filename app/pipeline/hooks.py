"""A shop's webhooks: what is missing or off is set right; what is off again and again is left so, and told."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.models import Alert, Audit, Shop
from app.pipeline.record import alert, audit, end_alerts, end_tasks, task
from app.ports.storefront import WebhookReport
from app.shop_access import with_shop

MOST = 3
"""How often within `WITHIN` one webhook is made or switched on again by itself."""
WITHIN = timedelta(days=1)
_KIND = "webhooks_off"
_MENDED, _BY_HAND = "hooks_mended", "hooks_set_up"


def token_place(shop_id: int) -> str:
    """Where the sealed token of a shop's delivery URL belongs."""
    return f"shop:{shop_id}:delivery_token"


def webhook_url(container: Container, shop: Shop) -> str:
    """Where this shop delivers its webhooks. Unguessable, so shown to the shop's owner and support only."""
    base = f"{container.settings.public_url}/webhooks/{shop.connector}"
    if shop.delivery_token_sealed is None:
        return base
    return f"{base}/{container.vault.open(shop.delivery_token_sealed, token_place(shop.id)).decode()}"


def check(container: Container, shop: Shop, *, by: str = "") -> WebhookReport:
    """Set up or mend the shop's webhooks. Raises the port's errors.

    `by`: a person who wants it now; all is switched on, and the counting begins anew.
    """
    url = webhook_url(container, shop)
    leave = () if by else _given_up(container, shop.id)
    report = with_shop(container, shop.id, lambda session: session.check_webhooks(url, leave=leave))
    restored = [*report.created, *report.reenabled]
    with container.database.transaction() as session:
        row = session.get_one(Shop, shop.id, with_for_update=ROW)
        row.hooks_checked_at = sa.func.clock_timestamp()
        if report.gap_possible:
            row.poll_full_at = None
            row.poll_run_at = sa.func.clock_timestamp()
        if restored:
            action = _BY_HAND if by else _MENDED
            audit(session, "shop", shop.id, action, actor=by or "hooks", detail={"topics": restored})
        if report.left:
            _tell(container, session, row, report.left)
        elif by or not restored:
            end_alerts(session, f"webhooks:{shop.id}")
            end_tasks(session, f"webhooks:{shop.id}", by or "hooks")
    return report


def are_off(session: Session, shop_id: int) -> bool:
    """Whether webhooks of the shop were left off: only polling tells of its orders then."""
    key = f"webhooks:{shop_id}"
    return session.scalar(sa.select(Alert.id).where(Alert.dedupe_key == key, Alert.ended_at.is_(None))) is not None


def _given_up(container: Container, shop_id: int) -> tuple[str, ...]:
    """Topics that were restored too often within a day, since a person last set them up."""
    mine = sa.and_(Audit.entity == "shop", Audit.entity_id == shop_id)
    by_hand = sa.select(sa.func.coalesce(sa.func.max(Audit.id), 0)).where(mine, Audit.action == _BY_HAND)
    since = sa.func.clock_timestamp() - WITHIN / container.settings.time_scale
    query = sa.select(Audit.detail).where(
        mine, Audit.action == _MENDED, Audit.id > by_hand.scalar_subquery(), Audit.at > since
    )
    with container.database.reading() as session:
        times = Counter(topic for detail in session.scalars(query) for topic in detail["topics"])
    return tuple(topic for topic, count in times.items() if count >= MOST)


def _tell(container: Container, session: Session, shop: Shop, left: tuple[str, ...]) -> None:
    topics = ", ".join(left)
    alert(
        session,
        f"webhooks:{shop.id}",
        "webhooks_off",
        f"Webhooks of {shop.name} ({topics}) were switched on {MOST} times within a day and are off again: left so. "
        "Its orders are found by polling alone.",
        shop_id=shop.id,
    )
    text = (
        f"{shop.name} keeps switching off the webhooks by which it tells Waybill of new orders ({topics}). No order is "
        "lost: we look for new ones ourselves, so they may be bought some minutes later. Usually a firewall or a "
        f"security plugin keeps the shop from reaching {urlsplit(container.settings.public_url).hostname}: allow it, "
        "then switch the webhooks on again in the shop's settings."
    )
    task(session, f"webhooks:{shop.id}", _KIND, turn="merchant", text=text, shop_id=shop.id)
