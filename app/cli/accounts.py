"""`flask account …` and `flask rate …`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import click

from app.cli.output import Amount, Answer, SecretText, When, by_option, command, group, moment, table
from app.container import Container
from app.services import accounts, consent, rates

account = group("account", "Supplier accounts: connect, look at, renew.")
rate = group("rate", "Exchange rates that prices are compared with.")
_DASH = "A dash (-) reads it from standard input;"


@command(account, "connect")
@click.option("--shop", "shop_id", type=int, required=True, help="The shop that buys with it from now on.")
@click.option(
    "--access-token", type=SecretText(), required=True, envvar="WAYBILL_ACCESS_TOKEN",
    help=f"{_DASH} $WAYBILL_ACCESS_TOKEN works too.",
)  # fmt: skip
@click.option(
    "--refresh-token", type=SecretText(), default=None, envvar="WAYBILL_REFRESH_TOKEN",
    help=f"{_DASH} $WAYBILL_REFRESH_TOKEN works too.",
)  # fmt: skip
@click.option(
    "--expires-at", type=When(), help="When the access token ends: 2026-12-31T12:00:00Z, or seconds since 1970."
)
@click.option("--refresh-expires-at", type=When(), help="When it can no longer be renewed.")
@click.option(
    "--user-id", default="",
    help="The account's number at the supplier. Without it they are taken for tokens of the shop's present account.",
)  # fmt: skip
@by_option
def connect(
    container: Container,
    shop_id: int,
    access_token: str,
    refresh_token: str | None,
    expires_at: datetime | None,
    refresh_expires_at: datetime | None,
    user_id: str,
    by: str,
) -> Answer:
    """Let a shop buy with this account; the same account again gets the new tokens."""
    made = accounts.connect(
        container,
        shop_id,
        access_token,
        refresh_token or "",
        expires_at,
        user_id=user_id,
        refresh_expires_at=refresh_expires_at,
        actor=by,
    )
    data = {
        "id": made.id,
        "supplier": made.supplier,
        "user_id": made.user_id,
        "merchant_id": made.merchant_id,
        "shop_id": shop_id,
        "expires_at": expires_at,
    }
    return Answer(data, f"Shop {shop_id} buys with account {made.id} ({made.supplier} {made.user_id}) from now on.")


@command(account, "list")
def list_accounts(container: Container) -> Answer:
    """All supplier accounts and the state of their tokens."""
    rows = accounts.listed(container)
    text = table(
        rows, "id", "merchant_id=merchant", "supplier", "user_id=user", "token", "dead_because=why",
        "expires_at=expires (UTC)", "refresh_due_at=will be renewed at", "shops",
        empty="No supplier account is connected yet. See `flask account connect --help`.",
    )  # fmt: skip
    return Answer(rows, text)


@command(account, "connect-url")
@click.option("--shop", "shop_id", type=int, required=True, help="The shop that will buy with it.")
@click.option("--account", "account_id", type=int, default=None, help="Renew this account, and no other.")
@by_option
def connect_url(container: Container, shop_id: int, account_id: int | None, by: str) -> Answer:
    """A link for the merchant: to the supplier's consent page and back. Whoever has it can use it."""
    url = consent.link(container, shop_id, account_id, actor=by)
    life = consent.RENEWAL_LIFE if account_id else consent.LINK_LIFE
    return Answer({"url": url, "days": life.days}, f"{url}\nGood for {life.days} days. Send it to the merchant only.")


@command(account, "refresh")
@click.argument("account_id", type=int, metavar="ID")
@by_option
def refresh(container: Container, account_id: int, by: str) -> Answer:
    """Renew an account's token now."""
    accounts.get(container, account_id)
    until = accounts.refresh(container, account_id, actor=by)
    data = {"id": account_id, "expires_at": until}
    return Answer(data, f"Account {account_id} has a new token, good until {moment(until)} UTC.")


@command(rate, "set")
@click.argument("base")
@click.argument("quote")
@click.argument("rate", type=Amount())
@click.option("--source", default="by hand", show_default=True, help="Where the rate is from.")
@by_option
def set_rate(container: Container, base: str, quote: str, rate: Decimal, source: str, by: str) -> Answer:
    """One BASE is RATE units of QUOTE: `flask rate set USD EUR 0.92`."""
    rows = [rates.told(row) for row in rates.put(container, base, quote, rate, source=source, actor=by)]
    return Answer(rows, "\n".join(f"1 {row['base']} = {row['rate']} {row['quote']} ({row['source']})" for row in rows))


@command(rate, "list")
def list_rates(container: Container) -> Answer:
    """All exchange rates."""
    rows = rates.listed(container)
    text = table(rows, "base", "quote", "rate", "as_of=as of (UTC)", "source", empty="No rate yet: `flask rate set`.")
    return Answer(rows, text)
