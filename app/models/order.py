"""Storefront orders and their lines as last read from the shop, and orders that are not accounted for."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class StoreOrder(Base):
    """A storefront order. The address is sealed; money is minor units of `currency`.

    `source_version`: the shop's own number of what was read last. `reads`: how often a read was stored (see `newest`).
    `kept` None: what money the shop still has is not known (see the port).
    """

    __tablename__ = "store_order"

    id: Mapped[int] = identity()
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    external_id: Mapped[str]
    number: Mapped[str] = mapped_column(index=True)
    source_version: Mapped[int] = mapped_column(default=0)
    reads: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    currency: Mapped[str]
    paid: Mapped[bool]
    unpaid_reason: Mapped[str] = mapped_column(default="")
    cancelled: Mapped[bool] = mapped_column(default=False)
    gone: Mapped[bool] = mapped_column(default=False)
    hold: Mapped[str] = mapped_column(default="")
    test: Mapped[bool] = mapped_column(default=False)
    total: Mapped[int]
    shipping_paid: Mapped[int]
    kept: Mapped[int | None]
    country: Mapped[str] = mapped_column(default="")
    address_sealed: Mapped[bytes | None]
    address_override_sealed: Mapped[bytes | None]
    address_problem: Mapped[str] = mapped_column(default="")
    placed_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    first_seen_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    read_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    purged_at: Mapped[datetime | None]

    __table_args__ = (
        sa.UniqueConstraint("shop_id", "external_id"),
        sa.Index("ix_store_order_placed", "shop_id", "placed_at"),
    )

    @property
    def address_place(self) -> str:
        """Where the sealed address belongs."""
        return f"shop:{self.shop_id}:order:{self.external_id}:address"


class SourceLine(Base):
    """One line of a storefront order. The ids seen first are kept: shops change them when products go away."""

    __tablename__ = "source_line"

    id: Mapped[int] = identity()
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("store_order.id"), index=True)
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    external_order_id: Mapped[str]
    external_id: Mapped[str]
    product_id: Mapped[str | None]
    variant_id: Mapped[str | None]
    sku: Mapped[str] = mapped_column(default="")
    title: Mapped[str] = mapped_column(default="")
    quantity: Mapped[int]
    to_ship: Mapped[int]
    refunded: Mapped[int] = mapped_column(default=0)
    paid: Mapped[int]
    requires_shipping: Mapped[bool] = mapped_column(default=True)
    at_our_location: Mapped[bool] = mapped_column(default=False)
    request: Mapped[str] = mapped_column(default="none")
    withdrawn: Mapped[int] = mapped_column(default=0)
    """Pieces that the merchant took back from our location before they were ordered, and has not asked for anew."""
    requested: Mapped[int] = mapped_column(default=0)
    """Pieces that the merchant asks our location for, as far as they are open; also those that we turned down last."""
    kept_back: Mapped[int] = mapped_column(default=0)
    """Open pieces there whose cancellation we rejected."""
    source_version: Mapped[int] = mapped_column(default=0)

    __table_args__ = (
        sa.UniqueConstraint("shop_id", "external_order_id", "external_id"),
        sa.CheckConstraint("to_ship >= 0 AND quantity >= 0", name="quantities"),
    )

    @property
    def for_us(self) -> int:
        """Pieces for us to ship in all. Those taken back are the first that are refunded, or that others ship."""
        return max(self.quantity - self.refunded - self.withdrawn, 0)


class OrderGap(Base):
    """An order that stood in no column of its day's account (`app.domain.accounting`), and since when."""

    __tablename__ = "order_gap"

    id: Mapped[int] = identity()
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    external_id: Mapped[str]
    kind: Mapped[str]
    day: Mapped[date] = mapped_column(sa.Date)
    since: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        states("kind", "missing", "uncovered", "unknown_to_shop"),
        sa.Index(
            "uq_order_gap_open",
            "shop_id",
            "external_id",
            "kind",
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )
