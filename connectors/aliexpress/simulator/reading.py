"""Answers of the methods that read orders. Source: reference, sections 7.3, 7.10 and 7.12."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from connectors.aliexpress.simulator.answers import listed, missing, not_readable
from connectors.aliexpress.simulator.records import Account, Item, Order, Parcel
from connectors.aliexpress.simulator.world import World

Params = dict[str, str]


def _local(world: World, epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC).astimezone(ZoneInfo(world.options.gmt_zone))


def _stamp(world: World, epoch: float) -> str:
    return _local(world, epoch).strftime("%Y-%m-%d %H:%M:%S")


def _money(value: Decimal) -> dict[str, str]:
    return {"amount": f"{value:.2f}", "currency_code": "USD"}


def _readable(world: World, account: Account, order_id: str) -> Order | None:
    """The order if this account can read it by now."""
    order = world.orders.get(order_id)
    if order is None or order.user_id != account.user_id:
        return None
    return order if world.now() - order.created >= world.options.scaled(world.options.readable_after) else None


def order_get(world: World, account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.trade.ds.order.get`. Unknown, foreign and too new orders get the same gateway error."""
    if not params.get("single_order_query"):
        raise missing("single_order_query")
    try:
        order_id = str(json.loads(params["single_order_query"])["order_id"])
    except (ValueError, KeyError, TypeError):
        raise missing("order_id") from None
    with world.lock:
        order = _readable(world, account, order_id)
        if order is None:
            raise not_readable()
        return {"result": _order(world, order)}


def _order(world: World, order: Order) -> dict[str, Any]:
    numbers = [{"logistics_no": p.tracking_number, "logistics_service": order.service} for p in order.parcels]
    paid = None
    if order.paid is not None:
        paid = f"{_local(world, order.paid).isoformat(timespec='seconds')}[{world.options.gmt_zone}]"
    return {
        "gmt_create": _stamp(world, order.created),
        "order_status": order.status,
        "logistics_status": order.logistics_status,
        "order_amount": _money(order.total),
        "user_order_amount": _money(order.total),
        "pay_timeout_second": str(max(1, int(order.pay_timeout))) if order.paid is None else None,
        "order_paidtime_string": paid,
        "child_order_list": listed("aeop_child_order_info", [_child(item) for item in order.items]),
        "logistics_info_list": listed("aeop_order_logistics_info", numbers),
        "store_info": {
            "store_id": int(order.seller_id),
            "store_name": f"Store {order.seller_id}",
            "store_url": f"https://www.aliexpress.com/store/{order.seller_id}",
        },
    }


def _child(item: Item) -> dict[str, Any]:
    goods = item.price * item.quantity
    return {
        "product_id": int(item.product_id),
        "sku_id": item.sku_id,
        "product_name": item.title,
        "product_count": item.quantity,
        "product_price": _money(item.price),
        "sale_fee": _money(goods),
        "sale_discount_fee": _money(Decimal(0)),
        "shipping_fee": _money(item.shipping),
        "shipping_discount_fee": _money(Decimal(0)),
        "actual_shipping_fee": _money(item.shipping),
        "actual_fee": _money(goods + item.shipping),
        "actual_tax_fee": _money(Decimal(0)),
        "already_include_tax": "false",
        "end_reason": item.end_reason or None,
        "end_reason_desc": "Order closed" if item.end_reason else None,
    }


def tracking_get(world: World, account: Account, params: Params) -> dict[str, Any]:
    """`aliexpress.ds.order.tracking.get`: 1001 for unknown orders and for those without a parcel."""
    for name in ("ae_order_id", "language"):
        if not params.get(name):
            raise missing(name)
    with world.lock:
        order = _readable(world, account, params["ae_order_id"])
        if order is None or not order.parcels:
            return {"result": {"ret": False, "code": "1001", "msg": "TRACKING DATA NOT FOUND"}}
        lines = [_parcel(order, parcel) for parcel in order.parcels]
    data = {"tracking_detail_line_list": listed("tracking_detail", lines)}
    return {"result": {"ret": True, "code": "", "msg": "", "data": data}}


def _parcel(order: Order, parcel: Parcel) -> dict[str, Any]:
    titles = {item.sku_id: item.title for item in order.items}
    items = [
        {
            "item_id": int(row["product_id"]),
            "sku_id": int(row["sku_id"]),
            "quantity": row["quantity"],
            "item_title": titles.get(str(row["sku_id"]), ""),
        }
        for row in parcel.items
    ]
    nodes = [
        {"time_stamp": int(at * 1000), "tracking_name": name, "tracking_detail_desc": words}
        for at, name, words in parcel.events
    ]
    return {
        "mail_no": parcel.tracking_number,
        "carrier_name": parcel.carrier,
        "cp_website_url": parcel.website or None,
        "detail_node_list": listed("detail_node", nodes),
        "package_item_list": listed("package_item", items),
    }


def benefit_get(_world: World, account: Account, _params: Params) -> dict[str, Any]:
    """`aliexpress.ds.member.benefit.get`; the element name of its list is unconfirmed."""
    able = "true" if account.autopay else "false"
    row = {"code": "auto-pay", "title": "Auto pay", "canApply": "true", "canBenefit": able}
    return {"result": listed("benefit", [row]), "rsp_code": "200", "rsp_msg": "success"}
