"""Rows put into the database by hand, two of each where one could be taken for the other: no server but PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.models import (
    Alert,
    Attempt,
    Credential,
    Interlock,
    Merchant,
    ProductLink,
    Purchase,
    PurchaseItem,
    Shop,
    ShopAccount,
    SourceLine,
    Spend,
    StoreOrder,
    SupplierAccount,
    SupplierOrder,
    SupplierOrderItem,
    Task,
)
from app.ports.money import Money
from app.ports.supplier import OrderPayment, OrderShipping
from app.ports.supplier import SupplierOrder as OrderRead
from app.ports.supplier import SupplierOrderItem as ItemRead

Items = Sequence[tuple[str, str, int]]
"""Product, SKU and pieces of each."""
ONE: Items = (("P1", "S1", 2),)
TWO: Items = (("P1", "S1", 2), ("P2", "S2", 1))


class Stage:
    """A transaction in which a test stands, and what stands in it."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._numbers = count(1)
        self._begin()
        self.now: datetime = self.session.scalar(sa.select(sa.func.now()))  # type: ignore[assignment]
        self.merchant = self.add(Merchant(name="The merchant"))
        self.account = self.new_account()
        self.shop = self.new_shop()

    def _begin(self) -> None:
        self._transaction = self.container.database.transaction()
        self.session: Session = self._transaction.__enter__()

    def end(self) -> None:
        """Commit."""
        self._transaction.__exit__(None, None, None)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What so far was done is committed; inside, others have transactions of their own. After it rows are new."""
        self.end()
        try:
            yield
        finally:
            self._begin()

    def again(self, row: Any) -> Any:
        """A row as it stands now."""
        return self.session.get_one(type(row), sa.inspect(row).identity, populate_existing=True)

    def add(self, row: Any) -> Any:
        """Put a row into the database."""
        self.session.add(row)
        self.session.flush()
        return row

    def new_account(self, state: str = "LIVE") -> SupplierAccount:
        """A supplier account with its credential."""
        made = SupplierAccount(
            merchant_id=self.merchant.id, supplier="aliexpress", user_id=str(700 + next(self._numbers))
        )
        self.add(made)
        self.add(Credential(account_id=made.id, sealed=b"-", state=state))
        return made

    def new_shop(self, **more: Any) -> Shop:
        """A shop that buys with the account."""
        usual = {"connector": "shopify", "address": f"s{next(self._numbers)}", "name": "Shop", "currency": "USD"}
        made = self.add(Shop(merchant_id=self.merchant.id, **{**usual, **more}))
        self.add(ShopAccount(shop_id=made.id, account_id=self.account.id, is_default=True))
        return made

    def new_order(self, *quantities: int, **more: Any) -> tuple[StoreOrder, list[SourceLine]]:
        """A paid order with a line for each quantity."""
        number = str(next(self._numbers))
        usual: dict[str, Any] = {
            "shop_id": self.shop.id,
            "external_id": number,
            "number": f"#{number}",
            "currency": "USD",
            "paid": True,
            "total": 5000,
            "shipping_paid": 0,
            "kept": 5000,
            "placed_at": self.now - timedelta(hours=1),
            "changed_at": self.now - timedelta(hours=1),
        }
        order = self.add(StoreOrder(**{**usual, **more}))
        lines = [
            self.add(
                SourceLine(
                    order_id=order.id,
                    shop_id=order.shop_id,
                    external_order_id=number,
                    external_id=f"{number}-{place}",
                    product_id="1",
                    variant_id=f"v{number}-{place}",
                    quantity=quantity,
                    to_ship=quantity,
                    paid=2500,
                )
            )
            for place, quantity in enumerate(quantities)
        ]
        return order, lines

    def purchase(self, state: str, items: Items = ONE, *, outcome: str = "", **more: Any) -> Purchase:
        """A purchase of a new order, with an item for each line; `outcome`: and the attempt that it was sent by."""
        order, lines = self.new_order(*(pieces for _, _, pieces in items))
        usual: dict[str, Any] = {
            "merchant_id": self.merchant.id,
            "shop_id": order.shop_id,
            "order_id": order.id,
            "account_id": self.account.id,
            "supplier": "aliexpress",
            "out_order_id": f"W{order.id}",
            "quote_currency": "USD",
            "quote_minor": 1000,
            "limit_minor": 1500,
            "sent_at": self.now - timedelta(minutes=1) if outcome else None,
        }
        made: Purchase = self.add(Purchase(state=state, **{**usual, **more}))
        for line, (product, sku, pieces) in zip(lines, items, strict=True):
            item = PurchaseItem(
                purchase_id=made.id, source_line_id=line.id, part=made.part, generation=made.generation, quantity=pieces
            )
            item.product_id = item.order_product_id = product
            item.sku_id = sku
            self.add(item)
            self.link(line, product, sku)
        if outcome:
            self.attempt(made, outcome)
        return made

    def link(self, line: SourceLine, product: str, sku: str, **more: Any) -> ProductLink:
        """The line's variant is linked to this."""
        named = {"product_id": product, "sku_id": sku, "sku_attributes": "", "seller_id": "", "service": ""}
        usual = {"shop_id": line.shop_id, "variant_id": line.variant_id, "supplier": "aliexpress", **named}
        made: ProductLink = self.add(ProductLink(**{**usual, **more}))
        return made

    def items(self, purchase: Purchase) -> list[PurchaseItem]:
        """In the order in which they were made."""
        mine = sa.select(PurchaseItem).where(PurchaseItem.purchase_id == purchase.id).order_by(PurchaseItem.id)
        return list(self.session.scalars(mine))

    def attempt(self, purchase: Purchase, outcome: str = "OPEN", **more: Any) -> Attempt:
        """A send of all its items, with the reservation and the interlocks that it holds while it is open."""
        items = self.items(purchase)
        usual: dict[str, Any] = {
            "purchase_id": purchase.id,
            "account_id": purchase.account_id,
            "fence": purchase.fence,
            "outcome": outcome,
            "out_order_id": purchase.out_order_id,
            "request_hash": "",
            "items": [[item.product_id, item.sku_id, item.pieces, item.id] for item in items],
            "sent_at": purchase.sent_at or self.now,
        }
        made: Attempt = self.add(Attempt(**{**usual, **more}))
        spend = Spend(attempt_id=made.id, shop_id=purchase.shop_id, day=self.now.date(), currency="USD", quoted=1000)
        self.add(spend)
        return made

    def lock(self, purchase: Purchase, sku: str) -> None:
        """The interlock that an open send of this SKU holds."""
        self.add(
            Interlock(
                account_id=purchase.account_id,
                product_id="P",
                sku_id=sku,
                purchase_id=purchase.id,
                release_at=self.now + timedelta(hours=1),
            )
        )

    def locked(self) -> set[int]:
        """Purchases that hold an interlock."""
        return set(self.session.scalars(sa.select(Interlock.purchase_id)))

    def supplier_order(
        self, number: str, purchase: Purchase | None = None, items: Items = (), **more: Any
    ) -> SupplierOrder:
        """A row of an order at the supplier, its items mapped to the purchase's items of the same SKU."""
        usual: dict[str, Any] = {
            "account_id": self.account.id,
            "external_id": number,
            "purchase_id": purchase.id if purchase else None,
            "role": "bought" if purchase else "orphan",
            "payment": "unpaid",
            "currency": "USD",
            "total": 1000,
            "read_at": self.now - timedelta(minutes=1),
        }
        made: SupplierOrder = self.add(SupplierOrder(**{**usual, **more}))
        mine = {item.sku_id: item.id for item in self.items(purchase)} if purchase else {}
        for product, sku, pieces in items:
            self.add(
                SupplierOrderItem(
                    supplier_order_id=made.id,
                    purchase_item_id=mine.get(sku),
                    product_id=product,
                    sku_id=sku,
                    quantity=pieces,
                )
            )
        return made

    def stored(self, order: SupplierOrder) -> list[SupplierOrderItem]:
        """Its items, in the order in which they were made."""
        mine = sa.select(SupplierOrderItem).where(SupplierOrderItem.supplier_order_id == order.id)
        return list(self.session.scalars(mine.order_by(SupplierOrderItem.id)))

    def read(self, number: str, items: Items = ONE, **more: Any) -> OrderRead:
        """What the supplier tells of an order that was made when the purchase of this stage was sent."""
        usual: dict[str, Any] = {
            "order_id": number,
            "status": "PLACE_ORDER_SUCCESS",
            "payment": OrderPayment.UNPAID,
            "shipping": OrderShipping.NONE,
            "closed": False,
            "total": Money(1000, "USD"),
            "created_at": self.now - timedelta(minutes=1),
            "created_at_alternatives": (),
            "paid_at": None,
            "pay_until": None,
            "items": tuple(ItemRead(product, sku, pieces, closed=False) for product, sku, pieces in items),
        }
        return OrderRead(**{**usual, **more})

    def spend(self, purchase: Purchase) -> tuple[str, int | None]:
        """State and settled sum of its reservation."""
        mine = sa.select(Spend.state, Spend.settled).join(Attempt).where(Attempt.purchase_id == purchase.id)
        state, settled = self.session.execute(mine).one()
        return state, settled

    def tasks(self) -> list[str]:
        """Keys of tasks whose cause lasts."""
        return list(self.session.scalars(sa.select(Task.dedupe_key).where(~Task.over).order_by(Task.id)))

    def alerts(self) -> list[str]:
        """Keys of alerts that last."""
        return list(
            self.session.scalars(sa.select(Alert.dedupe_key).where(Alert.ended_at.is_(None)).order_by(Alert.id))
        )

    def soon(self, at: datetime | None) -> float:
        """How far ahead of this transaction a time lies, in seconds."""
        assert at is not None
        return (at.astimezone(UTC) - self.now).total_seconds()
