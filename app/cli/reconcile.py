"""`flask reconcile`: is every order of the shop accounted for?"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from app.cli.output import Answer, command, moment, root, shop_option, table
from app.container import Container
from app.services import reconcile


@command(root, "reconcile")
@shop_option
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="The day, as the shop counts it; today if not given.")
def reconcile_day(container: Container, shop_id: int | None, day: datetime | None) -> Answer:
    """Count a day's orders in the shop and here: placed + held + refused + not ours, and what is in none of them."""
    asked: date | None = day.date() if day is not None else None
    found = reconcile.days(container, shop_id=shop_id, day=asked)
    return Answer(found, "\n\n".join(_page(one) for one in found) or "No shop is connected.")


def _page(told: dict[str, Any]) -> str:
    if "error" in told:
        return f"{told['name']} (shop {told['shop']}), {told['day']}: {told['text']}"
    head = f"{told['name']} (shop {told['shop']}), {told['day']} ({told['timezone']})"
    shares = f"placed {told['placed']} + held {told['held']} + refused {told['refused']} + not ours {told['not_ours']}"
    if told["store"] is None:
        sums = f"The shop does not show orders of that age to us any more. Ours {told['ours']} = {shares}"
    else:
        sums = f"In the shop {told['store']}, ours {told['ours']} = {shares}"
    if told["gap"]:
        sums += f" + not accounted for {told['gap']}"
    if told["deleted"]:
        sums += f" (and {told['deleted']} deleted in the shop for good)"
    lines = [head, sums + "."]
    if told["gap"]:
        gaps = [one for one in told["orders"] if one["gap"]]
        rows = [
            {
                "shop's id": one["external_id"],
                "number": one["number"],
                "why": one["text"],
                "since (UTC)": moment(one["since"]) if one["since"] else "just now",
            }
            for one in gaps
        ]
        lines += [table(rows, *rows[0]), "Each is read again by itself; one that stays for an hour raises an alert."]
    elif told["balanced"]:
        lines.append("Every order is accounted for.")
    return "\n".join(lines)
