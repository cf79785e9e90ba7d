"""What a merchant, a buyer or somebody else does to an order: the acts of the control endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from connectors.shopify.simulator import amounts, fulfilling, making, paying
from connectors.shopify.simulator.views import OPEN, line_of
from connectors.shopify.simulator.world import ProblemError, Record, World

Asked = Mapping[str, Any]
Act = Callable[[World, Record, Record, Asked], None]


def _commit(world: World, event: str, order: Record, **details: Any) -> None:
    world.touch(order)
    world.commit(event, order=order, shop_domain=order["shop"], order_id=str(order["id"]), **details)


def _pay(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """By `gateway`; `manual` is "mark as paid"."""
    order["financial"] = "PAID"
    paying.settle(world, order, str(asked.get("gateway", paying.GATEWAY)))
    _commit(world, "order_paid", order)
    world.tell("orders/paid", shop, order)
    world.tell("orders/updated", shop, order)


def _financial(world: World, shop: Record, order: Record, asked: Asked) -> None:
    order["financial"] = str(asked["status"]).upper()
    paying.settle(world, order)
    _commit(world, "order_financial_status", order, status=order["financial"])
    world.tell("orders/updated", shop, order)


def _edit(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """`changes`: [{line, quantity}] sets the current quantity; `add`: new lines. Not of a cancelled order."""
    if order["cancelled_at"]:
        raise ProblemError("a cancelled order cannot be edited")
    for change in asked.get("changes") or []:
        line = _line(order, change["line"])
        wanted = int(change["quantity"])
        if wanted > line["current"]:
            _more(world, shop, order, line, wanted - line["current"])
            line["quantity"] = max(line["quantity"], wanted)
        elif wanted < line["current"]:
            _less(order, line, line["current"] - wanted)
        line["current"] = wanted
    for added in asked.get("add") or []:
        line = making.make_line(world, shop, added)
        order["lines"].append(line)
        _route(world, shop, order, line, line["quantity"])
    if asked.get("financial_status"):
        order["financial"] = str(asked["financial_status"]).upper()
    paying.settle(world, order)
    _commit(world, "order_edited", order)
    world.tell("orders/edited", shop, order, changes={})
    world.tell("orders/updated", shop, order)


def _line(order: Record, ref: Any) -> Record:
    """A line by id, or by its place (0 is the first)."""
    number = int(ref)
    if 0 <= number < len(order["lines"]):
        found: Record = order["lines"][number]
        return found
    try:
        return line_of(order, number)
    except StopIteration:
        raise ProblemError(f"no line {ref}") from None


def _items(order: Record, line: Record) -> list[tuple[Record, Record]]:
    return [
        (routed, item)
        for routed in order["fulfillment_orders"]
        if routed["status"] in OPEN
        for item in routed["lines"]
        if item["line"] == line["id"]
    ]


def _less(order: Record, line: Record, pieces: int) -> None:
    """Take pieces out of the open fulfilment orders; one that is empty is closed."""
    for routed, item in _items(order, line):
        taken = min(pieces, item["remaining"])
        item["remaining"] -= taken
        item["total"] -= taken
        pieces -= taken
        if not any(part["remaining"] for part in routed["lines"]):
            routed["status"] = "CLOSED"


def _more(world: World, shop: Record, order: Record, line: Record, pieces: int) -> None:
    """Into an open fulfilment order of the line, else into a new one (unconfirmed: that the shop opens one)."""
    for _routed, item in _items(order, line)[:1]:
        item["remaining"] += pieces
        item["total"] += pieces
        return
    _route(world, shop, order, line, pieces)


def _route(world: World, shop: Record, order: Record, line: Record, pieces: int) -> None:
    location = line["location"] or ("ours" if shop["our_location"] else "merchant")
    order["fulfillment_orders"].append(making.new_fulfillment_order(world, location, [(line["id"], pieces)]))


def _cancel(world: World, shop: Record, order: Record, asked: Asked) -> None:
    order["cancelled_at"] = int(world.now())
    order["cancel_reason"] = str(asked.get("reason", "CUSTOMER")).upper()
    was_paid = order["financial"] in ("PAID", "PARTIALLY_REFUNDED")
    order["financial"] = "REFUNDED" if was_paid and asked.get("refund", True) else order["financial"]
    order["financial"] = order["financial"] if was_paid else "VOIDED"
    for routed in order["fulfillment_orders"]:
        if routed["status"] in OPEN:
            routed["status"] = "CANCELLED"
            for item in routed["lines"]:
                item["remaining"] = 0
    for line in order["lines"]:
        line["current"] = line["fulfilled"]
    if order["financial"] == "REFUNDED":
        paying.give_back(world, order, amounts.kept(order), asked)
    _commit(world, "order_cancelled", order)
    world.tell("orders/cancelled", shop, order)
    world.tell("orders/updated", shop, order)
    if was_paid:
        world.tell("refunds/create", shop, order)


def _refund(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """`lines`: [{line, quantity}]; `amount`: money without pieces; `shipping`: of what was paid for it; `full`: all.

    `gateway`: where the money goes (`shopify_store_credit`, …); `refund_status`: PENDING while it is under way.
    """
    before = amounts.order_total(order, current=True)
    back = {name: str(asked.get(name, "0.00")) for name in ("amount", "shipping")}
    if Decimal(back["shipping"]) > amounts.shipping_now(order) or Decimal(back["amount"]) > amounts.kept(order):
        raise ProblemError("more money than is left")
    given = asked.get("lines") or []
    for part in given:
        line = _line(order, part["line"])
        pieces = int(part.get("quantity", line["current"]))
        if not 0 < pieces <= line["current"]:
            raise ProblemError("more than is left")
        _less(order, line, pieces)
        line["current"] -= pieces
    nothing_left = not any(line["current"] for line in order["lines"])
    if asked.get("full") or (given and nothing_left):
        order["financial"] = "REFUNDED"
    else:
        order["financial"] = "PARTIALLY_REFUNDED"
    order["refunds"].append({"id": world.new_id(), "order_id": order["id"], **back})
    pieces_and_shipping = before - amounts.order_total(order, current=True)
    whole = amounts.kept(order) if asked.get("full") else pieces_and_shipping + Decimal(back["amount"])
    paying.give_back(world, order, whole, asked)
    _commit(world, "order_refunded", order, status=order["financial"])
    world.tell("refunds/create", shop, order)
    world.tell("orders/updated", shop, order)


def _address(world: World, shop: Record, order: Record, asked: Asked) -> None:
    order["address"] = {**(order["address"] or {}), **asked["address"]} if asked.get("address") else None
    _commit(world, "order_address", order)
    world.tell("orders/updated", shop, order)


def _risk(world: World, shop: Record, order: Record, asked: Asked) -> None:
    order["risk"] = {
        "recommendation": str(asked.get("recommendation", "NONE")).upper(),
        "levels": [str(level).upper() for level in asked.get("levels") or []],
    }
    _commit(world, "order_risk", order, recommendation=order["risk"]["recommendation"])
    world.tell("orders/risk_assessment_changed", shop, order)


def _hold(world: World, shop: Record, order: Record, asked: Asked) -> None:
    release = bool(asked.get("release"))
    for routed in order["fulfillment_orders"]:
        if routed["status"] not in OPEN:
            continue
        reason = str(asked.get("reason", "OTHER")).upper()
        routed["holds"] = [] if release else [{"id": world.new_id(), "reason": reason}]
        routed["status"] = "OPEN" if release else "ON_HOLD"
        topic = "hold_released" if release else "placed_on_hold"
        world.tell(f"fulfillment_orders/{topic}", shop, order, fulfillment_order=routed)
    _commit(world, "hold_released" if release else "order_held", order)


def _open_ones(order: Record, location: str) -> list[Record]:
    return [item for item in order["fulfillment_orders"] if item["status"] in OPEN and item["location"] == location]


def _request(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """The merchant asks us to fulfil; with `line` and `quantity` only a part, which splits the fulfilment order."""
    wanted = [item for item in _open_ones(order, "ours") if item["request"] in ("UNSUBMITTED", "REJECTED")]
    if not wanted:
        raise ProblemError("no fulfilment order at our location can be requested")
    for routed in wanted:
        if "line" in asked:
            _split_off(world, order, routed, _line(order, asked["line"]), int(asked.get("quantity", 1)))
        routed["request"] = "SUBMITTED"
        world.tell("fulfillment_orders/fulfillment_request_submitted", shop, order, fulfillment_order=routed)
    _commit(world, "fulfillment_requested", order)


def _split_off(world: World, order: Record, routed: Record, line: Record, keep: int) -> Record:
    """Leave `keep` pieces of the line in the fulfilment order, the rest of it goes into a new one."""
    rest = []
    for item in routed["lines"]:
        stays = keep if item["line"] == line["id"] else 0
        if item["remaining"] > stays:
            rest.append((item["line"], item["remaining"] - stays))
            item["remaining"] = item["total"] = stays
    routed["lines"] = [item for item in routed["lines"] if item["total"]]
    fresh = making.new_fulfillment_order(world, routed["location"], rest)
    order["fulfillment_orders"].append(fresh)
    return fresh


def _request_cancellation(world: World, shop: Record, order: Record, _asked: Asked) -> None:
    wanted = [item for item in _open_ones(order, "ours") if item["request"] in ("ACCEPTED", "CANCELLATION_REJECTED")]
    if not wanted:
        raise ProblemError("no accepted request at our location")
    for routed in wanted:
        routed["request"] = "CANCELLATION_REQUESTED"
        world.tell("fulfillment_orders/cancellation_request_submitted", shop, order, fulfillment_order=routed)
    _commit(world, "cancellation_requested", order)


def _move(world: World, shop: Record, order: Record, asked: Asked) -> None:
    target = str(asked.get("to", "ours"))
    source = "merchant" if target == "ours" else "ours"
    for routed in _open_ones(order, source):
        lines = [(item["line"], item["remaining"]) for item in routed["lines"] if item["remaining"]]
        fresh = making.new_fulfillment_order(world, target, lines)
        routed["status"] = "CLOSED"
        for item in routed["lines"]:
            item["remaining"] = 0
        order["fulfillment_orders"].append(fresh)
        world.tell("fulfillment_orders/moved", shop, order, fulfillment_order=routed, other=fresh)
    _commit(world, "fulfillment_orders_moved", order, to=target)


def _split(world: World, shop: Record, order: Record, asked: Asked) -> None:
    line = _line(order, asked.get("line", 0))
    for routed, _item in _items(order, line)[:1]:
        fresh = _split_off(world, order, routed, line, int(asked.get("quantity", 1)))
        world.tell("fulfillment_orders/split", shop, order, fulfillment_order=routed, other=fresh)
    _commit(world, "fulfillment_order_split", order)


def _fulfil(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """Somebody else fulfils: `lines` [{line, quantity}] or everything; `tracking` as in the API."""
    pieces: list[tuple[Record, Record, int]] = []
    wanted = asked.get("lines") or [{"line": line["id"]} for line in order["lines"]]
    for part in wanted:
        line = _line(order, part["line"])
        left = int(part.get("quantity", line["current"]))
        for routed, item in _items(order, line):
            taken = min(left, item["remaining"])
            if taken:
                pieces.append((routed, item, taken))
                left -= taken
    if not pieces:
        raise ProblemError("nothing is left to fulfil")
    made = fulfilling.fulfill(world, order, pieces, fulfilling.read_tracking(asked.get("tracking") or {}))
    world.tell("fulfillments/create", shop, order, fulfillment=made)
    world.tell("orders/updated", shop, order)


def _delete(world: World, shop: Record, order: Record, _asked: Asked) -> None:
    order["deleted"] = True
    _commit(world, "order_deleted", order)
    world.tell("orders/delete", shop, order)


def _touch(world: World, shop: Record, order: Record, _asked: Asked) -> None:
    _commit(world, "order_touched", order)
    world.tell("orders/updated", shop, order)


def _age(world: World, shop: Record, order: Record, asked: Asked) -> None:
    """It was placed so many `days` earlier than it was."""
    order["created_at"] -= int(float(asked["days"]) * 86_400)
    _commit(world, "order_aged", order)
    world.tell("orders/updated", shop, order)


ACTS: dict[str, Act] = {
    "age": _age,
    "pay": _pay,
    "financial": _financial,
    "edit": _edit,
    "cancel": _cancel,
    "refund": _refund,
    "address": _address,
    "risk": _risk,
    "hold": _hold,
    "request_fulfillment": _request,
    "request_cancellation": _request_cancellation,
    "move": _move,
    "split": _split,
    "fulfill": _fulfil,
    "delete": _delete,
    "touch": _touch,
}
