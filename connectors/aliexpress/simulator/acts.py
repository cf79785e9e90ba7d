"""What people and time do to orders: pay, ship, deliver, close, cancel. Source.

Reference, sections 8 and 12.
"""

from __future__ import annotations

import heapq
from typing import Any

from connectors.aliexpress.simulator.records import Order
from connectors.aliexpress.simulator.world import World


class Impossible(Exception):
    """The act does not fit the order's state."""


def order_of(world: World, order_id: str) -> Order:
    """The order. Raises `Impossible`."""
    order = world.orders.get(order_id)
    if order is None:
        raise Impossible(f"no order {order_id}")
    return order


def pay(world: World, order_id: str, *, by: str = "person") -> None:
    """Pay an unpaid order."""
    with world.lock:
        order = order_of(world, order_id)
        if order.paid is not None or order.status == "FINISH":
            raise Impossible(f"order {order_id} is paid or closed")
        world.record({"op": "pay", "order_id": order_id, "by": by, "total": str(order.total)})
        world.pushes.order_event(order_id, order.user_id, "PaymentAuthorized")


def ship(world: World, order_id: str, parcels: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Ship a paid order; without parcels, all that is left goes in one.

    Items are child orders with quantities.
    """
    with world.lock:
        order = order_of(world, order_id)
        if order.paid is None or order.status not in {"WAIT_SELLER_SEND_GOODS", "SELLER_PART_SEND_GOODS"}:
            raise Impossible(f"order {order_id} is not waiting for shipment")
        full = [_parcel(order, row, number) for number, row in enumerate(parcels or [{}], len(order.parcels) + 1)]
        world.record({"op": "ship", "order_id": order_id, "parcels": full})
        world.pushes.order_event(order_id, order.user_id, "OrderShipped")
        return full


def _parcel(order: Order, row: dict[str, Any], number: int) -> dict[str, Any]:
    left = [
        {"product_id": item.product_id, "sku_id": item.sku_id, "quantity": item.quantity - item.shipped}
        for item in order.items
        if item.quantity > item.shipped and not item.end_reason
    ]
    return {
        "tracking_number": str(row.get("tracking_number") or f"SIM{order.order_id[-10:]}{number:02d}CN"),
        "carrier": str(row.get("carrier") or "AliExpress Selection Standard"),
        "website": str(row.get("website") or ""),
        "items": row.get("items") or left,
    }


def deliver(world: World, order_id: str) -> None:
    """The buyer has it all."""
    with world.lock:
        order = order_of(world, order_id)
        if not order.parcels or order.status == "FINISH":
            raise Impossible(f"order {order_id} is not on its way")
        world.record({"op": "deliver", "order_id": order_id})
        world.pushes.order_event(order_id, order.user_id, "OrderConfirmed")


def close(world: World, order_id: str, *, by: str = "person") -> None:
    """Close an order that nobody paid."""
    with world.lock:
        order = order_of(world, order_id)
        if order.paid is not None or order.status == "FINISH":
            raise Impossible(f"order {order_id} is paid or closed")
        world.record({"op": "close", "order_id": order_id, "by": by, "reason": "PAY_TIMEOUT"})
        world.pushes.order_event(order_id, order.user_id, "OrderClosed")


def cancel(world: World, order_id: str, sku_ids: list[str] | None = None, status: str = "FINISH") -> None:
    """Cancel an order, paid or not, or some of its child orders."""
    with world.lock:
        order = order_of(world, order_id)
        if order.status == "FINISH":
            raise Impossible(f"order {order_id} is closed")
        line = {"op": "cancel", "order_id": order_id, "reason": "CANCELED", "order_status": status}
        world.record({**line, "sku_ids": sku_ids} if sku_ids else line)
        world.pushes.order_event(order_id, order.user_id, "OrderClosed")


def renumber(world: World, order_id: str, old: str, new: str) -> None:
    """Replace a provisional tracking number."""
    with world.lock:
        order = order_of(world, order_id)
        if old not in {parcel.tracking_number for parcel in order.parcels}:
            raise Impossible(f"no parcel {old}")
        world.record({"op": "renumber", "order_id": order_id, "old": old, "new": new})


def set_status(world: World, order_id: str, changes: dict[str, str]) -> None:
    """Put an order into any status of section 8 (risk checks, disputes, future words)."""
    with world.lock:
        order_of(world, order_id)
        world.record({"op": "status", "order_id": order_id, **changes})


def run_due(world: World) -> None:
    """Let happen what time brings: unpaid orders close, automatic shipping and delivery."""
    if not world.due or world.due[0][0] > world.now():
        return
    with world.lock:
        while world.due and world.due[0][0] <= world.now():
            _at, order_id, act = heapq.heappop(world.due)
            order = world.orders[order_id]
            if act == "close" and order.paid is None and order.status != "FINISH":
                close(world, order_id, by="timeout")
            elif act == "ship" and order.status == "WAIT_SELLER_SEND_GOODS" and not order.parcels:
                ship(world, order_id)
            elif act == "deliver" and order.status == "WAIT_BUYER_ACCEPT_GOODS":
                deliver(world, order_id)
