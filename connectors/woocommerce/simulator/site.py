"""HTTP of one shop: the front page, the REST index and `wc/v3`, with authentication and faults around them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Request, Response, request

from connectors.woocommerce.simulator import auth, dropping, render, rest_orders, rest_shop, routes
from connectors.woocommerce.simulator.faults import Rule
from connectors.woocommerce.simulator.refusal import Refusal, no_route
from connectors.woocommerce.simulator.routes import Call, Reply
from connectors.woocommerce.simulator.world import Shop, World

_GOOD = frozenset({200, 201})
_JSON = "application/json; charset=UTF-8"
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
HANDLERS = (rest_orders, rest_shop)


def blueprint(world: World) -> Blueprint:
    """The routes of all shops."""
    site = Blueprint("site", __name__)

    @site.route("/<slug>", methods=["GET", "HEAD"])
    @site.route("/<slug>/", methods=["GET", "HEAD"])
    def front(slug: str) -> Response:
        shop = world.shops.get(slug)
        return _not_wordpress() if shop is None else _front(shop)

    @site.route("/<slug>/wp-json/", methods=["GET", "HEAD"])
    @site.route("/<slug>/wp-json/<path:rest>", methods=_METHODS)
    def rest(slug: str, rest: str = "") -> Response:
        shop = world.shops.get(slug)
        if shop is None or not shop["settings"]:
            return _not_wordpress()
        if shop.setting("permalinks") == "plain":
            return _front(shop)
        return _answer(world, shop, request, rest.strip("/"))

    return site


def _not_wordpress() -> Response:
    return Response("root site, not WordPress", 404, content_type="text/html; charset=UTF-8")


def _link(shop: Shop) -> str:
    target = f"{shop.home}/index.php?rest_route=/" if shop.setting("permalinks") == "plain" else f"{shop.rest_base}/"
    return f'<{target}>; rel="https://api.w.org/"'


def _front(shop: Shop) -> Response:
    page = f"<!DOCTYPE html>\n<html><head><title>{shop.slug}</title></head><body>A shop.</body></html>"
    return Response(page, 200, {"Link": _link(shop)}, content_type="text/html; charset=UTF-8")


def _answer(world: World, shop: Shop, request: Request, path: str) -> Response:
    op, rule = "index", None
    try:
        if path in {"", "wp/v2"}:
            rule = _before(world, shop, op)
            reply = Reply(_index(shop))
        elif not path.startswith("wc/v3"):
            raise no_route()
        else:
            # The real one looks for the route before it looks at rights.
            op, handler, ids = routes.find(request.method, path.removeprefix("wc/v3").strip("/"))
            rule = _before(world, shop, op)
            _authenticate(world, shop, request)
            with shop.lock if request.method == "GET" else _NOTHING:
                reply = handler(Call(shop, request.args, _body(request), ids))
    except Refusal as refusal:
        reply = Reply(refusal.body, refusal.status)
    except _Instead as instead:
        return instead.response
    if isinstance(reply.value, (list, dict)) and reply.status in _GOOD:
        reply = Reply(render.only(reply.value, request.args.get("_fields", "")), reply.status, reply.headers)
    response = Response(
        render.dump(reply.value), reply.status, {"Link": _link(shop), **reply.headers}, content_type=_JSON
    )
    return _after(rule, response)


class _Nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_args: object) -> None:
        return None


_NOTHING = _Nothing()


class _Instead(Exception):  # an answer, not an error
    """A fault's answer takes the place of the call."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def _authenticate(world: World, shop: Shop, request: Request) -> None:
    url = f"{shop.home.partition('://')[0]}://{request.host}{request.path}"
    auth.authenticate(
        shop,
        request.method,
        url,
        list(request.args.items(multi=True)),
        request.headers.get("Authorization", ""),
        secure=request.is_secure or world.trust_http,
    )


def _body(request: Request) -> Mapping[str, Any]:
    raw = request.get_data()
    if not raw:
        return {}
    if "json" not in (request.content_type or ""):
        return request.form
    try:
        found = json.loads(raw)
    except ValueError:
        data = {"status": 400, "json_error_code": 4, "json_error_message": "Syntax error"}
        raise Refusal(400, "rest_invalid_json", "Invalid JSON body passed.", data) from None
    return found if isinstance(found, dict) else {}


def _index(shop: Shop) -> dict[str, Any]:
    zone = str(shop.setting("timezone"))
    offset = datetime.now(UTC).astimezone(ZoneInfo(zone)).utcoffset()
    return {
        "name": shop.setting("name"), "description": "", "url": shop.home, "home": shop.home,
        "gmt_offset": offset.total_seconds() / 3600 if offset else 0, "timezone_string": zone,
        "namespaces": ["oembed/1.0", "wc/v3", "wc/v1", "wc/store/v1", "wc/v2", "wp/v2"],
    }  # fmt: skip


def _before(world: World, shop: Shop, op: str) -> Rule | None:
    """The fault that strikes this call; those that keep it from being executed do so now."""
    rule = world.faults.take(op, shop.slug)
    if rule is None:
        return None
    if rule.kind == "latency":
        time.sleep(float(rule.params.get("seconds", 1)) / world.time_scale)
    elif rule.kind == "drop_before":
        dropping.hang_up()
        raise _Instead(Response(status=502))
    elif rule.kind == "status":
        raise _Instead(_error(rule))
    elif rule.kind == "html":
        page = "<!DOCTYPE html>\n<html><body><h1>Error establishing a database connection</h1></body></html>"
        raise _Instead(Response(page, int(rule.params.get("status", 200)), content_type="text/html; charset=UTF-8"))
    return rule


def _error(rule: Rule) -> Response:
    status = int(rule.params.get("status", 503))
    headers = {"Retry-After": str(rule.params["retry_after"])} if "retry_after" in rule.params else {}
    code, message = (
        str(rule.params.get("code", "internal_server_error")),
        str(rule.params.get("message", "Error.")),
    )
    body = render.dump({"code": code, "message": message, "data": {"status": status}})
    return Response(body, status, headers, content_type=_JSON)


def _after(rule: Rule | None, response: Response) -> Response:
    """The faults that strike after the call has been executed."""
    if rule is None or rule.kind == "latency":
        return response
    if rule.kind == "status_after":
        return _error(rule)
    if rule.kind == "drop_after":
        dropping.hang_up()
        return Response(status=502)
    if rule.kind == "cut":
        whole = response.get_data()
        half: Iterator[bytes] = dropping.half(whole)
        headers = [
            *((k, v) for k, v in response.headers if k != "Content-Length"),
            ("Content-Length", str(len(whole))),
        ]
        return Response(half, response.status_code, headers)
    return response
