"""Mails that were sent, and a try whether the mail server takes one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.errors import WaybillError
from app.mailer import Letter
from app.models import EmailLog
from app.ports.errors import OutsideError


def listed(container: Container, *, shop_id: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Mails, newest first: to whom (a shop's owner or staff), about what, and what became of them."""
    query = sa.select(EmailLog).order_by(EmailLog.id.desc()).limit(limit)
    if shop_id is not None:
        query = query.where(EmailLog.shop_id == shop_id)
    names = ["id", "shop_id", "subject", "state", "tries", "detail", "message_id", "created_at", "sent_at"]
    with container.database.transaction() as session:
        return [{name: getattr(row, name) for name in names} for row in session.scalars(query)]


def test(container: Container, address: str) -> None:
    """Send one mail now. Raises `WaybillError` saying why it did not work."""
    if not container.mailer.configured:
        raise WaybillError("no_mail", "MAIL_SERVER is not set: see .env.example.")
    values = {
        "about": "a test",
        "title": "Mail works",
        "lead": "Somebody ran `flask mail test` here. You need not do anything.",
        "groups": [],
        "foot": container.settings.public_url,
    }
    host = container.settings.public_url.rpartition("/")[2].partition(":")[0]
    stamp = container.clock.now().strftime("%Y%m%d%H%M%S%f")
    letter = Letter((address,), "Waybill: mail works", "digest", values, f"<test-{stamp}@{host}>", {})
    try:
        container.mailer.send(letter)
    except OutsideError as error:
        raise WaybillError("not_sent", f"The mail was not taken: {error.code}. {error.detail}".strip()) from error
