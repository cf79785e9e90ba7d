"""The control endpoint: acts of merchants and buyers, faults, state. Not part of the real service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.shopify.simulator import acts, making, tokens
from connectors.shopify.simulator.faults import Faults
from connectors.shopify.simulator.options import shop_domain
from connectors.shopify.simulator.payloads import body_for
from connectors.shopify.simulator.views import gid
from connectors.shopify.simulator.webhooks import Sender
from connectors.shopify.simulator.world import ProblemError, Record, World

Asked = Mapping[str, Any]
_SHOP_FIELDS = ("status", "scopes", "throttle", "auto_request", "our_location", "currency", "timezone", "country")


class Control:
    """Acts by name. Every method holds the world's lock."""

    def __init__(self, world: World, sender: Sender, faults: Faults) -> None:
        self._world = world
        self._sender = sender
        self._faults = faults
        world.tell = self.tell
        self._acts: dict[str, Callable[[Asked], Any]] = {
            "shops": lambda asked: making.make_shop(world, asked),
            "products": lambda asked: making.make_product(world, asked),
            "orders": self._order,
            "uninstall": self._uninstall,
            "scopes": self._scopes,
            "privacy": self._privacy,
            "rotate_secret": self._rotate,
            "expire_token": self._expire,
            "webhook_url": self._webhook_url,
            "redeliver": self._redeliver,
            "product_update": self._product_update,
        }

    def act(self, name: str, asked: Asked) -> Any:
        """Do an act. Raises `ProblemError`."""
        if name not in self._acts:
            raise ProblemError(f"unknown act {name!r}; known: {', '.join(sorted(self._acts))}")
        with self._world.lock:
            return self._acts[name](asked)

    def order_act(self, order_id: int, name: str, asked: Asked) -> Any:
        """Do an act to an order. Raises `ProblemError`."""
        if name not in acts.ACTS:
            raise ProblemError(f"unknown act {name!r}; known: {', '.join(sorted(acts.ACTS))}")
        with self._world.lock:
            order = self._world.order(order_id)
            acts.ACTS[name](self._world, self._world.shop(order["shop"]), order, asked)
            return shown_order(order)

    def change_shop(self, domain: str, asked: Asked) -> Any:
        """Change a shop's state, permissions or limits. Raises `ProblemError`."""
        with self._world.lock:
            shop = self._world.shop(shop_domain(domain))
            for name in _SHOP_FIELDS:
                if name in asked:
                    shop[name] = making.scope_list(asked[name]) if name == "scopes" else asked[name]
            if "protected_data_approved" in asked:
                shop["approved"] = bool(asked["protected_data_approved"])
            self._world.commit("shop_changed", shop=shop, shop_domain=shop["domain"])
            return {"domain": shop["domain"], "status": shop["status"], "protected_data_approved": shop["approved"]}

    def tell(self, topic: str, shop: Record, order: Record | None, *, delay: float = 0.0, **parts: Any) -> None:
        """Queue a webhook with the payload as of now."""
        if shop["installed"] or topic in ("app/uninstalled", "shop/redact"):
            body = body_for(topic, shop, order, **parts)
            self._sender.put(topic, shop["domain"], body, self._secret(), delay=delay)

    def _secret(self) -> str:
        app = self._world.app
        return str((app["sign_with"] == "previous" and app["previous_secret"]) or app["client_secret"])

    def _order(self, asked: Asked) -> Any:
        order = making.make_order(self._world, asked)
        shop = self._world.shop(order["shop"])
        if asked.get("webhooks", True):
            self.tell("orders/create", shop, order)
            if order["financial"] == "PAID":
                self.tell("orders/paid", shop, order)
            for routed in order["fulfillment_orders"]:
                delay = self._world.options.fo_delay
                self.tell(
                    "fulfillment_orders/order_routing_complete", shop, order, delay=delay, fulfillment_order=routed
                )
                if routed["request"] == "SUBMITTED":
                    topic = "fulfillment_orders/fulfillment_request_submitted"
                    self.tell(topic, shop, order, delay=delay, fulfillment_order=routed)
        return shown_order(order)

    def _uninstall(self, asked: Asked) -> Any:
        shop = self._shop(asked)
        shop["installed"] = False
        shop["access_tokens"] = []
        for token in shop["refresh_tokens"]:
            token["dead"] = True
        self._world.commit("app_uninstalled", shop=shop, shop_domain=shop["domain"])
        self.tell("app/uninstalled", shop, None)
        self.tell("shop/redact", shop, None, delay=48 * 3_600)
        return {"domain": shop["domain"], "installed": False}

    def _scopes(self, asked: Asked) -> Any:
        shop = self._shop(asked)
        previous = shop["scopes"]
        shop["scopes"] = making.scope_list(asked["scopes"])
        self._world.commit("scopes_updated", shop=shop, shop_domain=shop["domain"], scopes=shop["scopes"])
        self.tell("app/scopes_update", shop, None, previous=previous)
        return {"scopes": shop["scopes"]}

    def _privacy(self, asked: Asked) -> Any:
        shop = self._shop(asked)
        topic = str(asked.get("topic", "customers/redact"))
        parts: dict[str, Any] = {}
        if topic.startswith("customers/"):
            name = "orders_to_redact" if topic.endswith("redact") else "orders_requested"
            parts = {"customer": asked.get("customer") or {"id": 191167}, name: asked.get("orders") or []}
        self.tell(topic, shop, None, **parts)
        return {"topic": topic}

    def _rotate(self, asked: Asked) -> Any:
        """`new_secret` becomes current; `sign_with` `previous` plays the hour in which the old one still signs."""
        app = self._world.app
        if asked.get("new_secret"):
            app["previous_secret"], app["client_secret"] = app["client_secret"], str(asked["new_secret"])
        app["sign_with"] = str(asked.get("sign_with", "current"))
        self._world.commit("secret_rotated", sign_with=app["sign_with"])
        return {"sign_with": app["sign_with"]}

    def _expire(self, asked: Asked) -> Any:
        """`which`: access (the default), refresh, or both."""
        shop = self._shop(asked)
        which = str(asked.get("which", "access"))
        if which in ("access", "both"):
            shop["access_tokens"] = []
        if which in ("refresh", "both"):
            for token in shop["refresh_tokens"]:
                token["dead"] = True
        self._world.commit("token_expired", shop=shop, shop_domain=shop["domain"], which=which)
        return {"expired": which}

    def _webhook_url(self, asked: Asked) -> Any:
        self._sender.url = str(asked["url"])
        return {"url": self._sender.url}

    def _redeliver(self, asked: Asked) -> Any:
        self._sender.again(int(asked.get("index", -1)))
        return {}

    def _product_update(self, asked: Asked) -> Any:
        product = self._world.products[int(asked["product_id"])]
        shop = self._world.shop(product["shop"])
        topic = "products/delete" if asked.get("delete") else "products/update"
        self.tell(topic, shop, None, product=product)
        return {"topic": topic}

    def _shop(self, asked: Asked) -> Record:
        return self._world.shop(shop_domain(str(asked.get("shop", ""))))

    def new_tokens(self, domain: str) -> Any:
        """A fresh pair for a shop, as after opening the app again."""
        with self._world.lock:
            shop = self._world.shop(shop_domain(domain))
            shop["installed"] = True
            grant = tokens.issue(self._world, shop)
            self._world.commit("shop_connected", shop=shop, shop_domain=shop["domain"])
            return grant

    def state(self) -> dict[str, Any]:
        """Orders, shops, faults and deliveries as they are now; no tokens."""
        with self._world.lock:
            hidden = ("access_tokens", "refresh_tokens")
            shops = [
                {key: value for key, value in shop.items() if key not in hidden} for shop in self._world.shops.values()
            ]
            orders = [shown_order(order) for order in self._world.orders.values()]
        return {
            "shops": shops,
            "orders": orders,
            "faults": self._faults.show(),
            "webhooks": self._sender.show(),
            "idle": self._sender.idle(),
        }


