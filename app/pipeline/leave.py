"""A shop left: its token dies at once, unsent purchases are held, open ones run to their end (S27)."""

from __future__ import annotations

import sqlalchemy as sa

from app.container import Container
from app.errors import NotFound
from app.models import Credential, Shop
from app.pipeline.holding import hold_unsent
from app.pipeline.record import audit
from app.ports.errors import MerchantMustAct, OutsideError, TryLater
from app.shop_access import open_shop, with_shop

GONE = frozenset(("shop_token_dead", "shop_gone", "shop_permission"))


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
        shop = session.get_one(Shop, shop_id, with_for_update=True)
        stored = session.execute(sa.select(Credential.id, Credential.version).where(Credential.shop_id == shop_id))
        if stored.one_or_none() != tried:
            raise TryLater("connected_again", vendor=shop.connector)  # what was dead is not its token any more
        left = shop.state == "UNINSTALLED"
        if not left:
            audit(session, "shop", shop_id, "uninstalled", actor="import", before=shop.state, after="UNINSTALLED")
            shop.state, shop.state_since = "UNINSTALLED", sa.func.now()
            session.execute(sa.delete(Credential).where(Credential.shop_id == shop_id))
    # From here on nothing passes the point of no return; a crash here is made good when the event is worked off again.
    hold_unsent(container, shop_id, reason="uninstalled", actor="import")
    return "left already" if left else "the shop left"
