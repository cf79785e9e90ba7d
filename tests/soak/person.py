"""The only people of a run: they pay, look into what is unclear, and close what is too much, through the real `flask`.

They see what people see: Waybill's lists, and the supplier's site with the account's orders and their buyers' names.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from app.local.control import Control, ControlError
from tests.soak.books import Books, Sold
from tests.soak.fleet import Fleet
from tests.soak.shops import Trade

PAUSE = 2.0
HELD_EVERY = 5
"""Rounds between two looks at what is held."""
STAFF = ("--by", "staff:ada", "--confirm-by", "staff:bea")


class Person:
    """One thread. `counts`: what was done; `refused`: what Waybill did not accept, by its error code."""

    def __init__(self, fleet: Fleet, supplier: Control, books: Books, trade: Trade) -> None:
        self._fleet, self._supplier, self._books, self._trade = fleet, supplier, books, trade
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="person", daemon=True)
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.resolved: set[int] = set()
        self.trouble: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Go home."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        rounds = 0
        while not self._over.wait(PAUSE):
            rounds += 1
            steps = [self._pay, self._look_into, *([self._held, self._frozen] if rounds % HELD_EVERY == 0 else [])]
            for step in steps:
                try:
                    step()
                except (OSError, TimeoutError, ControlError) as error:  # tried again in the next round
                    self.refused[type(error).__name__] += 1
                except Exception as error:  # noqa: BLE001 - as above
                    self.trouble.append(f"{step.__name__}: {error!r}")

    def _ask(self, *words: str) -> list[dict[str, Any]]:
        code, told = self._fleet.type(*words)
        if code != 0:
            self._note(told)
            return []
        return told if isinstance(told, list) else [told]

    def _act(self, *words: str) -> bool:
        code, told = self._fleet.type(*words)
        if code != 0:
            self._note(told)
        return code == 0

    def _note(self, told: Any) -> None:
        code = str(told.get("error")) if isinstance(told, dict) else str(told).strip()[-80:]
        self.refused[code] += 1

    def _pay(self) -> None:
        for told in self._ask("paylist"):
            listed = {str(entry["supplier_order"]) for entry in told["pay"]}
            self._books.read()
            due = self._books.unpaid(listed)
            if due:
                self._supplier.post("pay", {"order_ids": due})
                self.counts["paid"] += len(due)
            for entry in told["do_not_pay"]:
                self._close(str(entry["supplier_order"]), str(entry["reason"]))

    def _close(self, number: str, reason: str) -> None:
        """A second order of a purchase is closed at the supplier, as Waybill asks for."""
        if "duplicate" in reason or "twice" in reason:
            with suppress(ControlError):
                self._supplier.post("close", {"order_id": number})
                self.counts["closed"] += 1

    def _look_into(self) -> None:
        for row in self._ask("purchase", "list", "--state", "HUMAN"):
            shop = self._trade.shop(int(row["shop_id"]))
            self._books.read()
            sold = self._books.of(shop.name, str(row["number"]))
            if sold is None:
                self.trouble.append(f"purchase {row['id']}: no order {row['number']} in {shop.name}")
                continue
            self._resolve(int(row["id"]), sold, shop.account, set(row["supplier_orders"]))

    def _resolve(self, purchase: int, sold: Sold, account: str, known: set[str]) -> None:
        """It is in the account's list of orders under the buyer's name, or it is not."""
        found = [one.order_id for one in self._books.orders_for(sold.buyer) if one.order_id not in known]
        words = ["purchase", "resolve", str(purchase)]
        if found:
            done = self._act(*words, *(word for number in found for word in ("--found", number)), *STAFF)
            self.counts["found"] += done
        else:
            newest = self._books.newest_of(account)
            done = self._act(*words, "--not-there", "--newest-seen", newest, *STAFF)
            self.counts["not there"] += done
        if done:
            self.resolved.add(purchase)

    def _held(self) -> None:
        for row in self._ask("purchase", "list", "--state", "HELD"):
            if row["turn"] == "merchant":
                self.counts[f"held: {row['reason']}"] += 1
                self._act("purchase", "retry", str(row["id"]), "--by", "merchant")

    def _frozen(self) -> None:
        for told in self._ask("placement", "status"):
            if told.get("frozen") or told.get("freezes"):
                self.counts["frozen"] += 1
                self._act("placement", "release", "--by", "staff:ada", "--second", "staff:bea")
