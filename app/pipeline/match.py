"""From order lines to purchases: what is to be bought, as which supplier SKU, with which account.

Called inside the transaction that stored the order, with order and lines locked. Purchases that were not sent follow
the order; those that were are never changed: a difference becomes a task for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import PLACED, UNCLEAR, UNSENT
from app.models import (
    Credential,
    ParcelItem,
    ProductLink,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    ShopAccount,
    SourceLine,
    StoreOrder,
    SupplierAccount,
)
from app.pipeline import numbers
from app.pipeline.record import audit, move, outbox, task

LIVE = UNSENT | UNCLEAR | PLACED
CHECKED_LATER = frozenset(
    "margin price_unknown out_of_stock partial_stock not_shippable product_gone mapping_changed shipping_service "
    "currency cap_order cap_day address_refused address_invalid customs_id account_blocked needs_person config "
    "expired_unpaid supplier_cancelled autopay_off".split()
)
"""Reasons found by the pre-flight or by the supplier: the order alone does not lift them, see `reconsider`."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a shop buys with; `usable` False with the reason why not."""

    id: int | None
    supplier: str
    reason: str = ""


def derive(container: Container, session: Session, shop: Shop, order: StoreOrder, lines: Sequence[SourceLine]) -> None:
    """Bring the order's purchases in line with the order as it stands now."""
    purchases = session.scalars(
        sa.select(Purchase).where(Purchase.order_id == order.id).order_by(Purchase.id).with_for_update()
    ).all()
    items = session.scalars(
        sa.select(PurchaseItem).where(PurchaseItem.purchase_id.in_([purchase.id for purchase in purchases]))
    ).all()
    book = _Book(list(purchases), list(items), _shown(session, items))
    wanted = {line.id: _wanted(order, line, book) for line in lines}
    _follow(session, order, lines, book, wanted)
    account = account_of(session, shop)
    for purchase in book.purchases:
        if purchase.state in {"DRAFT", "HELD", "READY"}:
            settle(session, shop, order, purchase, _lines_of(purchase, lines, book), account)
    _create(container, session, shop, order, lines, book, wanted, account)


class _Book:
    """The purchases of one order with their items."""

    def __init__(self, purchases: list[Purchase], items: list[PurchaseItem], shown: dict[int, int]) -> None:
        self.purchases = purchases
        self.by_id = {purchase.id: purchase for purchase in purchases}
        self.items = items
        self.shown = shown

    def covering(self, line: SourceLine) -> list[tuple[Purchase, PurchaseItem]]:
        """Live items of a line, first position only (a bundle's further items repeat the quantity)."""
        return [
            (self.by_id[item.purchase_id], item)
            for item in self.items
            if item.source_line_id == line.id and item.position == 1 and self.by_id[item.purchase_id].state in LIVE
        ]


def _shown(session: Session, items: Sequence[PurchaseItem]) -> dict[int, int]:
    """Pieces per line that the shop shows as shipped by us."""
    rows = session.execute(
        sa.select(PurchaseItem.source_line_id, sa.func.sum(ParcelItem.quantity))
        .join(ParcelItem, ParcelItem.purchase_item_id == PurchaseItem.id)
        .join(ShippedParcel, ShippedParcel.id == ParcelItem.parcel_id)
        .where(
            ShippedParcel.fulfilment_ref.is_not(None),
            PurchaseItem.id.in_([item.id for item in items]),
            PurchaseItem.position == 1,
        )
        .group_by(PurchaseItem.source_line_id)
    )
    return {line_id: int(pieces) for line_id, pieces in rows}


def _wanted(order: StoreOrder, line: SourceLine, book: _Book) -> int:
    """Pieces that the shop still expects from us in all, those we shipped already included."""
    if order.cancelled or order.gone or not line.requires_shipping:
        return 0
    return line.to_ship + book.shown.get(line.id, 0)


