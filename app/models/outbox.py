"""What is still to be written to a storefront, mailed or noted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class Outbox(Base):
    """One act, once: `dedupe_key` is unique. `payload` holds ids only."""

    __tablename__ = "outbox"

    id: Mapped[int] = identity()
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"))
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("store_order.id"))
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(default="DUE")
    run_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(sa.Integer, default=0)
    waits: Mapped[bool] = mapped_column(default=False)
    """For the merchant: others of its order go before it meanwhile."""
    result: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    done_at: Mapped[datetime | None]

    __table_args__ = (
        states("state", "DUE", "DONE", "STUCK"),
        sa.Index("ix_outbox_order", "order_id", "id", postgresql_where=sa.text("state = 'DUE'")),
        sa.Index(
            "ix_outbox_due", sa.text("coalesce(shop_id, 0)"), "run_at", "id", postgresql_where=sa.text("state = 'DUE'")
        ),
    )
