"""`flask purchase …` and `flask paylist`."""

from __future__ import annotations

from typing import Any

import click

from app.cli.output import Answer, by_option, command, group, limit_option, moment, root, shop_option, table
from app.container import Container
from app.errors import WaybillError
from app.ports.money import Money
from app.services import paylist, purchases
from app.services.standing import TURN_WORDS

purchase = group("purchase", "Purchases: look at, resolve, approve, try again.")


def _stands(data: dict[str, Any]) -> str:
    lines = [f"Purchase {data['id']} is {data['state']}. {data['text']}"]
    if data["turn"]:
        lines.append(f"Turn: {TURN_WORDS[data['turn']]}.")
    if data["to_do"]:
        lines.append(f"To do: {data['to_do']}")
    return "\n".join(lines)


@command(purchase, "list")
@click.option("--state", default="", help="Only in this state, for instance HUMAN.")
@shop_option
@limit_option
def list_purchases(container: Container, state: str, shop_id: int | None, limit: int) -> Answer:
    """Purchases, newest first, each with why it stands where it stands."""
    rows = purchases.listed(container, state=state, shop_id=shop_id, limit=limit)
    none = f"No purchase is {state}." if state else "There is no purchase yet."
    text = table(
        rows, "id", "order_id=order", "number", "shop", "generation=try", "state", "since=since (UTC)", "turn",
        "supplier_orders=supplier orders", "text=why", empty=none,
    )  # fmt: skip
    return Answer(rows, text)


@command(purchase, "resolve")
@click.argument("purchase_id", type=int, metavar="ID")
@click.option("--found", multiple=True, help="The order's number at the supplier; repeat it for several.")
@click.option("--not-there", is_flag=True, help="You looked, and it is not there.")
@click.option(
    "--newest-seen",
    default="",
    help="With --not-there: the newest order number that you see there; none if no order is there.",
)
@click.option("--confirm-by", default="", help="The second person, needed for staff and with --unverified.")
@click.option(
    "--unverified", is_flag=True, help="The account has been unreadable for a week: believe two persons, check later."
)
@click.option("--by", default="merchant", show_default=True, help="Who looked; staff write staff:NAME.")
def resolve(
    container: Container,
    purchase_id: int,
    found: tuple[str, ...],
    not_there: bool,  # noqa: FBT001 - click hands options over by name
    newest_seen: str,
    confirm_by: str,
    unverified: bool,  # noqa: FBT001 - as above
    by: str,
) -> Answer:
    """Say what became of an unclear purchase."""
    if bool(found) == not_there:
        raise WaybillError("found_or_not", "Say either --found NUMBER or --not-there --newest-seen NUMBER.")
    if found:
        data = purchases.resolve_found(
            container, purchase_id, found, by=by, confirm_by=confirm_by, unverified_account=unverified
        )
    else:
        data = purchases.resolve_not_there(
            container,
            purchase_id,
            newest_seen=newest_seen,
            by=by,
            confirm_by=confirm_by,
            unverified_account=unverified,
        )
    if data["id"] != purchase_id:
        return Answer(
            data, f"Purchase {purchase_id} is given up; purchase {data['id']} takes its place.\n{_stands(data)}"
        )
    return Answer(data, _stands(data))


@command(purchase, "track")
@click.argument("purchase_id", type=int, metavar="ID")
@click.option("--number", required=True, help="The parcel's tracking number.")
@click.option("--carrier", default="", help="Who carries it.")
@click.option("--order", "ref", default="", help="The supplier order it belongs to, if there are several.")
@click.option("--confirm-by", default="", help="The second person.")
@by_option
def track(
    container: Container, purchase_id: int, number: str, carrier: str, ref: str, confirm_by: str, by: str
) -> Answer:
    """Give a tracking number by hand, where the supplier account has been unreadable for a week."""
    data = purchases.track(container, purchase_id, number, carrier=carrier, ref=ref, by=by, confirm_by=confirm_by)
    return Answer(data, _stands(data))


@command(purchase, "retry")
@click.argument("purchase_id", type=int, metavar="ID")
@by_option
def retry(container: Container, purchase_id: int, by: str) -> Answer:
    """Try a held purchase again now."""
    data = purchases.retry(container, purchase_id, actor=by)
    return Answer(data, _stands(data))


@command(purchase, "again")
@click.argument("purchase_id", type=int, metavar="ID")
@by_option
def again(container: Container, purchase_id: int, by: str) -> Answer:
    """Order once more what expired or was cancelled at the supplier."""
    data = purchases.again(container, purchase_id, actor=by)
    return Answer(data, _stands(data))


@command(purchase, "approve")
@click.argument("purchase_id", type=int, metavar="ID")
@click.option("--amount", default="", help='What you were shown, "18.91 USD": refused if it costs more by now.')
@by_option
def approve(container: Container, purchase_id: int, amount: str, by: str) -> Answer:
    """Accept the price of a purchase that is held or blocked because of it."""
    data = purchases.approve(container, purchase_id, amount=_money(amount) if amount else None, actor=by)
    return Answer(data, _stands(data))


def _money(text: str) -> Money:
    number, _, currency = text.strip().partition(" ")
    try:
        return Money.parse(number, currency.strip().upper())
    except ValueError as error:
        raise WaybillError("bad_amount", f'{text[:40]!r} is no amount: write it as "18.91 USD".') from error


@command(root, "paylist")
@shop_option
def pay_list(container: Container, shop_id: int | None) -> Answer:
    """What to pay at the supplier, nearest deadline first, and what not to pay."""
    data = paylist.listed(container, shop_id=shop_id)
    return Answer(data, _pay_text(data))


def _pay_text(data: dict[str, Any]) -> str:
    parts = ["TO PAY"]
    parts.append(
        table(
            data["pay"],
            "supplier_order=supplier order",
            "total",
            "limit",
            "pay_until=pay until (UTC)",
            "number=order",
            "shop",
            "purchase_id=purchase",
            empty="Nothing is to be paid.",
        )
    )
    parts += [f"{one['supplier_order']}: {one['note']}" for one in data["pay"] if one["note"]]
    if data["pay"]:
        parts.append(f"Together: {', '.join(data['totals'].values())}")
        parts += [f"Pay all of account {account}: {url}" for account, url in data["pay_all_urls"].items()]
    if data["do_not_pay"]:
        parts.append("\nDO NOT PAY")
        for one in data["do_not_pay"]:
            until = f", closes {moment(one['pay_until'])}" if one["pay_until"] else ""
            where = "no purchase"
            if one["purchase_id"]:
                where = f"order {one['number']} of {one['shop']}, purchase {one['purchase_id']}"
            parts.append(f"{one['supplier_order']}  {one['total'] or '-'}  ({where}{until})\n    {one['reason']}")
            parts.append(f"    {one['order_url']}")
    return "\n".join(parts)
