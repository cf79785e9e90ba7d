"""Purchases: what is to be ordered at the supplier, each at most once. Lifecycle sections 3 and 4."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states
from app.domain.purchase_flow import STATES


class Purchase(Base):
    """One intended order of one generation: lines of ONE storefront order for one account, seller and service.

    `version` is for compare-and-set, `fence` counts claims. `limit_minor` is the highest total that keeps the margin,
    `quote_minor` the last quote; both in `quote_currency`. `approved_minor`: the highest sum that a person accepted.
    `lost_claims`: workers in a row that died or ran out of time before the point of no return.
    `held_for`, `held_since`: the reason that it is held for and since when, however often it was looked at meanwhile;
    `held_told_at`: when a mail last named it.
    """

    __tablename__ = "purchase"

    id: Mapped[int] = identity()
    merchant_id: Mapped[int] = mapped_column(sa.ForeignKey("merchant.id"))
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("store_order.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"))
    supplier: Mapped[str] = mapped_column(default="")
    seller_id: Mapped[str] = mapped_column(default="")
    service: Mapped[str] = mapped_column(default="")
    part: Mapped[int] = mapped_column(sa.Integer, default=1)
    generation: Mapped[int] = mapped_column(sa.Integer, default=1)
    previous_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"))
    state: Mapped[str]
    state_since: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    reason: Mapped[str] = mapped_column(default="")
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    out_order_id: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(default=1)
    fence: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    run_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    tries: Mapped[int] = mapped_column(sa.Integer, default=0)
    lost_claims: Mapped[int] = mapped_column(sa.Integer, default=0, server_default="0")
    held_for: Mapped[str] = mapped_column(default="", server_default="")
    held_since: Mapped[datetime | None]
    held_told_at: Mapped[datetime | None]
    waiting_for: Mapped[int | None]
    waiting_since: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    approved_at: Mapped[datetime | None]
    approved_minor: Mapped[int | None]
    approved_currency: Mapped[str | None]
    autopay: Mapped[bool] = mapped_column(default=False)
    quote_currency: Mapped[str] = mapped_column(default="")
    quote_minor: Mapped[int | None]
    quoted_at: Mapped[datetime | None]
    limit_minor: Mapped[int | None]
    sent_at: Mapped[datetime | None]
    sent_deadline: Mapped[datetime | None]
    check_at: Mapped[datetime | None]
    checks: Mapped[int] = mapped_column(sa.Integer, default=0)
    alerted_at: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]
    quarantine_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    __table_args__ = (
        states("state", *STATES),
        sa.Index("ix_purchase_ready", "shop_id", "run_at", "id", postgresql_where=sa.text("state = 'READY'")),
        sa.Index("ix_purchase_claimed", "lease_until", postgresql_where=sa.text("state = 'CLAIMED'")),
        sa.Index(
            "ix_purchase_unclear", "check_at", postgresql_where=sa.text("state IN ('SENDING', 'UNKNOWN', 'HUMAN')")
        ),
        sa.Index(
            "ix_purchase_payable", "state", "id", postgresql_where=sa.text("state IN ('PLACED_UNPAID', 'PAY_BLOCKED')")
        ),
        sa.Index("ix_purchase_account", "account_id", "sent_at"),
        sa.Index("ix_purchase_unsent", "account_id", postgresql_where=sa.text("state IN ('READY', 'CLAIMED', 'HELD')")),
        sa.Index("ix_purchase_held", "shop_id", "reason", postgresql_where=sa.text("state = 'HELD'")),
    )

    @property
    def stands_since(self) -> datetime:
        """Since when it waits for what it waits for now."""
        return self.waiting_since or (self.held_since if self.state == "HELD" else None) or self.state_since

    @hybrid_property
    def gave_way(self) -> bool:
        """Whether it was ended because the order of an earlier generation turned up: then it replaces nothing."""
        return self.state == "CANCELLED" and self.reason == "late_evidence"

    @gave_way.inplace.expression
    @classmethod
    def _gave_way(cls) -> sa.ColumnElement[bool]:
        return sa.and_(cls.state == "CANCELLED", cls.reason == "late_evidence")


class PurchaseItem(Base):
    """Pieces of one storefront line to be bought as one supplier SKU. The unique key is the promise "never twice"."""

    __tablename__ = "purchase_item"

    id: Mapped[int] = identity()
    purchase_id: Mapped[int] = mapped_column(sa.ForeignKey("purchase.id"), index=True)
    source_line_id: Mapped[int] = mapped_column(sa.ForeignKey("source_line.id"))
    part: Mapped[int] = mapped_column(sa.Integer)
    generation: Mapped[int] = mapped_column(sa.Integer)
    position: Mapped[int] = mapped_column(sa.Integer, default=1)
    quantity: Mapped[int]
    units: Mapped[int] = mapped_column(sa.Integer, default=1)
    product_id: Mapped[str] = mapped_column(default="")
    sku_id: Mapped[str] = mapped_column(default="")
    sku_attributes: Mapped[str] = mapped_column(default="")
    order_product_id: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        sa.UniqueConstraint("source_line_id", "part", "generation", "position"),
        sa.CheckConstraint("quantity >= 0 AND units > 0", name="quantities"),
    )

    @property
    def pieces(self) -> int:
        """Supplier pieces: storefront pieces times units."""
        return self.quantity * self.units


class Attempt(Base):
    """One send. Append-only; at most one per purchase that may have been executed (I2)."""

    __tablename__ = "attempt"

    id: Mapped[int] = identity()
    purchase_id: Mapped[int] = mapped_column(sa.ForeignKey("purchase.id"), index=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_account.id"))
    fence: Mapped[int]
    outcome: Mapped[str] = mapped_column(server_default="OPEN", default="OPEN")
    out_order_id: Mapped[str]
    request_hash: Mapped[str]
    items: Mapped[list[Any]]
    autopay: Mapped[bool] = mapped_column(default=False)
    worker: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    finished_at: Mapped[datetime | None]
    code: Mapped[str] = mapped_column(default="")
    message: Mapped[str] = mapped_column(default="")
    answer: Mapped[str] = mapped_column(default="")
    order_ids: Mapped[list[Any]] = mapped_column(default=list)

    __table_args__ = (
        states("outcome", "OPEN", "PLACED", "NOT_SENT", "NOT_EXECUTED", "REJECTED", "UNKNOWN", "VOID"),
        sa.Index(
            "uq_attempt_one_send",
            "purchase_id",
            unique=True,
            postgresql_where=sa.text("outcome NOT IN ('NOT_SENT', 'NOT_EXECUTED')"),
        ),
    )


class Interlock(Base):
    """At most one unresolved attempt per account, product and SKU (P5)."""

    __tablename__ = "interlock"

    account_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_account.id"), primary_key=True)
    product_id: Mapped[str] = mapped_column(primary_key=True)
    sku_id: Mapped[str] = mapped_column(primary_key=True)
    purchase_id: Mapped[int] = mapped_column(sa.ForeignKey("purchase.id"), index=True)
    release_at: Mapped[datetime] = mapped_column(index=True)


class Evidence(Base):
    """Anything that says something about what the supplier did: pushes, look-ups, journal, people."""

    __tablename__ = "evidence"

    id: Mapped[int] = identity()
    purchase_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"))
    kind: Mapped[str]
    supplier_order_ref: Mapped[str] = mapped_column(default="", index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    looked_at: Mapped[datetime | None]
    """When what a person said was last looked into."""

    __table_args__ = (sa.Index("ix_evidence_human", "account_id", postgresql_where=sa.text("kind = 'human'")),)


class Spend(Base):
    """Money reserved at the point of no return, settled at the outcome. Minor units of `currency`."""

    __tablename__ = "spend"

    attempt_id: Mapped[int] = mapped_column(sa.ForeignKey("attempt.id"), primary_key=True)
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    day: Mapped[datetime] = mapped_column(sa.Date)
    currency: Mapped[str]
    quoted: Mapped[int]
    settled: Mapped[int | None]
    autopay: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(default="RESERVED")

    __table_args__ = (states("state", "RESERVED", "SETTLED", "RELEASED"), sa.Index("ix_spend_day", "shop_id", "day"))
