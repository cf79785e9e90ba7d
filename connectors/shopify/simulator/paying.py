"""Transactions of an order: what was received and given back, by which gateway."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.shopify.simulator import amounts
from connectors.shopify.simulator.world import Record, World

GATEWAY = "shopify_payments"


def receive(world: World, order: Record, payments: list[Mapping[str, Any]]) -> None:
    """`payments`: [{gateway, amount, kind, status}]. Without an amount all that is still to be paid."""
    for payment in payments:
        outstanding = amounts.order_total(order, current=True) - amounts.kept(order)
        _record(world, order, {"kind": "SALE", "amount": outstanding, **payment})


def settle(world: World, order: Record, gateway: str = GATEWAY) -> None:
    """A paid order has what it costs."""
    if order["financial"] == "PAID" and amounts.order_total(order, current=True) > amounts.kept(order):
        receive(world, order, [{"gateway": gateway}])


def give_back(world: World, order: Record, amount: Decimal, asked: Mapping[str, Any]) -> None:
    """A refund; `gateway` and `refund_status` of it as asked. Never more than what was kept."""
    amount = min(amount, amounts.kept(order))
    if amount > 0:
        wish = {"gateway": asked.get("gateway", GATEWAY), "status": asked.get("refund_status", "SUCCESS")}
        _record(world, order, {"kind": "REFUND", "amount": amount, **wish})


def _record(world: World, order: Record, made: Mapping[str, Any]) -> None:
    order["transactions"].append(
        {
            "id": world.new_id(),
            "kind": str(made["kind"]).upper(),
            "status": str(made.get("status", "SUCCESS")).upper(),
            "gateway": str(made.get("gateway", GATEWAY)),
            "amount": str(made["amount"]),
        }
    )
