"""What is bought in a script, and how it must end."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from app.local.demo.cast import Goods

SHOPIFY, WOOCOMMERCE = "shopify", "woocommerce"


@dataclass
class Order:
    """A paid order of a shop. Buyers' names differ: the supplier's ledger tells by them for whom it created one.

    `kept`: all pieces must be bought, less what the supplier closed, and shown in the shop. Else nothing may be.
    """

    shop: str
    buyer: str
    goods: tuple[tuple[Goods, int], ...]
    kept: bool = True
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
    def to_show(self) -> Counter[str]:
        """Pieces that the shop must show as shipped, by line."""
        skus = {goods.sku: pieces for goods, pieces in self.goods}
        return Counter({line_id: skus[sku] for line_id, sku in self.lines.items()} if self.kept else {})
