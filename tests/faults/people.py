"""The people of a run, scripted: they do what Waybill asks for and nothing else, and hours pass while they do it."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Attempt, Purchase, SupplierOrder
from app.services import paylist, purchases
from tests.flow.world import World

PATIENCE = 8.0
"""Seconds for which an unclear purchase is left to evidence, as an hour is in the real world."""


class People:
    """A merchant who pays, approves and looks into unclear purchases, and sellers who ship."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._shipped: set[str] = set()
        self._since: dict[int, float] = {}

    def act(self) -> None:
        """What there is to do now. What is refused for now is tried again the next time."""
        for step in (self._pay, self._ship, self._approve, self._resolve, self._world.read_again):
            with suppress(WaybillError):
                step()

    def _orders(self) -> list[dict[str, Any]]:
        orders: list[dict[str, Any]] = self._world.aliexpress.control("state")["orders"]
        return orders

    def _pay(self) -> None:
        listed = {str(entry["supplier_order"]) for entry in paylist.listed(self._world.container)["pay"]}
        due = sorted(listed & {str(order["order_id"]) for order in self._orders() if order["paid"] is None})
        if due:
            self._world.aliexpress.control("pay", {"order_ids": due})

    def _ship(self) -> None:
        for order in self._orders():
            number = str(order["order_id"])
            if order["paid"] is not None and number not in self._shipped:
                self._shipped.add(number)
                self._world.aliexpress.control("ship", {"order_id": number})

    def _approve(self) -> None:
        for purchase in self._world.purchases():
            if (purchase.state, purchase.reason) == ("HELD", "margin") and purchase.approved_at is None:
                purchases.approve(self._world.container, purchase.id, actor="merchant:1")

    def _resolve(self) -> None:
        unclear = [purchase for purchase in self._world.purchases() if purchase.state in {"UNKNOWN", "HUMAN"}]
        for purchase in unclear:
            began = self._since.setdefault(purchase.id, time.monotonic())
            if time.monotonic() - began > PATIENCE:
                self._world.pass_time("quarantine")
                self._look_into(purchase)

    def _look_into(self, purchase: Purchase) -> None:
        """It is in the list of orders at the supplier, or it is not."""
        with self._world.container.database.transaction() as session:
            sent = sa.select(Attempt).where(
                Attempt.purchase_id == purchase.id, Attempt.outcome.in_(("OPEN", "UNKNOWN"))
            )
            attempt = session.scalars(sent).first()
            known = set(
                session.scalars(sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id.is_not(None)))
            )
        if attempt is None:
            return
        wanted = Counter({str(sku): int(pieces) for _, sku, pieces, _ in attempt.items})
        seen = sorted(self._orders(), key=lambda order: float(order["created"]))
        found = [
            str(order["order_id"])
            for order in seen
            if str(order["order_id"]) not in known
            and Counter({str(i["sku_id"]): int(i["quantity"]) for i in order["items"]}) <= wanted
        ]
        if found:
            purchases.resolve_found(self._world.container, purchase.id, found, by="merchant:1")
            return
        newest = str(seen[-1]["order_id"]) if seen else "none"
        purchases.resolve_not_there(
            self._world.container, purchase.id, newest_seen=newest, by="merchant:1", confirm_by="merchant:2"
        )
