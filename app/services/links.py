"""Links: which storefront variant is bought as which supplier SKU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.db import ROW
from app.domain.matching import attribute_ids
from app.errors import Conflict, NotFound, WaybillError
from app.models import ProductLink, Purchase, PurchaseItem, Shop, SourceLine
from app.pipeline import match, readiness
from app.pipeline.record import audit
from app.ports.errors import MerchantMustAct, OutsideError, TryLater
from app.ports.storefront import VariantInfo
from app.ports.supplier import SupplierProduct, SupplierSKU
from app.services import shops
from app.services.faults import said
from app.services.purchases import look_again
from app.shop_access import with_account, with_shop

LIFTED = (
    "mapping_missing",
    "mapping_changed",
    "product_gone",
    "out_of_stock",
    "partial_stock",
    "promotion_limit",
    "not_shippable",
    "shipping_service",
)
"""What another link may cure."""
WAITING = ("DRAFT", "HELD", "READY")
"""States in which a purchase follows its order and its links."""
SHOWN = 30
"""SKUs named in an error."""


def add(
    container: Container,
    shop_id: int,
    *,
    variant: str = "",
    sku: str = "",
    product: str,
    sku_id: str,
    sku_attr: str | None = None,
    service: str = "",
    units: int = 1,
    position: int = 1,
    actor: str,
) -> dict[str, Any]:
    """Link a variant, or link it anew. The SKU's id and attributes are frozen as the supplier tells them now.

    When the supplier cannot be asked, `sku_attr` is believed and the link is checked at the first order. Gives the
    link as data, with `verified`, `went_on`: the purchases that waited for it, and `missing_positions`: a bundle is
    ordered when it is whole, so its first position is linked last.
    """
    if units < 1 or position < 1:
        raise WaybillError("bad_number", "Units and position must be 1 or more.")
    shop = shops.get(container, shop_id)
    chosen = _variant(container, shop, variant, sku)
    read, why = _product(container, shop, product)
    if read is None and sku_attr is None:
        raise WaybillError("not_verifiable", f"{why} Give --sku-attr as well to link without asking the supplier.")
    frozen = _sku(read, sku_id, sku_attr) if read is not None else None
    link = _store(
        container,
        shop,
        chosen,
        {
            "supplier": container.connectors.supplier.name,
            "product_id": product,
            "sku_id": sku_id,
            "sku_attributes": frozen.attributes if frozen else (sku_attr or ""),
            "seller_id": read.seller_id if read else "",
            "title": (read.title if read else chosen.title)[:300],
            "service": service,
            "units": units,
            "state": "ACTIVE",
            "sku": chosen.sku,
        },
        position,
        actor,
    )
    lines = (
        sa.select(PurchaseItem.purchase_id)
        .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
        .where(SourceLine.shop_id == shop_id, SourceLine.variant_id == chosen.variant_id)
    )
    went_on = look_again(
        container, Purchase.shop_id == shop_id, Purchase.reason.in_(LIFTED), Purchase.id.in_(lines), again=True
    )
    _follow(container, shop_id, chosen.variant_id)
    missing = _missing(container, shop_id, chosen.variant_id)
    done = {"verified": read is not None, "unverified_because": why, "went_on": went_on, "missing_positions": missing}
    return {**told(link), **done}


def _missing(container: Container, shop_id: int, variant_id: str) -> list[int]:
    """Positions of a bundle that are not linked yet; until they are, nothing is ordered by its links."""
    query = sa.select(ProductLink.position).where(ProductLink.shop_id == shop_id, ProductLink.variant_id == variant_id)
    with container.database.transaction() as session:
        linked = set(session.scalars(query))
    return sorted(set(range(1, max(linked, default=0))) - linked)


def _variant(container: Container, shop: Shop, variant: str, sku: str) -> VariantInfo:
    if bool(variant) == bool(sku):
        raise WaybillError("variant_or_sku", "Name the variant either by its id (--variant) or by its SKU (--sku).")
    try:
        found = with_shop(
            container,
            shop.id,
            lambda session: session.variants(variant_id=variant) if variant else session.variants(sku=sku),
        )
    except OutsideError as error:
        raise said(error) from error
    what = f"the id {variant}" if variant else f"the SKU {sku!r}"
    if not found:
        raise NotFound("no_variant", f"The shop {shop.name} has no variant with {what}.")
    if len(found) > 1:
        listed = "; ".join(f"{one.variant_id} ({one.title}, SKU {one.sku or '-'})" for one in found[:SHOWN])
        raise Conflict("several_variants", f"Several variants have {what}: {listed}. Name one with --variant.")
    return found[0]


def _product(container: Container, shop: Shop, product: str) -> tuple[SupplierProduct | None, str]:
    """The product as the shop's account sees it, or None with the reason why it cannot be read now."""
    with container.database.transaction() as session:
        account = readiness.account_of(session, shop)
    if account.id is None or account.reason:
        return None, "The product cannot be looked at: the shop has no working supplier account."
    country = shop.country or "US"
    currency = container.connectors.suppliers[account.supplier].quote_currency
    try:
        read = with_account(
            container,
            account.id,
            lambda supplier: supplier.product(product, country=country, currency=currency, language="en"),
        )
    except (TryLater, MerchantMustAct) as error:
        return None, f"The product cannot be looked at: {said(error).text}"
    except OutsideError as error:
        raise said(error) from error
    if read is None:
        raise NotFound("no_product", f"The supplier has no product {product} (or does not sell it to {country}).")
    return read, ""