def shown_order(order: Record) -> dict[str, Any]:
    """An order for the control endpoint: ids as text, no address."""
    return {
        "id": str(order["id"]),
        "gid": gid("Order", order["id"]),
        "name": f"#{order['number']}",
        "shop": order["shop"],
        "financial_status": order["financial"],
        "cancelled": order["cancelled_at"] is not None,
        "deleted": order["deleted"],
        "lines": [
            {
                "id": str(line["id"]),
                "sku": line["sku"],
                "variant_id": None if line["variant_id"] is None else str(line["variant_id"]),
                "quantity": line["quantity"],
                "current": line["current"],
                "fulfilled": line["fulfilled"],
            }
            for line in order["lines"]
        ],
        "fulfillment_orders": [
            {
                "id": gid("FulfillmentOrder", routed["id"]),
                "status": routed["status"],
                "request": routed["request"],
                "location": routed["location"],
                "remaining": sum(item["remaining"] for item in routed["lines"]),
            }
            for routed in order["fulfillment_orders"]
        ],
        "fulfillments": [
            {
                "id": str(fulfillment["id"]),
                "status": fulfillment["status"],
                "tracking": fulfillment["tracking"],
                "lines": [
                    {"line_id": str(item["line"]), "quantity": item["quantity"]} for item in fulfillment["lines"]
                ],
            }
            for fulfillment in order["fulfillments"]
        ],
    }