def _follow(
    session: Session, order: StoreOrder, lines: Sequence[SourceLine], book: _Book, wanted: dict[int, int]
) -> None:
    """Unsent purchases take the order's quantities; sent ones get a flag and a task when they hold too much."""
    for line in lines:
        left = wanted[line.id]
        covering = book.covering(line)
        sent = [(purchase, item) for purchase, item in covering if purchase.state not in UNSENT]
        for purchase, item in sent:
            left -= item.quantity
        still = 0 if order.cancelled or order.gone else line.quantity - line.refunded
        over = sum(item.quantity for _, item in sent) - max(still, 0)
        if over > 0:
            _too_much(session, order, line, [purchase for purchase, _ in sent], over)
        for purchase, item in covering:
            if purchase.state in UNSENT:
                take = max(left, 0)
                left -= take
                _set_quantity(session, book, purchase, item, take)
    for purchase in book.purchases:
        if purchase.state in UNSENT and not any(
            item.quantity for item in book.items if item.purchase_id == purchase.id
        ):
            gone = "cancelled_by_shop" if order.cancelled or order.gone else "refunded"
            move(session, purchase, "CANCELLED", actor="match", reason=gone)


def _set_quantity(session: Session, book: _Book, purchase: Purchase, item: PurchaseItem, quantity: int) -> None:
    if item.quantity == quantity:
        return
    for other in book.items:
        if other.purchase_id == purchase.id and other.source_line_id == item.source_line_id:
            other.quantity = quantity
    if purchase.state == "CLAIMED" and quantity:
        move(session, purchase, "HELD", actor="match", reason="changed")
    else:
        purchase.version += 1
    audit(
        session,
        "purchase",
        purchase.id,
        "quantity",
        actor="match",
        detail={"line": item.source_line_id, "quantity": quantity},
    )


def _too_much(
    session: Session, order: StoreOrder, line: SourceLine, purchases: list[Purchase], over: int
) -> None:
    whole = order.cancelled or order.gone or line.quantity - line.refunded <= 0
    for purchase in purchases:
        if whole and purchase.cancel_requested_at is None:
            purchase.cancel_requested_at = sa.func.now()  # type: ignore[assignment]
            purchase.version += 1
            audit(session, "purchase", purchase.id, "cancel_requested", actor="match", detail={"line": line.id})
    task(
        session,
        f"too-much:{line.id}:{over}",
        "ask_supplier_to_cancel",
        turn="merchant",
        text=f"Order {order.number}: {over} × “{line.title[:60]}” is no longer wanted by the buyer but was ordered "
        "already. If it is not paid yet, do not pay it. If it is paid, ask the seller on the supplier's site to cancel.",
        shop_id=order.shop_id,
        order_id=order.id,
        purchase_id=purchases[-1].id,
    )


def _lines_of(purchase: Purchase, lines: Sequence[SourceLine], book: _Book) -> list[SourceLine]:
    ids = {item.source_line_id for item in book.items if item.purchase_id == purchase.id and item.quantity}
    return [line for line in lines if line.id in ids]


def account_of(session: Session, shop: Shop) -> Account:
    """The shop's default account, with why it cannot buy if so."""
    found = session.execute(
        sa.select(SupplierAccount, Credential.state)
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
    account, state = found
    return Account(account.id, account.supplier, "" if state == "LIVE" else "token_dead")


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
        (bool(order.hold), "fraud_risk" if "risk" in order.hold else "shop_hold"),
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


def _request_open(shop: Shop, lines: Sequence[SourceLine]) -> bool:
    return shop.request_needed and any(
        line.at_our_location and line.request not in {"submitted", "accepted"} for line in lines
    )


def settle(
    session: Session,
    shop: Shop,
    order: StoreOrder,
    purchase: Purchase,
    lines: Sequence[SourceLine],
    account: Account,
    *,
    again: bool = False,
) -> None:
    """Put an unsent purchase into DRAFT, HELD or READY. `again`: also lift reasons that only a new try can check."""
    map_items(session, shop, purchase, lines)
    if purchase.account_id is None or account.id != purchase.account_id:
        purchase.account_id, purchase.supplier = account.id, account.supplier or purchase.supplier
    mapped = bool(purchase.seller_id or purchase.facts.get("mapped")) or _mapped(session, purchase)
    state, reason, facts = readiness(shop, order, lines, account, mapped=mapped)
    if state == "READY" and purchase.state == "HELD" and purchase.reason in CHECKED_LATER and not again:
        return
    if state == "READY" and purchase.state == "READY":
        return
    move(session, purchase, state, actor="match", reason=reason, facts=facts, run_at=sa.func.now())  # type: ignore[arg-type]


def _mapped(session: Session, purchase: Purchase) -> bool:
    return not session.scalar(
        sa.select(sa.func.count())
        .select_from(PurchaseItem)
        .where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0, PurchaseItem.product_id == "")
    )


def links_of(session: Session, shop: Shop, variant_id: str | None) -> list[ProductLink]:
    """The supplier items of a variant, in position order."""
    if variant_id is None:
        return []
    return list(
        session.scalars(
            sa.select(ProductLink)
            .where(ProductLink.shop_id == shop.id, ProductLink.variant_id == variant_id)
            .order_by(ProductLink.position)
        )
    )


def map_items(session: Session, shop: Shop, purchase: Purchase, lines: Sequence[SourceLine]) -> None:
    """Freeze the link into items that have none yet, adding the further items of a bundle."""
    items = session.scalars(sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id)).all()
    by_line = {line.id: line for line in lines}
    for item in items:
        line = by_line.get(item.source_line_id)
        if line is None or item.position != 1:
            continue
        links = links_of(session, shop, line.variant_id)
        if not links:
            continue
        if item.product_id and (item.product_id, item.sku_id, item.sku_attributes) == (
            links[0].product_id,
            links[0].sku_id,
            links[0].sku_attributes,
        ):
            continue
        freeze(item, links[0])
        purchase.seller_id, purchase.supplier = links[0].seller_id, links[0].supplier
        purchase.service = links[0].service
        present = {other.position: other for other in items if other.source_line_id == line.id}
        for link in links[1:]:
            extra = present.get(link.position) or PurchaseItem(
                purchase_id=purchase.id,
                source_line_id=line.id,
                part=item.part,
                generation=item.generation,
                position=link.position,
                quantity=item.quantity,
            )
            freeze(extra, link)
            session.add(extra)
    session.flush()  # the readiness check below counts unmapped items


def freeze(item: PurchaseItem, link: ProductLink) -> None:
    """Copy what a link says into an item."""
    item.product_id, item.sku_id, item.sku_attributes = link.product_id, link.sku_id, link.sku_attributes
    item.order_product_id, item.units = link.product_id, link.units


def _create(
    container: Container,
    session: Session,
    shop: Shop,
    order: StoreOrder,
    lines: Sequence[SourceLine],
    book: _Book,
    wanted: dict[int, int],
    account: Account,
) -> None:
    """New purchases for pieces that no live purchase covers and no finished one settled."""
    groups: dict[tuple[str, ...], list[tuple[SourceLine, int, int]]] = {}
    for line in lines:
        covered = sum(item.quantity for _, item in book.covering(line))
        settled = _settled_elsewhere(line, book)
        missing = wanted[line.id] - covered - settled
        if missing <= 0:
            continue
        parts = [item.part for item in book.items if item.source_line_id == line.id]
        part = max(parts, default=0) + 1
        links = links_of(session, shop, line.variant_id)
        alone = shop.one_purchase_per_line or not links or part > 1
        seller = links[0].seller_id or f"product:{links[0].product_id}" if links else ""
        key = (str(line.id),) if alone else (seller, links[0].service, str(part))
        groups.setdefault(key, []).append((line, missing, part))
    for group in groups.values():
        _new_purchase(container, session, shop, order, group, account)


def _settled_elsewhere(line: SourceLine, book: _Book) -> int:
    """Pieces of dead generations that wait for a person's decision: nothing new is made for them by itself."""
    pieces = 0
    for item in book.items:
        purchase = book.by_id[item.purchase_id]
        if (
            item.source_line_id == line.id
            and item.position == 1
            and purchase.state in {"SUPPLIER_CANCELLED", "REFUNDED", "REJECTED", "VOID", "EXPIRED"}
            and not any(other.previous_id == purchase.id for other in book.purchases)
        ):
            pieces += item.quantity
    return pieces


def _new_purchase(
    container: Container,
    session: Session,
    shop: Shop,
    order: StoreOrder,
    group: list[tuple[SourceLine, int, int]],
    account: Account,
) -> None:
    lines = [line for line, _, _ in group]
    part = group[0][2]
    purchase = Purchase(
        merchant_id=shop.merchant_id,
        shop_id=shop.id,
        order_id=order.id,
        account_id=account.id,
        supplier=account.supplier,
        seller_id="",
        service="",
        part=part,
        generation=1,
        state="DRAFT",
        reason="",
        facts={},
        version=1,
        fence=0,
        tries=0,
        checks=0,
        out_order_id=numbers.out_order_id(container, session, shop.id, order.external_id, lines, part, 1),
    )
    session.add(purchase)
    session.flush()  # items and audit need the id
    for line, quantity, _ in group:
        session.add(
            PurchaseItem(
                purchase_id=purchase.id, source_line_id=line.id, part=part, generation=1, position=1, quantity=quantity
            )
        )
    session.flush()
    audit(
        session,
        "purchase",
        purchase.id,
        "derived",
        actor="match",
        after="DRAFT",
        detail={"lines": [line.id for line in lines], "part": part, "generation": 1},
    )
    purchase.reason = "new"
    settle(session, shop, order, purchase, lines, account)


