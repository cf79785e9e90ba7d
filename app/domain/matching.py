"""Is the SKU that a merchant once linked still what the supplier sells under that id? Never guesses.

A link is good only if SKU id **and** attribute ids agree with the product as read now. Attributes are written as
`14:365458#Brown;200000439:1438`: property id, value id, and after `#` a display name that sellers rewrite for
language and taste. A new display name alone is tolerated, because the ids decide what is packed; the text that is
*ordered* is always the current one, because the supplier compares it with what it shows now (reference 7.1: "exact
text from product.get, including `#…` parts").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.ports.supplier import SupplierProduct, SupplierSKU

_PAIR = re.compile(r"([0-9]+):([0-9]+)(?:#(.*))?", re.DOTALL)
_NEXT_PAIR = re.compile(r";(?=[0-9]+:[0-9]+(?:[#;]|$))")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the merchant confirmed. `seller_id` "" if it was not known then; it is checked only if it was."""

    product_id: str
    sku_id: str
    sku_attributes: str
    seller_id: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """The SKU as it is sold now. `renamed`: only display names differ from what was linked."""

    sku: SupplierSKU
    renamed: bool = False


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why the line is held. `reason` is one of `app.domain.reasons`, `text` completes its sentence."""

    reason: str
    text: str


def attribute_ids(text: str) -> tuple[tuple[str, str], ...] | None:
    """Property and value ids in sorted order; () for a product without variants, None if the text cannot be read."""
    if not text.strip():
        return ()
    pairs = []
    for part in _NEXT_PAIR.split(text.strip().rstrip(";")):
        found = _PAIR.fullmatch(part.strip())
        if not found:
            return None
        pairs.append((found.group(1), found.group(2)))
    return tuple(sorted(pairs))


def compare(link: Frozen, product: SupplierProduct | None) -> Match | Mismatch:
    """The linked SKU in the product as read now, or why it is not there any more."""
    if product is None:
        return Mismatch("product_gone", "the product no longer exists")
    if product.product_id != link.product_id:
        return Mismatch("mapping_changed", "the answer is about another product")
    if not product.on_sale:
        return Mismatch("product_gone", "the product is not on sale")
    if link.seller_id and product.seller_id and link.seller_id != product.seller_id:
        return Mismatch("mapping_changed", "the product has another seller")
    found = [sku for sku in product.skus if sku.sku_id == link.sku_id]
    if len(found) != 1:
        return Mismatch("mapping_changed", _missing_text(link, product) if not found else "its SKU id is not unique")
    return _same_options(link, found[0])


def _same_options(link: Frozen, sku: SupplierSKU) -> Match | Mismatch:
    if sku.attributes == link.sku_attributes:
        return Match(sku)
    then, now = attribute_ids(link.sku_attributes), attribute_ids(sku.attributes)
    if then is None or now is None or then != now:
        return Mismatch("mapping_changed", "the same SKU id now stands for other options")
    return Match(sku, renamed=True)


def _missing_text(link: Frozen, product: SupplierProduct) -> str:
    """Tells a person that the options live on under a new id; it is still theirs to confirm."""
    wanted = attribute_ids(link.sku_attributes)
    moved = wanted and any(attribute_ids(sku.attributes) == wanted for sku in product.skus)
    return "its options are sold under a new SKU id" if moved else "the linked option is no longer offered"
