"""What is bought in a script, and how it must end."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.local.demo.cast import Goods

SHOPIFY, WOOCOMMERCE = "shopify", "woocommerce"


@dataclass
class Order:
    """A paid order of a shop. Buyers' names differ: the supplier's ledger tells by them for whom it created one.

    `kept`: all pieces must be bought, less what the supplier closed, and shown in the shop. Else nothing may be that
    the supplier has not closed. `never`: nothing may be bought at any time.
    """

    shop: str
    buyer: str
    goods: tuple[tuple[Goods, int], ...]
    kept: bool = True
    never: bool = False
    domain: str = ""
    external_id: str = ""
    lines: dict[str, str] = field(default_factory=dict)
    """SKU by the shop's line id."""

    @property
    def name_hash(self) -> str:
        """How the supplier's ledger names the buyer."""
        return hashlib.sha256(self.buyer.encode()).hexdigest()[:16]

    @property
    def wanted(self) -> Counter[str]:
        """Pieces that must be bought, by supplier SKU."""
        return Counter({goods.sku_id: pieces for goods, pieces in self.goods} if self.kept else {})

    @property
    def most(self) -> Counter[str]:
        """Pieces that may be bought at any time, by supplier SKU."""
        return Counter({} if self.never else {goods.sku_id: pieces for goods, pieces in self.goods})

    def by_sku(self, pieces: Iterable[tuple[str, int]]) -> Counter[str]:
        """Pieces by the shop's line id, as pieces by supplier SKU."""
        sku_ids = {goods.sku: goods.sku_id for goods, _ in self.goods}
        found = Counter[str]()
        for line_id, count in pieces:
            found[sku_ids.get(self.lines.get(line_id, ""), f"line {line_id}")] += count
        return found

    @property
    def to_show(self) -> Counter[str]:
        """Pieces that the shop must show as shipped, by line."""
        skus = {goods.sku: pieces for goods, pieces in self.goods}
        return Counter({line_id: skus[sku] for line_id, sku in self.lines.items()} if self.kept else {})
