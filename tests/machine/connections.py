"""What ties shops and accounts to Waybill: keys and tokens that die and are renewed, shops that leave and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from app.models import Credential, Shop
from app.services import accounts, links, shops
from tests.machine.shops import DOMAIN, GOODS, OTHER_SOCKS, SHOPIFY, SLUG, WOOCOMMERCE

if TYPE_CHECKING:
    from tests.machine.play import Play

SOCKS = GOODS[1]


class Connections:
    """Everything goes the way that a merchant goes: by Waybill's own services."""

    def __init__(self, play: Play) -> None:
        self._play = play
        with play.container.database.transaction() as session:
            shop_id = play.shops.ids[WOOCOMMERCE]
            kept = session.scalars(sa.select(Credential).where(Credential.shop_id == shop_id)).one()
            opened = play.container.vault.open_json(kept.sealed, kept.place)
            self._keys = {name: str(opened[name]) for name in ("consumer_key", "consumer_secret")}
            self._site = session.get_one(Shop, shop_id).address

    def leave(self, shop: str) -> None:
        """The merchant removes the app, or takes all rights from its keys."""
        if shop == SHOPIFY:
            self._play.world.shopify.control("uninstall", {"shop": DOMAIN})
        else:
            self._play.world.woocommerce.control("keys", {"shop": SLUG, "act": "no_rights"})

    def cut_off(self, shop: str) -> None:
        """The shop's access token dies, or its keys do until they are restored."""
        if shop == SHOPIFY:
            self._play.world.shopify.control("expire_token", {"shop": DOMAIN})
        else:
            self._play.world.woocommerce.control("keys", {"shop": SLUG, "act": "owner_deleted"})

    def revive_shop(self, shop: str) -> None:
        """The merchant connects the shop again, with keys that live."""
        if shop == SHOPIFY:
            fresh = self._play.world.shopify.control("shops", {"domain": DOMAIN})
            place, keys = DOMAIN, {name: str(fresh[name]) for name in ("access_token", "refresh_token")}
        else:
            self._play.world.woocommerce.control("keys", {"shop": SLUG, "act": "restore"})
            place, keys = self._site, self._keys
        container = self._play.container
        self._play.by_hand(lambda: shops.connect(container, shop, place, keys, actor="merchant:1"))

    def come_back(self, shop: str) -> None:
        """The same, and what waited goes on."""
        self.revive_shop(shop)
        self.pause(shop, stop=False)

    def pause(self, shop: str, *, stop: bool) -> None:
        """The merchant wants nothing bought, or goes on."""
        act, shop_id = shops.pause if stop else shops.resume, self._play.shops.ids[shop]
        self._play.by_hand(lambda: act(self._play.container, shop_id, actor="merchant:1"))

    def revive_account(self, shop: str) -> None:
        """The merchant gives consent again."""
        play, user = self._play, self._play.accounts[shop]
        fresh = play.world.aliexpress.control("accounts", {"user_id": user})
        access, refresh = str(fresh["access_token"]), str(fresh["refresh_token"])
        shop_id = play.shops.ids[shop]
        play.by_hand(
            lambda: accounts.connect(play.container, shop_id, access, refresh, user_id=user, actor="merchant:1")
        )

    def link_socks(self, shop: str, *, another: bool) -> None:
        """Socks are bought as another SKU of their product, or as the first."""
        play, sku_id = self._play, OTHER_SOCKS if another else SOCKS.sku_id
        play.by_hand(
            lambda: links.add(
                play.container,
                play.shops.ids[shop],
                sku=SOCKS.sku,
                product=SOCKS.product_id,
                sku_id=sku_id,
                actor="merchant:1",
            )
        )
