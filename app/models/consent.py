"""Links that lead a merchant to a supplier's consent page, and what each browser brought back."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity


class ConnectLink(Base):
    """What a merchant is given: signed is its number only, so it can be ended. `account_id`: it renews that one alone.

    `ended_at`: it was used with success, or taken back.
    """

    __tablename__ = "connect_link"

    id: Mapped[int] = identity()
    supplier: Mapped[str]
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"))
    made_at: Mapped[datetime]
    good_until: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Consent(Base):
    """One attempt: there and back, for one browser, once (S17, S18). Of `state` and browser it keeps digests only.

    `result`: what came of it, a constant; `connected` if it did. `words`: the supplier's own, for staff.
    """

    __tablename__ = "consent"

    id: Mapped[int] = identity()
    state_digest: Mapped[bytes] = mapped_column(unique=True)
    browser_digest: Mapped[bytes] = mapped_column(index=True)
    link_id: Mapped[int] = mapped_column(sa.ForeignKey("connect_link.id"))
    begun_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(default="", server_default="")
    words: Mapped[str] = mapped_column(default="", server_default="")
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("supplier_account.id"))
