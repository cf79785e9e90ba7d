"""`flask mail …`: what was mailed, and whether mail works."""

from __future__ import annotations

import click

from app.cli.output import Answer, command, group, limit_option, shop_option, table
from app.container import Container
from app.services import mails

mail = group("mail", "Mails: what was sent, and a test.")


@command(mail, "list")
@shop_option
@limit_option
def list_mails(container: Container, shop_id: int | None, limit: int) -> Answer:
    """Mails, newest first."""
    rows = mails.listed(container, shop_id=shop_id, limit=limit)
    text = table(
        rows, "id", "shop_id=shop", "subject", "state", "tries", "detail", "sent_at=sent (UTC)",
        empty="Nothing was mailed yet.",
    )  # fmt: skip
    return Answer(rows, text)


@command(mail, "test")
@click.argument("address")
def test(container: Container, address: str) -> Answer:
    """Send one mail to ADDRESS now."""
    mails.test(container, address)
    return Answer({"sent": True}, f"The mail server took a mail to {address}.")
