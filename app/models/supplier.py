"""Supplier accounts, the orders that exist there, and their parcels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states

UNKNOWN_NUMBER = "unknown:"
"""Begins the `user_id` of an account whose number at the supplier nobody has told yet."""


class SupplierAccount(Base):
    """A buyer account of one merchant. The login is sealed."""

    __tablename__ = "supplier_account"

    id: Mapped[int] = identity()
    merchant_id: Mapped[int] = mapped_column(sa.ForeignKey("merchant.id"), index=True)
    supplier: Mapped[str]
    user_id: Mapped[str]
    login_sealed: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(default="ACTIVE")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    __table_args__ = (sa.UniqueConstraint("supplier", "user_id"), states("state", "ACTIVE", "REMOVED"))

    @property
    def is_numbered(self) -> bool:
        """Whether its number at the supplier is known."""
        return not self.user_id.startswith(UNKNOWN_NUMBER)


class SupplierOrder(Base):
    """An order that exists at the supplier. Payment, closing and shipping are its states; the purchase's follow.

    `purchase_id` null: an orphan, seen but belonging to nobody we know. `role`: `bought`, or `duplicate` for an
    incident that must not be paid. Money is minor units of `currency`. `standing`: what it was seen to wait for by its
    last reads, and since when.
    """

    __tablename__ = "supplier_order"

    id: Mapped[int] = identity()
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_account.id"))
    external_id: Mapped[str] = mapped_column(index=True)
    purchase_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"), index=True)
    role: Mapped[str] = mapped_column(default="bought")
    source: Mapped[str] = mapped_column(default="answer")
    status: Mapped[str] = mapped_column(default="")
    payment: Mapped[str] = mapped_column(default="checking")
    pay_failed: Mapped[bool] = mapped_column(default=False)
    shipping: Mapped[str] = mapped_column(default="none")
    closed: Mapped[bool] = mapped_column(default=False)
    closed_seen: Mapped[int] = mapped_column(sa.Integer, default=0)
    total: Mapped[int | None]
    currency: Mapped[str] = mapped_column(default="")
    created_at_supplier: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    pay_until: Mapped[datetime | None]
    reminders: Mapped[int] = mapped_column(sa.Integer, default=0)
    recorded_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    read_at: Mapped[datetime | None]
    standing: Mapped[str] = mapped_column(default="", server_default="")
    standing_since: Mapped[datetime | None]
    track_run_at: Mapped[datetime | None] = mapped_column(server_default=sa.func.now())
    track_lease_until: Mapped[datetime | None]
    tracks: Mapped[int] = mapped_column(sa.Integer, default=0)
    track_error: Mapped[str] = mapped_column(default="", server_default="")
    """The fault that nobody foresaw at its last read."""

    __table_args__ = (
        sa.UniqueConstraint("account_id", "external_id"),
        states("role", "bought", "duplicate", "foreign", "orphan"),
        states("payment", "checking", "unpaid", "paid"),
        states("shipping", "none", "part", "shipped", "delivered"),
        sa.Index("ix_supplier_order_due", "track_run_at", postgresql_where=sa.text("track_run_at IS NOT NULL")),
        sa.Index(
            "ix_supplier_order_stray",
            "account_id",
            postgresql_where=sa.text("closed IS false AND role IN ('orphan', 'duplicate')"),
        ),
    )


class SupplierOrderItem(Base):
    """A child order, mapped to the purchase item it covers. `given_up`: closed, and bought again or not wanted."""

    __tablename__ = "supplier_order_item"

    id: Mapped[int] = identity()
    supplier_order_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_order.id"), index=True)
    purchase_item_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase_item.id"))
    product_id: Mapped[str]
    sku_id: Mapped[str]
    quantity: Mapped[int]
    closed: Mapped[bool] = mapped_column(default=False)
    closed_reason: Mapped[str] = mapped_column(default="")
    given_up: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    __table_args__ = (sa.UniqueConstraint("supplier_order_id", "product_id", "sku_id", "purchase_item_id"),)


class ShippedParcel(Base):
    """A parcel of a supplier order and what the shop shows of it. `shown_number` is what was written there last.

    `former_numbers`: by which the supplier told it before its present one.
    `show_began_at`: since when it may be in the shop; `shown_at`: since when it is there for certain. An order that was
    read between the two may hold it or not.
    """

    __tablename__ = "shipped_parcel"

    id: Mapped[int] = identity()
    supplier_order_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_order.id"), index=True)
    tracking_number: Mapped[str] = mapped_column(index=True)
    former_numbers: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    carrier: Mapped[str] = mapped_column(default="")
    tracking_url: Mapped[str] = mapped_column(default="")
    items: Mapped[list[Any]] = mapped_column(default=list)
    delivered: Mapped[bool] = mapped_column(default=False)
    last_event: Mapped[str] = mapped_column(default="")
    last_event_at: Mapped[datetime | None]
    fulfilment_ref: Mapped[str | None]
    shown_number: Mapped[str] = mapped_column(default="")
    show_began_at: Mapped[datetime | None]
    shown_at: Mapped[datetime | None]
    seen_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    __table_args__ = (
        sa.UniqueConstraint("supplier_order_id", "tracking_number"),
        sa.Index("ix_shipped_parcel_unshown", "seen_at", postgresql_where=sa.text("shown_number <> tracking_number")),
        sa.Index(
            "ix_shipped_parcel_former_numbers",
            "former_numbers",
            postgresql_using="gin",
            postgresql_ops={"former_numbers": "jsonb_path_ops"},
            postgresql_where=sa.text("former_numbers <> '[]'"),
        ),
    )


class ParcelItem(Base):
    """Storefront pieces of a purchase item inside a parcel."""

    __tablename__ = "parcel_item"

    parcel_id: Mapped[int] = mapped_column(sa.ForeignKey("shipped_parcel.id"), primary_key=True)
    purchase_item_id: Mapped[int] = mapped_column(sa.ForeignKey("purchase_item.id"), primary_key=True)
    quantity: Mapped[int]
