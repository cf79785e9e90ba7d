"""The state machine of a purchase: its states and the legal steps between them (lifecycle, section 4)."""

from __future__ import annotations

STATES = (
    "DRAFT",
    "HELD",
    "READY",
    "CLAIMED",
    "SENDING",
    "UNKNOWN",
    "HUMAN",
    "VOID",
    "REJECTED",
    "PLACED_UNPAID",
    "PAY_BLOCKED",
    "EXPIRED",
    "PLACED_PAID",
    "PART_SHIPPED",
    "SHIPPED",
    "DELIVERED",
    "SUPPLIER_CANCELLED",
    "REFUNDED",
    "CANCELLED",
)

UNSENT = frozenset(("DRAFT", "HELD", "READY", "CLAIMED"))
"""Nothing has been sent in this generation."""

UNCLEAR = frozenset(("SENDING", "UNKNOWN", "HUMAN"))
"""A send may have happened; only evidence moves on."""

PLACED = frozenset(("PLACED_UNPAID", "PAY_BLOCKED", "PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED"))
"""At least one supplier order exists and is alive."""

CLOSED = frozenset(("EXPIRED", "SUPPLIER_CANCELLED", "REFUNDED"))
"""All its supplier orders were closed."""

LIVE = UNSENT | UNCLEAR | PLACED
"""What it holds is bought, may be, or is about to be."""

FOLLOWED = CLOSED | {"VOID", "REJECTED"}
"""States that a new generation may follow (I10)."""

_SENT = frozenset(("PLACED_UNPAID", "PAY_BLOCKED", "PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED"))
_AFTER_PLACED = _SENT | CLOSED

LEGAL: dict[str, frozenset[str]] = {
    "": frozenset(("DRAFT", "HELD", "READY")),
    "DRAFT": frozenset(("READY", "HELD", "CANCELLED")),
    "HELD": frozenset(("READY", "CANCELLED")),
    "READY": frozenset(("CLAIMED", "HELD", "CANCELLED")),
    "CLAIMED": frozenset(("SENDING", "READY", "HELD", "CANCELLED")),
    "SENDING": _AFTER_PLACED | {"REJECTED", "READY", "HELD", "UNKNOWN", "HUMAN"},
    "UNKNOWN": _AFTER_PLACED | {"REJECTED", "READY", "HELD", "HUMAN"},
    "HUMAN": _AFTER_PLACED | {"REJECTED", "READY", "HELD", "VOID"},
    "VOID": frozenset(("CANCELLED",)) | _AFTER_PLACED,
    "REJECTED": frozenset(("CANCELLED",)),
    "PLACED_UNPAID": _AFTER_PLACED - {"PLACED_UNPAID"},
    "PAY_BLOCKED": _AFTER_PLACED - {"PAY_BLOCKED"},
    "EXPIRED": frozenset(("CANCELLED",)),
    "PLACED_PAID": frozenset(("PART_SHIPPED", "SHIPPED", "DELIVERED", "SUPPLIER_CANCELLED", "REFUNDED")),
    "PART_SHIPPED": frozenset(("SHIPPED", "DELIVERED", "SUPPLIER_CANCELLED", "REFUNDED")),
    "SHIPPED": frozenset(("DELIVERED", "SUPPLIER_CANCELLED", "REFUNDED")),
    "DELIVERED": frozenset(("SUPPLIER_CANCELLED", "REFUNDED")),
    "SUPPLIER_CANCELLED": frozenset(("CANCELLED",)),
    "REFUNDED": frozenset(("CANCELLED",)),
    "CANCELLED": frozenset(),
}


class IllegalStep(RuntimeError):
    """A transition that the lifecycle does not list (I9)."""


def check_step(before: str, after: str) -> None:
    """Raises `IllegalStep` unless `before` may become `after`."""
    if after not in LEGAL[before]:
        raise IllegalStep(f"a purchase may not go from {before or 'nothing'} to {after}")
