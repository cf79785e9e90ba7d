"""Purchases in the hands of a person: lists, another try, approval, and the end of unclear ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.domain.purchase_flow import STATES
from app.errors import Conflict, NotFound, WaybillError
from app.models import Purchase, Shop, StoreOrder, SupplierOrder
from app.pipeline import evidence, generation, locks, not_there, reconcile, unverified
from app.pipeline.computed import APPROVABLE
from app.pipeline.follow import follow
from app.pipeline.record import audit, end_tasks
from app.ports.money import Money
from app.services import standing

HELD = Purchase.state == "HELD"


def look_again(container: Container, *where: sa.ColumnElement[bool], again: bool) -> list[int]:
    """Look at the HELD purchases of this choice anew; gives those that are not held any more.

    One short transaction each, order before purchase: the order in which the pipeline locks them.
    """
    with container.database.transaction() as session:
        ids = session.scalars(sa.select(Purchase.id).where(HELD, *where).order_by(Purchase.id)).all()
    return [purchase_id for purchase_id in ids if _look(container, purchase_id, again=again)]


def _look(container: Container, purchase_id: int, *, again: bool) -> bool:
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        if purchase.state != "HELD":
            return False
        generation.reconsider(session, purchase, again=again)
        container.database.after_commit(container.bell.ring)
        return bool(purchase.state != "HELD")


def listed(
    container: Container, *, state: str = "", shop_id: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Purchases, newest first, each with its sentence."""
    wanted = state.upper()
    if wanted and wanted not in STATES:
        raise WaybillError("no_such_state", f"There is no state {state!r}. States: {', '.join(STATES)}.")
    query = (
        sa.select(Purchase, StoreOrder.number, Shop.name)
        .join(StoreOrder, StoreOrder.id == Purchase.order_id)
        .join(Shop, Shop.id == Purchase.shop_id)
    )
    if wanted:
        query = query.where(Purchase.state == wanted)
    if shop_id is not None:
        query = query.where(Purchase.shop_id == shop_id)
    with container.database.transaction() as session:
        rows = session.execute(query.order_by(Purchase.id.desc()).limit(limit)).all()
        orders = supplier_orders(session, [purchase.id for purchase, _, _ in rows])
        gates = standing.gates(session)
        heirs = standing.heirs(session, [purchase.id for purchase, _, _ in rows])
    return [
        {
            "id": purchase.id,
            "order_id": purchase.order_id,
            "number": number,
            "shop_id": purchase.shop_id,
            "shop": shop,
            "generation": purchase.generation,
            "part": purchase.part,
            "state": purchase.state,
            "reason": purchase.reason,
            "since": purchase.stands_since,
            "supplier_orders": [order.external_id for order in orders.get(purchase.id, [])],
            **standing.of(purchase, gates, orders.get(purchase.id, []), heir=heirs.get(purchase.id)).as_dict(),
        }
        for purchase, number, shop in rows
    ]


def supplier_orders(session: Session, purchase_ids: Sequence[int]) -> dict[int, list[SupplierOrder]]:
    """The supplier orders of these purchases, oldest first."""
    found: dict[int, list[SupplierOrder]] = {}
    rows = session.scalars(
        sa.select(SupplierOrder).where(SupplierOrder.purchase_id.in_(purchase_ids)).order_by(SupplierOrder.id)
    )
    for order in rows:
        found.setdefault(order.purchase_id or 0, []).append(order)
    return found


def told(container: Container, purchase_id: int) -> dict[str, Any]:
    """Where one purchase stands. Raises `NotFound`."""
    with container.database.transaction() as session:
        purchase = session.get(Purchase, purchase_id)
        if purchase is None:
            raise NotFound("no_purchase", f"There is no purchase {purchase_id}. `flask purchase list` shows them.")
        orders = supplier_orders(session, [purchase_id]).get(purchase_id, [])
        gates = standing.gates(session)
        heir = standing.heirs(session, [purchase_id]).get(purchase_id)
    return {
        "id": purchase.id,
        "order_id": purchase.order_id,
        "generation": purchase.generation,
        "state": purchase.state,
        "reason": purchase.reason,
        "supplier_orders": [order.external_id for order in orders],
        **standing.of(purchase, gates, orders, heir=heir).as_dict(),
    }


def retry(container: Container, purchase_id: int, *, actor: str) -> dict[str, Any]:
    """Look at a held purchase anew, or try a waiting one now. Tells where it stands afterwards."""
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        if purchase.state not in {"HELD", "DRAFT", "READY"}:
            raise Conflict(
                "not_held", f"Purchase {purchase_id} is {purchase.state}: only one that is held can be tried again."
            )
        audit(session, "purchase", purchase_id, "retry", actor=actor, detail={"reason": purchase.reason})
        if purchase.state == "READY":
            purchase.run_at = sa.func.clock_timestamp()
        else:
            if purchase.reason == "expired_unpaid":
                end_tasks(session, f"expired:{purchase.previous_id}", actor)
            generation.reconsider(session, purchase, again=True)
        container.database.after_commit(container.bell.ring)
    return told(container, purchase_id)


