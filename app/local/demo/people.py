"""The people of the demo, scripted: a merchant who pays and resolves, and sellers at AliExpress who ship.

The merchant does only what Waybill asks for: pays what is on the pay list, and looks into unclear purchases.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from app.container import Container
from app.local.demo.commands import CommandError, Commands, shown
from app.local.demo.story import Story
from app.local.demo.view import View
from app.local.world import World
from app.models import Attempt, Purchase
from app.pipeline.reconcile import attempt_of
from app.services import paylist

_LOOK = 0.7
_WORTH_WAITING = frozenset(("quarantine", "not_readable", "newest_missing", "wrong_account"))
_TWO_PARCELS = 2


class People:
    """A thread that looks around until it is ended. `failures`: what went wrong for them."""

    def __init__(self, world: World, container: Container, commands: Commands, view: View, story: Story) -> None:
        self._supplier = world.controls["aliexpress"]
        self._container = container
        self._commands = commands
        self._view = view
        self._story = story
        self._shipped: set[str] = set()
        self._looked: set[int] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="people", daemon=True)
        self.failures: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        if self._thread.is_alive():  # what failed before it was started is to be told, not this
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK):
            try:
                self._pay()
                self._resolve()
                self._ship()
            except Exception as error:  # noqa: BLE001 - told at the end, whatever it is
                self.failures.append(f"the scripted people stumbled: {type(error).__name__}: {error}")
                return

    def _pay(self) -> None:
        """Pay what the list says, nothing else."""
        listed = paylist.listed(self._container)
        numbers = [str(entry["supplier_order"]) for entry in listed["pay"]]
        if not numbers:
            return
        open_ones = {order["order_id"] for order in self._orders() if order["paid"] is None}
        due = [number for number in numbers if number in open_ones]
        if due:
            self._story.say("Merchant", f"pays what the pay list shows: {', '.join(due)}.")
            self._supplier.post("pay", {"order_ids": due})

    def _ship(self) -> None:
        """Sellers ship what is paid, in two parcels if it is enough for two."""
        for order in self._orders():
            number = str(order["order_id"])
            if order["paid"] is None or number in self._shipped or order["status"] == "FINISH":
                continue
            self._shipped.add(number)
            self._supplier.post("ship", {"order_id": number, "parcels": _parcels(order)})

    def _resolve(self) -> None:
        """Look at each purchase in the person's list: it is there, or it is not."""
        for purchase in self._view.unclear():
            if purchase.state == "HUMAN":
                self._look_into(purchase)

    def _look_into(self, purchase: Purchase) -> None:
        with self._container.database.transaction() as session:
            attempt = attempt_of(session, purchase.id)
        if attempt is None:
            return
        orders = self._orders()
        found = [str(order["order_id"]) for order in orders if self._is_it(order, attempt)]
        if purchase.id not in self._looked:
            self._looked.add(purchase.id)
            what = f"finds order {', '.join(found)}" if found else "finds nothing of the kind"
            self._story.say("Merchant", f"looks at the order list on AliExpress for purchase {purchase.id} and {what}.")
        if not orders:
            return
        newest = max(orders, key=lambda order: float(order["created"]))["order_id"]
        words: list[object] = ["purchase", "resolve", purchase.id]
        words += [word for number in found for word in ("--found", number)]
        words += [] if found else ["--not-there", "--newest-seen", newest]
        at = time.time()
        try:
            self._commands.run(*words)
        except CommandError as error:
            if error.code not in _WORTH_WAITING and self._is_unclear(purchase.id):
                raise
            return
        self._story.say("Merchant", f"tells Waybill: {shown(*words)}", at)

    def _is_unclear(self, purchase_id: int) -> bool:
        return any(purchase.id == purchase_id for purchase in self._view.unclear())

    def _is_it(self, order: dict[str, Any], attempt: Attempt) -> bool:
        """What a person does: the same things, made around that time, and not known to Waybill yet."""
        wanted = Counter({(str(product), str(sku)): int(pieces) for product, sku, pieces, _ in attempt.items})
        there = Counter({(str(i["product_id"]), str(i["sku_id"])): int(i["quantity"]) for i in order["items"]})
        near = float(order["created"]) >= attempt.sent_at.timestamp() - 1
        return near and there <= wanted and str(order["order_id"]) not in self._view.known_supplier_orders()

    def _orders(self) -> list[dict[str, Any]]:
        orders: list[dict[str, Any]] = self._supplier.get("state")["orders"]
        return orders


def _parcels(order: dict[str, Any]) -> list[dict[str, Any]] | None:
    """None for one parcel with everything; two where there are two items: one piece of each, then the rest."""
    items = [item for item in order["items"] if not item["end_reason"]]
    if len(items) < _TWO_PARCELS:
        return None
    first = [{"product_id": i["product_id"], "sku_id": i["sku_id"], "quantity": 1} for i in items]
    rest = [{**part, "quantity": int(i["quantity"]) - 1} for part, i in zip(first, items, strict=True)]
    rest = [part for part in rest if part["quantity"]]
    return [{"items": first}, {"items": rest}] if rest else [{"items": first[:1]}, {"items": first[1:]}]
