"""The audit log as a chain: a sealer numbers committed rows, links each to the one before and signs the head (S50)."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import closing
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.models import Audit, AuditHead
from app.pipeline.numbers import instance_key

_LOCK = 7_309_245_002
START = bytes(32)
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chain holds; `broken_at` is the id of the first audit row that does not fit."""

    intact: bool
    rows: int
    broken_at: int | None = None
    why: str = ""


def link(before: bytes, row: Audit) -> bytes:
    """What a row's link must be after `before`."""
    text = json.dumps(
        [
            row.seq,
            row.id,
            row.at.isoformat(),
            row.actor,
            row.entity,
            row.entity_id,
            row.action,
            row.from_state,
            row.to_state,
            row.detail,
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(before + text.encode()).digest()


def seal(container: Container) -> int:
    """Chain rows that are committed and not sealed yet. One sealer at a time; others leave at once."""
    with container.database.transaction() as session:
        if not session.scalar(sa.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}):
            return 0
        head = session.get(AuditHead, 1, with_for_update=ROW)
        seq, before = (head.seq, bytes(head.link)) if head else (0, START)
        rows = session.scalars(sa.select(Audit).where(Audit.seq.is_(None)).order_by(Audit.id).limit(BATCH)).all()
        for row in rows:
            seq += 1
            row.seq = seq
            row.link = before = link(before, row)
        if rows:
            _sign(container, session, head, seq, before)
        return len(rows)


def _sign(container: Container, session: Session, head: AuditHead | None, seq: int, last: bytes) -> None:
    signature = _signature(container, session, seq, last)
    if head is None:
        session.add(AuditHead(id=1, seq=seq, link=last, signature=signature))
    else:
        head.seq, head.link, head.signature = seq, last, signature
        head.sealed_at = sa.func.clock_timestamp()


def _signature(container: Container, session: Session, seq: int, last: bytes) -> bytes:
    """Keyed with the instance's own secret, so that a rotation of the vault's keys leaves it valid."""
    return hmac.digest(instance_key(container, session), b"audit-head" + str(seq).encode() + last, "sha256")


def verify(container: Container) -> Verdict:
    """Walk the whole chain; an edited, deleted or re-signed row is named."""
    before, expected, rows = START, 0, 0
    with container.database.transaction() as session:
        head = session.get(AuditHead, 1)
        sealed = sa.select(Audit).where(Audit.seq.is_not(None)).order_by(Audit.seq)
        with closing(session.scalars(sealed.execution_options(yield_per=1000))) as chain:
            for row in chain:
                expected += 1
                if row.seq != expected:
                    return Verdict(False, rows, row.id, f"row number {expected} is missing before this one")
                before = link(before, row)
                if row.link is None or not hmac.compare_digest(bytes(row.link), before):
                    return Verdict(False, rows, row.id, "the row was changed after it was sealed")
                rows += 1
    if head is None:
        return Verdict(rows == 0, rows, None, "" if rows == 0 else "the signed head is missing")
    with container.database.transaction() as session:
        signed = _signature(container, session, head.seq, bytes(head.link))
    if not hmac.compare_digest(signed, bytes(head.signature)) or head.seq != rows or bytes(head.link) != before:
        return Verdict(False, rows, None, "the end of the chain was cut off or its signature is wrong")
    return Verdict(True, rows)
