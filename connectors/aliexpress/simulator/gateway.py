"""`/sync` and `/rest`: signature, token, method, faults. Source: reference, sections 2, 3, 5 and 12."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flask import Request, Response

from connectors.aliexpress.signing import sign, signature_holds
from connectors.aliexpress.simulator import acts, answers, ordering, reading, reports, shelves, tokens
from connectors.aliexpress.simulator.answers import GatewayFault, missing
from connectors.aliexpress.simulator.faults import Rule
from connectors.aliexpress.simulator.records import Account
from connectors.aliexpress.simulator.world import World

_WINDOW = 7_200
_CREATE = "aliexpress.ds.order.create"
_READS: dict[str, Callable[[World, Account, dict[str, str]], dict[str, Any]]] = {
    "aliexpress.trade.ds.order.get": reading.order_get,
    "aliexpress.ds.order.tracking.get": reading.tracking_get,
    "aliexpress.ds.commissionorder.listbyindex": reports.commission_list,
    "aliexpress.ds.member.orderdata.submit": reports.submit,
    "aliexpress.ds.add.info": reports.add_info,
    "aliexpress.ds.member.benefit.get": reading.benefit_get,
    "aliexpress.ds.product.get": shelves.product_get,
    "aliexpress.ds.freight.query": shelves.freight_query,
    "aliexpress.ds.text.search": shelves.text_search,
    "aliexpress.ds.address.get": shelves.address_get,
}
_SYSTEM = {
    "/auth/token/create": tokens.create,
    "/auth/token/refresh": tokens.refresh,
    "/auth/token/security/create": tokens.create,
    "/auth/token/security/refresh": tokens.refresh,
}
_TOKENLESS = frozenset({"aliexpress.ds.commissionorder.listbyindex"})
_JSON = "application/json;charset=UTF-8"


def serve(world: World, request: Request, path: str) -> Response:
    """Answer one call. `path` is what follows `/rest`, empty on `/sync`."""
    acts.run_due(world)
    params = {**request.args.to_dict(), **request.form.to_dict()}
    api = path or params.get("method", "")
    if api == _CREATE:
        ordering.note_call(world, params)
    rule = world.faults.take(api, params)
    if rule is None:
        return _respond(_answer(world, api, params, None, on_rest=request.path.startswith("/rest")))
    return _faulty(world, request, api, params, rule)


def _respond(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), content_type=_JSON)


def _answer(world: World, api: str, params: dict[str, str], rule: Rule | None, *, on_rest: bool) -> dict[str, Any]:
    """The body: everything is HTTP 200, errors included."""
    system = "/" in api
    try:
        verify(world, api, params)
        if system:
            payload = _SYSTEM.get(api, _no_such_api)(world, params)
            return payload if on_rest else {api + "_response": payload}
        payload = _business(world, api, params, rule)
    except GatewayFault as fault:
        return answers.refused(fault, system=system and on_rest)
    return answers.wrapped(api, answers.dropped(payload), plain=params.get("simplify") == "true")


def _no_such_api(_world: World, _params: dict[str, str]) -> dict[str, Any]:
    raise GatewayFault("InvalidApiPath")


def verify(world: World, api: str, params: dict[str, str]) -> None:
    """App key, clock and signature, as the gateway checks them. Raises `GatewayFault`."""
    absent = next((name for name in ("app_key", "timestamp", "sign_method", "sign") if not params.get(name)), None)
    if absent or not api:
        raise missing(absent or "method")
    if params["app_key"] != world.options.app_key:
        raise GatewayFault("InvalidAppkey")
    if abs(_instant(params["timestamp"]) - time.time()) > _WINDOW:
        raise GatewayFault("InvalidParameter", "The timestamp is out of range")
    if params["sign_method"] != "sha256":
        raise GatewayFault("IncompleteSignature")
    if not signature_holds(sign(world.options.app_secret, api, params), params["sign"]):
        raise GatewayFault("IncompleteSignature")


def _instant(text: str) -> float:
    """Milliseconds, or one of the documented texts (UTC)."""
    if text.isdecimal() and len(text) < 16:
        return int(text) / 1000
    with suppress(ValueError):
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    return 0.0


def _business(world: World, api: str, params: dict[str, str], rule: Rule | None) -> dict[str, Any]:
    if api != _CREATE and api not in _READS:
        raise GatewayFault("InvalidApiPath")
    token = params.get("session") or params.get("access_token")
    if not token and api not in _TOKENLESS:
        raise GatewayFault("InsufficientPermission")
    with world.lock:
        account = tokens.holder(world, token) if token else next(iter(world.accounts.values()))
    if not account.ds_joined and world.options.not_joined == "gateway":
        raise GatewayFault("InsufficientPermission")
    if not account.ds_joined and world.options.not_joined == "remote":
        raise answers.not_readable()
    if api == _CREATE:
        return ordering.create(world, account, params, rule)
    return _READS[api](world, account, params)


def _faulty(world: World, request: Request, api: str, params: dict[str, str], rule: Rule) -> Response:
    """A call under a fault rule: before, during or after its execution."""
    seconds = float(rule.params.get("seconds", 1.0))
    on_rest = request.path.startswith("/rest")
    if rule.kind == "latency":
        time.sleep(seconds)
    elif rule.kind == "drop_before":
        return _hang_up(request)
    elif rule.kind in {"status", "outage", "html", "empty", "body", "error", "gateway", "call_limit"}:
        if rule.executes(default=False):
            _answer(world, api, params, rule, on_rest=on_rest)
        return _instead(api, rule, system=on_rest and "/" in api)
    body = _answer(world, api, params, rule, on_rest=on_rest)
    if rule.kind == "drop_after":
        return _hang_up(request)
    if rule.kind == "slow":
        time.sleep(seconds)
    _distort(api, body, rule)
    return _cut(request, body) if rule.kind == "cut" else _respond(body)


def _instead(api: str, rule: Rule, *, system: bool) -> Response:
    """The wrong answer that a rule asks for."""
    given = rule.params
    if rule.kind in {"status", "outage"}:
        return Response(str(given.get("body", "Service Unavailable")), int(given.get("status", 503)))
    if rule.kind in {"html", "empty", "body"}:
        default = "<html><body>Please wait</body></html>" if rule.kind == "html" else ""
        kind = "text/html" if rule.kind == "html" else _JSON
        return Response(str(given.get("body", default)), int(given.get("status", 200)), content_type=kind)
    if rule.kind == "error":
        code = str(given.get("code", "INVENTORY_HOLD_ERROR"))
        result = {"is_success": False, "error_code": code, "error_msg": str(given.get("msg", code))}
        return _respond(answers.wrapped(api, {"result": result}, plain=False))
    fault = GatewayFault(
        str(given.get("code", "ServiceUnavailable")),
        str(given.get("msg", "")),
        sub_code=str(given.get("sub_code", "")),
        sub_message=str(given.get("sub_msg", "")),
        kind=str(given.get("type", "ISV")),
    )
    if rule.kind == "call_limit":
        ban = int(given.get("seconds", 1))
        text = f"Api access frequency exceeds the limit. this ban will last {ban} seconds"
        fault = GatewayFault("ApiCallLimit", text, kind="ISP")
    return _respond(answers.refused(fault, system=system))


def _distort(api: str, body: dict[str, Any], rule: Rule) -> None:
    """Change the answer of an executed `order.create`."""
    result = body.get(api.replace(".", "_") + "_response", {}).get("result")
    if not isinstance(result, dict):
        return
    if rule.kind == "success_without_ids":
        result.pop("order_list", None)
    elif rule.kind == "partial_ids" and "order_list" in result:
        result["order_list"] = {"number": result["order_list"]["number"][:1]}
    elif rule.kind == "ids_with_error":
        result["error_code"] = result["error_msg"] = str(rule.params.get("code", "PARM_ILLEGL"))


def _hang_up(request: Request) -> Response:
    """Close the connection without an answer; works under werkzeug's servers."""
    _close(request.environ.get("werkzeug.socket"))
    return Response(status=502)


def _close(connection: socket.socket | None) -> None:
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _cut(request: Request, body: dict[str, Any]) -> Response:
    """The whole length is announced, half of it is sent."""
    text = json.dumps(body, separators=(",", ":")).encode()
    connection: socket.socket | None = request.environ.get("werkzeug.socket")  # the request is over when half is sent

    def half() -> Iterator[bytes]:
        yield text[: len(text) // 2]
        _close(connection)

    return Response(half(), content_type=_JSON, headers={"Content-Length": str(len(text))})
