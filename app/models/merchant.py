"""The tenant."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity


class Merchant(Base):
    """Owns shops and supplier accounts. Nothing is ever shared between two merchants (I12)."""

    __tablename__ = "merchant"

    id: Mapped[int] = identity()
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
