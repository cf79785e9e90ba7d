"""Reports of users and sales, and the list of commissions. Source: reference, section 7.13.

Documented: parameters, forms, 401 for an unknown publisher, fields of a row. Invented, because somebody has to answer:
the words for malformed values and foreign orders (400, 404), and the rates of commission.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from connectors.aliexpress.simulator.answers import GatewayFault, listed, missing
from connectors.aliexpress.simulator.records import Account, Item, Order
from connectors.aliexpress.simulator.world import World

Params = dict[str, str]
_ZONE = ZoneInfo("America/Los_Angeles")
_PAGE = 50
_UNREGISTERED = {"rsp_code": 401, "rsp_msg": "This publisher is not registered"}
_STATUSES = ("Payment Completed", "Buyer Confirmed Receipt", "Completed Settlement", "Invalid")
_FORMS = {
    "ae_product_id": r"[0-9]{1,20}",
    "ae_orderid": r"[0-9]{1,20}",
    "ae_sku_info": r"[0-9]+:[0-9]+(;[0-9]+:[0-9]+)*",
    "product_amount": r"[0-9]+\.[0-9]{2}",
    "order_amount": r"[0-9]+\.[0-9]{2}",
    "paytime": r"[0-9]{8}:[0-9]{6}",
    "product_url": r"https?://\S+",
}
_RATE, _INCENTIVE = Decimal("0.03"), Decimal("0.02")


def add_info(world: World, account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.add.info`: a user, named by the token."""
    _still_there(world, "aliexpress.ds.add.info")
    if not params.get("param0"):
        raise missing("param0")
    try:
        url = str(json.loads(params["param0"])["store_url"])
    except (ValueError, TypeError, KeyError):
        raise GatewayFault("UnsupportedParamMapping") from None
    if not world.options.registered:
        return dict(_UNREGISTERED)
    if urlsplit(url).scheme not in {"http", "https"}:
        return {"result": False, "result_code": 400, "result_msg": "store_url is invalid"}
    with world.lock:
        world.record({"op": "report_user", "user_id": account.user_id, "store_url": url})
    return {"result": True, "result_code": 200, "result_msg": "success"}


def submit(world: World, account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.member.orderdata.submit`: a sale. All parameters are required; whose order it is, is looked at."""
    _still_there(world, "aliexpress.ds.member.orderdata.submit")
    for name in _FORMS:
        if not params.get(name):
            raise missing(name)
    if not world.options.registered:
        return dict(_UNREGISTERED)
    wrong = next((name for name, form in _FORMS.items() if not re.fullmatch(form, params[name])), None)
    if wrong is not None:
        return {"result": False, "rsp_code": 400, "rsp_msg": f"{wrong} is invalid"}
    with world.lock:
        order = world.orders.get(params["ae_orderid"])
        ids = {item.product_id for item in order.items} if order else set[str]()
        if order is None or order.user_id != account.user_id or params["ae_product_id"] not in ids:
            return {"result": False, "rsp_code": 404, "rsp_msg": "order not found"}
        told = {name: params[name] for name in _FORMS}
        world.record({"op": "report_sale", "user_id": account.user_id, "order_id": order.order_id, "told": told})
    return {"result": True, "rsp_code": 200, "rsp_msg": "success"}


def _still_there(world: World, method: str) -> None:
    """Methods that the platform has taken out of its catalogue are not found any more."""
    if method in world.options.withdrawn:
        raise GatewayFault("InvalidApiPath")


def commission_list(world: World, _account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.commissionorder.listbyindex`: paid orders of the app, if the publisher is registered."""
    _still_there(world, "aliexpress.ds.commissionorder.listbyindex")
    for name in ("start_time", "end_time", "status"):
        if not params.get(name):
            raise missing(name)
    if params["status"] not in _STATUSES:
        raise GatewayFault("InvalidParameter", "status is invalid")
    if not world.options.registered:
        return dict(_UNREGISTERED)
    with world.lock:
        paid = sorted((one for one in world.orders.values() if one.paid is not None), key=lambda one: one.order_id)
        rows = [
            (order, item)
            for order in paid
            if params["start_time"] <= _stamp(order.paid) <= params["end_time"]
            for item in order.items
            if _status(order, item) == params["status"] and _index(order, item) > params.get("start_query_index_id", "")
        ][: min(_PAGE, _size(params))]
        told = [_row(world, order, item) for order, item in rows]
    result = {
        "current_page_no": 1,
        "current_record_count": len(told),
        "min_query_index_id": _index(*rows[0]) if rows else None,
        "max_query_index_id": _index(*rows[-1]) if rows else None,
        "orders": listed("traffic_order_effect_d_t_o", told),
    }
    return {"result": result, "rsp_code": 200, "rsp_msg": "Call succeeds"}


def _size(params: Params) -> int:
    asked = params.get("page_size", str(_PAGE))
    if not asked.isdecimal() or not int(asked):
        raise GatewayFault("InvalidParameter", "page_size is invalid")
    return int(asked)


def _index(order: Order, item: Item) -> str:
    """Where a row stands in the list, as a text that sorts: orders have numbers of equal length."""
    return f"{order.order_id}_{order.items.index(item):03d}"


def _status(order: Order, item: Item) -> str:
    """Closed after it was paid: nothing is earned."""
    if item.end_reason:
        return "Invalid"
    return "Buyer Confirmed Receipt" if order.logistics_status == "BUYER_ACCEPT_GOODS" else "Payment Completed"


def _row(world: World, order: Order, item: Item) -> dict[str, Any]:
    number, cents = int(order.order_id), int(item.price * item.quantity * 100)
    earns = (order.order_id, item.product_id) in world.reported_sales and order.user_id in world.reported_users
    incentive = _share(cents, _INCENTIVE) if earns else 0
    received = order.logistics_status == "BUYER_ACCEPT_GOODS"
    return {
        "order_id": number,
        "order_number": number,
        "parent_order_number": number,
        "sub_order_id": number + 1 + order.items.index(item),
        "publisher_id": 1,
        "item_id": int(item.product_id),
        "item_title": item.title,
        "item_count": str(item.quantity),
        "created_time": _stamp(order.created),
        "paid_time": _stamp(order.paid),
        "paid_amount": cents,
        "commission_rate": f"{_RATE * 100:.2f}%",
        "incentive_commission_rate": f"{_INCENTIVE * 100:.2f}%",
        "estimated_paid_commission": _share(cents, _RATE),
        "estimated_incentive_paid_commission": str(incentive),
        "finished_amount": str(cents if received else 0),
        "estimated_finished_commission": str(_share(cents, _RATE) if received else 0),
        "estimated_incentive_finished_commission": str(incentive if received else 0),
        "effect_status": _status(order, item),
        "ship_to_country": order.country,
        "publisher_settled_currency": "USD",
    }


def _share(cents: int, rate: Decimal) -> int:
    return int((cents * rate).quantize(Decimal(1), rounding=ROUND_DOWN))


def _stamp(epoch: float | None) -> str:
    return datetime.fromtimestamp(epoch or 0, UTC).astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")
