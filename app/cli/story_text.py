"""An order's story as a page of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from app.cli.output import moment, table
from app.cli.story_fold import folded
from app.services.standing import STATE_WORDS, TURN_WORDS

_LONGEST = 300
_LOOKED_FOR = frozenset(("SENDING", "UNKNOWN", "HUMAN"))


def page(data: dict[str, Any]) -> str:
    """The page: where it stands first, what happened last."""
    parts = [*_head(data), "", *_stands(data), "", "LINES", _lines(data)]
    for title, told in (
        ("PURCHASES", _purchases(data)),
        ("SUPPLIER ORDERS", _supplier_orders(data)),
        ("PARCELS", _parcels(data)),
        ("TASKS", _tasks(data)),
        ("WHAT HAPPENED (UTC)", _timeline(data)),
    ):
        lines = list(told)
        if lines:
            parts += ["", title, *lines]
    return "\n".join(parts)


def _head(data: dict[str, Any]) -> Iterator[str]:
    order = data["order"]
    shop = order["shop"]
    flags = [name for name in ("cancelled", "gone", "test") if order[name]] + (
        [f"on hold: {order['hold']}"] if order["hold"] else []
    )
    paid = "paid" if order["paid"] else f"not paid ({order['unpaid_reason'] or 'unknown why'})"
    yield f"Order {order['number']} of {shop['name']} ({shop['connector']}, shop {shop['id']}); our id {order['id']}"
    yield (
        f"Placed {moment(order['placed_at'])}, {order['total']} in all, {paid}, to {order['country'] or 'nowhere'}"
        + (f"; {', '.join(flags)}" if flags else "")
    )
    yield f"In the shop: {order['url']}"
    for other in data["also"]:
        yield f"Note: another order has this as its number: {other}"


def _stands(data: dict[str, Any]) -> Iterator[str]:
    stands = data["stands"]
    yield "WHERE IT STANDS"
    yield f"  {stands['text']}"
    age = _age(stands.get("now"), stands["since"])
    state = f" ({STATE_WORDS[stands['state']]})" if stands["state"] else ""
    yield f"  Whose turn: {TURN_WORDS[stands['turn']]}. Since {moment(stands['since'])}{age}{state}."
    if stands.get("next_try_at"):
        yield f"  Next {'look' if stands['state'] in _LOOKED_FOR else 'try'}: {moment(stands['next_try_at'])}."
    if stands["to_do"]:
        yield f"  To do: {stands['to_do']}"
    counts = stands.get("counts", {})
    if sum(counts.values()) > 1:
        told = ", ".join(f"{many} {STATE_WORDS[name]}" for name, many in counts.items())
        yield f"  The whole order: {sum(counts.values())} purchases, {told}."


def _age(now: datetime | None, since: datetime | None) -> str:
    if now is None or since is None:
        return ""
    whole = max(now - since, timedelta(0))
    hours, minutes = int(whole.total_seconds() // 3600), int(whole.total_seconds() // 60)
    if hours >= 48:
        return f", {hours // 24} days"
    return f", {_many(hours, 'hour')}" if hours else f", {_many(minutes, 'minute')}" if minutes else ""


def _many(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _lines(data: dict[str, Any]) -> str:
    rows = [
        {
            **line,
            "links": "; ".join(
                (f"{link['units']} of " if link["units"] != 1 else "")
                + f"{link['product_id']}/{link['sku_id']}"
                + (" (changed)" if link["state"] == "CHANGED" else "")
                for link in line["links"]
            )
            or ("not linked" if line["requires_shipping"] else "needs no shipping"),
        }
        for line in data["lines"]
    ]
    return table(
        rows, "title", "sku", "variant_id=variant", "quantity=ordered", "to_ship=to ship", "refunded", "paid",
        "links=bought (each) as", empty="The order has no lines.",
    )  # fmt: skip


def _purchases(data: dict[str, Any]) -> Iterator[str]:
    for one in data["purchases"]:
        follows = f", takes the place of {one['follows']}" if one["follows"] else ""
        follows += f", replaced by {one['followed_by']}" if one["followed_by"] else ""
        yield f"{one['id']}  {one['state']} since {moment(one['since'])} (try {one['generation']}{follows})"
        yield f"    {one['text']}"
        items = ", ".join(
            f"{item['pieces']} x {item['title'][:40]} ({item['product_id'] or 'not linked'}/{item['sku_id'] or '-'})"
            for item in one["items"]
        )
        yield f"    {items}"
        approved = f", approved {one['approved']}" if one["approved"] else ""
        price = f"; quote {one['quote']}, limit {one['limit']}{approved}" if one["quote"] else ""
        account = f"{one['supplier']} account {one['account_id']}" if one["account_id"] else "no supplier account"
        yield f"    with {account}, our number {one['out_order_id']}{price}"
        if one["cancel_requested_at"]:
            yield f"    the shop cancelled it at {moment(one['cancel_requested_at'])}, after it was sent"


_SHIPPING = {"none": "not shipped", "part": "partly shipped", "shipped": "shipped", "delivered": "delivered"}


def _supplier_orders(data: dict[str, Any]) -> Iterator[str]:
    for one in data["supplier_orders"]:
        state = "closed" if one["closed"] else one["payment"]
        role = "" if one["role"] == "bought" else f", {one['role'].upper()}"
        until = f", pay until {moment(one['pay_until'])}" if one["payment"] == "unpaid" and one["pay_until"] else ""
        yield (
            f"{one['external_id']}  {one['total'] or 'total unknown'}, {state}{role}, {_SHIPPING[one['shipping']]}"
            f" ({one['status'] or 'not read yet'}){until}; purchase {one['purchase_id']}"
        )
        yield f"    {one['url']}"


def _parcels(data: dict[str, Any]) -> Iterator[str]:
    for one in data["parcels"]:
        inside = ", ".join(f"{item['quantity']} x {item['title'][:40]}" for item in one["items"])
        shown = "shown in the shop" if one["shown_in_shop"] else "not yet shown in the shop"
        last = f"; {one['last_event']}" if one["last_event"] else ""
        carrier = one["carrier"] or "carrier unknown"
        yield f"{one['tracking_number']}  {carrier}: {inside or 'contents unknown'}; {shown}{last}"


def _tasks(data: dict[str, Any]) -> Iterator[str]:
    for one in data["tasks"]:
        mark = (
            f"done {moment(one['done_at'])} by {one['done_by']}"
            if one["done_at"]
            else f"open, {TURN_WORDS[one['turn']]}"
        )
        yield f"{one['id']}  [{mark}] {one['text']}"


def _timeline(data: dict[str, Any]) -> Iterator[str]:
    day = ""
    for entry in folded(data["timeline"]):
        if f"{entry['at']:%Y-%m-%d}" != day:
            day = f"{entry['at']:%Y-%m-%d}"
            yield day
        by = entry["detail"].get("by", "")
        who = f"  [{by}]" if by else ""
        clock = f"{entry['at']:%H:%M:%S.%f}"[:12]
        yield f"  {clock}  {entry['text']}{who}"
        for name in ("request", "answer"):
            told = " ".join(str(entry["detail"].get(name, "")).split())
            if told:
                yield f"                {name}: {told[:_LONGEST]}"
