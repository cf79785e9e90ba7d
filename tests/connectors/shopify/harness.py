"""A simulated Shopify on a real loopback port, a receiver for its webhooks, and the connector as the app builds it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from app.ports.http import CallRecord, DialPolicy, HTTPClient
from app.ports.inbound import InboundRequest
from app.ports.storefront import Parcel, ParcelLine, ShopAccess, StoreOrder
from connectors.shopify import CONNECTOR
from connectors.shopify.session import ShopifySession
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.storefront import ShopifyStorefront

VECTORS = json.loads((Path(__file__).parent / "data" / "hmac-vectors.json").read_text(encoding="utf-8"))
SHARED = Path(__file__).parents[3] / ".." / "shared"
SECRET = "simulated-secret"
SHOP = "one.myshopify.com"


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_args: Any) -> None:
        return


@dataclass
class Simulated:
    """The running simulator and one shop's way in."""

    port: int
    records: list[CallRecord] = field(default_factory=list)
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}, answer.read()
        finally:
            connection.close()

    def control(self, path: str, body: Any = None) -> Any:
        method = "GET" if body is None else "POST"
        status, _, text = self.raw(
            method, f"/_control/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        assert status == 200, text
        return json.loads(text)

    def refused(self, path: str, body: Any) -> str:
        status, _, text = self.raw(
            "POST", f"/_control/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        assert status == 400, text
        return str(json.loads(text)["error"])

    def fault(self, op: str, kind: str, **params: Any) -> None:
        self.control("faults", [{"op": op, "kind": kind, **params}])

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.control("ledger") if line["event"] == name]

    def shop(self, domain: str = SHOP, **wish: Any) -> dict[str, Any]:
        self.tokens[domain] = self.control("shops", {"domain": domain, **wish})
        return dict(self.tokens[domain])

    def order(self, **wish: Any) -> Any:
        lines = [{"title": "Mug", "price": "12.50", "quantity": 2}, {"title": "Shirt", "price": "20.00"}]
        return self.control("orders", {"shop": SHOP, "lines": lines, **wish})

    def act(self, order: Mapping[str, Any], act: str, **wish: Any) -> Any:
        return self.control(f"orders/{order['id']}/{act}", wish)

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "X-Shopify-Access-Token": self.tokens[SHOP]["access_token"]}
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        path = f"/{SHOP}/admin/api/{more.get('version', '2026-10')}/graphql.json"
        status, answered, text = self.raw("POST", path, body, {**headers, **more.get("headers", {})})
        return {"status": status, "headers": answered, **json.loads(text)}

    def settings(self, **wish: Any) -> ShopifySettings:
        return ShopifySettings(
            **{
                "shopify_client_id": "simulated-client",
                "shopify_client_secret": SECRET,
                "shopify_shop_url_template": self.base + "/{shop}",
                **wish,
            }
        )

    def storefront(self, **wish: Any) -> ShopifyStorefront:
        http = HTTPClient(DialPolicy(allow_private=True, allow_http=True), self.records.append)
        built = CONNECTOR.build(self.settings(**wish), http)
        assert isinstance(built, ShopifyStorefront)
        return built

    def access(self, domain: str = SHOP, **secrets: str) -> ShopAccess:
        held = self.tokens[domain]
        known = {"access_token": held["access_token"], "refresh_token": held["refresh_token"]}
        return ShopAccess(domain, {**known, **secrets}, {})

    def session(self, domain: str = SHOP, **wish: Any) -> ShopifySession:
        return self.storefront(**wish).session(self.access(domain))


@contextmanager
def running(**options: str) -> Iterator[Simulated]:
    """The simulator with these options on a port of its own, with one shop."""
    app = CONNECTOR.simulator({"bucket": "0", **options})
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Simulated(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(session: ShopifySession, ref: str) -> StoreOrder:
    order = session.order(ref)
    assert order is not None
    return order


def parcel(order: StoreOrder, number: str = "LP0001", **wish: Any) -> Parcel:
    """A parcel of everything that is left to ship, unless wished otherwise."""
    lines = tuple(ParcelLine(line.id, line.to_ship) for line in order.lines if line.to_ship)
    usual = {"carrier": "Cainiao", "tracking_url": f"https://track.example/{number}", "lines": lines}
    return Parcel(key=f"key-{number}", tracking_number=number, **{**usual, **wish})


def sign(body: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def delivery(
    body: bytes, *, secret: str = SECRET, signature: str | None = None, **headers: str | None
) -> InboundRequest:
    """A signed delivery; `x_shopify_topic=None` leaves a header out, another text replaces it."""
    usual: dict[str, str | None] = {
        "content_type": "application/json",
        "x_shopify_topic": "orders/updated",
        "x_shopify_hmac_sha256": sign(body, secret) if signature is None else signature,
        "x_shopify_shop_domain": SHOP,
        "x_shopify_webhook_id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "x_shopify_triggered_at": "2026-11-20T12:00:00.123456789Z",
        **headers,
    }
    pairs = tuple((key.replace("_", "-"), value) for key, value in usual.items() if value is not None)
    return InboundRequest("POST", pairs, (), body)


def storefront(**wish: Any) -> ShopifyStorefront:
    """A storefront without a shop behind it, for what needs no call. `now` sets its clock."""
    now = wish.pop("now", datetime(2026, 11, 23, tzinfo=UTC))
    settings = ShopifySettings(**{"shopify_client_id": "client", "shopify_client_secret": SECRET, **wish})
    return ShopifyStorefront(settings, HTTPClient(DialPolicy()), clock=lambda: now)


@dataclass
class Receiver:
    """What arrived at our end; `status` is what we answer."""

    url: str = ""
    requests: list[InboundRequest] = field(default_factory=list)
    status: int = 200

    def topics(self) -> list[str | None]:
        return [one.header("X-Shopify-Topic") for one in list(self.requests)]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A web server that keeps what it gets."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.requests.append(InboundRequest("POST", tuple(self.headers.items()), (), body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/webhooks/shopify"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")
