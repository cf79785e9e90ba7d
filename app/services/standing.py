"""Where a purchase stands, in a sentence for someone who has never seen it: why, whose turn, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from app.domain.purchase_flow import CLOSED
from app.domain.reasons import REASONS, TURNS, explain
from app.models import Breaker, Credential, PlacementFreeze, Purchase, PurchaseItem, SupplierOrder

STATE_WORDS = {
    "DRAFT": "seen, not to be ordered yet",
    "HELD": "held",
    "READY": "waiting to be ordered",
    "CLAIMED": "being checked before ordering",
    "SENDING": "being ordered",
    "UNKNOWN": "ordered, with no clear answer",
    "HUMAN": "in a person's list",
    "VOID": "given up: a person said it was never ordered",
    "REJECTED": "refused by the supplier",
    "PLACED_UNPAID": "ordered, not paid yet",
    "PAY_BLOCKED": "ordered, must not be paid",
    "EXPIRED": "closed by the supplier, unpaid",
    "PLACED_PAID": "ordered and paid",
    "PART_SHIPPED": "partly shipped",
    "SHIPPED": "shipped",
    "DELIVERED": "delivered",
    "SUPPLIER_CANCELLED": "cancelled by the supplier",
    "REFUNDED": "refunded by the supplier",
    "CANCELLED": "cancelled, nothing is bought",
}
TURN_WORDS = {
    "us": "Waybill",
    "merchant": "the merchant",
    "buyer": "the buyer",
    "supplier": "the supplier",
    "": "nobody",
}

COMMANDS = {
    "approve_price": "flask purchase approve {purchase}",
    "connect_account": "flask account connect --shop {shop} --access-token … --refresh-token … --expires-at …",
    "renew_account": "flask account connect --shop {shop} --access-token … --refresh-token … --expires-at …",
    "link_product": "flask link add --shop {shop} --variant {variant} --product … --sku-id …",
    "review_link": "flask link add --shop {shop} --variant {variant} --product … --sku-id …",
    "choose_service": "flask link add --shop {shop} --variant {variant} --product … --sku-id … --service …",
    "edit_address": "flask order address {order} --set field=value",
    "ask_buyer": "flask order address {order} --set field=value",
    "raise_cap": "flask shop set {shop} --order-cap … --day-cap …",
    "resume_shop": "flask shop resume {shop}",
    "continue_orders": "flask shop resume {shop}",
    "order_again": "flask purchase again {purchase}",
    "pay": "flask paylist --shop {shop}",
    "release_placement": "flask placement release --by … --second …",
    "resolve_purchase": "flask purchase resolve {purchase} --found NUMBER, or --not-there --newest-seen NUMBER",
    "join_ds_center": "flask purchase retry {purchase}",
    "contact_supplier": "flask purchase retry {purchase}",
    "split_or_wait": "flask purchase retry {purchase}",
    "review_order": "flask purchase retry {purchase}",
    "fix_configuration": "flask purchase retry {purchase}",
    "split_purchase": "flask shop set {shop} --one-purchase-per-line",
}
"""What to type for a remedy, where it can be done from here."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What stops sending: reasons of open freezes with the account (None: all), and breakers not closed, by scope.

    `dead`: accounts that cannot be read, because their connection has ended.
    """

    freezes: tuple[tuple[str, int | None], ...] = ()
    breakers: Mapping[str, str] | None = None
    dead: frozenset[int] = frozenset()

    def frozen(self, purchase: Purchase) -> tuple[str, ...]:
        """Reasons of the freezes that this purchase is under."""
        return tuple(reason for reason, account in self.freezes if account in {None, purchase.account_id})

    def stopping(self, purchase: Purchase) -> str:
        """The reason code that keeps this purchase from being sent, "" if none does."""
        if self.frozen(purchase):
            return "placement_frozen"
        scopes = (f"account:{purchase.account_id}", f"supplier:{purchase.supplier}")
        return "breaker_open" if any((self.breakers or {}).get(scope) for scope in scopes) else ""


@dataclass(frozen=True, slots=True)
class Standing:
    """`turn`: us, merchant, buyer, supplier, or "" when nothing is left to do. `to_do`: a command that helps."""

    text: str
    turn: str
    remedy: str = "none"
    to_do: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def gates(session: Session) -> Gates:
    """The present gates."""
    frozen = session.execute(
        sa.select(PlacementFreeze.reason, PlacementFreeze.account_id)
        .where(PlacementFreeze.released_at.is_(None))
        .order_by(PlacementFreeze.id)
    ).all()
    breakers = session.execute(sa.select(Breaker.scope, Breaker.state).where(Breaker.state != "CLOSED")).all()
    dead = session.scalars(
        sa.select(Credential.account_id).where(Credential.account_id.is_not(None), Credential.state == "DEAD")
    )
    found = frozenset(account for account in dead if account is not None)
    return Gates(tuple((reason, account) for reason, account in frozen), dict(breakers), found)


def heirs(session: Session, purchase_ids: Sequence[int]) -> dict[int, int]:
    """By which purchase each of these was replaced, for those that were: as another try, or piece by piece."""
    tries = sa.select(Purchase.previous_id, Purchase.id).where(
        Purchase.previous_id.in_(purchase_ids), ~Purchase.gave_way
    )
    mine, later, heir = aliased(PurchaseItem), aliased(PurchaseItem), aliased(Purchase)
    holds_any = sa.exists().where(PurchaseItem.purchase_id == Purchase.id, PurchaseItem.quantity > 0)
    given_up = (
        sa.select(Purchase.id, sa.func.max(heir.id))
        .join(mine, mine.purchase_id == Purchase.id)
        .join(later, (later.source_line_id == mine.source_line_id) & (later.part > mine.part))
        .join(heir, (heir.id == later.purchase_id) & ~heir.gave_way)
        .where(Purchase.id.in_(purchase_ids), Purchase.state.in_(CLOSED), ~holds_any)
        .group_by(Purchase.id)
    )
    found = [*session.execute(given_up), *session.execute(tries)]
    return {int(old or 0): new for old, new in found}


def of(
    purchase: Purchase,
    gates: Gates,
    orders: Sequence[SupplierOrder] = (),
    *,
    variant: str = "…",
    heir: int | None = None,
) -> Standing:
    """Where the purchase stands. `variant`: which one has no link yet, for the command that makes it.

    `heir`: the purchase that took its place. Then nobody has to do anything about this one.
    """
    if heir is not None:
        return Standing(f"This try is over: purchase {heir} has taken its place.", "")
    text, turn, remedy = _said(purchase, gates, orders)
    command = COMMANDS.get(remedy, "").format(
        purchase=purchase.id, shop=purchase.shop_id, order=purchase.order_id, variant=variant
    )
    return Standing(text, turn, remedy, command)


def _said(purchase: Purchase, gates: Gates, orders: Sequence[SupplierOrder]) -> tuple[str, str, str]:
    state = purchase.state
    if state == "READY":
        return _ready(purchase, gates)
    if state == "HUMAN" or (state == "UNKNOWN" and purchase.account_id in gates.dead):
        return (_BLIND, "merchant", "renew_account") if purchase.account_id in gates.dead else _human(purchase)
    if state in {"PLACED_UNPAID", "PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED"}:
        return _placed(purchase, orders)
    plain = _PLAIN.get(state)
    if purchase.reason in REASONS:
        told = because(purchase.reason, purchase.facts)
        # What is over and done with is nobody's turn, whatever the reason's own turn was.
        return told if state not in {"CANCELLED", "VOID"} else (told[0], "", "none")
    if plain is None:
        return because(purchase.reason or "needs_person", purchase.facts)
    return plain


_BLIND = (
    "We asked the supplier to create this order and got no clear answer, and the connection to the account has ended, "
    "so we cannot look for it. Connect the account again. Do not order it by hand."
)
_PLAIN = {
    "DRAFT": ("The order is known, but nothing is to be bought for it yet.", "us", "none"),
    "CLAIMED": ("It is being checked once more before it is ordered.", "us", "none"),
    "SENDING": ("It is being ordered right now.", "us", "none"),
    "VOID": ("A person looked and this try was never ordered; another one takes its place.", "", "none"),
    "REJECTED": ("The supplier refused this try; another one takes its place once it is repaired.", "us", "none"),
    "CANCELLED": ("Nothing is bought for these items any more.", "", "none"),
    "REFUNDED": ("The supplier gave the money back. Order again, or refund the buyer.", "merchant", "order_again"),
}


def because(reason: str, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """The catalogue's sentence, turn and remedy; facts that name a turn of their own win."""
    told = explain(reason, **{str(key): str(value) for key, value in facts.items()})
    turn = str(facts.get("turn", ""))
    return told.text.strip(), turn if turn in TURNS else told.turn, told.remedy


