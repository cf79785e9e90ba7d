"""What happened: audit, calls, tasks for people, alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, identity


class Audit(Base):
    """One row per transition, written in the transition's transaction. A sealer chains rows afterwards."""

    __tablename__ = "audit"

    id: Mapped[int] = identity()
    at: Mapped[datetime] = mapped_column(server_default=sa.text("clock_timestamp()"))
    actor: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[int]
    action: Mapped[str]
    from_state: Mapped[str] = mapped_column(default="")
    to_state: Mapped[str] = mapped_column(default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seq: Mapped[int | None] = mapped_column(unique=True)
    link: Mapped[bytes | None]

    __table_args__ = (
        sa.Index("ix_audit_entity", "entity", "entity_id", "id"),
        sa.Index("ix_audit_unsealed", "id", postgresql_where=sa.text("seq IS NULL")),
    )


class AuditHead(Base):
    """The signed end of the audit chain. One row."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    seq: Mapped[int] = mapped_column(default=0)
    link: Mapped[bytes]
    signature: Mapped[bytes]
    sealed_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())


class Call(Base):
    """One outside call that concerns an order: for its story. Redacted by the connector."""

    __tablename__ = "call"

    id: Mapped[int] = identity()
    at: Mapped[datetime]
    vendor: Mapped[str]
    operation: Mapped[str]
    outcome: Mapped[str]
    status: Mapped[int | None] = mapped_column(sa.Integer)
    milliseconds: Mapped[int] = mapped_column(sa.Integer)
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("store_order.id"), index=True)
    purchase_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"))
    request: Mapped[str] = mapped_column(default="")
    answer: Mapped[str] = mapped_column(default="")
    request_id: Mapped[str] = mapped_column(default="")


class CallStat(Base):
    """Running totals of outside calls over all processes, for `/metrics`."""

    __tablename__ = "call_stat"

    vendor: Mapped[str] = mapped_column(primary_key=True)
    operation: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(default=0)
    milliseconds: Mapped[int] = mapped_column(default=0)
    buckets: Mapped[list[Any]] = mapped_column(default=list)


class Task(Base):
    """Something a person has to do. `turn`: us, merchant, buyer or supplier.

    `done_at`: a person did it, or its cause is over. `over`: its cause is over; one that comes back makes a new task,
    while one that a person closed is not asked for again as long as its cause lasts.
    """

    __tablename__ = "task"

    id: Mapped[int] = identity()
    dedupe_key: Mapped[str]
    kind: Mapped[str]
    turn: Mapped[str]
    text: Mapped[str]
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"))
    order_id: Mapped[int | None] = mapped_column(sa.ForeignKey("store_order.id"), index=True)
    purchase_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    done_at: Mapped[datetime | None]
    done_by: Mapped[str] = mapped_column(default="")
    over: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    mailed_at: Mapped[datetime | None]

    __table_args__ = (
        sa.Index("ix_task_open", "shop_id", "id", postgresql_where=sa.text("done_at IS NULL AND mailed_at IS NULL")),
        sa.Index(
            "uq_task_present",
            "dedupe_key",
            unique=True,
            postgresql_ops={"dedupe_key": "text_pattern_ops"},
            postgresql_where=sa.text("NOT over"),
        ),
    )


class Alert(Base):
    """Something staff must know about now. One per `dedupe_key`; `ended_at` once the cause is gone."""

    __tablename__ = "alert"

    id: Mapped[int] = identity()
    dedupe_key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    text: Mapped[str]
    shop_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shop.id"))
    purchase_id: Mapped[int | None] = mapped_column(sa.ForeignKey("purchase.id"))
    raised_at: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    ended_at: Mapped[datetime | None]
    mailed_at: Mapped[datetime | None]

    __table_args__ = (
        sa.Index("ix_alert_open", "id", postgresql_where=sa.text("ended_at IS NULL")),
        sa.Index(
            "ix_alert_open_key",
            "dedupe_key",
            postgresql_ops={"dedupe_key": "text_pattern_ops"},
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )
