"""`flask orphan …`."""

from __future__ import annotations

import click

from app.cli.output import Answer, by_option, command, group, limit_option, table
from app.container import Container
from app.services import orphans

orphan = group("orphan", "Supplier orders that belong to no purchase that we know.")


@command(orphan, "list")
@limit_option
def list_orphans(container: Container, limit: int) -> Answer:
    """What was seen in the accounts and belongs to nobody."""
    rows = orphans.listed(container, limit=limit)
    shown = [row | {"holds": ", ".join(row["holds"])} for row in rows]
    columns = ["supplier_order=supplier order", "account_id=account", "made_at=made (UTC)", "payment", "total", "holds"]
    return Answer(rows, table(shown, *columns, empty="No supplier order is without a purchase."))


@command(orphan, "dismiss")
@click.argument("supplier_order", metavar="NUMBER")
@click.option("--confirm-by", default="", help="The second person, for an unpaid duplicate in a dead account.")
@by_option
def dismiss(container: Container, supplier_order: str, confirm_by: str, by: str) -> Answer:
    """It was made by hand for something else: let it hold nothing up."""
    data = orphans.dismiss(container, supplier_order, by=by, confirm_by=confirm_by)
    return Answer(data, f"Supplier order {data['supplier_order']} counts as foreign from now on.")
