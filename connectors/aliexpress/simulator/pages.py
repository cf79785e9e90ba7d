"""Pages for a person: consent, the buyer's orders, paying. Plain HTML without scripts."""

from __future__ import annotations

from html import escape
from itertools import zip_longest
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from connectors.aliexpress.simulator import acts, tokens
from connectors.aliexpress.simulator.reading import _stamp
from connectors.aliexpress.simulator.records import Order
from connectors.aliexpress.simulator.world import World

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.4rem;border-bottom:1px solid #ccc;"
    "vertical-align:top}button{font:inherit;padding:.3rem .8rem}"
    "@media(max-width:45rem){thead{display:none}tr,td{display:block;border:0;padding:.1rem 0}"
    "tr{border-bottom:1px solid #888;padding:.8rem 0}td:empty{display:none}"
    "td[data-name]:before{content:attr(data-name) ': ';opacity:.7}}"
)


_NAMES = ("Order no.", "Time (Pacific)", "Items", "To", "Total", "Status", "Parcels")


def _page(title: str, body: str, status: int = 200) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>This is a simulator. No money moves here.</p>{body}</body></html>"
    )
    return Response(text, status, content_type="text/html; charset=utf-8")


def blueprint(world: World) -> Blueprint:
    """Consent, orders and pay pages."""
    routes = Blueprint("pages", __name__)
    _add_consent(routes, world)
    _add_orders(routes, world)
    _add_pay(routes, world)

    @routes.errorhandler(acts.Impossible)
    def impossible(error: acts.Impossible) -> Response:
        return _page("That is not possible", f"<p>{escape(str(error))}</p>", 409)

    return routes


def _add_consent(routes: Blueprint, world: World) -> None:
    @routes.get("/oauth/authorize")
    def ask() -> WerkzeugResponse:
        """The consent page; with `auto_consent` the first account agrees at once."""
        wrong = _wrong_request(world)
        if wrong:
            return _page("Authorization failed", f"<p>{escape(wrong)}</p>", 400)
        if world.options.auto_consent:
            return _agreed(world, next(iter(world.accounts)))
        with world.lock:
            choices = "".join(
                f'<option value="{escape(a.user_id)}">{escape(a.login)} ({escape(a.user_id)})</option>'
                for a in world.accounts.values()
            )
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{escape(request.args.get(name, ""))}">'
            for name in ("client_id", "redirect_uri", "state", "response_type")
        )
        select = f'<select name="user_id">{choices}</select> <button>Approve</button>'
        form = f'<form method="post">{hidden}{select}</form>'
        return _page("Allow this app to order for you?", form)

    @routes.post("/oauth/authorize")
    def agree() -> WerkzeugResponse:
        wrong = _wrong_request(world)
        user_id = request.form.get("user_id", "")
        if wrong or user_id not in world.accounts:
            return _page("Authorization failed", f"<p>{escape(wrong or 'unknown account')}</p>", 400)
        return _agreed(world, user_id)


def _wrong_request(world: World) -> str:
    if request.values.get("client_id") != world.options.app_key:
        return "param-appkey.not.exists"
    if request.values.get("response_type") != "code":
        return "response_type must be code"
    callback = request.values.get("redirect_uri", "")
    expected = world.options.callback_url
    if not callback.startswith(("http://", "https://")) or (expected and callback != expected):
        return "redirect_uri does not equal the app's callback URL"
    return ""


def _agreed(world: World, user_id: str) -> WerkzeugResponse:
    with world.lock:
        answer = {"code": tokens.new_code(world, user_id)}
    if request.values.get("state"):
        answer["state"] = request.values["state"]
    callback = request.values["redirect_uri"]
    return redirect(f"{callback}{'&' if '?' in callback else '?'}{urlencode(answer)}")


def _row(world: World, order: Order, *, acts_shown: bool) -> str:
    items = "<br>".join(
        escape(f"{item.quantity} x {item.title} (product {item.product_id}, SKU {item.sku_id})")
        + (f" <em>{escape(item.end_reason)}</em>" if item.end_reason else "")
        for item in order.items
    )
    parcels = "<br>".join(escape(f"{p.carrier} {p.tracking_number}") for p in order.parcels)
    pay = f'<a href="/pay?order_ids={order.order_id}">Pay</a>' if order.is_open_unpaid else ""
    cancel = ""
    if order.status != "FINISH":
        hidden = f'<input type="hidden" name="order_id" value="{order.order_id}">'
        cancel = f'<form method="post" action="/orders/cancel">{hidden}<button>Cancel</button></form>'
    cells = [
        order.order_id,
        escape(_stamp(world, order.created)),
        items,
        escape(order.country),
        f"{order.total:.2f} USD",
        escape(order.status),
        parcels,
    ]
    if acts_shown:
        cells.append(pay + cancel)
    named = zip_longest(_NAMES, cells, fillvalue="")
    texts = (f'<td data-name="{name}">{cell}</td>' if name and cell else f"<td>{cell}</td>" for name, cell in named)
    return f"<tr>{''.join(texts)}</tr>"


def _table(world: World, orders: list[Order], *, acts_shown: bool) -> str:
    names = [*_NAMES, *[""] * acts_shown]
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(_row(world, order, acts_shown=acts_shown) for order in orders)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _add_orders(routes: Blueprint, world: World) -> None:
    @routes.get("/")
    @routes.get("/orders")
    def orders() -> Response:
        """All orders of an account (or of all), newest first."""
        acts.run_due(world)
        account = request.args.get("account", "")
        with world.lock:
            found = [o for o in world.orders.values() if account in {"", o.user_id}]
            found.sort(key=lambda order: (order.created, order.order_id), reverse=True)
            return _page("Your orders", _table(world, found, acts_shown=True))

    @routes.get("/p/order/detail.html")
    def detail() -> Response:
        acts.run_due(world)
        with world.lock:
            order = acts.order_of(world, request.args.get("orderId", ""))
            return _page(f"Order {order.order_id}", _table(world, [order], acts_shown=True))

    @routes.post("/orders/cancel")
    def cancel() -> WerkzeugResponse:
        acts.cancel(world, request.form["order_id"])
        return redirect("/orders")


def _add_pay(routes: Blueprint, world: World) -> None:
    @routes.get("/pay")
    @routes.get("/p/order/index.html")
    def show() -> Response:
        """What is to be paid."""
        acts.run_due(world)
        ids = [order_id for order_id in request.args.get("order_ids", "").split(",") if order_id]
        with world.lock:
            found = [acts.order_of(world, order_id) for order_id in ids]
            total = sum(order.total for order in found if order.is_open_unpaid)
            table = _table(world, found, acts_shown=False)
        hidden = f'<input type="hidden" name="order_ids" value="{escape(",".join(ids))}">'
        form = f'<form method="post" action="/pay">{hidden}<button>Pay {total:.2f} USD</button></form>'
        return _page("Pay", table + (form if total else "<p>Nothing to pay.</p>"))

    @routes.post("/pay")
    def pay() -> WerkzeugResponse:
        ids = [order_id for order_id in request.form.get("order_ids", "").split(",") if order_id]
        for order_id in ids:
            if acts.order_of(world, order_id).is_open_unpaid:
                acts.pay(world, order_id)
        return redirect("/orders")
