"""Whether a purchase may be bought, from what we know without asking anyone; and what its lines are mapped to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import (
    Attempt,
    Credential,
    ProductLink,
    Purchase,
    PurchaseItem,
    Shop,
    ShopAccount,
    SourceLine,
    StoreOrder,
    SupplierAccount,
)
from app.pipeline.record import move
from app.ports.storefront import UNKNOWN_STATUS

CHECKED_LATER = frozenset(
    [
        "margin",
        "price_unknown",
        "money_unknown",
        "out_of_stock",
        "partial_stock",
        "promotion_limit",
        "not_shippable",
        "product_gone",
        "mapping_changed",
        "shipping_service",
        "currency",
        "cap_order",
        "cap_day",
        "address_refused",
        "address_invalid",
        "customs_id",
        "account_blocked",
        "needs_person",
        "config",
        "expired_unpaid",
        "supplier_cancelled",
        "autopay_off",
    ]
)
"""Reasons found by the pre-flight or by the supplier: the order alone does not lift them, see `reconsider`."""


REQUESTED = frozenset(("submitted", "accepted", "cancel_rejected"))
"""States of a request at our location in which we are expected to ship."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a shop buys with; `usable` False with the reason why not."""

    id: int | None
    supplier: str
    reason: str = ""


def account_of(session: Session, shop: Shop) -> Account:
    """The shop's default account, with why it cannot buy if so."""
    found = session.execute(
        sa.select(SupplierAccount.id, SupplierAccount.supplier, Credential.state)
        .join(ShopAccount, ShopAccount.account_id == SupplierAccount.id)
        .outerjoin(Credential, Credential.account_id == SupplierAccount.id)
        .where(
            ShopAccount.shop_id == shop.id,
            ShopAccount.is_default,
            SupplierAccount.merchant_id == shop.merchant_id,
            SupplierAccount.state == "ACTIVE",
        )
    ).one_or_none()
    if found is None:
        return Account(None, "", "account_missing")
    return Account(found.id, found.supplier, "" if found.state == "LIVE" else "token_dead")


def readiness(
    shop: Shop, order: StoreOrder, purchase_lines: Sequence[SourceLine], account: Account, *, mapped: bool
) -> tuple[str, str, dict[str, Any]]:
    """Whether these lines may be bought now, from what we know without asking anyone: (state, reason, facts)."""
    if not order.paid:
        return "DRAFT", "unpaid", {"why": order.unpaid_reason}
    checks = (
        (shop.state == "UNINSTALLED", "uninstalled"),
        (shop.state == "PAUSED", "shop_paused"),
        (order.test and not shop.buy_test_orders, "test_order"),
        (bool(order.hold), _held_by_shop(order.hold)),
        (not mapped, "mapping_missing"),
        (account.id is None, "account_missing"),
        (bool(account.reason), account.reason),
        (order.address_sealed is None and order.address_override_sealed is None, "address_missing"),
        (_request_open(shop, purchase_lines), "waiting_request"),
    )
    for stopped, reason in checks:
        if stopped:
            return "HELD", reason, {"hold": order.hold} if order.hold else {}
    return "READY", "", {}


def _held_by_shop(hold: str) -> str:
    if hold.startswith(UNKNOWN_STATUS):
        return "status_unknown"
    return "fraud_risk" if "risk" in hold else "shop_hold"


def _request_open(shop: Shop, lines: Sequence[SourceLine]) -> bool:
    return shop.request_needed and any(line.at_our_location and line.request not in REQUESTED for line in lines)


