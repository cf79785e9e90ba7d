"""`flask outbox …`."""

from __future__ import annotations

import click

from app.cli.output import Answer, by_option, command, group, limit_option, shop_option, table
from app.container import Container
from app.services import outbox

box = group("outbox", "What is to be done in shops and by mail.")


@command(box, "list")
@click.option("--state", default="", help="DUE, DONE or STUCK.")
@shop_option
@limit_option
def list_rows(container: Container, state: str, shop_id: int | None, limit: int) -> Answer:
    """Acts, newest first."""
    rows = outbox.listed(container, state=state, shop_id=shop_id, limit=limit)
    text = table(
        rows, "id", "created_at=asked for (UTC)", "kind", "shop_id=shop", "order_id=order", "state", "attempts=tries",
        "run_at=next try (UTC)", "result", empty="No such act.",
    )  # fmt: skip
    return Answer(rows, text)


@command(box, "retry")
@click.argument("outbox_id", type=int, metavar="ID")
@by_option
def retry(container: Container, outbox_id: int, by: str) -> Answer:
    """Try an act at once that waits or was given up. What is done is never done a second time."""
    text = outbox.retry(container, outbox_id, actor=by)
    return Answer({"id": outbox_id, "message": text}, text)
