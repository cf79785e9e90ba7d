"""REST: orders, their notes, refunds and fulfilments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.woocommerce.simulator import ordering, render
from connectors.woocommerce.simulator.deliveries import emit
from connectors.woocommerce.simulator.refusal import Refusal, invalid_param, no_order, no_route
from connectors.woocommerce.simulator.routes import Call, Reply, listing, route
from connectors.woocommerce.simulator.world import Row, Shop, now_gmt

_HIDDEN = frozenset({"trash", "checkout-draft", "auto-draft"})


@route("GET", "orders", "orders.list")
def _list(call: Call) -> Reply:
    rows = [row for row in list(call.shop["orders"].values()) if _wanted(call, row)]
    field = "date_modified_gmt" if call.params.get("orderby") == "modified" else "date_created_gmt"
    rows.sort(key=lambda row: (row[field], row["id"]), reverse=call.params.get("order", "desc") != "asc")
    return listing(call, rows, lambda row: render.order(call.shop, row))


def _wanted(call: Call, row: Row) -> bool:
    """`any` leaves out the trash and drafts, also when they are named beside it; bounds are strictly later."""
    named = call.params.get("status", "any").split(",")
    if (row["status"] in _HIDDEN) if "any" in named else (row["status"] not in named):
        return False
    bounds = (("modified_after", "date_modified_gmt"), ("after", "date_created_gmt"))
    return all(
        name not in call.params or str(row[field]) > _gmt(call, name, call.params[name]) for name, field in bounds
    )


def _gmt(call: Call, name: str, text: str) -> str:
    """A time of the query in GMT; it is the shop's own time unless `dates_are_gmt` is set."""
    try:
        at = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise invalid_param(**{name: "Invalid date."}) from None
    if not call.truth("dates_are_gmt"):
        at = at.replace(tzinfo=ZoneInfo(str(call.shop.setting("timezone")))).astimezone(UTC).replace(tzinfo=None)
    return at.isoformat(timespec="seconds")


@route("POST", "orders", "orders.create")
def _create(call: Call) -> Reply:
    row = ordering.create(call.shop, call.body, "rest-api")
    location = {"Location": f"{call.shop.rest_base}/wc/v3/orders/{row['id']}"}
    return Reply(render.order(call.shop, row), 201, location)


@route("GET", "orders/statuses", "orders.statuses")
def _statuses(call: Call) -> Reply:
    return Reply([{"slug": name, "name": name.title()} for name in ordering.statuses(call.shop)])


@route("GET", "orders/N", "orders.get")
def _get(call: Call) -> Reply:
    return Reply(render.order(call.shop, ordering.find(call.shop, call.ids[0])))


@route("edit", "orders/N", "orders.update")
def _put(call: Call) -> Reply:
    return Reply(render.order(call.shop, ordering.update(call.shop, call.ids[0], call.body)))


@route("DELETE", "orders/N", "orders.delete")
def _delete(call: Call) -> Reply:
    row = ordering.trash(call.shop, call.ids[0], force=call.truth("force"))
    return Reply(render.order(call.shop, row))


@route("GET", "orders/N/notes", "notes.list")
def _notes(call: Call) -> Reply:
    """Newest first, without paging; `type=customer` filters."""
    order = ordering.find(call.shop, call.ids[0])
    rows = [row for row in reversed(list(call.shop["notes"].values())) if row["order_id"] == order["id"]]
    if call.params.get("type") == "customer":
        rows = [row for row in rows if row["customer_note"]]
    return Reply([render.note(call.shop, row) for row in rows])


@route("POST", "orders/N/notes", "notes.create")
def _note(call: Call) -> Reply:
    """No delivery follows. A note to the customer makes a second, system note (and mails)."""
    order = ordering.find(call.shop, call.ids[0])
    text = call.body.get("note")
    if not isinstance(text, str) or not text:
        raise Refusal(
            400,
            "rest_missing_callback_param",
            "Missing parameter(s): note",
            {"status": 400, "params": ["note"]},
        )
    row = _new_note(call.shop, order, text, to_customer=bool(call.body.get("customer_note")), author="WooCommerce")
    put = {str(row["id"]): row}
    if row["customer_note"]:
        system = _new_note(call.shop, order, "Note sent to the customer.", to_customer=False, author="system")
        put[str(system["id"])] = system
    facts = {"order": order["id"], "note": row["note"], "customer_note": row["customer_note"]}
    call.shop.commit("note_created", {"notes": put}, **facts)
    location = {"Location": f"{call.shop.rest_base}/wc/v3/orders/{order['id']}/notes/{row['id']}"}
    return Reply(render.note(call.shop, row), 201, location)


def _new_note(shop: Shop, order: Row, text: str, *, to_customer: bool, author: str) -> Row:
    return {
        "id": shop.next_id("note", 140), "order_id": order["id"], "note": text, "customer_note": to_customer,
        "author": author, "date_created_gmt": now_gmt(),
    }  # fmt: skip


@route("GET", "orders/N/refunds", "refunds.list")
def _refunds(call: Call) -> Reply:
    order = ordering.find(call.shop, call.ids[0])
    return listing(call, render.refunds_of(call.shop, order["id"]), lambda row: render.refund(call.shop, row))


@route("POST", "orders/N/refunds", "refunds.create")
def _refund(call: Call) -> Reply:
    return Reply(render.refund(call.shop, ordering.refund(call.shop, call.ids[0], call.body)), 201)


def _with_feature(call: Call) -> Row:
    """The order, if the shop has switched the feature on; else the route does not exist."""
    if not call.shop.setting("fulfilments"):
        raise no_route()
    row: Row | None = call.shop["orders"].get(call.ids[0])
    if row is None:
        raise Refusal(404, 0, "Invalid order ID.") if call.ids[0] == "0" else no_order()
    return row


@route("GET", "orders/N/fulfillments", "fulfillments.list")
def _fulfilments(call: Call) -> Reply:
    order = _with_feature(call)
    rows = [row for row in call.shop["fulfilments"].values() if row["order_id"] == order["id"]]
    return Reply([render.fulfilment(row) for row in rows])


@route("POST", "orders/N/fulfillments", "fulfillments.create")
def _fulfil(call: Call) -> Reply:
    order = _with_feature(call)
    shop = call.shop
    row = {
        "id": shop.next_id("fulfilment"), "order_id": order["id"],
        "status": str(call.body.get("status") or "unfulfilled"),
        "date_updated": f"{now_gmt()}Z", "meta_data": ordering.meta(shop, [], _items_there(call.body)),
    }  # fmt: skip
    _save(shop, order, row, "fulfillment_created")
    return Reply(render.fulfilment(row, fresh=True), 201)


@route("GET", "orders/N/fulfillments/N", "fulfillments.get")
def _fulfilment(call: Call) -> Reply:
    return Reply(render.fulfilment(_one(call)))


@route("PUT PATCH", "orders/N/fulfillments/N", "fulfillments.update")
def _refulfil(call: Call) -> Reply:
    row, order = _one(call), _with_feature(call)
    entries = ordering.meta(call.shop, row["meta_data"], _items_there(call.body))
    row |= {
        "status": str(call.body.get("status") or row["status"]),
        "meta_data": entries,
        "date_updated": f"{now_gmt()}Z",
    }
    _save(call.shop, order, row, "fulfillment_updated")
    return Reply(render.fulfilment(row, fresh=True))


def _one(call: Call) -> Row:
    _with_feature(call)
    row: Row | None = call.shop["fulfilments"].get(call.ids[1])
    if row is None or str(row["order_id"]) != call.ids[0]:
        raise Refusal(404, 0, "Invalid fulfillment.")
    return row


def _items_there(body: Any) -> list[Row]:
    """The meta of the body. Items must not be empty, also on PUT; their quantities are not checked."""
    entries: list[Row] = list(body.get("meta_data", []))
    if not next((entry["value"] for entry in entries if entry.get("key") == "_items"), None):
        raise Refusal(400, 0, "The fulfillment should contain at least one item.")
    return entries


def _value(row: Row, key: str) -> Any:
    return next((entry["value"] for entry in row["meta_data"] if entry["key"] == key), None)


def _save(shop: Shop, order: Row, row: Row, event: str) -> None:
    """A fulfilment sets the order's `_fulfillment_status`, causes `order.updated` and leaves the status alone."""
    others = [one for one in shop["fulfilments"].values() if one["order_id"] == order["id"] and one["id"] != row["id"]]
    sent: dict[int, int] = {}
    for one in [*others, row]:
        for item in _value(one, "_items") or []:
            sent[int(item["item_id"])] = sent.get(int(item["item_id"]), 0) + int(item["qty"])
    done = all(sent.get(line["id"], 0) >= line["quantity"] for line in order["line_items"])
    status = {"key": "_fulfillment_status", "value": "fulfilled" if done else "partially_fulfilled"}
    order["meta_data"] = ordering.meta(shop, order["meta_data"], [status])
    order["date_modified_gmt"] = shop.now_gmt()
    put: dict[str, dict[str, Any]] = {
        "fulfilments": {str(row["id"]): row},
        "orders": {str(order["id"]): order},
    }
    facts = {"order": order["id"], "fulfillment": row["id"], "items": _value(row, "_items")}
    facts |= {"tracking_number": _value(row, "_tracking_number"), "carrier": _value(row, "_provider_name")}
    shop.commit(event, {**put, "queue": emit(shop, "order.updated", order["id"])}, **facts)
