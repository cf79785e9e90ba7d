"""Storefront orders: finding one by whatever number a person has, lists, and correcting the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.domain.address import AddressProblems, prepare
from app.domain.address.outcome import FIELD_ORDER
from app.errors import Conflict, NotFound, WaybillError
from app.models import Purchase, ShippedParcel, Shop, StoreOrder, SupplierOrder
from app.pipeline import generation
from app.pipeline.record import audit
from app.ports.money import Money
from app.ports.storefront import Address
from app.services import standing
from app.services.purchases import supplier_orders

ADDRESS_REASONS = ("address_missing", "address_invalid", "address_refused", "customs_id")
LONGEST_ID = 19
"""Digits; every shorter number is a bigint."""
LONGEST = 500
"""Characters of one corrected field."""

URGENT = (
    "HUMAN",
    "PAY_BLOCKED",
    "HELD",
    "UNKNOWN",
    "SENDING",
    "SUPPLIER_CANCELLED",
    "EXPIRED",
    "REJECTED",
    "REFUNDED",
    "PLACED_UNPAID",
    "CLAIMED",
    "READY",
    "DRAFT",
    "PLACED_PAID",
    "PART_SHIPPED",
    "SHIPPED",
    "DELIVERED",
    "VOID",
    "CANCELLED",
)
"""States in the order in which a person wants to hear of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """The order that a reference names; `others`: orders that carry the same number elsewhere."""

    id: int
    others: tuple[str, ...] = ()


def find(session: Session, ref: str) -> Found:
    """By our id, the shop's number (`#…` says that it is one), the shop's or the supplier's id, a tracking number.

    Our own id comes first. Raises `NotFound`, or `Conflict` naming the candidates.
    """
    wanted = ref.strip()
    own = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < LONGEST_ID else 0
    if own and session.get(StoreOrder, own) is not None:
        return Found(own, tuple(_named(session, [one for one in _by_number(session, wanted) if one != own])))
    ids = _by_number(session, wanted) or _by_other(session, wanted)
    if not ids:
        raise NotFound("no_order", f"No order is known by {ref!r}. `flask order list` shows the newest ones.")
    if len(ids) > 1:
        raise Conflict("several_orders", f"Several orders are known by {ref!r}: {'; '.join(_named(session, ids))}.")
    return Found(ids[0])


def _by_number(session: Session, ref: str) -> list[int]:
    bare = ref.removeprefix("#")
    query = sa.select(StoreOrder.id).where(StoreOrder.number.in_((ref, bare, f"#{bare}"))).order_by(StoreOrder.id)
    return list(session.scalars(query.limit(20)))


def _by_other(session: Session, ref: str) -> list[int]:
    choices = (
        sa.select(StoreOrder.id).where(StoreOrder.external_id == ref),
        sa.select(Purchase.order_id)
        .join(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
        .where(SupplierOrder.external_id == ref),
        sa.select(Purchase.order_id).where(Purchase.out_order_id == ref),
        sa.select(Purchase.order_id)
        .join(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
        .join(ShippedParcel, ShippedParcel.supplier_order_id == SupplierOrder.id)
        .where(ShippedParcel.tracking_number == ref),
        sa.select(Purchase.order_id)
        .join(SupplierOrder, SupplierOrder.purchase_id == Purchase.id)
        .join(ShippedParcel, ShippedParcel.supplier_order_id == SupplierOrder.id)
        .where(sa.text("former_numbers <> '[]'"), ShippedParcel.former_numbers.contains([ref])),
    )
    for query in choices:
        ids = list(dict.fromkeys(int(found) for found in session.scalars(query.limit(20))))
        if ids:
            return ids
    return []


def _named(session: Session, ids: list[int]) -> list[str]:
    rows = session.execute(
        sa.select(StoreOrder.id, StoreOrder.number, Shop.name)
        .join(Shop, Shop.id == StoreOrder.shop_id)
        .where(StoreOrder.id.in_(ids))
        .order_by(StoreOrder.id)
    )
    return [f"{order_id} (number {number}, shop {shop})" for order_id, number, shop in rows]


def listed(container: Container, *, shop_id: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Orders, newest first, each with where it stands."""
    query = sa.select(StoreOrder, Shop).join(Shop, Shop.id == StoreOrder.shop_id).order_by(StoreOrder.id.desc())
    if shop_id is not None:
        query = query.where(StoreOrder.shop_id == shop_id)
    with container.database.transaction() as session:
        rows = session.execute(query.limit(limit)).all()
        purchases: dict[int, list[Purchase]] = {order.id: [] for order, _ in rows}
        for purchase in session.scalars(
            sa.select(Purchase).where(Purchase.order_id.in_(purchases)).order_by(Purchase.id)
        ):
            purchases[purchase.order_id].append(purchase)
        every = [purchase.id for some in purchases.values() for purchase in some]
        ordered = supplier_orders(session, every)
        gates, heirs = standing.gates(session), standing.heirs(session, every)
    return [
        _row(order, shop, purchases[order.id], living(purchases[order.id], heirs), ordered, gates)
        for order, shop in rows
    ]


def _row(
    order: StoreOrder,
    shop: Shop,
    purchases: list[Purchase],
    ahead: list[Purchase],
    ordered: dict[int, list[SupplierOrder]],
    gates: standing.Gates,
) -> dict[str, Any]:
    first = ahead[0] if ahead else None
    stands = standing.of(first, gates, ordered.get(first.id, [])) if first else idle(order)
    return {
        "id": order.id,
        "number": order.number,
        "external_id": order.external_id,
        "shop_id": shop.id,
        "shop": shop.name,
        "placed_at": order.placed_at,
        "total": str(Money(order.total, order.currency)),
        "paid": order.paid,
        "states": [purchase.state for purchase in ahead],
        "supplier_orders": [one.external_id for purchase in purchases for one in ordered.get(purchase.id, [])],
        **stands.as_dict(),
    }


def living(purchases: list[Purchase], heirs: Mapping[int, int]) -> list[Purchase]:
    """Those that no other replaced (`standing.heirs`), the most urgent first."""
    left = [purchase for purchase in purchases if purchase.id not in heirs and not purchase.gave_way]
    return sorted(left, key=lambda purchase: (URGENT.index(purchase.state), purchase.id))


def idle(order: StoreOrder) -> standing.Standing:
    """Where an order stands for which no purchase exists."""
    if order.gone or order.cancelled:
        return standing.Standing("The shop cancelled or deleted the order; nothing is bought.", "")
    if not order.paid:
        text, turn, remedy = standing.because("unpaid", {"detail": order.unpaid_reason})
        return standing.Standing(text, turn, remedy)
    return standing.Standing(
        "Nothing in this order has to be bought: all is shipped, refunded or needs no shipping.", ""
    )


def fix_address(container: Container, ref: str, changes: Mapping[str, str], *, actor: str) -> dict[str, Any]:
    """Correct fields of the address that is sent; "" takes a correction back. Waiting purchases are looked at again.

    Field names are the supplier's, as `Problem.field` names them. Gives the names of the corrected fields, what is
    still wrong, and which supplier orders were made with the address before; values are never shown.
    """
    for name, value in changes.items():
        if name not in FIELD_ORDER:
            raise WaybillError("no_such_field", f"The address has no field {name!r}. Fields: {', '.join(FIELD_ORDER)}.")
        if len(value) > LONGEST:
            raise WaybillError("too_long", f"{name} may have at most {LONGEST} characters.")
    with container.database.transaction() as session:
        order = session.get_one(StoreOrder, find(session, ref).id, with_for_update=ROW)
        before = _overrides(container, order)
        overrides = {key: value for key, value in (before | dict(changes)).items() if value}
        corrected = overrides != before
        if corrected:
            order.address_override_sealed = (
                container.vault.seal_json(overrides, order.address_place) if overrides else None
            )
            audit(session, "order", order.id, "address_fixed", actor=actor, detail={"fields": sorted(changes)})
        # In the same transaction: a correction without a second look would be known already when it is given once more.
        went_on = _second_look(container, session, order) if corrected else []
        problems = _problems(container, order, overrides)
        sent = session.scalars(
            sa.select(SupplierOrder.external_id)
            .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .where(Purchase.order_id == order.id, SupplierOrder.closed.is_(False))
            .order_by(SupplierOrder.id)
        ).all()
    return {
        "order_id": order.id,
        "corrected": sorted(overrides),
        "problems": problems,
        "went_on": went_on,
        "ordered_already": list(sent),
    }


def _second_look(container: Container, session: Session, order: StoreOrder) -> list[int]:
    """Look at what the address of this locked order holds up; gives the purchases that are not held any more."""
    held = session.scalars(
        sa.select(Purchase)
        .where(Purchase.order_id == order.id, Purchase.state == "HELD", Purchase.reason.in_(ADDRESS_REASONS))
        .order_by(Purchase.id)
        .with_for_update(key_share=True)
    ).all()
    for purchase in held:
        generation.reconsider(session, purchase, again=True)
    container.database.after_commit(container.bell.ring)
    return [purchase.id for purchase in held if purchase.state != "HELD"]


def _overrides(container: Container, order: StoreOrder) -> dict[str, str]:
    if order.address_override_sealed is None:
        return {}
    return container.vault.open_json(order.address_override_sealed, order.address_place)


def _problems(container: Container, order: StoreOrder, overrides: dict[str, str]) -> list[dict[str, Any]]:
    """What the address rules still find. Their texts never repeat what the buyer typed."""
    address: Address | None = None
    if order.address_sealed is not None:
        values: dict[str, Any] = dict(container.vault.open_json(order.address_sealed, order.address_place))
        pairs = values.pop("identifiers", [])
        address = Address(**values, identifiers=tuple((str(name), str(value)) for name, value in pairs))
    prepared = prepare(address, overrides=overrides)
    found = prepared.problems if isinstance(prepared, AddressProblems) else ()
    return [
        {"field": one.field, "text": one.text_for_merchant, "turn": one.turn, "stops": stops}
        for several, stops in ((found, True), (prepared.warnings, False))
        for one in several
    ]