def again(container: Container, purchase_id: int, *, actor: str) -> dict[str, Any]:
    """Order once more what expired or was cancelled at the supplier: a new generation."""
    return told(container, reconcile.buy_again(container, purchase_id, by=actor).id)


def approve(container: Container, purchase_id: int, *, amount: Money | None = None, actor: str) -> dict[str, Any]:
    """Accept the price of a purchase that is blocked or held because of it: this price, not a higher one.

    `amount`: what the person was shown. Raises `Conflict` if it costs more than that by now.
    """
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        blocked = purchase.state == "PAY_BLOCKED" and purchase.reason == "price_over_limit"
        if not blocked and not (purchase.state == "HELD" and purchase.reason in APPROVABLE):
            raise Conflict(
                "nothing_to_approve",
                f"Purchase {purchase_id} is {purchase.state}"
                + (f" ({purchase.reason})" if purchase.reason else "")
                + ": there is no price to approve.",
            )
        price = _asked(session, purchase)
        if amount is not None and (amount.currency != price.currency or amount.minor < price.minor):
            raise Conflict("price_changed", f"Purchase {purchase_id} costs {price} by now, not {amount}. Look again.")
        purchase.approved_at = sa.func.clock_timestamp()
        purchase.approved_minor, purchase.approved_currency = price.minor, price.currency
        purchase.version += 1
        audit(
            session,
            "purchase",
            purchase_id,
            "approved",
            actor=actor,
            detail={"amount": str(price), **{key: str(value) for key, value in purchase.facts.items()}},
        )
        session.flush()  # the act below reads the approval
        session.refresh(purchase)
        if blocked:
            follow(container, session, purchase)
        else:
            generation.reconsider(session, purchase, again=True)
        container.database.after_commit(container.bell.ring)
    return told(container, purchase_id)


def _asked(session: Session, purchase: Purchase) -> Money:
    """The sum that the person sees: what its supplier orders cost together, or the quote that broke the margin."""
    alive = [order for order in supplier_orders(session, [purchase.id]).get(purchase.id, []) if not order.closed]
    if alive:
        return Money(sum(order.total or 0 for order in alive if order.role == "bought"), alive[0].currency)
    amount, _, currency = str(purchase.facts.get("quote", "")).partition(" ")
    try:
        return Money.parse(amount, currency)
    except ValueError as error:
        raise Conflict("no_price", "Its price is not known. Try it again (`flask purchase retry`) first.") from error


def resolve_found(
    container: Container,
    purchase_id: int,
    refs: Sequence[str],
    *,
    by: str,
    confirm_by: str = "",
    unverified_account: bool = False,
) -> dict[str, Any]:
    """A person found the order(s) at the supplier. Each number is read and must fit before it is attached.

    `unverified_account`: nobody can read the account, two persons say it; checked when it is connected again.
    """
    numbers = list(dict.fromkeys(ref.strip() for ref in refs))
    if unverified_account:
        unverified.found(container, purchase_id, numbers, by=by, confirm_by=confirm_by)
        return told(container, purchase_id)
    for ref in _new_to_it(container, purchase_id, numbers):
        evidence.confirm(container, purchase_id, ref, by=by)
        with container.database.transaction() as session:
            audit(session, "purchase", purchase_id, "found", actor=by, detail={"supplier_order": ref})
    container.bell.ring()
    return told(container, purchase_id)


def _new_to_it(container: Container, purchase_id: int, numbers: list[str]) -> list[str]:
    """Those that are not attached yet: whoever was cut off among several gives them all again."""
    its = sa.select(SupplierOrder.external_id).where(
        SupplierOrder.purchase_id == purchase_id, SupplierOrder.role == "bought"
    )
    with container.database.reading() as session:
        known = set(session.scalars(its))
    return [number for number in numbers if number not in known] or numbers


def resolve_not_there(
    container: Container,
    purchase_id: int,
    *,
    newest_seen: str,
    by: str,
    confirm_by: str = "",
    unverified_account: bool = False,
) -> dict[str, Any]:
    """A person looked and it is not there. Tells where its successor stands (or the purchase, if nothing is left)."""
    heir = not_there.give_up(
        container,
        purchase_id,
        newest_seen=newest_seen,
        by=by,
        confirm_by=confirm_by,
        unverified_account=unverified_account,
    )
    return told(container, heir.id)


def track(
    container: Container, purchase_id: int, number: str, *, carrier: str, ref: str, by: str, confirm_by: str
) -> dict[str, Any]:
    """Two persons give a tracking number by hand, because the supplier account cannot be read."""
    unverified.track(container, purchase_id, number, carrier=carrier, ref=ref, by=by, confirm_by=confirm_by)
    return told(container, purchase_id)
