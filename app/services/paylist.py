"""The pay list: which supplier orders to pay, nearest deadline first, and which not to pay, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import UNCLEAR
from app.models import Purchase, Shop, StoreOrder, SupplierAccount, SupplierOrder, Task
from app.pipeline import computed
from app.pipeline.match import TOO_MUCH
from app.ports.money import Money
from app.services import standing

_OPEN = (SupplierOrder.payment != "paid", SupplierOrder.closed.is_(False))


def listed(container: Container, *, shop_id: int | None = None) -> dict[str, Any]:
    """`pay`, `do_not_pay` (each a list of supplier orders), `totals` by currency, and `pay_all_urls` by account.

    An order with a `note` holds pieces that the buyer does not want any more: it is not among those that are paid
    together, since its merchant may rather cancel it.
    """
    with container.database.transaction() as session:
        pay, blocked = _attached(container, session, shop_id)
        blocked += _orphans(container, session) if shop_id is None else []
    totals: dict[str, int] = {}
    accounts: dict[int, list[str]] = {}
    suppliers: dict[int, str] = {}
    for entry in pay:
        if entry["total_minor"] is not None:
            totals[entry["currency"]] = totals.get(entry["currency"], 0) + entry["total_minor"]
        if not entry["note"]:
            accounts.setdefault(entry["account_id"], []).append(entry["supplier_order"])
        suppliers[entry["account_id"]] = entry["supplier"]
    return {
        "pay": pay,
        "do_not_pay": blocked,
        "totals": {currency: str(Money(minor, currency)) for currency, minor in totals.items()},
        "pay_all_urls": {
            str(account): container.connectors.suppliers[suppliers[account]].pay_url(ids)
            for account, ids in accounts.items()
        },
    }


def _attached(
    container: Container, session: Session, shop_id: int | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    query = (
        sa.select(SupplierOrder, Purchase, StoreOrder.number, Shop.name)
        .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .join(Shop, Shop.id == Purchase.shop_id)
        .where(
            *_OPEN,
            sa.or_(
                Purchase.state.in_(("PLACED_UNPAID", "PAY_BLOCKED")),
                SupplierOrder.role == "duplicate",
                sa.and_(SupplierOrder.payment == "unpaid", Purchase.state.in_(UNCLEAR)),
                # A second order of a purchase that is paid otherwise: it turned up late.
                sa.and_(
                    SupplierOrder.payment == "unpaid", Purchase.state.in_(("PLACED_PAID", "PART_SHIPPED", "SHIPPED"))
                ),
            ),
        )
        .order_by(SupplierOrder.pay_until.asc().nulls_last(), SupplierOrder.id)
    )
    if shop_id is not None:
        query = query.where(Purchase.shop_id == shop_id)
    pay, blocked = [], []
    rows = session.execute(query).all()
    ids = {row.Purchase.id for row in rows}
    whole, too_much = _bought(session, ids), _too_much(session, ids)
    for order, purchase, number, shop in rows:
        entry = _entry(container, order, purchase.supplier) | {
            "purchase_id": purchase.id,
            "order_id": purchase.order_id,
            "number": number,
            "shop_id": purchase.shop_id,
            "shop": shop,
            "limit": _limit(purchase),
        }
        reason = _why_not(order, purchase) or _over(whole.get(purchase.id, ()), purchase)
        if reason:
            blocked.append({**entry, "reason": reason, "pay_url": ""})
        elif order.payment == "unpaid":
            pay.append({**entry, "pay_failed": order.pay_failed, "note": too_much.get(purchase.id, "")})
    return pay, blocked


def _too_much(session: Session, purchase_ids: Collection[int]) -> dict[int, str]:
    """Of purchases that hold more than is wanted: what their merchant was told, until they have decided."""
    key = Task.dedupe_key
    told = sa.select(Task.purchase_id, Task.text).where(
        Task.purchase_id.in_(purchase_ids),
        sa.and_(key.op("~>=~")(f"{TOO_MUCH}:"), key.op("~<~")(f"{TOO_MUCH};")),  # the order of bytes of its index
        ~Task.over,
        Task.done_at.is_(None),
    )
    return {purchase_id or 0: text for purchase_id, text in session.execute(told.order_by(Task.id))}


def _bought(session: Session, purchase_ids: Collection[int]) -> dict[int, list[SupplierOrder]]:
    """The orders of each of these purchases, those that are paid too, without duplicates."""
    found: dict[int, list[SupplierOrder]] = {}
    mine = sa.select(SupplierOrder).where(SupplierOrder.purchase_id.in_(purchase_ids), SupplierOrder.role == "bought")
    for order in session.scalars(mine.order_by(SupplierOrder.id)):
        found.setdefault(order.purchase_id or 0, []).append(order)
    return found


def _over(orders: Sequence[SupplierOrder], purchase: Purchase) -> str:
    """All orders of a purchase together must not cost more than the limit, those that are paid already included."""
    alive = [order for order in orders if not order.closed and order.total is not None]
    if not computed.over(purchase, alive):
        return ""
    sums: dict[str, int] = {}
    for order in alive:
        sums[order.currency] = sums.get(order.currency, 0) + (order.total or 0)
    whole = [Money(minor, currency) for currency, minor in sums.items()]
    if len(whole) == 1 and computed.approved(purchase, whole[0]):
        return ""
    facts = {"total": " + ".join(map(str, whole)), "limit": _limit(purchase)}
    return standing.because("price_over_limit", facts)[0]


def _limit(purchase: Purchase) -> str:
    """The highest sum: of the margin, or the higher one that a person approved."""
    highest = computed.highest(purchase)
    if highest is None:
        return ""
    approved = highest.minor > (purchase.limit_minor or 0)
    return f"{highest} (approved)" if approved else str(highest)


def _why_not(order: SupplierOrder, purchase: Purchase) -> str:
    if order.role == "duplicate":
        return standing.because("duplicate_risk", {"order": order.external_id})[0]
    if purchase.cancel_requested_at is not None:
        return "The shop cancelled it: do not pay, the supplier closes it by itself."
    if purchase.state in UNCLEAR:
        return "What was ordered is not clear yet: do not pay it before the rest is found or given up."
    if purchase.state == "PAY_BLOCKED":
        return standing.because(purchase.reason, purchase.facts)[0]
    return ""


def _orphans(container: Container, session: Session) -> list[dict[str, Any]]:
    """Orders seen in an account that belong to no purchase that we know."""
    rows = session.execute(
        sa.select(SupplierOrder, SupplierAccount.supplier)
        .join(SupplierAccount, SupplierAccount.id == SupplierOrder.account_id)
        .where(
            *_OPEN,
            SupplierOrder.role == "orphan",
            SupplierOrder.purchase_id.is_(None),
            SupplierOrder.read_at.is_not(None),
        )
        .order_by(SupplierOrder.id)
    )
    return [
        _entry(container, order, supplier)
        | {
            "purchase_id": None,
            "order_id": None,
            "number": "",
            "shop_id": None,
            "shop": "",
            "limit": "",
            "pay_url": "",
            "reason": "It belongs to no purchase that Waybill knows. Pay it only if you ordered it by hand.",
        }
        for order, supplier in rows
    ]


def _entry(container: Container, order: SupplierOrder, supplier: str) -> dict[str, Any]:
    port = container.connectors.suppliers[supplier]
    return {
        "supplier": supplier,
        "supplier_order": order.external_id,
        "account_id": order.account_id,
        "total": _money(order.total, order.currency),
        "total_minor": order.total,
        "currency": order.currency,
        "pay_until": order.pay_until,
        "status": order.status,
        "pay_url": port.pay_url([order.external_id]),
        "order_url": port.order_url(order.external_id),
    }


def _money(minor: int | None, currency: str) -> str:
    return str(Money(minor, currency)) if minor is not None and currency else ""
