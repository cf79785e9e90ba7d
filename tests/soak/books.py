"""What the shops and the supplier wrote down, read from their ledgers; nothing here asks Waybill."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.local.demo.ledgers import fulfilment, instant

SHOPIFY, WOOCOMMERCE, ALIEXPRESS = "shopify", "woocommerce", "aliexpress"
FOREVER = float("inf")
Key = tuple[str, str, str]
"""A storefront's order: (kind of shop, shop, order id there). A shop is a domain, or a WooCommerce slug."""
_FEWER = frozenset(("order_cancelled", "order_refunded", "order_status_changed", "refund_created"))
_OVER = frozenset(("cancelled", "refunded"))


@dataclass(frozen=True, slots=True)
class Sold:
    """A paid order. `lines`: the supplier's SKU and how many pieces, by line id."""

    key: Key
    number: str
    buyer: str
    lines: dict[str, tuple[str, int]]
    changes: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    """From when on fewer pieces were wanted, and how many of which line, as the shop told it; oldest first."""

    def left(self, at: float = FOREVER) -> dict[str, int]:
        """Pieces by line that the buyer still wants at that time."""
        pieces = {line: count for line, (_, count) in self.lines.items()}
        for since, fewer in self.changes:
            if since <= at:
                pieces.update(fewer)
        return pieces

    def wanted(self, at: float = FOREVER) -> Counter[str]:
        """The same by supplier SKU."""
        pieces = Counter[str]()
        for line, count in self.left(at).items():
            pieces[self.lines[line][0]] += count
        return pieces


