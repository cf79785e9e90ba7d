"""Ways to a supplier's consent page and back."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity


class Consent(Base):
    """One way there and back, for one browser, once (S17, S18). Of `state` and browser it keeps digests only.

    `account_id`: the account that is to be renewed, and no other. `result`: what came of it, a constant.
    """

    __tablename__ = "consent"

    id: Mapped[int] = identity()
    state_digest: Mapped[bytes] = mapped_column(unique=True)
    browser_digest: Mapped[bytes]
    supplier: Mapped[str]
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"))
    begun_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (sa.Index("ix_consent_shop", "shop_id", "begun_at"),)
