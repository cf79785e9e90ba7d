"""Our orders against the supplier's list of commissions."""

from __future__ import annotations

from app.domain.commission import Comparison, Difference, compare
from app.ports.money import Money
from app.ports.reporting import Commission, CommissionState


def row(order_id: str, cents: int | None, sub: str = "1", currency: str = "USD") -> Commission:
    paid = Money(cents, currency) if cents is not None else None
    return Commission(order_id, sub, "P", CommissionState.PAID, None, None, paid, None, None)


def dollars(**orders: int) -> dict[str, Money]:
    return {name: Money(cents, "USD") for name, cents in orders.items()}


def test_each_order_is_in_one_of_four_places() -> None:
    found = compare(dollars(a=900, b=500, c=700), [row("a", 900), row("c", 650), row("d", 10)])
    assert found == Comparison(
        ("a",), ("b",), ("d",), (Difference("c", Money(700, "USD"), Money(650, "USD")),)
    )  # fmt: skip


def test_items_are_summed_once_each_with_a_cent_for_rounding() -> None:
    """A page may tell a row again."""
    rows = [row("a", 300, "1"), row("a", 602, "2"), row("a", 602, "2")]
    assert compare(dollars(a=900), rows).same == ("a",)
    assert compare(dollars(a=899), rows).differ == (Difference("a", Money(899, "USD"), Money(902, "USD")),)


def test_a_sum_that_is_not_told_or_in_another_currency_is_no_agreement() -> None:
    assert compare(dollars(a=900), [row("a", 900, "1"), row("a", None, "2")]).differ[0].theirs is None
    assert compare(dollars(a=900), [row("a", 450, "1"), row("a", 450, "2", "EUR")]).differ[0].theirs is None
    assert compare(dollars(a=900), [row("a", 900, currency="EUR")]).differ[0].theirs == Money(900, "EUR")


def test_a_row_without_a_number_is_nobody_s() -> None:
    assert compare({}, [row("", 5)]) == Comparison((), (), (), ())
