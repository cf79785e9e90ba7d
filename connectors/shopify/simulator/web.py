"""The simulator as a WSGI application."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from flask import Flask, Response, request

from connectors.shopify.simulator import tokens
from connectors.shopify.simulator.control import Control
from connectors.shopify.simulator.faults import Faults, Rule
from connectors.shopify.simulator.graphql_api import GraphQLEndpoint, Reply
from connectors.shopify.simulator.options import shop_domain
from connectors.shopify.simulator.world import ProblemError, World


class Application:
    """Routes. The shop is named by the path's first part or by the Host header."""

    def __init__(self, world: World, endpoint: GraphQLEndpoint, control: Control, faults: Faults) -> None:
        self._world = world
        self._endpoint = endpoint
        self._control = control
        self._faults = faults
        self.flask = Flask("shopify-simulator", static_folder=None)
        rule = self.flask.add_url_rule
        for prefix in ("", "/<shop>"):
            rule(f"{prefix}/admin/api/<version>/graphql.json", f"graphql{prefix}", self._graphql, methods=["POST"])
            rule(f"{prefix}/admin/oauth/access_token", f"token{prefix}", self._token, methods=["POST"])
        rule("/_control/state", "state", lambda: _json(200, control.state()))
        rule("/_control/ledger", "ledger", lambda: _json(200, world.ledger.lines))
        rule("/_control/faults", "faults", self._set_faults, methods=["POST", "DELETE"])
        rule("/_control/orders/<int:order_id>/<act>", "order_act", self._order_act, methods=["POST"])
        rule("/_control/shops/<domain>", "shop", self._shop, methods=["POST"])
        rule("/_control/shops/<domain>/tokens", "tokens", self._tokens, methods=["POST"])
        rule("/_control/<act>", "act", self._act, methods=["POST"])
        self.flask.register_error_handler(ProblemError, lambda problem: _json(400, {"error": str(problem)}))

    def _graphql(self, version: str, shop: str = "") -> Response:
        domain = _shop_of(shop)
        reply, rules = self._endpoint.answer(domain, version, dict(request.headers), request.get_data())
        return _finish(reply, rules)

    def _token(self, shop: str = "") -> Response:
        rules = self._faults.take("token")
        kinds = {rule.kind: rule for rule in rules}
        if "drop_before" in kinds:
            return _finish(Reply(200, {}, fault="drop"), rules)
        if "status" in kinds:
            params = kinds["status"].params
            return _finish(Reply(int(params.get("status", 503)), params.get("body", "")), rules)
        form = request.get_json(silent=True) or request.form.to_dict()
        with self._world.lock:
            status, body = tokens.token_request(self._world, self._world.shops.get(_shop_of(shop)), form)
        fault = "drop" if "drop_after" in kinds else "cut" if "cut" in kinds else ""
        return _finish(Reply(status, body, fault=fault), rules)

    def _set_faults(self) -> Response:
        if request.method == "DELETE":
            self._faults.replace([])
            return _json(200, [])
        given = request.get_json()
        try:
            self._faults.add(given if isinstance(given, list) else [given])
        except (ValueError, TypeError, AttributeError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, self._faults.show())

    def _order_act(self, order_id: int, act: str) -> Response:
        return _json(200, self._control.order_act(order_id, act, request.get_json(silent=True) or {}))

    def _shop(self, domain: str) -> Response:
        return _json(200, self._control.change_shop(domain, request.get_json()))

    def _tokens(self, domain: str) -> Response:
        return _json(200, self._control.new_tokens(domain))

    def _act(self, act: str) -> Response:
        return _json(200, self._control.act(act, request.get_json(silent=True) or {}))


def _shop_of(path_part: str) -> str:
    return shop_domain(path_part or request.host.partition(":")[0])


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _finish(reply: Reply, rules: Sequence[Rule]) -> Response:
    """Write the reply, late, in part or not at all."""
    for rule in rules:
        if rule.kind == "latency":
            time.sleep(float(rule.params.get("ms", 1_000)) / 1000)
    text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
    if reply.fault:
        _hang_up(text.encode() if reply.fault == "cut" else b"")
    headers = {"X-Request-Id": f"sim-{time.monotonic_ns():x}", **reply.headers}
    return Response(text, reply.status, headers=headers, content_type="application/json; charset=utf-8")


def _hang_up(body: bytes) -> None:
    """Close the connection now: after half of the body, if one is given, else without a byte."""
    wire = request.environ.get("werkzeug.socket")
    if wire is None:
        raise RuntimeError("the server gives no access to its socket; run the simulator with werkzeug")
    with suppress(OSError):
        if body:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            wire.sendall(head.encode() + body[: len(body) // 2])
        wire.shutdown(socket.SHUT_RDWR)
