"""Tells what Waybill, AliExpress and the shops do, out of Waybill's audit rows and the simulators' ledgers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from app.domain.reasons import explain
from app.local.demo.cast import KINDS, NAMES, SHOPIFY, WOOCOMMERCE, Case
from app.local.demo.ledgers import Tail, fulfilment, instant
from app.local.demo.story import Story
from app.local.demo.view import View
from app.local.world import World
from app.models import Audit

_LOOK = 0.2
_NOT_TOLD = frozenset(("DRAFT", "READY", "CLAIMED", "SHIPPED", "PART_SHIPPED", "DELIVERED", "PLACED_PAID"))


class Narrator:
    """A thread that reads and tells until it is ended."""

    def __init__(self, world: World, view: View, story: Story, cases: Mapping[str, Case]) -> None:
        self._view = view
        self._story = story
        self._cases = cases
        self._supplier = Tail(world.ledger("aliexpress"))
        self._shops = {name: Tail(world.ledger(name)) for name in (SHOPIFY, WOOCOMMERCE)}
        self._mails, self._posted = world.mails, set[Path]()
        self._last = 0
        self._told: set[tuple[int, str, str]] = set()
        self._read: set[str] = set()
        self._by_purchase: dict[int, Case] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrator", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Tell what is left and stop."""
        self._ended.set()
        if self._thread.is_alive():  # what failed before it was started is to be told, not this
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK):
            self._look()
        self._look()

    def _look(self) -> None:
        for line in self._supplier.read():
            self._at_supplier(line)
        for row in self._view.news(self._last):
            self._last = row.id
            self._at_waybill(row)
        for shop, tail in self._shops.items():
            for line in tail.read():
                self._at_shop(shop, line)
        for path in sorted(set(self._mails.glob("*.eml")) - self._posted):
            self._posted.add(path)
            mail = message_from_bytes(path.read_bytes(), policy=policy.default)
            self._story.say("Mail", f"to {mail['To']}: {mail['Subject']} ({path.name}).", path.stat().st_mtime)

    def _at_supplier(self, line: Mapping[str, Any]) -> None:
        at = float(line["at"])
        if line["op"] == "create":
            items = " + ".join(f"{item['quantity']} x {item['title']}" for item in line["items"])
            text = f"creates order {line['order_id']} ({items}; {line['total']} USD with shipping)."
            self._story.say("AliExpress", text, at)
        elif line["op"] == "ship":
            for parcel in line["parcels"]:
                pieces = sum(int(item["quantity"]) for item in parcel["items"])
                what = "1 piece" if pieces == 1 else f"{pieces} pieces"
                text = f"ships {what} of order {line['order_id']}, tracking number {parcel['tracking_number']}."
                self._story.say("AliExpress", text, at)

    def _at_shop(self, shop: str, line: Mapping[str, Any]) -> None:
        read = fulfilment(shop, dict(line))
        if read is None:
            return
        number, order_id, pieces = read
        case = self._case(shop, order_id)
        titles = {goods.sku: goods.title for goods, _ in case.goods} if case else {}
        what = " + ".join(
            f"{count} x {titles.get(case.line_ids.get(line_id, ''), 'item') if case else 'item'}"
            for line_id, count in pieces
        )
        who = case.name if case else order_id
        text = f"{KINDS[shop]} shows the parcel {number} on {who}: {what}. The buyer can follow it."
        self._story.say("Shop", text, instant(shop, dict(line)))

    def _at_waybill(self, row: Audit) -> None:
        case = self._case_of(row.entity_id)
        text = self._words(row, case) if case else ""
        reason = str(row.detail.get("reason", ""))
        key = (row.entity_id, row.to_state or row.action, reason)
        if text and key not in self._told:
            self._told.add(key)
            self._story.say("Waybill", text, row.at.timestamp())

    def _words(self, row: Audit, case: Case) -> str:
        detail = row.detail
        if row.action == "derived" and detail.get("generation") == 1:
            first = case.key not in self._read
            self._read.add(case.key)
            if first:
                return f"reads {case.name} from the shop and writes down what to buy (purchase {row.entity_id})."
            what = "another seller has" if int(str(detail.get("part", 1))) == 1 else "nothing covers yet"
            return f"makes purchase {row.entity_id} for the part of {case.name} that {what}."
        if row.action != "move" or row.to_state in _NOT_TOLD or row.from_state == row.to_state:
            return ""
        facts = {str(name): value for name, value in detail.items() if name != "reason"}
        why = explain(str(detail.get("reason", "")), **facts).text.strip()
        orders = detail.get("orders", "")
        return {
            "SENDING": f"orders for {case.name}: address, price and stock are checked "
            f"(costs {detail.get('quote')}, at most {detail.get('limit')}).",
            "REJECTED": f"learns that AliExpress refused {case.name}: {why}",
            "HELD": f"holds {case.name}: {why}",
            "UNKNOWN": f"is told order numbers for {case.name} and reads them before it believes them."
            if detail.get("reason") in {"confirming", "partly_found"}
            else f"gets no clear answer for {case.name}. It never orders again to find out: it looks around.",
            "HUMAN": f"finds no evidence for {case.name} and puts it into the merchant's list: is it there or not?",
            "PLACED_UNPAID": f"puts order {orders} for {case.name} on the pay list."
            if row.from_state in {"SENDING", "PAY_BLOCKED"}
            else f"is sure now: {case.name} is order {orders}. It goes on the pay list.",
            "PAY_BLOCKED": f"warns, do not pay {orders} ({case.name}): {why}",
            "VOID": f"takes the merchant's word: the first try for {case.name} was never ordered. It may order anew.",
            "CANCELLED": f"buys nothing more for purchase {row.entity_id} of {case.name}. {why}",
            "EXPIRED": f"sees that {orders} was closed unpaid.",
        }.get(row.to_state, f"{case.name} is {row.to_state}. {why}")

    def _case(self, shop: str, external_id: str) -> Case | None:
        return next((c for c in self._cases.values() if c.external_id == external_id and c.shop == shop), None)

    def _case_of(self, purchase_id: int) -> Case | None:
        if purchase_id not in self._by_purchase:
            found = self._view.order_of(purchase_id)
            case = self._case(*found) if found else None
            if case is None:
                return None
            self._by_purchase[purchase_id] = case
        return self._by_purchase[purchase_id]


def shop_name(shop: str) -> str:
    """`Lumen & Leaf (Shopify)`."""
    return f"{NAMES[shop]} ({KINDS[shop]})"
