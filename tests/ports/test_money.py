"""Money is exact, whatever the currency (S65)."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ports.money import Money, exponent
from app.ports.storefront import ParcelLine
from app.ports.supplier import SupplierOrderItem

security = pytest.mark.security("S65")
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"])


@security
@pytest.mark.parametrize(
    ("text", "currency", "minor", "shown"),
    [
        ("12.30", "EUR", 1230, "12.30 EUR"),
        ("1999", "JPY", 1999, "1999 JPY"),
        ("1999.00", "JPY", 1999, "1999 JPY"),
        ("1.234", "KWD", 1234, "1.234 KWD"),
        ("0.0001", "CLF", 1, "0.0001 CLF"),
        ("0.005", "USD", 1, "0.01 USD"),
        ("-0.005", "USD", -1, "-0.01 USD"),
        ("-1.5", "usd ", -150, "-1.50 USD"),
        (" 7 ", "USD", 700, "7.00 USD"),
        ("999999999999999", "USD", 99_999_999_999_999_900, "999999999999999.00 USD"),
    ],
)
def test_s65_minor_units_of_each_currency(text: str, currency: str, minor: int, shown: str) -> None:
    money = Money.parse(text, currency)
    assert money.minor == minor
    assert str(money) == shown


@security
def test_s65_point_one_and_point_two() -> None:
    assert Money.parse("0.1", "USD") + Money.parse("0.2", "USD") == Money.parse("0.3", "USD")
    assert sum([Money.parse("0.1", "KWD").minor] * 10) == Money.parse("1", "KWD").minor
    assert Money.parse("0.29", "USD").times(100) == Money.parse("29", "USD")


@security
def test_s65_nineteen_digit_ids_stay_texts() -> None:
    big = "8198352049851315999"
    item = SupplierOrderItem("1005004638293060", big, 1, closed=False)
    assert replace(item, quantity=2).sku_id == big
    assert ParcelLine(big, 1).line_id == json.loads(json.dumps({"id": big}))["id"]
    # What a float, or JavaScript, would have made of it:
    assert str(int(float(big))) != big


@security
@given(st.integers(-(10**14), 10**14), CURRENCIES)
def test_s65_text_and_back_is_exact(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.parse(money.amount, currency) == money
    assert Money.parse(str(money).split()[0], currency) == money


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), CURRENCIES)
def test_sums_are_exact(first: int, second: int, currency: str) -> None:
    total = Money(first, currency) + Money(second, currency)
    assert total.minor == first + second
    assert total - Money(second, currency) == Money(first, currency)
    assert (Money(first, currency) < Money(second, currency)) == (first < second)


@pytest.mark.parametrize("text", ["", "abc", "1,50", "NaN", "Infinity", "-inf", "1e15", "1 000", "1e999999999"])
def test_not_an_amount(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        Money.parse(text, "EUR")


@pytest.mark.parametrize("code", ["", "EU", "EURO", "12E", "€€€", "ÄÖÜ"])
def test_not_a_currency(code: str) -> None:
    with pytest.raises(ValueError, match="not a currency"):
        Money.parse("1", code)


def test_currencies_never_mix() -> None:
    one, other = Money(1, "USD"), Money(1, "EUR")
    for act in (lambda: one + other, lambda: one - other, lambda: one < other, lambda: one >= other):
        with pytest.raises(ValueError, match="USD and EUR"):
            act()
    assert one != other


def test_conversion_and_rounding() -> None:
    assert Money.parse("10", "USD").converted(Decimal("151.456"), "JPY") == Money(1515, "JPY")
    assert Money(5, "USD").times(Decimal("0.5")) == Money(3, "USD")
    assert Money.zero("KWD").amount == Decimal("0.000")
    assert [exponent(code) for code in ("JPY", "KWD", "CLF", "EUR", "XXX")] == [0, 3, 4, 2, 2]
