"""Mutations on fulfilment orders and fulfilments, with the refusals of the real API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.shopify.simulator.engine import Resolver, Run
from connectors.shopify.simulator.roots import fulfillment_of, fulfillment_order_of
from connectors.shopify.simulator.views import actions, line_of
from connectors.shopify.simulator.world import Record, World

Arguments = Mapping[str, Any]


class UserError(Exception):
    """A refusal that goes into `userErrors`."""


def _create(run: Run, _source: Any, arguments: Arguments) -> Record:
    asked = arguments["fulfillment"]
    try:
        order, pieces = _pieces(run, asked["lineItemsByFulfillmentOrder"])
        tracking = read_tracking(asked.get("trackingInfo") or {})
    except UserError as error:
        return _refused("fulfillment", str(error))
    made = fulfill(run.world, order, pieces, tracking)
    _tell(run, "fulfillments/create", order, fulfillment=made)
    _tell(run, "orders/updated", order)
    return {"fulfillment": made | {"order": order}, "userErrors": []}


def _pieces(run: Run, groups: Sequence[Arguments]) -> tuple[Record, list[tuple[Record, Record, int]]]:
    """The order and (fulfilment order, its line, quantity) of the input. Raises `UserError`."""
    pieces: list[tuple[Record, Record, int]] = []
    orders: list[Record] = []
    for group in groups:
        found = fulfillment_order_of(run, group["fulfillmentOrderId"])
        if found is None:
            raise UserError("Fulfillment order does not exist.")
        order, routed = found
        orders.append(order)
        if "CREATE_FULFILLMENT" not in actions(run, routed):
            raise UserError(
                f"Fulfillment order {routed['id']} has an unfulfillable status= {routed['status'].lower()}."
            )
        wanted = group.get("fulfillmentOrderLineItems")
        if wanted is None:
            pieces += [(routed, item, item["remaining"]) for item in routed["lines"] if item["remaining"]]
            continue
        pieces += [(routed, *_item(routed, want)) for want in wanted]
    if not pieces:
        raise UserError("Fulfillment must have at least one line item.")
    if len({order["id"] for order in orders}) > 1 or len({routed["location"] for routed, _, _ in pieces}) > 1:
        raise UserError("All fulfillment orders must be of the same order and assigned to the same location.")
    return orders[0], pieces


def _item(routed: Record, want: Arguments) -> tuple[Record, int]:
    for item in routed["lines"]:
        if want["id"] == f"gid://shopify/FulfillmentOrderLineItem/{item['id']}":
            if not 0 < want["quantity"] <= item["remaining"]:
                raise UserError("Invalid fulfillment order line item quantity requested.")
            return item, want["quantity"]
    raise UserError("Fulfillment order line item does not exist.")


def read_tracking(given: Arguments) -> list[Record]:
    """`FulfillmentTrackingInput` as shown later. Raises `UserError`."""
    if (given.get("number") and given.get("numbers")) or (given.get("url") and given.get("urls")):
        raise UserError("Provide either the singular or the plural tracking fields, not both.")
    numbers = given.get("numbers") or ([given["number"]] if given.get("number") else [])
    urls = given.get("urls") or ([given["url"]] if given.get("url") else [])
    return [
        {"company": given.get("company"), "number": text, "url": urls[index] if index < len(urls) else None}
        for index, text in enumerate(numbers)
    ]


def fulfill(
    world: World, order: Record, pieces: Sequence[tuple[Record, Record, int]], tracking: list[Record]
) -> Record:
    """Carry out a fulfilment and write it into the ledger."""
    now = int(world.now())
    for routed, item, quantity in pieces:
        item["remaining"] -= quantity
        line_of(order, item["line"])["fulfilled"] += quantity
        routed["updated_at"] = now
        done = not any(part["remaining"] for part in routed["lines"])
        routed["status"] = "CLOSED" if done else "IN_PROGRESS"
    made = {
        "id": world.new_id(),
        "position": len(order["fulfillments"]) + 1,
        "status": "SUCCESS",
        "created_at": now,
        "updated_at": now,
        "tracking": tracking,
        "lines": [{"id": world.new_id(), "line": item["line"], "quantity": quantity} for _, item, quantity in pieces],
        "pieces": [[routed["id"], item["id"], quantity] for routed, item, quantity in pieces],
    }
    order["fulfillments"].append(made)
    world.touch(order)
    world.commit("fulfillment_created", order=order, **described(order, made))
    return made


def described(order: Record, fulfillment: Record) -> Record:
    """A fulfilment in the ledger's words."""
    return {
        "shop_domain": order["shop"],
        "order_id": str(order["id"]),
        "fulfillment_id": str(fulfillment["id"]),
        "tracking": fulfillment["tracking"],
        "lines": [{"line_id": str(item["line"]), "quantity": item["quantity"]} for item in fulfillment["lines"]],
    }


