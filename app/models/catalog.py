"""Which storefront variant is bought as which supplier SKU."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class ProductLink(Base):
    """A frozen link: supplier product, SKU id and attributes as they were when it was made.

    A variant may need several supplier items (`position`), `units` pieces of each per piece sold.
    """

    __tablename__ = "product_link"

    id: Mapped[int] = identity()
    shop_id: Mapped[int] = mapped_column(sa.ForeignKey("shop.id"))
    variant_id: Mapped[str]
    position: Mapped[int] = mapped_column(sa.Integer, default=1)
    sku: Mapped[str] = mapped_column(default="")
    supplier: Mapped[str]
    product_id: Mapped[str]
    sku_id: Mapped[str]
    sku_attributes: Mapped[str]
    seller_id: Mapped[str] = mapped_column(default="")
    title: Mapped[str] = mapped_column(default="")
    service: Mapped[str] = mapped_column(default="")
    units: Mapped[int] = mapped_column(sa.Integer, default=1)
    state: Mapped[str] = mapped_column(default="ACTIVE")
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    __table_args__ = (
        sa.UniqueConstraint("shop_id", "variant_id", "position"),
        states("state", "ACTIVE", "CHANGED"),
        sa.CheckConstraint("units > 0", name="units"),
    )
