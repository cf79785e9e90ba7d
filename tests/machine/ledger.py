"""What the supplier really did, by its own ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.flow.world import World
from tests.machine.shops import sold_as


@dataclass
class Bought:
    """An order that exists at the supplier."""

    number: str
    number_of_ours: str
    name_hash: str
    account: str
    items: Counter[str]
    """Pieces by what the shop sold: another SKU that a merchant chose for the same goods counts as them."""
    raw: Counter[str]
    """Pieces by SKU."""
    created: float
    total: float
    """Dollars."""
    paid: bool = False
    autopaid: bool = False
    closed: set[str] = field(default_factory=set)
    parcels: dict[str, Counter[str]] = field(default_factory=dict)
    """Pieces by SKU of each tracking number."""
    renumbered: dict[str, str] = field(default_factory=dict)
    """Tracking numbers of former times, and those that took their places."""
    delivered: bool = False
    too_late: set[str] = field(default_factory=set)
    """Tracking numbers that were given after everything had arrived: nobody looks for such any more."""

    @property
    def live(self) -> Counter[str]:
        """Pieces, as in `items`, that are paid or may still be paid."""
        live: Counter[str] = Counter()
        for sku, pieces in self.raw.items():
            if sku not in self.closed:
                live[sold_as(sku)] += pieces
        return live


@dataclass(frozen=True)
class Call:
    """A call that asked for an order, whatever became of it."""

    out_order_id: str
    at: float
    request_hash: str


class Ledger:
    """Read anew by `read`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.orders: dict[str, Bought] = {}
        self.calls: list[Call] = []

    def read(self) -> None:
        """All lines from the first."""
        self.orders, self.calls = {}, []
        for line in self._world.aliexpress.control("ledger"):
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if line["op"] == "create_call":
            self.calls.append(Call(str(line["out_order_id"]), float(line["at"]), str(line["request_hash"])))
        elif line["op"] == "create":
            raw: Counter[str] = Counter()
            items: Counter[str] = Counter()
            for item in line["items"]:
                raw[str(item["sku_id"])] += int(item["quantity"])
                items[sold_as(str(item["sku_id"]))] += int(item["quantity"])
            number = str(line["order_id"])
            ours, name, account = (str(line[key]) for key in ("out_order_id", "name_hash", "account"))
            at, total = float(line["at"]), float(line["total"])
            self.orders[number] = Bought(number, ours, name, account, items, raw, at, total)
        elif str(line.get("order_id", "")) in self.orders:
            self._change(self.orders[str(line["order_id"])], line)

    def _change(self, order: Bought, line: dict[str, Any]) -> None:
        if line["op"] == "pay":
            order.paid, order.autopaid = True, line["by"] == "autopay"
        elif line["op"] in {"close", "cancel"}:
            order.closed |= {str(sku) for sku in line.get("sku_ids") or order.raw}
        elif line["op"] == "ship":
            for parcel in line["parcels"]:
                counts = order.parcels.setdefault(str(parcel["tracking_number"]), Counter())
                for item in parcel["items"]:
                    counts[str(item["sku_id"])] += int(item["quantity"])
        elif line["op"] == "deliver":
            order.delivered = True
        elif line["op"] == "renumber":
            old, new = str(line["old"]), str(line["new"])
            if order.delivered:
                order.too_late.add(new)
            order.parcels[new] = order.parcels.pop(old)
            order.renumbered[old] = new

    def live_of(self, name_hash: str) -> Counter[str]:
        """Pieces by SKU that are bought for this buyer and not closed."""
        total: Counter[str] = Counter()
        for order in self.orders.values():
            if order.name_hash == name_hash:
                total += order.live
        return total
