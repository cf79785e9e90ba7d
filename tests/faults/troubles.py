"""Nine orders of which each goes wrong in a way of its own, and what people do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from app.local.demo.cast import (
    BLACK_LAMP,
    BLUE_BOTTLE,
    COPPER_CAN,
    GREEN_CAN,
    HOLDER,
    LIGHTS,
    SNEAKERS,
    SOCKS,
    TRAY,
    Goods,
)  # fmt: skip
from app.models import Credential, Shop, Task
from connectors.shopify.simulator.making import SCOPES
from tests.faults.market import GERMAN, SLUG
from tests.faults.orders import SHOPIFY, WOOCOMMERCE, Order
from tests.faults.stories import Story, beside

if TYPE_CHECKING:
    from tests.faults.scene import Scene

DOMAIN, APART = "bottles.myshopify.com", "apart.myshopify.com"
SOLD = {
    DOMAIN: (COPPER_CAN, GREEN_CAN, TRAY, SNEAKERS, SOCKS),
    SLUG: (HOLDER, LIGHTS, BLACK_LAMP),
}
_OLD = """UPDATE credential SET refresh_due_at = now() WHERE account_id IS NOT NULL
    OR shop_id IN (SELECT id FROM shop WHERE connector = 'shopify') RETURNING now()"""
_LOOK_AT_TOKENS = "UPDATE periodic_job SET next_at = now() WHERE name = 'refresh_tokens' AND next_at > now()"


class Troubles:
    """A script, as `tests.faults.scene.Script` says."""

    name = "troubles"
    hurries = True

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._account: dict[str, str] = {}
        self.several = Order(SHOPIFY, "Several Orders", ((COPPER_CAN, 1), (GREEN_CAN, 1)), domain=DOMAIN)
        self.refused = Order(WOOCOMMERCE, "Refused Address", ((HOLDER, 2),))
        self.expired = Order(WOOCOMMERCE, "Late Payer", ((LIGHTS, 1),))
        self.refunded = Order(SHOPIFY, "Money Back", ((TRAY, 1),), kept=False, never=True, domain=DOMAIN)
        self.cancelled = Order(SHOPIFY, "Changed Mind", ((SNEAKERS, 1),), kept=False, domain=DOMAIN)
        self.token = Order(SHOPIFY, "Dead Token", ((BLUE_BOTTLE, 1),), domain=APART)
        self.margin = Order(WOOCOMMERCE, "Thin Margin", ((BLACK_LAMP, 1),))
        self.later = Order(WOOCOMMERCE, "Thin Again", ((BLACK_LAMP, 1),))
        self.unheard = Order(SHOPIFY, "No Webhook", ((SOCKS, 1),), domain=DOMAIN)
        self.orders = [
            self.several, self.refused, self.expired, self.refunded, self.cancelled, self.token, self.margin, self.later,
            self.unheard,
        ]  # fmt: skip

    def furnish(self) -> None:
        """Three shops, one of them with an account of its own. One thing is not linked."""
        market = self._scene.market
        for name, goods in SOLD.items():
            market.open(name, goods, cheap=(BLACK_LAMP,))
            market.link(name, tuple(one for one in goods if one not in {TRAY, SOCKS}))
        self._account = market.open_apart(APART, (BLUE_BOTTLE,))
        market.link(APART, (BLUE_BOTTLE,))

    def stories(self) -> list[Story]:
        """All beside each other, as soon as there is a purchase."""
        return [self._all()]

    def wrong(self) -> list[str]:
        """The shop that left has gone."""
        with self._scene.world.container.database.transaction() as session:
            state = session.scalar(sa.select(Shop.state).where(Shop.id == self._scene.market.shops[APART]))
        return [] if state == "UNINSTALLED" else [f"the shop that left is {state}"]

    def _all(self) -> Story:
        scene = self._scene
        yield from scene.until_done("shop", "set", scene.market.shops[DOMAIN], "--contact-email", "owner@example.test")
        yield from scene.until_done(*self._link(DOMAIN, SOCKS))
        scene.fault("split", about=COPPER_CAN.product_id)
        scene.market.buy(self.several)
        yield from scene.until(lambda: scene.purchases(self.several))
        yield from beside(
            self._refused(), self._expired(), self._refunded(), self._cancelled(), self._token(), self._margin(),
            self._unheard(), self._old_tokens(),
        )  # fmt: skip

    def _link(self, name: str, goods: Goods) -> tuple[object, ...]:
        market = self._scene.market
        return (
            "link", "add", "--shop", market.shops[name], "--variant", market.variants[goods.sku],
            "--product", goods.product_id, "--sku-id", goods.sku_id,
        )  # fmt: skip

    def _refused(self) -> Story:
        scene = self._scene
        scene.market.buy(self.refused, GERMAN)
        yield from scene.until(lambda: scene.stands(self.refused, "address_refused"))
        ref = scene.purchases(self.refused)[0].order_id
        yield from scene.until_done("order", "address", ref, "--set", "zip=10115")

    def _expired(self) -> Story:
        """Nobody pays in time; it is ordered once more by itself, and that one is paid."""
        scene, buyer = self._scene, self.expired.name_hash
        scene.people.unpaid.add(buyer)
        scene.market.buy(self.expired)
        yield from scene.until(lambda: scene.stands(self.expired, "PLACED_UNPAID"))
        scene.world.aliexpress.control("close", {"order_id": scene.people.orders(buyer)[0]["order_id"]})
        yield from scene.until(lambda: len(scene.people.orders(buyer)) > 1)
        scene.people.unpaid.remove(buyer)

    def _refunded(self) -> Story:
        """Before it was linked; when it is, nothing is left to buy."""
        scene = self._scene
        scene.market.buy(self.refunded)
        yield from scene.until(lambda: scene.stands(self.refunded, "mapping_missing"))
        scene.world.refund(self.refunded.external_id, 1)
        yield from scene.until(lambda: scene.stands(self.refunded, "CANCELLED"))
        yield from scene.until_done(*self._link(DOMAIN, TRAY))

    def _cancelled(self) -> Story:
        """After it was ordered: nobody pays it, the supplier closes it, and it is not ordered again."""
        scene, buyer = self._scene, self.cancelled.name_hash
        scene.people.unpaid.add(buyer)
        scene.market.buy(self.cancelled)
        yield from scene.until(lambda: scene.stands(self.cancelled, "PLACED_UNPAID"))
        scene.world.shopify.control(f"orders/{self.cancelled.external_id}/cancel", {})
        yield from scene.until(lambda: scene.purchases(self.cancelled)[0].cancel_requested_at)
        yield from scene.until_mailed()
        scene.world.aliexpress.control("close", {"order_id": scene.people.orders(buyer)[0]["order_id"]})
        yield from scene.until(lambda: scene.stands(self.cancelled, "EXPIRED", "CANCELLED"))

    def _token(self) -> Story:
        """The account's connection dies, and the merchant makes it anew; when all is shown, the shop leaves.

        At first the shop does not let us read its orders; somebody is told, and then it does.
        """
        scene = self._scene
        scene.world.shopify.control(f"shops/{APART}", {"scopes": ["read_products"]})
        scene.world.aliexpress.control("kill_token", {"user_id": self._account["user_id"], "refresh": True})
        scene.market.buy(self.token)
        yield from scene.until(self._lacks_permission)
        scene.world.shopify.control("scopes", {"shop": APART, "scopes": SCOPES})
        yield from scene.until(lambda: self.token.buyer not in " ".join(scene.verdict()))
        scene.world.shopify.control("uninstall", {"shop": APART})

    def _lacks_permission(self) -> bool:
        """Whether the merchant of the shop with an account of its own was told so."""
        with self._scene.world.container.database.transaction() as session:
            key = f"permission:{self._scene.market.shops[APART]}"
            return bool(session.scalar(sa.select(Task.id).where(Task.dedupe_key == key)))

    def _margin(self) -> Story:
        """Two are held until the merchant approves: one at once, one when others are paid."""
        scene = self._scene
        scene.market.buy(self.margin)
        yield from scene.until(lambda: scene.stands(self.several, "PLACED_PAID", "PART_SHIPPED", "SHIPPED"))
        scene.market.buy(self.later)

    def _unheard(self) -> Story:
        """Its webhook never comes; the shop is asked what changed."""
        self._scene.market.buy(self.unheard, webhooks=False)
        yield

    def _old_tokens(self) -> Story:
        """When their time comes to be renewed the supplier is unwell; later a person has one renewed."""
        scene = self._scene
        scene.fails("token.refresh", times=6)
        with scene.world.container.database.transaction() as session:
            began = session.scalar(sa.text(_OLD))
        account = scene.purchases(self.several)[0].account_id
        yield from scene.until(lambda: self._put_off(account, began))
        yield from scene.until_done("account", "refresh", account)

    def _put_off(self, account: int | None, began: Any) -> bool:
        """Whether the account's token was to be renewed, which is looked at now, and that did not come about."""
        with self._scene.world.container.database.transaction() as session:
            session.execute(sa.text(_LOOK_AT_TOKENS))
            due = sa.select(Credential.refresh_due_at).where(Credential.account_id == account)
            return bool(session.scalar(due) > began)
