"""A link holds only while SKU id and attribute ids agree; nothing is ever chosen by place, name or price."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.matching import Frozen, Match, Mismatch, attribute_ids, compare
from app.domain.reasons import REASONS
from app.ports.money import Money
from app.ports.supplier import SupplierProduct, SupplierSKU

BLACK = "14:193#Black;5:100014064#Size S"
SKU = SupplierSKU("12000023999200390", BLACK, Money(499, "USD"), 10)
OTHER = SupplierSKU("12000023999200391", "14:29#White;5:100014064#Size S", Money(499, "USD"), 10)
PRODUCT = SupplierProduct(
    "1005003784285827", "1005003784285827", "Shirt", on_sale=True, seller_id="911", skus=(OTHER, SKU)
)
LINK = Frozen("1005003784285827", SKU.sku_id, BLACK, "911")


def test_same_sku() -> None:
    assert compare(LINK, PRODUCT) == Match(SKU)
    assert compare(replace(LINK, seller_id=""), PRODUCT) == Match(SKU)


def test_new_display_name_is_tolerated_and_the_current_text_is_ordered() -> None:
    renamed = replace(SKU, attributes="14:193#Schwarz; matt;5:100014064#S")
    found = compare(LINK, replace(PRODUCT, skus=(renamed,)))
    assert found == Match(renamed, renamed=True)


def test_order_of_the_pairs_does_not_matter() -> None:
    turned = replace(SKU, attributes="5:100014064#Size S;14:193#Black")
    assert compare(LINK, replace(PRODUCT, skus=(turned,))) == Match(turned, renamed=True)


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (None, "product_gone"),
        (replace(PRODUCT, on_sale=False), "product_gone"),
        (replace(PRODUCT, product_id="1"), "mapping_changed"),
        (replace(PRODUCT, seller_id="912"), "mapping_changed"),
        (replace(PRODUCT, skus=()), "mapping_changed"),
        (replace(PRODUCT, skus=(OTHER,)), "mapping_changed"),
        (replace(PRODUCT, skus=(SKU, SKU)), "mapping_changed"),
        (replace(PRODUCT, skus=(replace(SKU, sku_id="5"),)), "mapping_changed"),
        (replace(PRODUCT, skus=(replace(SKU, attributes=OTHER.attributes),)), "mapping_changed"),
        (replace(PRODUCT, skus=(replace(SKU, attributes=""),)), "mapping_changed"),
        (replace(PRODUCT, skus=(replace(SKU, attributes="14:193"),)), "mapping_changed"),
        (replace(PRODUCT, skus=(replace(SKU, attributes="Black"),)), "mapping_changed"),
    ],
)
def test_anything_else_holds_the_line(product: SupplierProduct | None, reason: str) -> None:
    found = compare(LINK, product)
    assert isinstance(found, Mismatch)
    assert found.reason == reason
    assert found.reason in REASONS
    assert found.text


@pytest.mark.parametrize(
    ("product", "text"),
    [
        (None, "the product no longer exists"),
        (replace(PRODUCT, product_id="1"), "the answer is about another product"),
        (replace(PRODUCT, on_sale=False), "the product is not on sale"),
        (replace(PRODUCT, seller_id="912"), "the product has another seller"),
        (replace(PRODUCT, skus=(SKU, SKU)), "its SKU id is not unique"),
        (replace(PRODUCT, skus=(OTHER,)), "the linked option is no longer offered"),
        (replace(PRODUCT, skus=()), "the linked option is no longer offered"),
        (replace(PRODUCT, skus=(OTHER, replace(SKU, sku_id="5"))), "its options are sold under a new SKU id"),
        (replace(PRODUCT, skus=(replace(SKU, attributes="Black"),)), "the same SKU id now stands for other options"),
    ],
)
def test_a_held_line_says_what_is_different(product: SupplierProduct | None, text: str) -> None:
    assert compare(LINK, product).text == text


def test_a_seller_counts_only_where_both_are_known() -> None:
    assert compare(LINK, replace(PRODUCT, seller_id="")) == Match(SKU)


@pytest.mark.parametrize("text", ["", "Black"])
def test_a_link_without_readable_options_holds_only_for_the_very_same_text(text: str) -> None:
    bare, offered = replace(LINK, sku_attributes=text), replace(PRODUCT, skus=(replace(SKU, attributes=text),))
    assert compare(bare, offered) == Match(offered.skus[0])
    other = replace(SKU, sku_id="5", attributes=text)
    assert compare(bare, replace(PRODUCT, skus=(other,))).text == "the linked option is no longer offered"
    assert isinstance(compare(bare, replace(PRODUCT, skus=(replace(SKU, attributes="White"),))), Mismatch)


def test_moved_options_are_told_but_not_taken() -> None:
    found = compare(LINK, replace(PRODUCT, skus=(replace(SKU, sku_id="5"),)))
    assert isinstance(found, Mismatch)
    assert "new SKU id" in found.text


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        ("14:29#Bear;183:200007741", (("14", "29"), ("183", "200007741"))),
        ("200000226:691#Gold-Moissanite;200000639:1437#18CM 7inch", (("200000226", "691"), ("200000639", "1437"))),
        ("14:193#a;b#c:d;5:1", (("14", "193"), ("5", "1"))),
        ("14:193;", (("14", "193"),)),
        ("Black", None),
        ("14", None),
        ("14:x", None),
        (":", None),
    ],
)
def test_attribute_ids(text: str, pairs: tuple[tuple[str, str], ...] | None) -> None:
    assert attribute_ids(text) == pairs


@given(st.text(max_size=60))
def test_attribute_ids_take_anything(text: str) -> None:
    found = attribute_ids(text)
    assert found is None or all(first.isdigit() and second.isdigit() for first, second in found)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_matches_other_ids(first: str, second: str) -> None:
    product = replace(PRODUCT, skus=(replace(SKU, attributes=second),))
    found = compare(replace(LINK, sku_attributes=first), product)
    if isinstance(found, Match):
        assert first == second or attribute_ids(first) == attribute_ids(second) is not None
