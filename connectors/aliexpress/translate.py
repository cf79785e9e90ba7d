"""An AliExpress order in our words. Pure. Source: reference, sections 7.3 and 8.

Unknown words are never good news.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from app.ports.money import Money
from app.ports.supplier import OrderPayment, OrderShipping, SupplierOrder, SupplierOrderItem
from connectors.aliexpress import wire
from connectors.aliexpress.instants import local_instants, zoned_instant

_PAID_STATUSES = frozenset({"WAIT_SELLER_SEND_GOODS", "SELLER_PART_SEND_GOODS", "WAIT_BUYER_ACCEPT_GOODS"})
_ALWAYS_CHECKING = frozenset(
    {
        "PAYMENT_PROCESSING",
        "RISK_CONTROL",
        "RISK_CONTROL_HOLD",
        "WAIT_SELLER_EXAMINE_MONEY",
        "FUND_PROCESSING",
    }
)
_LATE_STATUSES = frozenset({"FINISH", "IN_CANCEL", "IN_ISSUE", "IN_FROZEN", "WAIT_GROUP", "WAIT_COMPLETE_ADDRESS"})
_SHIPPING = {
    "SELLER_SEND_PART_GOODS": OrderShipping.PART,
    "SELLER_PART_SEND_GOODS": OrderShipping.PART,
    "SELLER_SEND_GOODS": OrderShipping.SHIPPED,
    "WAIT_BUYER_ACCEPT_GOODS": OrderShipping.SHIPPED,
    "BUYER_ACCEPT_GOODS": OrderShipping.DELIVERED,
}
_FORWARD = (OrderShipping.NONE, OrderShipping.PART, OrderShipping.SHIPPED, OrderShipping.DELIVERED)
_LONGEST_PAY_WINDOW = 400 * 86_400


def payment_of(status: str, *, paid_time: bool, shipping: OrderShipping) -> OrderPayment:
    """Whether the money is there. Only a plainly unpaid order is `unpaid`.

    For that word invites somebody to pay.
    """
    if status == "PLACE_ORDER_SUCCESS":
        return OrderPayment.CHECKING if paid_time else OrderPayment.UNPAID
    if status in _ALWAYS_CHECKING:
        return OrderPayment.CHECKING
    if status in _PAID_STATUSES:
        return OrderPayment.PAID
    if status in _LATE_STATUSES and (paid_time or shipping is not OrderShipping.NONE):
        return OrderPayment.PAID
    return OrderPayment.UNPAID if status == "FINISH" else OrderPayment.CHECKING


def shipping_of(status: str, logistics_status: str) -> OrderShipping:
    """How far the parcels are: the further of what the two status fields say."""
    said = (_SHIPPING.get(status, OrderShipping.NONE), _SHIPPING.get(logistics_status, OrderShipping.NONE))
    return max(said, key=_FORWARD.index)


def read_order(order_id: str, result: dict[str, Any], zone: str) -> SupplierOrder:
    """The order of a `trade.ds.order.get` answer. Raises ValueError if status, total or items are missing."""
    status = wire.text(result.get("order_status"))
    if not status:
        raise ValueError("no order_status")
    shipping = shipping_of(status, wire.text(result.get("logistics_status")))
    paid_at = zoned_instant(result.get("order_paidtime_string"), zone)
    paid_time = bool(wire.text(result.get("order_paidtime_string")))
    payment = payment_of(status, paid_time=paid_time, shipping=shipping)
    expired = status == "FINISH" and payment is OrderPayment.UNPAID
    received = status == "FINISH" and shipping is OrderShipping.DELIVERED
    items = _items(result, closed_anyway=expired, received=received)
    closed = all(item.closed for item in items)
    if status == "FINISH" and payment is OrderPayment.PAID and not any(item.closed for item in items):
        shipping = OrderShipping.DELIVERED
    created = local_instants(result.get("gmt_create"), zone)
    window = wire.number(result.get("pay_timeout_second"))
    waits = payment is not OrderPayment.PAID and not closed
    pay_until = None
    if created and window is not None and 0 < window <= _LONGEST_PAY_WINDOW and waits:
        with suppress(OverflowError):  # a time near the end of the calendar is no time
            pay_until = created[0] + timedelta(seconds=window)
    return SupplierOrder(
        order_id=order_id,
        status=status,
        payment=payment,
        shipping=shipping,
        closed=closed,
        total=_total(result),
        created_at=created[0] if created else None,
        created_at_alternatives=created if len(created) > 1 else (),
        paid_at=paid_at,
        pay_until=pay_until,
        items=items,
    )


def _total(result: dict[str, Any]) -> Money:
    """The order's total; the payer's currency only where the order's own amount is missing."""
    for name in ("order_amount", "user_order_amount"):
        block = wire.mapping(result.get(name))
        if block:
            return Money.parse(wire.amount_text(block.get("amount")), wire.text(block.get("currency_code")))
    raise ValueError("no order_amount")


def _items(result: dict[str, Any], *, closed_anyway: bool, received: bool) -> tuple[SupplierOrderItem, ...]:
    """Child orders. An end reason on a received order is not a closing: the parcel arrived."""
    found = tuple(
        SupplierOrderItem(
            product_id=wire.identity(child.get("product_id")),
            sku_id=wire.identity(child.get("sku_id")),
            quantity=wire.number(child.get("product_count")) or 0,
            closed=closed_anyway or (bool(wire.text(child.get("end_reason"))) and not received),
            closed_reason=wire.text(child.get("end_reason_desc")) or wire.text(child.get("end_reason")),
        )
        for child in map(wire.mapping, wire.rows(result.get("child_order_list")))
        if child
    )
    if not found:
        raise ValueError("no child orders")
    return found
