"""`flask order …`."""

from __future__ import annotations

import click

from app.cli.output import Answer, by_option, command, group, limit_option, shop_option, table
from app.cli.story_text import page
from app.container import Container
from app.errors import WaybillError
from app.services import orders, story

order = group("order", "Storefront orders and their stories.")


@command(order, "list")
@shop_option
@limit_option
def list_orders(container: Container, shop_id: int | None, limit: int) -> Answer:
    """Orders, newest first, each with where it stands."""
    rows = orders.listed(container, shop_id=shop_id, limit=limit)
    text = table(
        rows, "id", "number", "shop", "placed_at=placed (UTC)", "total", "states=purchases",
        "supplier_orders=supplier orders", "turn", "text=why", empty="No order has arrived yet.",
    )  # fmt: skip
    return Answer(rows, text)


@command(order, "show")
@click.argument("ref")
def show(container: Container, ref: str) -> Answer:
    """The whole story of an order.

    REF is our id, the shop's order number (#1001), its id there, the supplier's order id, our number there, or a
    tracking number, also one that the supplier replaced since.
    """
    data = story.tell(container, ref)
    return Answer(data, page(data))


_JUDGED = {True: "Still wrong", False: "Look at it (it is sent as it is)"}


@command(order, "address")
@click.argument("ref")
@click.option(
    "--set", "pairs", multiple=True, metavar="FIELD=VALUE", help="A correction; nothing after = takes it back."
)
@by_option
def address(container: Container, ref: str, pairs: tuple[str, ...], by: str) -> Answer:
    """Correct the address that is sent to the supplier; without --set: what is wrong with it."""
    changes: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise WaybillError("bad_option", f"Write corrections as field=value; {name[:40]!r} has no =.")
        changes[name.strip()] = value.strip()
    data = orders.fix_address(container, ref, changes, actor=by)
    lines = [f"Corrected fields: {', '.join(data['corrected']) or 'none'}."]
    lines += [f"{_JUDGED[one['stops']]}: {one['field']}: {one['text']}" for one in data["problems"]]
    if not data["problems"]:
        lines.append("Our rules find nothing wrong with the address.")
    if data["corrected"] and data["ordered_already"]:
        lines.append(
            f"Ordered already, with the address as it was: {', '.join(data['ordered_already'])}. This does not change "
            "it there: ask the seller, or cancel it at the supplier."
        )
    if data["went_on"]:
        lines.append(f"{len(data['went_on'])} waiting purchase(s) go on.")
    return Answer(data, "\n".join(lines))
