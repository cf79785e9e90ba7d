"""From order lines to purchases: what is to be bought, as which supplier SKU, with which account.

Called inside the transaction that stored the order, with order and lines locked. Purchases that were not sent follow
the order; those that were are never changed: a difference becomes a task for a person.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.domain.purchase_flow import FOLLOWED, UNSENT
from app.models import Purchase, PurchaseItem, Shop, SourceLine, StoreOrder, SupplierOrder, Task
from app.pipeline import locks, numbers, order_book, requests
from app.pipeline.order_book import Book, Pieces
from app.pipeline.readiness import Account, Links, account_of, settle, was_sent
from app.pipeline.record import audit, end_tasks, move, task

ADDRESS = frozenset(("address_refused", "address_invalid", "customs_id"))
"""Reasons that another address lifts."""
TOO_MUCH = "too-much"
"""So begin the keys of the tasks about pieces that were bought and are not wanted any more."""
REJECTED_FOR = {
    "product_gone": "out_of_stock",
    "not_shippable": "undeliverable",
    "address_invalid": "incorrect_address",
}
"""Final refusals before anything was sent: the fulfilment request is turned down, with this reason of the port."""


def derive(
    container: Container,
    session: Session,
    shop: Shop,
    order: StoreOrder,
    lines: Sequence[SourceLine],
    *,
    first: bool = False,
    new_address: bool = False,
    new_request: bool = False,
) -> None:
    """Bring the order's purchases in line with the order as it stands now.

    `first`: the order was stored just now, so it has none yet.
    `new_request`: the merchant asks our location (again) to fulfil, which lifts what the last request was rejected for.
    """
    book = Book() if first else order_book.read(session, order, lock=True)
    wanted = {line.id: book.wanted(order, line) for line in lines}
    _follow(session, order, lines, book, wanted)
    requests.answer_cancellation(session, order, lines, book)
    account, links = account_of(session, shop), Links(session, shop.id, lines)
    _leave_account(session, book, account)
    for purchase in book.purchases:
        if purchase.state in {"DRAFT", "HELD", "READY"}:
            again = (new_address and purchase.reason in ADDRESS) or (new_request and purchase.reason in REJECTED_FOR)
            mine = [item for item in book.items if item.purchase_id == purchase.id]
            held = _lines_of(purchase, lines, book)
            settle(session, shop, order, purchase, mine, held, links, account, again=again)
    _create(container, session, shop, order, lines, book, wanted, links, account)


def derive_again(container: Container, session: Session, order_id: int) -> None:
    """Derive the purchases of an order that is known already. Locks order and lines."""
    order = session.get_one(StoreOrder, order_id, with_for_update=ROW)
    lines = locks.lines(session, order_id)
    derive(container, session, session.get_one(Shop, order.shop_id), order, lines)


def _leave_account(session: Session, book: Book, account: Account) -> None:
    """An unsent purchase that was tried under another account ends; `_create` derives a new one for its pieces.

    Its sends had no effect (else it would not be unsent), so nothing is bought twice (lifecycle, section 8).
    """
    for purchase in book.purchases:
        elsewhere = account.id is not None and purchase.account_id not in {None, account.id}
        if elsewhere and purchase.state in {"HELD", "READY"} and was_sent(session, purchase):
            move(session, purchase, "CANCELLED", actor="match", reason="account_changed")


def _follow(
    session: Session, order: StoreOrder, lines: Sequence[SourceLine], book: Book, wanted: dict[int, Pieces]
) -> None:
    """Unsent purchases take the order's quantities; sent ones get a flag and a task when they hold too much."""
    too_much = set[str]()
    for line in lines:
        covering = book.covering(line)
        sent = [(purchase, item) for purchase, item in covering if purchase.state not in UNSENT]
        left = wanted[line.id].most - sum(item.quantity for _, item in sent)
        over = sum(item.quantity for _, item in sent) - book.still(order, line)
        if over > 0:
            too_much.add(f"{TOO_MUCH}:{line.id}:{over}")
            _too_much(session, order, line, [purchase for purchase, _ in sent], over, _unwanted(order, lines, book))
        _share(session, line, book, left)
    too_much |= requests.tell_left_out(session, order, lines, book)
    _wanted_again(session, lines, book, _unwanted(order, lines, book))
    if any(purchase.state not in UNSENT or purchase.sent_at for purchase in book.purchases):
        _end_outdated(session, order, too_much)
    for purchase in book.purchases:
        if purchase.state in UNSENT and not any(
            item.quantity for item in book.items if item.purchase_id == purchase.id
        ):
            move(session, purchase, "CANCELLED", actor="match", reason=_why_none(order, purchase, lines, book))


def _share(session: Session, line: SourceLine, book: Book, left: int) -> None:
    """Unsent parts keep what they hold as long as it is wanted; the first one grows if more is.

    Not by pieces of a generation that died and waits for the merchant's decision, unless nothing is left to decide.
    """
    unsent = [(purchase, item) for purchase, item in book.covering(line) if purchase.state in UNSENT]
    takes = []
    for _, item in unsent:
        takes.append(min(item.quantity, max(left, 0)))
        left -= takes[-1]
    settled = book.settled_elsewhere(line)
    for place, (purchase, item) in enumerate(unsent):
        more = max(left - settled, 0) if place == 0 else 0
        _set_quantity(session, book, purchase, item, takes[place] + more)
    if settled and left <= 0:
        _decided(session, line, book)


def _decided(session: Session, line: SourceLine, book: Book) -> None:
    """The buyer wants no more than what the living parts hold: nothing is to be ordered again for the dead ones."""
    for purchase in book.of(line):
        alone = {item.source_line_id for item in book.items if item.purchase_id == purchase.id} == {line.id}
        if purchase.state in FOLLOWED and alone:
            end_tasks(session, f"closed:{purchase.id}", "no longer wanted")
            end_tasks(session, f"expired:{purchase.id}", "no longer wanted")


def _why_none(order: StoreOrder, purchase: Purchase, lines: Sequence[SourceLine], book: Book) -> str:
    if order.cancelled or order.gone:
        return "cancelled_by_shop"
    ids = {item.source_line_id for item in book.items if item.purchase_id == purchase.id}
    mine = [line for line in lines if line.id in ids]
    if any(line.at_our_location and line.request == requests.ASKED for line in mine):
        return "request_cancelled"
    return "refunded" if any(line.refunded for line in mine) else "nothing_left"


def _set_quantity(session: Session, book: Book, purchase: Purchase, item: PurchaseItem, quantity: int) -> None:
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


def _unwanted(order: StoreOrder, lines: Sequence[SourceLine], book: Book) -> set[int]:
    """Purchases of which the buyer wants nothing any more."""
    gone = order.cancelled or order.gone
    live = {line.id for line in lines if not gone and line.for_us}
    wanted = {item.purchase_id for item in book.items if item.source_line_id in live and item.quantity}
    return {purchase.id for purchase in book.purchases} - wanted


def _wanted_again(session: Session, lines: Sequence[SourceLine], book: Book, unwanted: set[int]) -> None:
    """What was cancelled after it had been sent, and was restored since: it is to be paid and followed as before.

    A cancellation that was asked of our own location stands as long as the shop shows it.
    """
    asked = {line.id for line in lines if line.request in {requests.ASKED, "cancel_rejected"}}
    for purchase in book.purchases:
        its = {item.source_line_id for item in book.items if item.purchase_id == purchase.id}
        if purchase.cancel_requested_at is None or purchase.id in unwanted or its & asked:
            continue
        purchase.cancel_requested_at = None
        purchase.version += 1
        audit(session, "purchase", purchase.id, "wanted_again", actor="match")
        # Whether it may be paid is computed from its orders, its price among them: read them now.
        mine = sa.update(SupplierOrder).where(SupplierOrder.purchase_id == purchase.id, SupplierOrder.closed.is_(False))
        session.execute(mine.values(track_run_at=sa.func.clock_timestamp()))


def _end_outdated(session: Session, order: StoreOrder, present: set[str]) -> None:
    """Tasks about pieces too many, or left out, that are wanted again, or are another number of pieces by now."""
    asked = sa.or_(*(Task.dedupe_key.startswith(f"{kind}:", autoescape=True) for kind in (TOO_MUCH, requests.LEFT_OUT)))
    for key in session.scalars(sa.select(Task.dedupe_key).where(Task.order_id == order.id, asked, ~Task.over)):
        if key not in present:
            end_tasks(session, key, "wanted again")


def _too_much(
    session: Session,
    order: StoreOrder,
    line: SourceLine,
    purchases: list[Purchase],
    over: int,
    unwanted: set[int],
) -> None:
    for purchase in purchases:
        if purchase.id in unwanted and purchase.cancel_requested_at is None:
            purchase.cancel_requested_at = sa.func.now()
            purchase.version += 1
            audit(session, "purchase", purchase.id, "cancel_requested", actor="match", detail={"line": line.id})
    what_to_do = (
        "If it is not paid yet, do not pay it. If it is paid, ask the seller to cancel it."
        if all(purchase.id in unwanted for purchase in purchases)
        else "If its supplier order is not paid yet, cancel that order there: what is still wanted is then ordered "
        "anew. Or pay it, and ask the seller to leave out what is not wanted."
    )
    task(
        session,
        f"{TOO_MUCH}:{line.id}:{over}",
        "ask_supplier_to_cancel",
        turn="merchant",
        text=f"Order {order.number}: {over} × “{line.title[:60]}” is no longer wanted by the buyer but was ordered "
        f"already. {what_to_do}",
        shop_id=order.shop_id,
        order_id=order.id,
        # It can still be decided for what is not paid: the pay list says so there.
        purchase_id=next((one.id for one in reversed(purchases) if one.state == "PLACED_UNPAID"), purchases[-1].id),
    )


def _lines_of(purchase: Purchase, lines: Sequence[SourceLine], book: Book) -> list[SourceLine]:
    ids = {item.source_line_id for item in book.items if item.purchase_id == purchase.id and item.quantity}
    return [line for line in lines if line.id in ids]


def _create(
    container: Container,
    session: Session,
    shop: Shop,
    order: StoreOrder,
    lines: Sequence[SourceLine],
    book: Book,
    wanted: dict[int, Pieces],
    links: Links,
    account: Account,
) -> None:
    """New purchases for pieces that no live purchase covers and no finished one settled."""
    groups: dict[tuple[str, ...], list[tuple[SourceLine, int, int]]] = {}
    for line in lines:
        covered = sum(item.quantity for _, item in book.covering(line))
        settled = book.settled_elsewhere(line)
        missing = wanted[line.id].least - covered - settled
        if missing <= 0 or requests.withdrawn(line, book.of(line)):
            continue
        parts = [item.part for item in book.items if item.source_line_id == line.id]
        part = max(parts, default=0) + 1
        mine = links.of(line)
        alone = shop.one_purchase_per_line or not mine or part > 1
        seller = mine[0].seller_id or f"product:{mine[0].product_id}" if mine else ""
        key = (str(line.id),) if alone else (seller, mine[0].service, str(part))
        if not alone and _same_sku(groups.get(key, []), line, links):
            key = (str(line.id),)  # twice the same SKU in one order cannot be told apart in what the supplier tells
        groups.setdefault(key, []).append((line, missing, part))
    for group in groups.values():
        _new_purchase(container, session, shop, order, group, links, account)


def _same_sku(group: list[tuple[SourceLine, int, int]], line: SourceLine, links: Links) -> bool:
    ours = {(link.product_id, link.sku_id) for link in links.of(line)}
    return any((link.product_id, link.sku_id) in ours for other, _, _ in group for link in links.of(other))


def _new_purchase(
    container: Container,
    session: Session,
    shop: Shop,
    order: StoreOrder,
    group: list[tuple[SourceLine, int, int]],
    links: Links,
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
        reason="new",
        facts={},
        version=1,
        fence=0,
        tries=0,
        checks=0,
        out_order_id=numbers.out_order_id(container, session, shop.id, order.external_id, lines, part, 1),
    )
    session.add(purchase)
    session.flush()  # items and audit need the id
    items = [
        PurchaseItem(
            purchase_id=purchase.id, source_line_id=line.id, part=part, generation=1, position=1, quantity=quantity
        )
        for line, quantity, _ in group
    ]
    session.add_all(items)
    audit(
        session,
        "purchase",
        purchase.id,
        "derived",
        actor="match",
        after="DRAFT",
        detail={"lines": [line.id for line in lines], "part": part, "generation": 1},
    )
    settle(session, shop, order, purchase, items, lines, links, account)
