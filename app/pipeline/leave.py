"""A shop left: its token dies at once, unsent purchases are held, open ones run to their end (S27)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.errors import NotFound
from app.models import Alert, ConnectLink, Credential, Shop
from app.pipeline.holding import hold_unsent
from app.pipeline.record import audit, end_tasks
from app.ports.errors import MerchantMustAct, OutsideError, TryLater
from app.shop_access import open_shop, with_shop

GONE = frozenset(("shop_token_dead", "shop_gone", "shop_permission"))

_OF_READING = (
    "shop_unread",
    "shop_uncompared",
    "orders_unaccounted",
    "order_unreadable",
    "webhooks_off",
    "step_failed",
)
"""Alerts that only another read of the shop would end. Those about purchases and mails stay."""


def uninstalled(container: Container, shop_id: int) -> str:
    """Believe an uninstall event only if the shop's token is really dead: its headers are not signed."""
    tried: tuple[int, int] | None = None
    try:
        opened = open_shop(container, shop_id)
        tried = opened.credential_id, opened.version
        if opened.state == "LIVE":
            with_shop(container, shop_id, lambda shop: shop.profile())
            return "still connected: the event is stale or not about this shop"
    except MerchantMustAct as error:
        if error.reason not in GONE:
            return f"not sure: {error.reason}"
    except NotFound:
        pass
    except OutsideError:
        raise
    with container.database.transaction() as session:
        shop = session.get_one(Shop, shop_id, with_for_update=ROW)
        stored = session.execute(sa.select(Credential.id, Credential.version).where(Credential.shop_id == shop_id))
        if stored.one_or_none() != tried:
            raise TryLater("connected_again", vendor=shop.connector)  # what was dead is not its token any more
        left = shop.state == "UNINSTALLED"
        if not left:
            audit(session, "shop", shop_id, "uninstalled", actor="import", before=shop.state, after="UNINSTALLED")
            shop.state, shop.state_since = "UNINSTALLED", sa.func.now()
            session.execute(sa.delete(Credential).where(Credential.shop_id == shop_id))
            links = sa.update(ConnectLink).where(ConnectLink.shop_id == shop_id, ConnectLink.ended_at.is_(None))
            session.execute(links.values(ended_at=sa.func.now()))
            session.flush()
            end_alerts_of_left(session)
            end_tasks(session, f"webhooks:{shop_id}", "import")
    # From here on nothing passes the point of no return; a crash here is made good when the event is worked off again.
    hold_unsent(container, shop_id, reason="uninstalled", actor="import")
    return "left already" if left else "the shop left"


def end_alerts_of_left(session: Session) -> None:
    """Nobody reads shops that left: what reading them would end is over. A read under way may still have told some."""
    left = sa.select(Shop.id).where(Shop.state == "UNINSTALLED")
    mine = (Alert.kind.in_(_OF_READING), Alert.shop_id.in_(left), Alert.ended_at.is_(None))
    session.execute(sa.update(Alert).where(*mine).values(ended_at=sa.func.now()))