def _track(run: Run, _source: Any, arguments: Arguments) -> Record:
    found = fulfillment_of(run, arguments["fulfillmentId"])
    if found is None:
        return _refused("fulfillment", "Fulfillment does not exist.")
    order, fulfillment = found
    if fulfillment["status"] == "CANCELLED":
        return _refused("fulfillment", "Fulfillment is cancelled.")
    try:
        fulfillment["tracking"] = read_tracking(arguments["trackingInfoInput"])
    except UserError as error:
        return _refused("fulfillment", str(error))
    fulfillment["updated_at"] = int(run.world.now())
    run.world.touch(order)
    run.world.commit("fulfillment_updated", order=order, **described(order, fulfillment))
    _tell(run, "fulfillments/update", order, fulfillment=fulfillment)
    return {"fulfillment": fulfillment | {"order": order}, "userErrors": []}


def _cancel(run: Run, _source: Any, arguments: Arguments) -> Record:
    found = fulfillment_of(run, arguments["id"])
    if found is None or found[1]["status"] == "CANCELLED":
        return _refused("fulfillment", "Fulfillment does not exist or is cancelled.")
    order, fulfillment = found
    fulfillment["status"] = "CANCELLED"
    for routed_id, item_id, quantity in fulfillment["pieces"]:
        routed = next(item for item in order["fulfillment_orders"] if item["id"] == routed_id)
        item = next(part for part in routed["lines"] if part["id"] == item_id)
        item["remaining"] += quantity
        line_of(order, item["line"])["fulfilled"] -= quantity
        routed["status"] = "OPEN"
    run.world.touch(order)
    run.world.commit("fulfillment_cancelled", order=order, **described(order, fulfillment))
    _tell(run, "fulfillments/update", order, fulfillment=fulfillment)
    return {"fulfillment": fulfillment | {"order": order}, "userErrors": []}


def _request(before: str, after: str, event: str, topic: str) -> Resolver:
    """A mutation that answers a request of the merchant."""

    def answer(run: Run, _source: Any, arguments: Arguments) -> Record:
        found = fulfillment_order_of(run, arguments["id"])
        if found is None:
            return _refused("fulfillmentOrder", "Fulfillment order does not exist.")
        order, routed = found
        if routed["location"] != "ours" or routed["request"] != before:
            return _refused("fulfillmentOrder", f"Cannot do this while the request is {routed['request'].lower()}.")
        routed["request"] = after
        routed["status"] = {"ACCEPTED": "IN_PROGRESS", "CANCELLATION_ACCEPTED": "CANCELLED"}.get(
            after, routed["status"]
        )
        if after == "REJECTED":
            routed["status"] = "OPEN"
        if after == "CANCELLATION_ACCEPTED":
            _replace(run.world, order, routed)
        run.world.touch(order)
        lines = [{"line_id": str(item["line"]), "quantity": item["remaining"]} for item in routed["lines"]]
        run.world.commit(
            event,
            order=order,
            shop_domain=order["shop"],
            order_id=str(order["id"]),
            fulfillment_order_id=str(routed["id"]),
            reason=arguments.get("reason"),
            lines=lines,
        )
        _tell(run, topic, order, fulfillment_order=routed)
        return {"fulfillmentOrder": routed | {"order": order}, "userErrors": []}

    return answer


def _replace(world: World, order: Record, routed: Record) -> None:
    """A cancelled fulfilment order leaves a new, open one behind."""
    now = int(world.now())
    fresh = {
        **routed,
        "id": world.new_id(),
        "status": "OPEN",
        "request": "UNSUBMITTED",
        "created_at": now,
        "lines": [{**item, "id": world.new_id()} for item in routed["lines"] if item["remaining"]],
    }
    for item in routed["lines"]:
        item["remaining"] = 0
    order["fulfillment_orders"].append(fresh)


def _refused(field: str, message: str) -> Record:
    name = "fulfillmentOrder" if field == "fulfillmentOrder" else "fulfillment"
    return {name: None, "userErrors": [{"field": [field], "message": message}]}


def _tell(run: Run, topic: str, order: Record, **parts: Record) -> None:
    run.world.tell(topic, run.shop, order, **parts)


WRITES: dict[tuple[str, str], Resolver] = {
    ("Mutation", "fulfillmentCreate"): _create,
    ("Mutation", "fulfillmentTrackingInfoUpdate"): _track,
    ("Mutation", "fulfillmentCancel"): _cancel,
    ("Mutation", "fulfillmentOrderAcceptFulfillmentRequest"): _request(
        "SUBMITTED", "ACCEPTED", "request_accepted", "fulfillment_orders/fulfillment_request_accepted"
    ),
    ("Mutation", "fulfillmentOrderRejectFulfillmentRequest"): _request(
        "SUBMITTED", "REJECTED", "request_rejected", "fulfillment_orders/fulfillment_request_rejected"
    ),
    ("Mutation", "fulfillmentOrderAcceptCancellationRequest"): _request(
        "CANCELLATION_REQUESTED",
        "CANCELLATION_ACCEPTED",
        "cancellation_accepted",
        "fulfillment_orders/cancelled",
    ),
    ("Mutation", "fulfillmentOrderRejectCancellationRequest"): _request(
        "CANCELLATION_REQUESTED",
        "CANCELLATION_REJECTED",
        "cancellation_rejected",
        "fulfillment_orders/cancellation_request_rejected",
    ),
}