def _ready(purchase: Purchase, gates: Gates) -> tuple[str, str, str]:
    stopped = gates.stopping(purchase)
    if stopped:
        return because(stopped, {"detail": "; ".join(gates.frozen(purchase))})
    if purchase.waiting_for is not None:
        return because("interlocked", {"purchase": purchase.waiting_for})
    if purchase.reason in REASONS:
        return because(purchase.reason, purchase.facts)
    return "Nothing stands in its way; it is ordered as soon as its turn comes.", "us", "none"


def _human(purchase: Purchase) -> tuple[str, str, str]:
    text = (
        "The supplier gave no clear answer when we ordered, and nothing has turned up since. Look at the order list "
        "there: is it there (then say its number) or not (then say so)? Do not order it by hand."
    )
    found, of_all = purchase.facts.get("found"), purchase.facts.get("of")
    if found:
        text += f" Found so far: {found} of {of_all} items."
    if purchase.quarantine_until is not None:
        text += f" “Not there” is accepted from {purchase.quarantine_until:%Y-%m-%d %H:%M:%S} UTC on."
    return text, "merchant", "resolve_purchase"


def _placed(purchase: Purchase, orders: Sequence[SupplierOrder]) -> tuple[str, str, str]:
    ids = ", ".join(order.external_id for order in orders) or str(purchase.facts.get("orders", ""))
    name = f"supplier order {ids}".strip()
    if purchase.reason == "unverified":
        return because("unverified", purchase.facts)
    if purchase.state == "PLACED_UNPAID":
        if purchase.cancel_requested_at is not None:
            return f"Do not pay {name}: the shop cancelled it.", "merchant", "none"
        unpaid = [order for order in orders if order.payment == "unpaid" and not order.closed]
        if not unpaid:
            return f"Ordered as {name}. Whether it is paid is being looked up.", "us", "none"
        until = min((order.pay_until for order in unpaid if order.pay_until), default=None)
        by = f" It is closed if nobody pays by {until:%Y-%m-%d %H:%M} UTC." if until else ""
        return f"Ordered as {name}; it waits to be paid.{by}", "merchant", "pay"
    texts = {
        "PLACED_PAID": (f"Ordered and paid as {name}. The supplier gets it ready for shipping.", "supplier"),
        "PART_SHIPPED": (f"A part of {name} is on its way; the rest follows.", "supplier"),
        "SHIPPED": (f"{name[:1].upper()}{name[1:]} is on its way to the buyer.", "supplier"),
        "DELIVERED": (f"{name[:1].upper()}{name[1:]} was delivered.", ""),
    }
    text, turn = texts[purchase.state]
    if purchase.cancel_requested_at is not None:
        return f"{text} The shop cancelled it meanwhile: ask the seller to cancel.", "merchant", "cancel_at_supplier"
    return text, turn, "none"
