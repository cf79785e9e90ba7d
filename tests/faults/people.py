"""The people of a run, scripted: they do what Waybill asks for and nothing else, and hours pass while they do it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import sqlalchemy as sa

from app.local.demo.cast import Goods
from app.models import Attempt, Credential, Purchase, ShopAccount, SupplierAccount, SupplierOrder
from tests.faults.commands import Commands
from tests.flow.world import World
from tests.races.byhand import order_by_hand

PATIENCE = 5.0
"""Seconds for which an unclear purchase is left to evidence, as an hour is in the real world."""
PAY_AGAIN = 2.0
"""Seconds after which the merchant looks at the pay list again even if no purchase moved."""
READ_AGAIN = 3.0
"""Seconds after which supplier orders are read again even if nobody paid or shipped, as every few hours."""


class People:
    """A merchant who connects, pays, approves and looks into what is unclear, by `flask` commands, and sellers who ship.

    What is refused for now is tried again the next time.
    """

    def __init__(self, world: World, commands: Commands) -> None:
        self._world = world
        self._commands = commands
        self._shipped: set[str] = set()
        self._since: dict[int, float] = {}
        self._read = 0.0
        self._paylist: tuple[set[str], list[str]] = (set(), [])
        self._paylist_at = 0.0
        self.unpaid: set[str] = set()
        """Buyers (`Order.name_hash`) whose orders the merchant does not pay."""
        self.kept_back: set[str] = set()
        """Buyers whose orders no seller ships."""
        self.by_hand: set[str] = set()
        """Orders that the merchant made at the supplier for themselves."""

    def act(self) -> None:
        """What there is to do now."""
        self._connect()
        moved = self._pay() | self._ship()
        self._decide()
        self._resolve()
        if moved or time.monotonic() - self._read > READ_AGAIN:
            self._read = time.monotonic()
            self._world.read_again()

    def orders(self, buyer: str = "") -> list[dict[str, Any]]:
        """Orders at the supplier, oldest first, each with `name_hash`; only this buyer's, if one is named."""
        names = {
            str(line["order_id"]): str(line["name_hash"])
            for line in self._world.aliexpress.control("ledger")
            if line["op"] == "create"
        }
        # What was made after the names were read is seen the next time: nobody may pay what has no name yet.
        found = [
            {**order, "name_hash": names[str(order["order_id"])]}
            for order in self._world.aliexpress.control("state")["orders"]
            if str(order["order_id"]) in names
        ]
        return [order for order in found if buyer in {"", order["name_hash"]}]

    def order_by_hand(self, goods: Goods) -> str:
        """The merchant orders a piece at the supplier for themselves; its number there."""
        made = order_by_hand(self._world, (goods.product_id, goods.sku_id))
        self.by_hand.add(made)
        return made

    def _connect(self) -> None:
        """Accounts whose connection is dead; so it is too where somebody died between a renewal and storing it."""
        query = (
            sa.select(sa.func.min(ShopAccount.shop_id), SupplierAccount.user_id)
            .join(SupplierAccount, SupplierAccount.id == ShopAccount.account_id)
            .join(Credential, Credential.account_id == SupplierAccount.id)
            .where(Credential.state == "DEAD", ShopAccount.is_default)
            .group_by(SupplierAccount.user_id)
        )
        with self._world.container.database.transaction() as session:
            dead = session.execute(query).all()
        for shop, user in dead:
            fresh = self._world.aliexpress.control("accounts", {"user_id": user})
            self._commands.give(
                "account", "connect", "--shop", shop, "--user-id", user,
                "--access-token", fresh["access_token"], "--refresh-token", fresh["refresh_token"],
            )  # fmt: skip

    def _pay(self) -> bool:
        """Whether anything was paid."""
        open_ones = {
            str(order["order_id"])
            for order in self.orders()
            if order["paid"] is None and order["status"] != "FINISH" and order["name_hash"] not in self.unpaid
        }
        # A pay list of which nothing has changed is looked at less often.
        seen = (open_ones, [purchase.state for purchase in self._world.purchases()])
        if not open_ones or (seen == self._paylist and time.monotonic() - self._paylist_at < PAY_AGAIN):
            return False
        self._paylist, self._paylist_at = seen, time.monotonic()
        listed = self._commands.give("paylist").data.get("pay", [])
        due = sorted(open_ones & {str(entry["supplier_order"]) for entry in listed})
        if due:
            self._world.aliexpress.control("pay", {"order_ids": due})
        return bool(due)

    def _ship(self) -> bool:
        """Whether anything was shipped."""
        before = len(self._shipped)
        for order in self.orders():
            number = str(order["order_id"])
            wanted = order["paid"] is not None and order["status"] != "FINISH"
            if wanted and order["name_hash"] not in self.kept_back and number not in self._shipped:
                self._shipped.add(number)
                self._world.aliexpress.control("ship", {"order_id": number})
        return len(self._shipped) > before

    def _decide(self) -> None:
        for purchase in self._world.purchases():
            if purchase.state != "HELD":
                continue
            if purchase.reason == "margin" and purchase.approved_at is None:
                self._commands.give("purchase", "approve", purchase.id, "--by", "merchant:1")
            elif purchase.reason in {"needs_person", "expired_unpaid"}:
                self._commands.give("purchase", "retry", purchase.id)

    def _resolve(self) -> None:
        unclear = [purchase for purchase in self._world.purchases() if purchase.state in {"UNKNOWN", "HUMAN"}]
        for purchase in unclear:
            began = self._since.setdefault(purchase.id, time.monotonic())
            if time.monotonic() - began > PATIENCE:
                self._world.pass_time("quarantine")
                self._look_into(purchase)

    def _look_into(self, purchase: Purchase) -> None:
        """It is in the account's list of orders at the supplier, or it is not."""
        with self._world.container.database.transaction() as session:
            sent = sa.select(Attempt).where(
                Attempt.purchase_id == purchase.id, Attempt.outcome.in_(("OPEN", "UNKNOWN"))
            )
            attempt = session.scalars(sent).first()
            known = set(
                session.scalars(sa.select(SupplierOrder.external_id).where(SupplierOrder.purchase_id.is_not(None)))
            )
            whose = sa.select(SupplierAccount.user_id).where(SupplierAccount.id == purchase.account_id)
            user = str(session.scalar(whose))
        if attempt is None:
            return
        wanted = Counter({str(sku): int(pieces) for _, sku, pieces, _ in attempt.items})
        mine = (order for order in self.orders() if str(order["user_id"]) == user)
        seen = sorted(mine, key=lambda order: float(order["created"]))
        found = [
            str(order["order_id"])
            for order in seen
            if str(order["order_id"]) not in known | self.by_hand
            and Counter({str(i["sku_id"]): int(i["quantity"]) for i in order["items"]}) <= wanted
        ]
        said: list[object] = ["purchase", "resolve", purchase.id, "--by", "merchant:1"]
        if found:
            self._commands.give(*said, *(word for number in found for word in ("--found", number)))
            return
        newest = str(seen[-1]["order_id"]) if seen else "none"
        self._commands.give(*said, "--not-there", "--newest-seen", newest, "--confirm-by", "merchant:2")
