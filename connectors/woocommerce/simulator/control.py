"""The simulator's own controls: making shops, products and orders, acting as merchant and buyer, faults, inspection."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, request

from connectors.woocommerce.simulator import catalogue, deliveries, ordering, render
from connectors.woocommerce.simulator.refusal import Refusal
from connectors.woocommerce.simulator.world import TABLES, Row, Shop, World

_VIA = {"checkout": "store-api", "rest": "rest-api", "admin": "admin"}


def _shop(world: World, wish: Mapping[str, Any]) -> Shop:
    shop = world.shops.get(str(wish.get("shop") or next(iter(world.shops), "")))
    if shop is None:
        raise Refusal(404, "no_such_shop", "Name a shop that exists.")
    return shop


def _wish() -> dict[str, Any]:
    try:
        found = json.loads(request.get_data() or b"{}")
    except ValueError:
        raise Refusal(400, "not_json", "Send JSON.") from None
    if not isinstance(found, dict):
        raise Refusal(400, "not_an_object", "Send a JSON object.")
    return found


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def blueprint(world: World) -> Blueprint:
    """`/_control/…`."""
    control = Blueprint("control", __name__, url_prefix="/_control")

    @control.errorhandler(Refusal)
    def refused(refusal: Refusal) -> Response:
        return _json(refusal.body, refusal.status)

    @control.post("/shops")
    def make_shop() -> Response:
        shop, key, secret = world.create_shop(_wish(), request.host_url)
        found = {"slug": shop.slug, "url": shop.home, "rest_base": shop.rest_base}
        return _json({**found, "consumer_key": key, "consumer_secret": secret}, 201)

    @control.post("/settings")
    def settings() -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        with shop.lock:
            shop.commit("settings_changed", {"settings": {key: item for key, item in wish.items() if key != "shop"}})
        return _json(shop["settings"])

    @control.post("/keys")
    def keys() -> Response:
        wish = _wish()
        return _json(_change_key(_shop(world, wish), wish))

    _products(control, world)
    _orders(control, world)
    _inspection(control, world)
    return control


def _products(control: Blueprint, world: World) -> None:
    @control.post("/products")
    def make_product() -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        row = catalogue.create(shop, wish)
        variations = [render.variation(shop, one) for one in shop["products"].values() if one["parent_id"] == row["id"]]
        return _json({**render.product(shop, row), "variation_rows": variations}, 201)

    @control.post("/products/<int:number>/<act>")
    def act_on_product(number: int, act: str) -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        if act == "edit":
            return _json(render.product(shop, catalogue.update(shop, number, wish)))
        if act not in {"trash", "delete"}:
            raise Refusal(404, "no_such_act", "edit, trash or delete")
        return _json(render.product(shop, catalogue.remove(shop, number, force=act == "delete")))


def _orders(control: Blueprint, world: World) -> None:
    @control.post("/orders")
    def make_order() -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        lines = wish.pop("lines", None)
        if lines is not None:
            wish["line_items"] = lines
        if "shipping_total" in wish:
            wish.setdefault("shipping_lines", [{"total": str(wish["shipping_total"])}])
        via = _VIA.get(str(wish.get("via") or "checkout"), "store-api")
        row = ordering.create(shop, wish, via, wish.get("gift_card", "0"))
        return _json(render.order(shop, row), 201)

    @control.post("/orders/<int:number>/<act>")
    def act_on_order(number: int, act: str) -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        perform = _ACTS.get(act)
        if perform is None:
            raise Refusal(404, "no_such_act", ", ".join(sorted(_ACTS)))
        return _json(render.order(shop, perform(shop, number, wish)))


def _inspection(control: Blueprint, world: World) -> None:
    @control.post("/queue")
    def queue() -> Response:
        wish = _wish()
        shop = _shop(world, wish)
        shop.queue_paused = wish.get("act") == "pause"
        if wish.get("act") == "run":
            while shop["queue"]:
                deliveries.deliver_next(shop)
        world.ring(shop)
        return _json({"queued": len(shop["queue"])})

    @control.post("/faults")
    def faults() -> Response:
        try:
            rules = json.loads(request.get_data())
            for rule in rules if isinstance(rules, list) else [rules]:
                world.faults.add(rule)
        except ValueError as error:
            raise Refusal(400, "bad_rule", str(error)) from error
        return _json(world.faults.list())

    @control.delete("/faults")
    def no_faults() -> Response:
        world.faults.clear()
        return _json([])

    @control.get("/state")
    def state() -> Response:
        return _json(
            {
                "shops": {slug: _state(shop) for slug, shop in world.shops.items()},
                "faults": world.faults.list(),
            }
        )

    @control.get("/ledger")
    def ledger() -> Response:
        return _json(world.ledger.lines())


def _state(shop: Shop) -> Row:
    """All rows but the secrets."""
    with shop.lock:
        found = {name: json.loads(json.dumps(shop[name])) for name in TABLES}
    for row in [*found["keys"].values(), *found["webhooks"].values()]:
        row.pop("secret")
    return found


def _change_key(shop: Shop, wish: Mapping[str, Any]) -> Row:
    """`act`: revoke (the key is gone), no_rights (403), owner_deleted (401), read_only, restore."""
    changes: dict[str, Row | None] = {
        "revoke": None,
        "no_rights": {"owner": "customer"},
        "owner_deleted": {"owner": "deleted"},
        "read_only": {"permissions": "read"},
        "restore": {"owner": "manager", "permissions": "read_write"},
    }
    act = str(wish.get("act"))
    if act not in changes:
        raise Refusal(404, "no_such_act", ", ".join(changes))
    with shop.lock:
        key = str(wish.get("consumer_key") or next(iter(shop["keys"]), ""))
        change, row = changes[act], shop["keys"].get(key)
        if row is None:
            raise Refusal(404, "no_such_key", "Name a key that exists.")
        shop.commit(f"key_{act}", {"keys": {key: None if change is None else {**row, **change}}})
    return {"consumer_key": key, "act": act}


def _pay(shop: Shop, number: int, wish: Mapping[str, Any]) -> Row:
    """As a gateway does it; from on-hold too, unlike `set_paid`."""
    row = ordering.find(shop, number)
    method = {"payment_method": wish.get("payment_method") or row["payment_method"] or "stripe"}
    transaction = {"transaction_id": wish.get("transaction_id") or f"ch_{number}"}
    return ordering.update(shop, number, {"status": "processing", **method, **transaction})


def _edit(shop: Shop, number: int, wish: Mapping[str, Any]) -> Row:
    body = {key: item for key, item in wish.items() if key not in {"shop", "lines"}}
    return ordering.update(shop, number, {**body, "line_items": wish.get("lines", wish.get("line_items", []))})


def _refund(shop: Shop, number: int, wish: Mapping[str, Any]) -> Row:
    """`lines`: `[{id, quantity, total, tax}]`, or `amount`, or neither for all that is left."""
    row = ordering.find(shop, number)
    lines = [
        {
            "id": line["id"],
            "quantity": line.get("quantity", 0),
            "refund_total": line.get("total", "0"),
            "refund_tax": [{"id": 1, "refund_total": line.get("tax", "0")}],
        }
        for line in wish.get("lines", [])
    ]
    before = sum((Decimal(str(one["amount"])) for one in render.refunds_of(shop, number)), Decimal(0))
    left = render.order_total(row) - before
    amount = wish.get("amount") or (None if lines else str(left))
    ordering.refund(
        shop,
        number,
        {"line_items": lines, "amount": amount, "api_refund": False, "reason": wish.get("reason", "")},
    )
    return ordering.find(shop, number)


_ACTS: dict[str, Callable[[Shop, int, Mapping[str, Any]], Row]] = {
    "pay": _pay,
    "edit": _edit,
    "refund": _refund,
    "cancel": lambda shop, number, _wish: ordering.update(shop, number, {"status": "cancelled"}),
    "status": lambda shop, number, wish: ordering.update(shop, number, {"status": str(wish.get("status"))}),
    "trash": lambda shop, number, _wish: ordering.trash(shop, number, force=False),
    "restore": lambda shop, number, _wish: ordering.restore(shop, number),
    "delete": lambda shop, number, _wish: ordering.trash(shop, number, force=True),
}
