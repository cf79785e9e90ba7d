"""Placing an order (one send, never again) and reading one. Source: reference, sections 7.1, 7.3 and 8."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from app.ports.errors import OutcomeUnknown
from app.ports.http import OutboundCall, TransportError
from app.ports.supplier import PlaceOrder, PlaceOutcome, PlaceResult, SupplierOrder
from connectors.aliexpress import verdict, wire
from connectors.aliexpress.address import compose_request
from connectors.aliexpress.client import PLACE_LIMITS, VENDOR, Client
from connectors.aliexpress.masking import without_person
from connectors.aliexpress.translate import read_order

_COUNTED_AS = {
    PlaceOutcome.PLACED: "ok",
    PlaceOutcome.NOT_SENT: "try_later",
    PlaceOutcome.NOT_EXECUTED: "try_later",
    PlaceOutcome.REJECTED: "refused",
    PlaceOutcome.UNKNOWN: "unknown",
}
_ORDER_GET = "aliexpress.trade.ds.order.get"


def wire_parameters(order: PlaceOrder) -> dict[str, str]:
    """The business parameters of `order.create`: two JSON texts. Raises ValueError if an id is no number."""
    request, extension = compose_request(order)
    return {
        "param_place_order_request4_open_api_d_t_o": wire.compose(request),
        "ds_extend_request": wire.compose(extension),
    }


def request_hash(parameters: Mapping[str, str]) -> str:
    """SHA-256 of what an order says, hex: the same order always gives the same text.

    No clock, no token in it.
    """
    return hashlib.sha256(parameters["param_place_order_request4_open_api_d_t_o"].encode()).hexdigest()


def place(client: Client, token: str, order: PlaceOrder) -> PlaceResult:
    """Create the order: one connection of its own, one send, at most 30 s.

    Never raises for an outside fault.
    """
    with client.http.call(VENDOR, verdict.METHOD) as call:
        call.note(request=_about(order))
        try:
            body = client.signed(verdict.METHOD, wire_parameters(order), token)
        except ValueError as error:
            result = verdict.not_composable(type(error).__name__)
        else:
            result = _send(client, call, body, order, token)
        call.outcome = _COUNTED_AS[result.outcome]
        call.note(answer=f"{result.outcome} {result.answer or result.code}")
    return result


def _send(client: Client, call: OutboundCall, body: bytes, order: PlaceOrder, token: str) -> PlaceResult:
    try:
        reply = client.post(call, verdict.METHOD, body, PLACE_LIMITS, fresh=True)
    except TransportError as error:
        return verdict.transport(error)
    definite = client.settings.listed(client.settings.aliexpress_definite_codes)
    return without_person(verdict.judge(reply, autopay=order.autopay, definite=definite), order, client.secrets(token))


def _about(order: PlaceOrder) -> str:
    """What a person may see of the request: no address, no identifiers."""
    items = ", ".join(
        f"{item.quantity} x {item.product_id}/{item.sku_id} by {item.service or '-'}" for item in order.items
    )
    return f"out_order_id={order.out_order_id} {items} autopay={str(order.autopay).lower()}"


def order(client: Client, token: str, order_id: str) -> SupplierOrder | None:
    """The order; None when this account cannot read it (too new, foreign or unknown look alike)."""
    params = {"single_order_query": wire.compose({"order_id": order_id})}
    answer = client.read(_ORDER_GET, params, token, about=f"order_id={order_id}", missing_ok=True)
    if answer.error is not None:
        return None
    result = wire.mapping(answer.payload.get("result"))
    try:
        return read_order(order_id, result, client.settings.aliexpress_gmt_create_zone)
    except ValueError as error:
        raise OutcomeUnknown("incomplete_answer", str(error)[:100], vendor=VENDOR, operation=_ORDER_GET) from error
