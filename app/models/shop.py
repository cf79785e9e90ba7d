"""A shop, its credentials, and the supplier accounts it may buy with."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class Shop(Base):
    """One storefront shop. Limits are whole minor units of the supplier's quote currency."""

    __tablename__ = "shop"

    id: Mapped[int] = identity()
    merchant_id: Mapped[int] = mapped_column(sa.ForeignKey("merchant.id"), index=True)
    connector: Mapped[str]
    address: Mapped[str]
    name: Mapped[str]
    currency: Mapped[str] = mapped_column(default="")
    timezone: Mapped[str] = mapped_column(default="")
    country: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(default="ACTIVE")
    capabilities: Mapped[dict[str, Any]] = mapped_column(default=dict)
    delivery_token_hash: Mapped[bytes | None] = mapped_column(unique=True)
    delivery_token_sealed: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    state_since: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    margin_percent: Mapped[Decimal] = mapped_column(sa.Numeric(7, 2), default=Decimal(0))
    order_cap: Mapped[int] = mapped_column(default=50_000)
    day_cap: Mapped[int] = mapped_column(default=500_000)
    autopay: Mapped[bool] = mapped_column(default=False)
    autopay_order_cap: Mapped[int] = mapped_column(default=10_000)
    autopay_day_cap: Mapped[int] = mapped_column(default=100_000)
    alone_cap: Mapped[int] = mapped_column(default=10_000, server_default="10000")
    one_purchase_per_line: Mapped[bool] = mapped_column(default=False)
    request_needed: Mapped[bool] = mapped_column(default=True)
    buy_test_orders: Mapped[bool] = mapped_column(default=False)
    contact_email: Mapped[str] = mapped_column(default="", server_default="")
    notify_customer: Mapped[bool] = mapped_column(default=True)
    max_delivery_days: Mapped[int | None] = mapped_column(sa.Integer)

    poll_run_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    poll_lease_until: Mapped[datetime | None]
    poll_cursor: Mapped[datetime | None]
    poll_full_at: Mapped[datetime | None]
    poll_error: Mapped[str] = mapped_column(default="")
    poll_failing_since: Mapped[datetime | None]
    hooks_checked_at: Mapped[datetime | None]
    account_run_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    account_lease_until: Mapped[datetime | None]
    account_full_at: Mapped[datetime | None]
    account_error: Mapped[str] = mapped_column(default="", server_default="")
    account_failing_since: Mapped[datetime | None]

    __table_args__ = (
        sa.UniqueConstraint("connector", "address"),
        states("state", "ACTIVE", "PAUSED", "UNINSTALLED"),
        sa.Index("ix_shop_poll_due", "poll_run_at", postgresql_where=sa.text("state <> 'UNINSTALLED'")),
        sa.Index("ix_shop_account_due", "account_run_at", postgresql_where=sa.text("state <> 'UNINSTALLED'")),
    )


class Credential(Base):
    """Sealed tokens of a shop or of a supplier account. A lease, not a lock, guards their refresh.

    `authorised_at`, `consents`: when its owner agreed last, and how often; a refresh changes neither.
    `refresh_refused`: with which word the refresh token was refused while the access token still works.
    """

    __tablename__ = "credential"

    id: Mapped[int] = identity()
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"), unique=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"), unique=True)
    sealed: Mapped[bytes]
    state: Mapped[str] = mapped_column(default="LIVE")
    dead_reason: Mapped[str] = mapped_column(default="")
    dead_since: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    authorised_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    consents: Mapped[int] = mapped_column(sa.Integer, default=1, server_default="1")
    issued_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    expires_at: Mapped[datetime | None]
    can_refresh: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    refresh_expires_at: Mapped[datetime | None]
    refresh_refused: Mapped[str] = mapped_column(default="", server_default="")
    refresh_failing_since: Mapped[datetime | None]
    refresh_due_at: Mapped[datetime | None] = mapped_column(index=True)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]

    __table_args__ = (
        states("state", "LIVE", "DEAD"),
        sa.CheckConstraint("(shop_id IS NULL) <> (account_id IS NULL)", name="one_owner"),
    )

    @property
    def place(self) -> str:
        """Where the sealed text belongs."""
        return f"shop:{self.shop_id}:credential" if self.shop_id else f"account:{self.account_id}:credential"


class ShopAccount(Base):
    """A supplier account that a shop may use; one is the default."""

    __tablename__ = "shop_account"

    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("supplier_account.id"), primary_key=True)
    is_default: Mapped[bool] = mapped_column(default=True)

    __table_args__ = (
        sa.Index("uq_shop_account_default", "shop_id", unique=True, postgresql_where=sa.text("is_default")),
    )