def next_generation(
    container: Container, session: Session, purchase: Purchase, *, reason: str = "", facts: dict[str, Any] | None = None
) -> Purchase | None:
    """The derived successor of a finished generation; None if nothing is left to buy. Locks order and lines.

    `reason` not empty: it starts HELD with that reason, for repair.
    """
    shop = session.get_one(Shop, purchase.shop_id)
    order = session.get_one(StoreOrder, purchase.order_id, with_for_update=True)
    lines = session.scalars(
        sa.select(SourceLine).where(SourceLine.order_id == order.id).order_by(SourceLine.id).with_for_update()
    ).all()
    old = session.scalars(
        sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id, PurchaseItem.position == 1)
    ).all()
    by_id = {line.id: line for line in lines}
    keep = [
        (by_id[item.source_line_id], min(item.quantity, by_id[item.source_line_id].to_ship))
        for item in old
        if item.source_line_id in by_id
    ]
    keep = [(line, pieces) for line, pieces in keep if pieces > 0]
    if order.cancelled or order.gone or not keep or purchase.cancel_requested_at is not None:
        return None
    generation = purchase.generation + 1
    heir = Purchase(
        merchant_id=purchase.merchant_id,
        shop_id=shop.id,
        order_id=order.id,
        account_id=purchase.account_id,
        supplier=purchase.supplier,
        seller_id="",
        service="",
        part=purchase.part,
        generation=generation,
        previous_id=purchase.id,
        state="HELD" if reason else "DRAFT",
        reason=reason,
        facts=facts or {},
        version=1,
        fence=0,
        tries=0,
        checks=0,
        out_order_id=numbers.out_order_id(
            container, session, shop.id, order.external_id, [line for line, _ in keep], purchase.part, generation
        ),
    )
    session.add(heir)
    session.flush()  # items and audit need the id
    for line, pieces in keep:
        session.add(
            PurchaseItem(
                purchase_id=heir.id,
                source_line_id=line.id,
                part=purchase.part,
                generation=generation,
                position=1,
                quantity=pieces,
            )
        )
    session.flush()
    audit(
        session,
        "purchase",
        heir.id,
        "derived",
        actor="match",
        after=heir.state,
        detail={"after": purchase.id, "generation": generation, "reason": reason},
    )
    heir_lines = [line for line, _ in keep]
    if reason:
        map_items(session, shop, heir, heir_lines)
    else:
        settle(session, shop, order, heir, heir_lines, account_of(session, shop))
    return heir


def reconsider(session: Session, purchase: Purchase, *, again: bool) -> None:
    """Look at a HELD or DRAFT purchase anew (a link was added, a token renewed, a person pressed retry)."""
    shop = session.get_one(Shop, purchase.shop_id)
    order = session.get_one(StoreOrder, purchase.order_id, with_for_update=True)
    ids = session.scalars(
        sa.select(PurchaseItem.source_line_id).where(
            PurchaseItem.purchase_id == purchase.id, PurchaseItem.quantity > 0
        )
    ).all()
    lines = session.scalars(sa.select(SourceLine).where(SourceLine.id.in_(ids)).order_by(SourceLine.id)).all()
    settle(session, shop, order, purchase, lines, account_of(session, shop), again=again)


def ask_for_fulfilment_answer(session: Session, purchase: Purchase, *, accept: bool, reason: str = "other") -> None:
    """Let the shop know whether we take the request, through the outbox."""
    outbox(
        session,
        f"request:{purchase.id}:{'accept' if accept else 'reject'}",
        "answer_request",
        shop_id=purchase.shop_id,
        order_id=purchase.order_id,
        payload={"purchase_id": purchase.id, "accept": accept, "reason": reason},
    )