@dataclass(frozen=True, slots=True)
class Bought:
    """An order that the supplier created."""

    order_id: str
    buyer: str
    account: str
    pieces: Counter[str]
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A parcel that a shop shows at one of its orders: its number, and pieces by line id."""

    key: Key
    tracking: str
    pieces: tuple[tuple[str, int], ...]


@dataclass
class Books:
    """All ledgers, read on whenever `read()` is called. Every method may be called from any thread."""

    folder: Path
    skus: dict[tuple[str, str], str] = field(default_factory=dict)
    """The supplier's SKU of a (shop, variant or product id there)."""
    sold: dict[Key, Sold] = field(default_factory=dict)
    bought: list[Bought] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    history: list[Bought | str] = field(default_factory=list)
    """What the supplier created, and the numbers of what it closed, in the order of its ledger."""
    paid: set[str] = field(default_factory=set)
    owner: dict[str, str] = field(default_factory=dict)
    """The supplier order that a tracking number belongs to."""
    newest: dict[str, str] = field(default_factory=dict)
    """The newest supplier order of each account."""
    _read_to: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def read(self) -> None:
        """Take up what was written since the last time."""
        with self._lock:
            for line in self._new(SHOPIFY):
                self._storefront(SHOPIFY, line)
            for line in self._new(WOOCOMMERCE):
                self._storefront(WOOCOMMERCE, line)
            for line in self._new(ALIEXPRESS):
                self._supplier(line)

    def not_bought(self) -> list[Sold]:
        """Orders of which not every piece is bought by now."""
        with self._lock:
            have = self._have()
            return [sold for sold in self.sold.values() if sold.wanted() - have.get(sold.buyer, Counter())]

    def not_shown(self) -> list[Sold]:
        """Orders of which not every piece is in a parcel that the shop shows."""
        with self._lock:
            have: dict[Key, Counter[str]] = {}
            for parcel in self.shown:
                have.setdefault(parcel.key, Counter()).update(dict(parcel.pieces))
            wanted = {key: Counter(sold.left()) for key, sold in self.sold.items()}
            return [self.sold[key] for key, lines in wanted.items() if lines - have.get(key, Counter())]

    def of(self, shop: str, number: str) -> Sold | None:
        """The order with this number in this shop."""
        with self._lock:
            return next((one for one in self.sold.values() if one.key[1] == shop and one.number == number), None)

    def orders_for(self, buyer: str) -> list[Bought]:
        """What the supplier made for this buyer and did not close."""
        with self._lock:
            return [one for one in self.bought if one.buyer == buyer and one.order_id not in self.closed]

    def unpaid(self, order_ids: set[str]) -> list[str]:
        """Those of them that nobody has paid yet."""
        with self._lock:
            return sorted(order_ids - self.paid - self.closed)

    def newest_of(self, account: str) -> str:
        """The number at the top of the account's list of orders, `none` if it is empty."""
        with self._lock:
            return self.newest.get(account, "none")

    def sizes(self) -> tuple[int, int]:
        """How many lines were sold, and how many orders."""
        with self._lock:
            return sum(len(sold.lines) for sold in self.sold.values()), len(self.sold)

    def _have(self) -> dict[str, Counter[str]]:
        have: dict[str, Counter[str]] = {}
        for one in self.bought:
            if one.order_id not in self.closed:
                have.setdefault(one.buyer, Counter()).update(one.pieces)
        return have

    def _new(self, name: str) -> Iterator[dict[str, Any]]:
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read_to.get(name, 0))
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                self._read_to[name] = self._read_to.get(name, 0) + len(raw)
                yield json.loads(raw)

    def _storefront(self, kind: str, line: dict[str, Any]) -> None:
        if line.get("event") == "order_created":
            sold = self._shopify_order(line) if kind == SHOPIFY else self._woocommerce_order(line)
            self.sold[sold.key] = sold
            return
        if line.get("event") in _FEWER:
            self._fewer(kind, line)
            return
        parcel = fulfilment(kind, line)
        if parcel is not None:
            tracking, order_id, pieces = parcel
            shop = str(line["shop_domain"] if kind == SHOPIFY else line["shop"])
            self.shown.append(Shown((kind, shop, order_id), tracking, pieces))

    def _shopify_order(self, line: dict[str, Any]) -> Sold:
        row, shop = line["state"]["orders"][0], str(line["shop_domain"])
        variants = {str(one["id"]): str(one["variant_id"]) for one in row["lines"]}
        lines = {
            str(one["line_id"]): (self.skus[shop, variants[str(one["line_id"])]], int(one["quantity"]))
            for one in line["lines"]
        }
        address = row["address"]
        buyer = name_hash(f"{address['firstName']} {address['lastName']}")
        return Sold((SHOPIFY, shop, str(line["order_id"])), f"#{row['number']}", buyer, lines)

    def _woocommerce_order(self, line: dict[str, Any]) -> Sold:
        row, shop = line["put"]["orders"][str(line["order"])], str(line["shop"])
        lines = {
            str(one["id"]): (self.skus[shop, str(one["product_id"])], int(one["quantity"])) for one in row["line_items"]
        }
        buyer = name_hash(f"{row['billing']['first_name']} {row['billing']['last_name']}")
        return Sold((WOOCOMMERCE, shop, str(line["order"])), str(row["number"]), buyer, lines)

    def _fewer(self, kind: str, line: dict[str, Any]) -> None:
        """Cancelled as a whole, or refunded in part."""
        shop, order = (line["shop_domain"], line["order_id"]) if kind == SHOPIFY else (line["shop"], line["order"])
        sold = self.sold[kind, str(shop), str(order)]
        left = dict.fromkeys(sold.lines, 0)
        if line["event"] == "order_refunded":
            left = {str(one["id"]): int(one["current"]) for one in line["state"]["orders"][0]["lines"]}
        elif line["event"] == "refund_created" and line["status"] not in _OVER:
            left = sold.left()
            for one in (one for refund in line["put"]["refunds"].values() for one in refund["line_items"]):
                whose = next(str(more["value"]) for more in one["meta_data"] if more["key"] == "_refunded_item_id")
                left[whose] -= int(one["quantity"])
        elif line["event"] == "order_status_changed" and line["to"] not in _OVER:
            return
        sold.changes.append((instant(kind, line), left))

    def _supplier(self, line: dict[str, Any]) -> None:
        if line["op"] == "create":
            pieces = Counter[str]()
            for item in line["items"]:
                pieces[str(item["sku_id"])] += int(item["quantity"])
            made = Bought(
                str(line["order_id"]), str(line["name_hash"]), str(line["account"]), pieces, float(line["at"])
            )
            self.bought.append(made)
            self.history.append(made)
            self.newest[made.account] = made.order_id
        elif line["op"] == "pay":
            self.paid.add(str(line["order_id"]))
        elif line["op"] == "close":
            self.closed.add(str(line["order_id"]))
            self.history.append(str(line["order_id"]))
        elif line["op"] == "ship":
            for parcel in line["parcels"]:
                self.owner[str(parcel["tracking_number"])] = str(line["order_id"])


def name_hash(buyer: str) -> str:
    """How the supplier's ledger names a buyer."""
    return hashlib.sha256(buyer.encode()).hexdigest()[:16]
