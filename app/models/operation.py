"""The state of the machine itself: breakers, freeze, periodic jobs, rates, instance identity."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity, states


class Breaker(Base):
    """Whether orders may be sent, per supplier (`supplier:x`) and per account (`account:12`)."""

    __tablename__ = "breaker"

    scope: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="CLOSED")
    unclear_at: Mapped[list[Any]] = mapped_column(default=list)
    failed_reads: Mapped[int] = mapped_column(sa.Integer, default=0)
    unclear_in_a_row: Mapped[int] = mapped_column(sa.Integer, default=0)
    clear_in_a_row: Mapped[int] = mapped_column(sa.Integer, default=0)
    trial_purchase_id: Mapped[int | None]
    failed_trials: Mapped[int] = mapped_column(sa.Integer, default=0)
    trial_at: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())

    __table_args__ = (states("state", "CLOSED", "OPEN", "TRIAL"),)


class PlacementFreeze(Base):
    """While a row without `released_at` exists nothing is sent; with `account_id`, nothing from that account."""

    __tablename__ = "placement_freeze"

    id: Mapped[int] = identity()
    reason: Mapped[str]
    account_id: Mapped[int | None]
    frozen_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    frozen_by: Mapped[str]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str] = mapped_column(default="")
    second: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        sa.Index("uq_placement_freeze_open", "reason", unique=True, postgresql_where=sa.text("released_at IS NULL")),
    )


class PeriodicJob(Base):
    """When a periodic job is next due. The scheduler makes rows due, workers run them."""

    __tablename__ = "periodic_job"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    due: Mapped[bool] = mapped_column(default=False)
    lease_until: Mapped[datetime | None]
    last_finished_at: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(default="")


class ExchangeRate(Base):
    """Units of `quote` for one unit of `base`, as of a day."""

    __tablename__ = "exchange_rate"

    base: Mapped[str] = mapped_column(primary_key=True)
    quote: Mapped[str] = mapped_column(primary_key=True)
    rate: Mapped[Decimal] = mapped_column(sa.Numeric(20, 10))
    as_of: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    source: Mapped[str] = mapped_column(default="")


class Instance(Base):
    """What all instances must agree on, and which database this is. One row."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    epoch: Mapped[int] = mapped_column(default=0)
    system: Mapped[str] = mapped_column(default="", server_default="")
    timeline: Mapped[int] = mapped_column(default=0, server_default="0")
    out_key_sealed: Mapped[bytes]
