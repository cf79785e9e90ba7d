"""The catalogue: complete, readable with and without facts, and safe with any of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.reasons import GENERIC, NOTHING, REASONS, TURNS, explain, facts_of, fill

ASKED_FOR = """
token_dead ds_center margin price_unknown money_unknown out_of_stock partial_stock promotion_limit address_refused address_invalid
address_missing customs_id cap_order cap_day mapping_missing mapping_changed account_missing product_gone
not_shippable shipping_service currency fraud_risk shop_hold status_unknown uninstalled shop_paused shop_token_dead
shop_permission order_too_old shop_frozen shop_gone breaker_open placement_frozen interlocked waiting_request
request_cancelled fulfilment_not_requested
fulfilment_on_hold unpaid changed account_blocked call_limit config needs_person outcome_unknown expired_unpaid
price_over_limit autopay_off confirming partly_found supplier_down storefront_down test_order not_physical quantity_over late_evidence
duplicate_risk cancelled_by_shop unverified held_up account_changed recalled sent_before refunded nothing_left supplier_cancelled
"""
CODES = ASKED_FOR.split()


def test_every_code_has_one_reason() -> None:
    assert set(CODES) == REASONS.keys()


@pytest.mark.parametrize("code", CODES)
def test_reason_reads_well_with_and_without_facts(code: str) -> None:
    reason = REASONS[code]
    assert reason.turn in TURNS
    assert re.fullmatch(r"[a-z_]+", reason.remedy)
    facts = dict.fromkeys(facts_of(reason.text) | facts_of(reason.staff_text), "7")
    for told in (explain(code), explain(code, **facts)):
        for text in (told.text, told.staff_text):
            assert not set("{}[]") & set(text)
            assert not re.search(r"  | [.,;:)]|\( ", text.rstrip()), text
        assert told.text[0].isupper()
        assert told.text.rstrip().endswith((".", "7"))
        assert len(told.text) < 250


@pytest.mark.parametrize("code", CODES)
def test_facts_stand_in_brackets_only(code: str) -> None:
    for text in (REASONS[code].text, REASONS[code].staff_text):
        assert not facts_of(re.sub(r"\[[^\]]*\]", "", text))


def test_unknown_code_is_our_turn_and_shows_nothing_raw() -> None:
    told = explain("<script>")
    assert (told.text, told.turn, told.remedy) == (GENERIC.text, "us", "none")
    assert "<script>" in told.staff_text
    assert explain("") == NOTHING


def test_margin_sentence_has_its_numbers() -> None:
    told = explain("margin", quote="12.00 USD", limit="10.00 USD", paid="9.50 EUR")
    assert "cost 12.00 USD; at most 10.00 USD keeps your margin" in told.text
    assert "paid 9.50 EUR" in told.text
    assert "{" not in explain("margin", quote="12.00 USD").text


def test_facts_may_have_any_name_and_braces() -> None:
    assert "{limit}" in explain("product_gone", product="{limit}", code="ITEM_ID_NOT_FOUND").text
    assert fill("a[ {x}]b", {"x": "[{y}]"}) == "a [{y}]b"
    assert len(explain("needs_person", message="x" * 10_000).text) < 500


@given(
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=9), max_size=4),
)
def test_explain_never_raises(code: str, facts: dict[str, object]) -> None:
    assert isinstance(explain(code, **facts).text, str)