def settle(
    session: Session,
    shop: Shop,
    order: StoreOrder,
    purchase: Purchase,
    items: Sequence[PurchaseItem],
    lines: Sequence[SourceLine],
    links: Links,
    account: Account,
    *,
    again: bool = False,
) -> None:
    """Put an unsent purchase into DRAFT, HELD or READY. `again`: also lift reasons that only a new try can check.

    `items` are all those of the purchase, `lines` those of the order that it holds.
    """
    items = map_items(session, purchase, items, lines, links)
    if account.id != purchase.account_id and not was_sent(session, purchase):
        purchase.account_id, purchase.supplier = account.id, account.supplier or purchase.supplier
    mapped = all(item.product_id for item in items if item.quantity)
    state, reason, facts = readiness(shop, order, lines, account, mapped=mapped)
    if state == "DRAFT" and purchase.state != "DRAFT":
        state = "HELD"  # paid before and not any more: it was seen, so it is no draft again
    if purchase.state == "HELD" and purchase.reason in CHECKED_LATER and not again:
        return  # what else stands in its way shows when this is lifted: a pause must not wash off "needs repair"
    if state == "READY" and purchase.state == "READY":
        return
    move(session, purchase, state, actor="match", reason=reason, facts=facts, run_at=sa.func.now())  # type: ignore[arg-type]


def was_sent(session: Session, purchase: Purchase) -> bool:
    """Whether a send of it was begun under its account, though without effect: then it stays with that account."""
    sent = sa.select(Attempt.id).where(Attempt.purchase_id == purchase.id).limit(1)
    return purchase.account_id is not None and session.scalar(sent) is not None


class Links:
    """The supplier items of the variants of these lines, asked for once."""

    def __init__(self, session: Session, shop_id: int, lines: Sequence[SourceLine]) -> None:
        self._by_variant: dict[str, list[ProductLink]] = {}
        variants = {line.variant_id for line in lines if line.variant_id is not None}
        query = sa.select(ProductLink).where(ProductLink.shop_id == shop_id, ProductLink.variant_id.in_(variants))
        for link in session.scalars(query.order_by(ProductLink.position)) if variants else ():
            self._by_variant.setdefault(link.variant_id, []).append(link)

    def of(self, line: SourceLine) -> list[ProductLink]:
        """In position order; none while a bundle lacks a position before one that it has."""
        found = self._by_variant.get(line.variant_id or "", [])
        return found if [link.position for link in found] == [*range(1, len(found) + 1)] else []


def items_of(session: Session, purchase: Purchase) -> list[PurchaseItem]:
    """All items of a purchase."""
    query = sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id).order_by(PurchaseItem.id)
    return list(session.scalars(query))


def map_items(
    session: Session, purchase: Purchase, items: Sequence[PurchaseItem], lines: Sequence[SourceLine], known: Links
) -> list[PurchaseItem]:
    """Make the items of an unsent purchase what the links of its lines say now; gives all that it has then.

    A bundle's line has an item for each link. A line that is linked no more keeps one that names nothing.
    """
    mine = {line.id for line in lines}
    everything = [item for item in items if item.source_line_id not in mine]
    for line in lines:
        links = known.of(line)
        if links:
            purchase.service = links[0].service
            purchase.seller_id, purchase.supplier = links[0].seller_id, links[0].supplier
        present = {item.position: item for item in items if item.source_line_id == line.id}
        for position, link in enumerate(links or [None], start=1):
            item = present.pop(position, None)
            if item is None:
                first = everything[-1]
                item = PurchaseItem(
                    purchase_id=purchase.id,
                    source_line_id=line.id,
                    part=first.part,
                    generation=first.generation,
                    position=position,
                    quantity=first.quantity,
                )
                session.add(item)
            freeze(item, link)
            everything.append(item)
        for item in present.values():
            session.delete(item)
    return everything


def freeze(item: PurchaseItem, link: ProductLink | None) -> None:
    """Copy what a link says into an item, if it says something else than the item does."""
    named = (link.product_id, link.sku_id, link.sku_attributes, link.units) if link else ("", "", "", 1)
    if (item.product_id, item.sku_id, item.sku_attributes, item.units) != named:
        item.product_id, item.sku_id, item.sku_attributes, item.units = named
        item.order_product_id = item.product_id
