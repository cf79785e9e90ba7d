"""What was mailed to whom: proof, and the reason why nothing is mailed twice."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class EmailLog(Base):
    """One mail. `dedupe_key` names what it tells; `shop_id` None: to staff. Holds no address and no text."""

    __tablename__ = "email_log"

    id: Mapped[int] = identity()
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"))
    kind: Mapped[str]
    subject: Mapped[str]
    message_id: Mapped[str]
    state: Mapped[str] = mapped_column(default="SENDING")
    tries: Mapped[int] = mapped_column(sa.Integer, default=1)
    detail: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    sent_at: Mapped[datetime | None]

    __table_args__ = (
        states("state", "SENDING", "SENT", "REFUSED"),
        sa.Index("ix_email_log_shop", "shop_id", "sent_at"),
    )