def _sku(product: SupplierProduct, sku_id: str, sku_attr: str | None) -> SupplierSKU:
    found = [one for one in product.skus if one.sku_id == sku_id]
    if len(found) != 1:
        raise NotFound("no_sku", f"Product {product.product_id} has no SKU {sku_id}. It has: {_skus(product.skus)}.")
    if sku_attr is not None and attribute_ids(sku_attr) != attribute_ids(found[0].attributes):
        raise WaybillError(
            "other_attributes",
            f"SKU {sku_id} stands for {found[0].attributes or 'no options'}, not for {sku_attr}. "
            f"The product has: {_skus(product.skus)}.",
        )
    return found[0]


def _skus(skus: Sequence[SupplierSKU]) -> str:
    shown = "; ".join(f"{one.sku_id} = {one.attributes or 'no options'} ({one.price})" for one in skus[:SHOWN])
    more = len(skus) - SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


def _store(
    container: Container, shop: Shop, chosen: VariantInfo, values: dict[str, Any], position: int, actor: str
) -> ProductLink:
    with container.database.transaction() as session:
        # Two people linking the same variant at once take turns.
        session.get_one(Shop, shop.id, with_for_update=ROW)
        link = session.scalars(
            sa.select(ProductLink).where(
                ProductLink.shop_id == shop.id,
                ProductLink.variant_id == chosen.variant_id,
                ProductLink.position == position,
            )
        ).one_or_none()
        action = "linked" if link is None else "relinked"
        if link is None:
            link = ProductLink(shop_id=shop.id, variant_id=chosen.variant_id, position=position)
            session.add(link)
        for name, value in values.items():
            setattr(link, name, value)
        session.flush()  # the audit row refers to it
        detail = {name: values[name] for name in ("product_id", "sku_id", "sku_attributes", "service", "units")}
        audit(session, "link", link.id, action, actor=actor, detail={"variant": chosen.variant_id, **detail})
        session.refresh(link)
        return link


def _follow(container: Container, shop_id: int, variant_id: str) -> None:
    """Purchases of this variant that were not sent take over what its links say now; without a link they are held."""
    orders = (
        sa.select(Purchase.order_id)
        .join(PurchaseItem, PurchaseItem.purchase_id == Purchase.id)
        .join(SourceLine, SourceLine.id == PurchaseItem.source_line_id)
        .where(SourceLine.shop_id == shop_id, SourceLine.variant_id == variant_id, Purchase.state.in_(WAITING))
        .distinct()
        .order_by(Purchase.order_id)
    )
    with container.database.transaction() as session:
        ids = session.scalars(orders).all()
    for order_id in ids:
        with container.database.transaction() as session:
            match.derive_again(container, session, order_id)
            container.database.after_commit(container.bell.ring)


def remove(container: Container, link_id: int, *, actor: str) -> dict[str, Any]:
    """Take a link away. Purchases that were not sent yet are held, or go on with what is left of a bundle."""
    with container.database.transaction() as session:
        link = session.get(ProductLink, link_id, with_for_update=ROW)
        if link is None:
            raise NotFound("no_link", f"There is no link {link_id}. `flask link list` shows them.")
        session.delete(link)
        audit(session, "link", link_id, "unlinked", actor=actor, detail={"variant": link.variant_id})
        gone = told(link)
    _follow(container, gone["shop_id"], gone["variant_id"])
    return gone


def listed(container: Container, *, shop_id: int | None = None) -> list[dict[str, Any]]:
    """Links, by shop and variant."""
    query = sa.select(ProductLink).order_by(ProductLink.shop_id, ProductLink.variant_id, ProductLink.position)
    if shop_id is not None:
        query = query.where(ProductLink.shop_id == shop_id)
    with container.database.transaction() as session:
        return [told(link) for link in session.scalars(query)]


def told(link: ProductLink) -> dict[str, Any]:
    """One link as data."""
    names = (
        "id shop_id variant_id position sku supplier product_id sku_id sku_attributes seller_id title service units "
        "state created_at"
    )
    return {name: getattr(link, name) for name in names.split()}
