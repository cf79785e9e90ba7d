"""`flask shop …`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import click

from app.cli.output import Act, Amount, Answer, SecretText, by_option, command, facts, group, table
from app.container import Container
from app.ports.connector import CommandOption, ConnectorSpec
from app.ports.money import Money
from app.services import shops

shop = group("shop", "Shops: connect, look at, pause, set limits.")


@command(shop, "list")
def list_shops(container: Container) -> Answer:
    """All shops."""
    rows = shops.listed(container)
    text = table(
        rows, "id", "merchant_id=merchant", "connector", "name", "address", "currency", "state", "keys", "autopay",
        "poll_error=last poll error", empty="No shop is connected yet. See `flask shop --help`.",
    )  # fmt: skip
    return Answer(rows, text)


@command(shop, "show")
@click.argument("shop_id", type=int, metavar="ID")
def show(container: Container, shop_id: int) -> Answer:
    """One shop, with its webhook URL and limits, without its secrets."""
    data = shops.told(container, shop_id)
    flat = {name: value for name, value in data.items() if name not in {"policy", "capabilities"}}
    return Answer(data, f"{facts(flat)}\n\nLIMITS AND HABITS\n{facts(data['policy'])}")


@command(shop, "pause")
@click.argument("shop_id", type=int, metavar="ID")
@by_option
def pause(container: Container, shop_id: int, by: str) -> Answer:
    """Order nothing more for this shop; what was sent already runs to its end."""
    waiting = shops.pause(container, shop_id, actor=by)
    text = f"Shop {shop_id} is paused; {waiting} purchase(s) wait. `flask shop resume {shop_id}` goes on."
    return Answer({"id": shop_id, "state": "PAUSED", "waiting": waiting}, text)


@command(shop, "resume")
@click.argument("shop_id", type=int, metavar="ID")
@by_option
def resume(container: Container, shop_id: int, by: str) -> Answer:
    """Go on ordering for this shop, its waiting orders included."""
    went_on = shops.resume(container, shop_id, actor=by)
    text = f"Shop {shop_id} is active; {went_on} waiting purchase(s) go on."
    return Answer({"id": shop_id, "state": "ACTIVE", "went_on": went_on}, text)


_CAP = "in the supplier's quote currency, for instance 500 or 79.90."


@command(shop, "set")
@click.argument("shop_id", type=int, metavar="ID")
@click.option("--margin-percent", type=Amount(), help="Least margin on what the buyer paid, in percent.")
@click.option("--order-cap", type=Amount(), help=f"Most for one order, {_CAP}")
@click.option("--day-cap", type=Amount(), help=f"Most for one day (UTC), {_CAP}")
@click.option("--autopay/--no-autopay", default=None, help="Pay by itself when ordering.")
@click.option("--autopay-order-cap", type=Amount(), help=f"Most for one order paid by itself, {_CAP}")
@click.option("--autopay-day-cap", type=Amount(), help=f"Most for one day paid by itself, {_CAP}")
@click.option("--alone-cap", type=Amount(), help=f"Dearest order that one person may call “not there”, {_CAP}")
@click.option("--contact-email", help="Where the owner is mailed about what waits for them; '' for nowhere.")
@click.option(
    "--notify/--no-notify", "notify_customer", default=None, help="Let the shop mail the buyer about parcels."
)
@click.option("--request-needed/--no-request-needed", default=None, help="Wait for the shop's fulfilment request.")
@click.option("--buy-test-orders/--no-buy-test-orders", default=None, help="Order for test orders too.")
@click.option("--one-purchase-per-line/--no-one-purchase-per-line", default=None, help="Never put lines together.")
@click.option("--max-delivery-days", type=click.IntRange(0, 999), help="Longest delivery; 0 takes the limit away.")
@by_option
def set_policy(container: Container, shop_id: int, by: str, **given: Any) -> Answer:
    """Limits and habits of a shop. Orders that waited for this are looked at again."""
    currency = container.connectors.supplier.quote_currency
    changes = {name: _minor(name, value, currency) for name, value in given.items() if value is not None}
    if changes.get("max_delivery_days") == 0:
        changes["max_delivery_days"] = None
    changed = shops.set_policy(container, shop_id, changes, actor=by)
    data = {"id": shop_id, "changed": changed, "policy": shops.told(container, shop_id)["policy"]}
    head = f"Changed: {', '.join(changed)}." if changed else "Nothing changed."
    return Answer(data, f"{head}\n{facts(data['policy'])}")


def _minor(name: str, value: Any, currency: str) -> Any:
    return Money.parse(value, currency).minor if name.endswith("_cap") and isinstance(value, Decimal) else value


def add_connect_commands(specs: Mapping[str, ConnectorSpec]) -> None:
    """`flask shop connect-…`: one command for each connector that offers one."""
    for spec in specs.values():
        if spec.connect is not None:
            _add_connect(spec)


def _add_connect(spec: ConnectorSpec) -> None:
    wanted = spec.connect
    if wanted is None:
        return

    def connect(container: Container, by: str, merchant: int | None, **given: str | None) -> Answer:
        secrets = {name: given.get(_key(option)) or "" for name, option in wanted.secrets.items()}
        done = shops.connect(
            container,
            spec.name,
            given[_key(wanted.address_option)] or "",
            secrets,
            merchant_id=merchant,
            actor=by,
        )
        return _connected(container, done)

    connect.__doc__ = wanted.help
    act: Act = by_option(_merchant(connect))
    for option in reversed(wanted.options):
        act = _option(option)(act)
    command(shop, wanted.name)(act)


def _merchant(act: Act) -> Act:
    text = "The merchant whose shop it is; without it a new merchant is made."
    return click.option("--merchant", type=int, help=text)(act)


def _key(option: str) -> str:
    return option.replace("-", "_")


def _option(option: CommandOption) -> Callable[[Act], Act]:
    if not option.secret:
        return click.option(f"--{option.name}", required=option.required, help=option.help)
    variable = f"WAYBILL_{_key(option.name).upper()}"
    return click.option(
        f"--{option.name}",
        required=option.required,
        type=SecretText(),
        envvar=variable,
        help=f"{option.help} A dash (-) reads it from standard input; ${variable} works too.",
    )


def _connected(container: Container, done: shops.Connected) -> Answer:
    data = shops.told(container, done.shop.id) | {
        "new": done.fresh,
        "warning": done.warning,
        "webhooks": None
        if done.webhooks is None
        else {"present": done.webhooks.present, "created": done.webhooks.created, "mended": done.webhooks.reenabled},
    }
    lines = [
        f"Connected {data['name']} ({data['address']}) as shop {data['id']} of merchant {data['merchant_id']}.",
        f"Currency {data['currency']}, country {data['country'] or 'unknown'}, state {data['state']}.",
        f"Webhooks go to {data['webhook_url']}",
    ]
    if done.warning:
        lines.append(done.warning)
    if data["state"] == "PAUSED":
        lines.append(f"Orders waited while the shop was away: `flask shop resume {data['id']}` lets them go on.")
    if data["account_id"] is None:
        lines.append(
            f"Next: `flask account connect --shop {data['id']} …`, then `flask link add --shop {data['id']} …`."
        )
    return Answer(data, "\n".join(lines))
