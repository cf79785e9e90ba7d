"""`flask link …`."""

from __future__ import annotations

import click

from app.cli.output import Answer, by_option, command, group, shop_option, table
from app.container import Container
from app.services import links

link = group("link", "Links: which variant is bought as which supplier SKU.")


@command(link, "add")
@click.option("--shop", "shop_id", type=int, required=True, help="The shop.")
@click.option("--variant", default="", help="The variant's id in the shop.")
@click.option("--sku", default="", help="Or its SKU there, if only one variant has it.")
@click.option("--product", required=True, help="The supplier's product id.")
@click.option("--sku-id", required=True, help="The supplier's SKU id.")
@click.option("--sku-attr", default=None, help="The SKU's attributes; needed only when the supplier cannot be asked.")
@click.option(
    "--service",
    default="",
    help="Shipping service by its code; without it the cheapest one. Which are offered depends on the address: "
    "an order that cannot have it is held, with those that it can have.",
)
@click.option("--units", type=click.IntRange(1, 1000), default=1, show_default=True, help="Pieces for one piece sold.")
@click.option(
    "--position",
    type=click.IntRange(1, 50),
    default=1,
    help="For a bundle: 2, 3 … for its further items, linked before the first.",
)
@by_option
def add(
    container: Container,
    shop_id: int,
    variant: str,
    sku: str,
    product: str,
    sku_id: str,
    sku_attr: str | None,
    service: str,
    units: int,
    position: int,
    by: str,
) -> Answer:
    """Link a variant to a supplier SKU, or link it anew. Orders that waited for it go on."""
    data = links.add(
        container,
        shop_id,
        variant=variant,
        sku=sku,
        product=product,
        sku_id=sku_id,
        sku_attr=sku_attr,
        service=service,
        units=units,
        position=position,
        actor=by,
    )
    text = (
        f"Link {data['id']}: variant {data['variant_id']} ({data['sku'] or 'no SKU'}) is bought as {data['units']} x "
        f"{data['product_id']} / {data['sku_id']} {data['sku_attributes']} “{data['title'][:60]}”."
    )
    if not data["verified"]:
        text += f"\nNot verified: {data['unverified_because']} It is checked at the first order."
    if data["missing_positions"]:
        positions = ", ".join(str(position) for position in data["missing_positions"])
        text += f"\nThe bundle is not whole yet: link position {positions} too. Until then nothing is ordered for it."
    if data["went_on"]:
        text += f"\n{len(data['went_on'])} waiting purchase(s) go on."
    return Answer(data, text)


@command(link, "list")
@shop_option
def list_links(container: Container, shop_id: int | None) -> Answer:
    """All links."""
    rows = links.listed(container, shop_id=shop_id)
    text = table(
        rows, "id", "shop_id=shop", "variant_id=variant", "sku", "position=pos", "supplier", "product_id=product",
        "sku_id", "sku_attributes=attributes", "units", "service", "state", "title",
        empty="Nothing is linked yet. See `flask link add --help`.",
    )  # fmt: skip
    return Answer(rows, text)


@command(link, "remove")
@click.argument("link_id", type=int, metavar="ID")
@by_option
def remove(container: Container, link_id: int, by: str) -> Answer:
    """Take a link away; orders of the variant that were not sent yet wait for another one."""
    data = links.remove(container, link_id, actor=by)
    return Answer(data, f"Link {link_id} is gone; variant {data['variant_id']} is linked no more at that place.")
