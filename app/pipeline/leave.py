"""A shop left: its token dies at once, unsent purchases are held, open ones run to their end (S27)."""

from __future__ import annotations

import sqlalchemy as sa

from app.container import Container
from app.errors import NotFound
from app.models import Credential, Purchase, Shop
from app.pipeline.record import audit, move
from app.ports.errors import MerchantMustAct, OutsideError
from app.shop_access import open_shop, with_shop

GONE = frozenset(("shop_token_dead", "shop_gone", "shop_permission"))


def uninstalled(container: Container, shop_id: int) -> str:
    """Believe an uninstall event only if the shop's token is really dead: its headers are not signed."""
    try:
        if open_shop(container, shop_id).state == "LIVE":
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
        if shop.state == "UNINSTALLED":
            return "left already"
        shop.state, shop.state_since = "UNINSTALLED", sa.func.now()
        session.execute(sa.delete(Credential).where(Credential.shop_id == shop_id))
        audit(session, "shop", shop_id, "uninstalled", actor="import", after="UNINSTALLED")
        for purchase in session.scalars(
            sa.select(Purchase)
            .where(Purchase.shop_id == shop_id, Purchase.state.in_(("DRAFT", "READY", "HELD", "CLAIMED")))
            .with_for_update()
        ):
            if purchase.state != "DRAFT":
                move(session, purchase, "HELD", actor="import", reason="uninstalled")
    return "the shop left"
