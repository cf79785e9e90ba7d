"""Verified events, stored before they are answered."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class Inbox(Base):
    """One verified delivery. The body is sealed; a duplicate only counts `seen` and makes the row due again."""

    __tablename__ = "inbox"

    id: Mapped[int] = identity()
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"))
    source: Mapped[str]
    topic: Mapped[str]
    dedupe: Mapped[bytes]
    body: Mapped[bytes | None]
    verified: Mapped[bool] = mapped_column(server_default=sa.true())
    seen: Mapped[int] = mapped_column(sa.Integer, server_default="1")
    state: Mapped[str] = mapped_column(server_default="DUE")
    received_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    run_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(sa.Integer, server_default="0")
    processed_at: Mapped[datetime | None]
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("store_order.id"))
    result: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (
        sa.Index(
            "uq_inbox_event", "source", "shop_id", "topic", "dedupe", unique=True, postgresql_nulls_not_distinct=True
        ),
        sa.Index(
            "ix_inbox_due", sa.text("coalesce(shop_id, 0)"), "run_at", "id", postgresql_where=sa.text("state = 'DUE'")
        ),
        sa.Index("ix_inbox_order", "order_id", postgresql_where=sa.text("order_id IS NOT NULL")),
        states("state", "DUE", "DONE", "ODD"),
    )
