"""What must be true at the end, by what the shops and the supplier wrote down; Waybill is asked for one thing only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from app.local.demo.ledgers import fulfilment
from app.models import Purchase, StoreOrder, SupplierOrder
from tests.faults.orders import Order
from tests.flow.world import World


def problems(
    world: World,
    orders: Sequence[Order],
    *,
    bought: Sequence[dict[str, Any]] | None = None,
    by_hand: Collection[str] = (),
) -> list[str]:
    """One sentence for each thing that is not as it must be; empty when all is done, once, for the right buyer.

    `bought`: another ledger than the supplier's, to see what this checker is worth. `by_hand`: orders that the merchant
    made for themselves.
    """
    whole = world.aliexpress.control("ledger") if bought is None else bought
    ledger = [line for line in whole if str(line.get("order_id", "")) not in by_hand]
    created = [line for line in ledger if line["op"] == "create"]
    closed = {str(line["order_id"]) for line in ledger if line["op"] in CLOSES}
    return [
        *_too_many(ledger, orders),
        *_bought(created, closed, orders),
        *_owners(world, created, orders, by_hand),
        *_shown(world, ledger, orders),
    ]


CLOSES = ("close", "cancel")


def _too_many(ledger: Sequence[dict[str, Any]], orders: Sequence[Order]) -> list[str]:
    """Orders that were created while those before held all that may be bought. Closed later or not: twice is twice."""
    most = {order.name_hash: order for order in orders}
    live: dict[str, dict[str, Counter[str]]] = {}
    wrong = []
    for line in ledger:
        number = str(line.get("order_id", ""))
        if line["op"] in CLOSES:
            for held in live.values():
                held.pop(number, None)
        order = most.get(line.get("name_hash", "")) if line["op"] == "create" else None
        if order is None:
            continue
        held = live.setdefault(order.name_hash, {})
        held[number] = Counter({str(item["sku_id"]): int(item["quantity"]) for item in line["items"]})
        over = sum(held.values(), Counter[str]()) - order.most
        wrong += [f"{order.buyer}: {n} of {sku} too many with order {number}" for sku, n in over.items()]
    return wrong


def _bought(created: list[dict[str, Any]], closed: set[str], orders: Sequence[Order]) -> list[str]:
    """What was created for a buyer and not closed by the supplier is what the order is to have."""
    found: dict[str, Counter[str]] = {order.name_hash: Counter() for order in orders}
    strange = [line["order_id"] for line in created if line["name_hash"] not in found]
    for line in created:
        for item in [] if str(line["order_id"]) in closed else line["items"]:
            found.setdefault(line["name_hash"], Counter())[str(item["sku_id"])] += int(item["quantity"])
    wrong = [
        f"{order.buyer}: wanted {dict(order.wanted)}, bought {dict(found[order.name_hash])}"
        for order in orders
        if found[order.name_hash] != order.wanted
    ]
    return wrong + [f"order {number} is for nobody who ordered" for number in strange]


def _owners(
    world: World, created: list[dict[str, Any]], orders: Sequence[Order], by_hand: Collection[str]
) -> list[str]:
    """Each order at the supplier stands in Waybill at the shop's order of the buyer that it was made for, or nowhere."""
    buyers = {order.external_id: order.name_hash for order in orders}
    with world.container.database.transaction() as session:
        rows = session.execute(
            sa.select(SupplierOrder.external_id, StoreOrder.external_id)
            .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
            .where(SupplierOrder.role == "bought")
        ).all()
    owners = {number: buyers.get(order_id) for number, order_id in rows}
    return [
        f"order {line['order_id']} belongs to {line['name_hash']}, Waybill has it at {owners.get(line['order_id'])}"
        for line in created
        if owners.get(str(line["order_id"])) != line["name_hash"]
    ] + [
        f"order {number} was made by hand, Waybill has it at {owners[number]}" for number in by_hand if number in owners
    ]


def _shown(world: World, ledger: Sequence[dict[str, Any]], orders: Sequence[Order]) -> list[str]:
    """Every piece is in one parcel that the shop shows, and each parcel is shown at its buyer's order, once."""
    buyers, sent = _sent(ledger)
    parcels: dict[tuple[str, str], Counter[str]] = {}
    names = {(order.shop, order.external_id): order for order in orders}
    wrong, seen = [], Counter[str]()
    for shop, server in (("shopify", world.shopify), ("woocommerce", world.woocommerce)):
        for line in server.control("ledger"):
            read = fulfilment(shop, line)
            if read is None:
                continue
            number, order_id, pieces = read
            seen[number] += 1
            order = names.get((shop, order_id))
            if order is None or buyers.get(number) != order.name_hash:
                wrong.append(f"parcel {number} is shown at {shop} order {order_id}, and is not that buyer's")
            elif (there := order.by_sku(pieces)) != sent[number]:
                wrong.append(f"{order.buyer}: parcel {number} holds {dict(sent[number])}, shown with {dict(there)}")
            for line_id, count in pieces:
                parcels.setdefault((shop, order_id), Counter())[line_id] += count
    wrong += [f"parcel {number} is shown {many} times" for number, many in seen.items() if many > 1]
    wrong += [f"{order.buyer}: has not ordered yet" for order in orders if not order.lines]
    for order in orders:
        found = parcels.get((order.shop, order.external_id), Counter())
        if found != order.to_show:
            wrong.append(f"{order.buyer}: wanted {dict(order.to_show)} shown, found {dict(found)}")
    return wrong


def _sent(ledger: Sequence[dict[str, Any]]) -> tuple[dict[str, str], dict[str, Counter[str]]]:
    """(whose, which pieces by SKU) of each parcel by its number, as the supplier sent it."""
    made = {str(line["order_id"]): str(line["name_hash"]) for line in ledger if line["op"] == "create"}
    buyers, pieces = dict[str, str](), dict[str, Counter[str]]()
    for line in ledger:
        for parcel in line["parcels"] if line["op"] == "ship" else ():
            number = str(parcel["tracking_number"])
            buyers[number] = made.get(str(line["order_id"]), "nobody")
            pieces[number] = Counter({str(item["sku_id"]): int(item["quantity"]) for item in parcel["items"]})
    return buyers, pieces
