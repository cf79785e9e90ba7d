"""`flask inbox …` and `flask sweep`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from app.cli.output import Answer, by_option, command, facts, group, limit_option, root, shop_option, table
from app.container import Container
from app.errors import WaybillError
from app.services import inbox

box = group("inbox", "Events that arrived.")


@command(box, "list")
@click.option("--state", default="", help="DUE, DONE or ODD.")
@shop_option
@limit_option
def list_rows(container: Container, state: str, shop_id: int | None, limit: int) -> Answer:
    """Events, newest first."""
    rows = inbox.listed(container, state=state, shop_id=shop_id, limit=limit)
    text = table(
        rows, "id", "received_at=arrived (UTC)", "source", "shop_id=shop", "topic", "seen", "state", "attempts=tries",
        "order_id=order", "result", empty="No such event.",
    )  # fmt: skip
    return Answer(rows, text)


@command(box, "replay")
@click.argument("inbox_id", type=int, metavar="ID")
@by_option
def replay(container: Container, inbox_id: int, by: str) -> Answer:
    """Deal with an event once more. Nothing is ever bought twice by this."""
    text = inbox.replay(container, inbox_id, actor=by)
    return Answer({"id": inbox_id, "message": text}, text)


@command(root, "sweep")
@click.option("--once", is_flag=True, help="One pass; the scheduler and a worker do the others.")
def sweep(container: Container, once: bool) -> Answer:  # noqa: FBT001 - click hands options over by name
    """Free expired leases, replay the journal, re-check held purchases, renew tokens."""
    if not once:
        raise WaybillError("once", "Say --once. Regular sweeps are made by `flask scheduler` and `flask worker`.")
    # Jobs stand beside the commands, not below them: found by name, as the connectors are.
    done: dict[str, Any] = import_module("app.jobs.sweep").run_once(container)
    return Answer(done, facts(done))
