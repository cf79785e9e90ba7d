"""The price guard: one currency, a buffer on conversion, and a limit that means what it says."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.caps import CapReached, Caps, check_caps
from app.domain.pricing import (
    Allowed,
    MarginRule,
    OverMargin,
    Quote,
    QuoteLine,
    Rates,
    RateUnknown,
    autopay_refusal,
    guard,
    kept_of,
    part_of,
    pay_allowed,
    share_of_shipping,
)
from app.domain.reasons import explain
from app.ports.money import Money

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RATES = Rates({("USD", "EUR"): Decimal("0.9"), ("USD", "JPY"): Decimal(150)}, Decimal(2), date(2026, 11, 23))


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


def eur(text: str) -> Money:
    return Money.parse(text, "EUR")


def test_rates_are_read_both_ways_and_over_a_third_currency() -> None:
    assert RATES.rate("USD", "EUR") == Decimal("0.9")
    assert RATES.rate("EUR", "USD") == 1 / Decimal("0.9")
    assert RATES.rate("JPY", "JPY") == 1
    assert RATES.rate("EUR", "JPY").quantize(Decimal("0.001")) == Decimal("166.667")
    for pairs in ({}, {("USD", "EUR"): Decimal(0)}, {("USD", "EUR"): Decimal("NaN")}, {("USD", "EUR"): Decimal(-1)}):
        with pytest.raises(RateUnknown):
            Rates(pairs).rate("USD", "EUR")
    assert RATES.stale(date(2026, 11, 27), 3)
    assert not RATES.stale(date(2026, 11, 26), 3)
    assert Rates().stale(date(2026, 11, 26), 3)


def test_cost_rounds_up_with_buffer_and_limit_down() -> None:
    assert RATES.cost_in(usd("10.00"), "EUR") == eur("9.18")
    assert RATES.cost_in(usd("0.01"), "EUR") == eur("0.01")
    assert RATES.cost_in(usd("10.00"), "USD") == usd("10.00")
    assert RATES.limit_in(eur("9.18"), "USD") == usd("10.00")
    assert RATES.limit_in(eur("9.17"), "USD") == usd("9.98")


def test_quote_sums_pieces_and_freight() -> None:
    quote = Quote((QuoteLine(usd("1.10"), 3), QuoteLine(usd("2.00"), 1)), usd("1.99"), NOW)
    assert quote.total == usd("7.29")
    mixed = Quote((QuoteLine(eur("1.10"), 3),), usd("1.99"), NOW)
    with pytest.raises(ValueError, match="EUR"):
        _ = mixed.total


@pytest.mark.parametrize(
    ("percent", "absolute", "limit"),
    [
        ("0", None, "20.00"),
        ("25", None, "15.00"),
        ("33.33", None, "13.33"),
        ("10", "5.00", "15.00"),
        ("30", "5.00", "14.00"),
        ("-10", None, "22.00"),
        ("150", None, "0.00"),
        ("0", "30.00", "0.00"),
    ],
)
def test_margin_rule(percent: str, absolute: str | None, limit: str) -> None:
    rule = MarginRule(Decimal(percent), eur(absolute) if absolute else None)
    assert rule.limit(eur("20.00")) == eur(limit)


def test_guard_in_the_shops_currency() -> None:
    rule = MarginRule(Decimal(10))
    fine = guard(usd("10.00"), eur("10.20"), rule, RATES)
    assert isinstance(fine, Allowed)
    assert (fine.limit, fine.cost, fine.margin, fine.margin_percent) == (
        usd("10.00"),
        eur("9.18"),
        eur("1.02"),
        Decimal("10.0"),
    )
    over = guard(usd("10.01"), eur("10.20"), rule, RATES)
    assert isinstance(over, OverMargin)
    assert (over.reason, over.limit) == ("margin", usd("10.00"))
    assert "10.01 USD" in explain(over.reason, **over.facts()).text
    assert isinstance(guard(usd("1.00"), eur("0.00"), rule, RATES), OverMargin)
    assert isinstance(guard(usd("0.00"), eur("0.00"), rule, RATES), Allowed)


def test_guard_without_a_rate_is_price_unknown() -> None:
    verdict = guard(usd("1.00"), Money.parse("9", "KWD"), MarginRule(), RATES)
    assert isinstance(verdict, OverMargin)
    assert verdict.reason == "price_unknown"
    assert "USD to KWD" in explain(verdict.reason, **verdict.facts()).text


def test_guard_without_knowing_the_money_is_money_unknown() -> None:
    verdict = guard(usd("1.00"), None, MarginRule(Decimal(-100)), RATES)
    assert isinstance(verdict, OverMargin)
    assert (verdict.reason, verdict.limit) == ("money_unknown", None)
    assert "would cost 1.00 USD" in explain(verdict.reason, **verdict.facts()).text


amounts = st.integers(0, 10**9)


@given(amounts, amounts, st.decimals(0, 90, places=2), st.sampled_from(["USD", "EUR", "JPY"]))
def test_limit_is_the_highest_total_that_keeps_the_margin(quote: int, paid: int, percent: Decimal, shop: str) -> None:
    rule, asked, got = MarginRule(percent), Money(quote, "USD"), Money(paid, shop)
    verdict = guard(asked, got, rule, RATES)
    assert isinstance(verdict, Allowed) == (asked <= RATES.limit_in(rule.limit(got), "USD"))
    assert verdict.limit is not None
    if verdict.limit.minor:
        assert RATES.cost_in(verdict.limit, shop) <= rule.limit(got)
    assert RATES.cost_in(Money(verdict.limit.minor + 1, "USD"), shop) > rule.limit(got) or shop == "JPY"


def test_shipping_is_shared_by_what_was_paid() -> None:
    shares = [share_of_shipping(eur(part), eur("30.00"), eur("10.00")) for part in ("10.00", "10.00", "10.00")]
    assert shares == [eur("3.33")] * 3
    assert share_of_shipping(eur("0.00"), eur("0.00"), eur("5.00")) == eur("0.00")
    assert share_of_shipping(eur("9.00"), eur("3.00"), eur("5.00")) == eur("5.00")
    assert part_of(eur("10.00"), 1, 3) == eur("3.33")
    assert part_of(eur("10.00"), 4, 3) == eur("10.00")
    assert part_of(eur("10.00"), 0, 3) == part_of(eur("10.00"), 1, 0) == eur("0.00")


@given(st.lists(amounts, min_size=1, max_size=6), amounts, st.integers(1, 9), st.integers(1, 9))
def test_shares_never_exceed_what_was_paid(lines: list[int], shipping: int, first: int, second: int) -> None:
    whole = Money(sum(lines), "EUR")
    shares = [share_of_shipping(Money(line, "EUR"), whole, Money(shipping, "EUR")) for line in lines]
    assert sum(share.minor for share in shares) <= shipping
    of = first + second
    assert part_of(whole, first, of) + part_of(whole, second, of) <= whole


@pytest.mark.parametrize(
    ("kept", "left"),
    [("99.00", "10.00"), ("30.00", "10.00"), ("29.99", "9.99"), ("15.00", "5.00"), ("0.02", "0.00"), ("0.00", "0.00")],
)
def test_a_part_of_the_order_bears_its_share_of_a_loss(kept: str, left: str) -> None:
    assert kept_of(eur("10.00"), eur("30.00"), eur(kept)) == eur(left)


def test_kept_of_an_order_without_a_price_or_without_knowing() -> None:
    assert kept_of(eur("0.00"), eur("0.00"), eur("0.00")) == eur("0.00")
    assert kept_of(eur("10.00"), eur("30.00"), None) is None
    assert kept_of(eur("10.00"), eur("30.00"), Money(-1, "EUR")) == eur("0.00")
    with pytest.raises(ValueError, match="USD"):
        kept_of(eur("10.00"), eur("30.00"), usd("30.00"))


@given(st.lists(amounts, min_size=1, max_size=6), amounts)
def test_the_parts_of_an_order_never_spend_more_than_was_kept(parts: list[int], kept: int) -> None:
    whole = Money(sum(parts), "EUR")
    shares = [kept_of(Money(part, "EUR"), whole, Money(kept, "EUR")) for part in parts]
    assert sum(share.minor for share in shares if share) <= min(kept, whole.minor)
    assert all(share is not None and share.minor <= part for share, part in zip(shares, parts, strict=True))


def test_pay_list_shows_only_what_keeps_the_limit() -> None:
    assert pay_allowed(usd("10.00"), usd("10.00"))
    assert not pay_allowed(usd("10.01"), usd("10.00"))
    assert pay_allowed(usd("10.00"), eur("9.18"), RATES)
    assert not pay_allowed(usd("10.00"), eur("9.17"), RATES)
    assert not pay_allowed(usd("10.00"), eur("999.00"))


@pytest.mark.parametrize(
    ("seconds", "limit", "refusal"),
    [(60, "10.50", None), (61, "99.00", "quote_old"), (-1, "99.00", "quote_old"), (0, "10.49", "thin_margin")],
)
def test_autopay_wants_a_fresh_quote_and_room(seconds: int, limit: str, refusal: str | None) -> None:
    found = autopay_refusal(
        usd("10.00"),
        usd(limit),
        taken_at=NOW - timedelta(seconds=seconds),
        now=NOW,
        max_age=timedelta(seconds=60),
        thin_percent=Decimal(5),
    )
    assert found == refusal


CAPS = Caps(usd("50.00"), usd("100.00"), 20)


@pytest.mark.parametrize(
    ("cost", "order", "day", "pieces", "code"),
    [
        ("50.00", "0.00", "50.00", 20, None),
        ("50.01", "0.00", "0.00", 1, "cap_order"),
        ("30.00", "20.01", "0.00", 1, "cap_order"),
        ("30.00", "0.00", "70.01", 1, "cap_day"),
        ("1.00", "0.00", "0.00", 21, "quantity_over"),
    ],
)
def test_caps_are_never_passed_by_a_cent(cost: str, order: str, day: str, pieces: int, code: str | None) -> None:
    found = check_caps(CAPS, usd(cost), order_so_far=usd(order), day_so_far=usd(day), pieces=pieces)
    assert (found.code if found else None) == code
    if isinstance(found, CapReached):
        told = explain(found.code, limit=found.limit, spent=found.spent, cost=found.cost)
        assert found.limit in told.text or found.code == "quantity_over"


def test_caps_refuse_nonsense() -> None:
    zero = Money.zero("USD")
    with pytest.raises(ValueError, match="negative"):
        check_caps(CAPS, Money(-1, "USD"), order_so_far=zero, day_so_far=zero)
    with pytest.raises(ValueError, match="EUR"):
        check_caps(CAPS, eur("1.00"), order_so_far=zero, day_so_far=zero)
    assert check_caps(Caps(), usd("999.00"), order_so_far=zero, day_so_far=zero) is None
    assert check_caps(CAPS, zero, order_so_far=zero, day_so_far=zero) is None, "nothing is no negative cost"
    bare = Caps(quantity=0)
    assert check_caps(bare, zero, order_so_far=zero, day_so_far=zero) is None, "no pieces are told"


@pytest.mark.parametrize(
    ("caps", "code", "limit", "spent"),
    [
        (Caps(per_order=usd("1.00")), "cap_order", "1.00 USD", "2.00 USD"),
        (Caps(per_day=usd("1.00")), "cap_day", "1.00 USD", "3.00 USD"),
        (Caps(usd("1.00"), usd("1.00"), 0), "quantity_over", "0", ""),
    ],
)
def test_each_cap_counts_alone_and_tells_what_it_is_and_what_was_spent(
    caps: Caps, code: str, limit: str, spent: str
) -> None:
    found = check_caps(caps, usd("4.00"), order_so_far=usd("2.00"), day_so_far=usd("3.00"), pieces=1)
    assert found == CapReached(code, limit, spent, "4.00 USD")
