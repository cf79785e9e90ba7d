"""Money as whole minor units and an ISO 4217 code; Decimal in between, never float (S65)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import total_ordering

_ZERO = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
_FOUR = frozenset(("CLF", "UYW"))
_DIGITS = 15
"""Before the point: more is no amount."""


def exponent(currency: str) -> int:
    """Digits after the point of an ISO 4217 currency (2 unless listed otherwise)."""
    if currency in _ZERO:
        return 0
    if currency in _THREE:
        return 3
    return 4 if currency in _FOUR else 2


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` whole units of the currency's smallest coin (cents, yen, fils), `currency` ISO 4217."""

    minor: int
    currency: str

    @classmethod
    def parse(cls, text: str | Decimal | int, currency: str) -> Money:
        """Money from a decimal text such as `"12.30"`. More digits than the currency has are rounded half up.

        Raises ValueError on anything that is not a finite number in plain notation or a malformed currency code.
        """
        code = currency.strip().upper()
        if len(code) != 3 or not code.isascii() or not code.isalpha():
            raise ValueError(f"not a currency code: {currency!r}")
        try:
            value = text if isinstance(text, Decimal) else Decimal(str(text).strip())
        except InvalidOperation as error:
            raise ValueError(f"not an amount: {str(text)[:40]!r}") from error
        # Looked at without arithmetic: that may raise on an exponent of a stranger's.
        if not value.is_finite() or value.adjusted() >= _DIGITS:
            raise ValueError(f"not an amount: {str(text)[:40]!r}")
        scaled = value.scaleb(exponent(code)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        return cls(int(scaled), code)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """No money in this currency."""
        return cls(0, currency)

    @property
    def amount(self) -> Decimal:
        """The amount in whole units, exact."""
        return Decimal(self.minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        return f"{self.amount:.{exponent(self.currency)}f} {self.currency}"

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be compared or added")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def times(self, factor: int | Decimal) -> Money:
        """The amount times a number, rounded half up to the smallest coin."""
        product = (Decimal(self.minor) * Decimal(factor)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        return Money(int(product), self.currency)

    def converted(self, rate: Decimal, currency: str) -> Money:
        """The amount in another currency at `rate` (units of `currency` for one of ours)."""
        return Money.parse(self.amount * rate, currency)
