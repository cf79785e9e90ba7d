"""Staff, merchants and sellers of a story. They are honest: they say what they see at the supplier, and nothing else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from app.domain.purchase_flow import PLACED, UNCLEAR
from app.models import Attempt, Purchase, StoreOrder, SupplierAccount, SupplierOrder, Task
from app.pipeline.computed import APPROVABLE
from app.ports.money import Money
from app.services import orders as store_orders
from app.services import orphans, paylist, placement, purchases, todo
from tests.machine.shops import sold_as

if TYPE_CHECKING:
    from tests.machine.play import Play


class People:
    """Each act is one that Waybill offers."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._container = play.container

    def _purchases(self, *where: Any) -> list[Purchase]:
        with self._container.database.transaction() as session:
            return list(session.scalars(sa.select(Purchase).where(*where).order_by(Purchase.id)))

    def _orders(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._play.world.aliexpress.control("state")["orders"]
        return sorted(found, key=lambda order: (float(order["created"]), str(order["order_id"])))

    def pay(self) -> None:
        """What the pay list asks for."""
        self._play.ledger.read()
        for entry in paylist.listed(self._container)["pay"]:
            number = str(entry["supplier_order"])
            self._play.money.asked_to_pay(number)
            self._play.supplier("pay", {"order_id": number})

    def ship(self) -> None:
        """Sellers send all that is paid."""
        for order in self._orders():
            if order["paid"] is not None:
                self._play.supplier("ship", {"order_id": str(order["order_id"])})

    def approve(self) -> None:
        """Prices that are too high are accepted, each as it is shown."""
        for purchase in self._purchases(Purchase.reason.in_(("price_over_limit", *APPROVABLE))):
            if purchase.state in {"PAY_BLOCKED", "HELD"}:
                self._approve(purchase)

    def _approve(self, purchase: Purchase) -> None:
        amount, _, currency = str(purchase.facts.get("total", purchase.facts.get("quote", ""))).partition(" ")
        shown = Money.parse(amount, currency) if amount else None
        if shown is not None:
            self._play.money.approve(purchase.out_order_id, shown.minor / 100)
        self._play.by_hand(lambda: purchases.approve(self._container, purchase.id, amount=shown, actor="merchant:1"))

    def retry(self) -> None:
        """Whatever is held is looked at again."""
        for purchase in self._purchases(Purchase.state == "HELD"):
            self._play.by_hand(lambda one=purchase: purchases.retry(self._container, one.id, actor="staff:1"))

    def again(self) -> None:
        """What expired or was cancelled at the supplier, whole or in part, is ordered once more."""
        for purchase in self._purchases(Purchase.state.in_((*PLACED, "EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"))):
            self._play.by_hand(lambda one=purchase: purchases.again(self._container, one.id, actor="merchant:1"))

    def fix_addresses(self) -> None:
        """A field of the address of every held order is corrected."""
        for purchase in self._purchases(Purchase.state == "HELD"):
            change = {"address": f"{purchase.id} Mended Street"}
            with self._container.database.transaction() as session:
                number = session.get_one(StoreOrder, purchase.order_id).external_id
            self._play.by_hand(
                lambda number=number, change=change: store_orders.fix_address(
                    self._container, number, change, actor="staff:1"
                )
            )

    def dismiss(self) -> None:
        """Tasks are said to be done, and orders that belong to nobody to be somebody else's."""
        with self._container.database.transaction() as session:
            tasks = session.scalars(sa.select(Task.id).where(Task.done_at.is_(None)).order_by(Task.id)).all()
        for task_id in tasks:
            self._play.by_hand(lambda one=task_id: todo.finish(self._container, one, actor="staff:1"))

    def dismiss_strays(self) -> None:
        """Orders of nobody hold nothing up any more; only those that no unclear purchase may be waiting for."""
        if self._purchases(Purchase.state.in_(UNCLEAR)):
            return
        for order in orphans.listed(self._container):
            ref = str(order["supplier_order"])
            self._play.by_hand(lambda ref=ref: orphans.dismiss(self._container, ref, by="staff:1"))

    def freeze(self, *, stop: bool) -> None:
        """Staff stop all buying, or two of them let it go on."""
        if stop:
            self._play.by_hand(lambda: placement.freeze(self._container, "a story", by="staff:1"))
        else:
            self._play.by_hand(lambda: placement.release(self._container, by="staff:1", second="staff:2"))

    def look_into_unclear(self) -> None:
        """Each unclear purchase is in the account's list of orders, or is not."""
        for purchase in self._purchases(Purchase.state.in_(UNCLEAR)):
            self._play.by_hand(lambda one=purchase: self._look_into(one))

    def _look_into(self, purchase: Purchase) -> None:
        with self._container.database.transaction() as session:
            query = sa.select(Attempt).where(
                Attempt.purchase_id == purchase.id, Attempt.outcome.in_(("OPEN", "UNKNOWN"))
            )
            attempt = session.scalars(query).first()
            taken = set(
                session.scalars(sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id.is_not(None)))
            )
            account = session.get_one(SupplierAccount, purchase.account_id).user_id if purchase.account_id else ""
            shop_order = session.get_one(StoreOrder, purchase.order_id).external_id
        if attempt is None:
            return
        # AliExpress shows the address of its orders: whose it is, a person can see.
        buyer = next(one for one in self._play.shops.orders if one.external_id == shop_order)
        self._play.ledger.read()
        wanted: Counter[str] = Counter()
        for _, sku, pieces, _ in attempt.items:
            wanted[sold_as(str(sku))] += int(pieces)
        seen = [order for order in self._play.ledger.orders.values() if order.account == account]
        found = [
            order.number
            for order in seen
            if order.number not in taken
            and order.name_hash == buyer.name_hash
            and order.number_of_ours == attempt.out_order_id
            and order.items <= wanted
        ]
        if found:
            purchases.resolve_found(self._container, purchase.id, found, by="merchant:1")
            return
        newest = max(seen, key=lambda order: (order.created, order.number)).number if seen else "none"
        purchases.resolve_not_there(
            self._container, purchase.id, newest_seen=newest, by="merchant:1", confirm_by="staff:1"
        )
