"""A simulated WooCommerce on a real loopback port, a receiver for its webhooks, and the samples."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from app.ports.http import DialPolicy, HTTPClient
from app.ports.inbound import InboundRequest
from app.ports.storefront import ShopAccess, StorefrontSession
from connectors.woocommerce import CONNECTOR
from connectors.woocommerce.storefront import WooCommerce

DATA = Path(__file__).parent / "data"
SECRET = "0123456789abcdef0123456789abcdef"
ADDRESS = {
    "first_name": "Ada", "last_name": "Lovelace", "address_1": "1 Main St", "city": "San Francisco",
    "state": "CA", "postcode": "94110", "country": "US",
}  # fmt: skip


def sample(name: str) -> Any:
    """A recorded sample."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def body_of(name: str) -> Any:
    """The JSON body of a recorded delivery or answer."""
    found = sample(name)
    return json.loads((found.get("response") or found)["body_raw"])


def recorded(name: str) -> list[dict[str, Any]]:
    """The deliveries of a sample file (one holds two)."""
    found = sample(name)
    return found if isinstance(found, list) else [found]


def inbound(delivery: Mapping[str, Any]) -> InboundRequest:
    """A recorded delivery as it arrives."""
    return InboundRequest("POST", tuple(delivery["headers"].items()), (), delivery["body_raw"].encode("utf-8"))


def signed(body: bytes, secret: str = SECRET, topic: str = "order.updated") -> InboundRequest:
    """A delivery of our own making."""
    signature = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
    headers = {
        "Content-Type": "application/json",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Signature": signature,
    }
    return InboundRequest("POST", tuple(headers.items()), (), body)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_args: Any) -> None:
        return


@contextmanager
def running(**options: str) -> Iterator[Simulated]:
    """The simulator with these options on a port of its own."""
    app = CONNECTOR.simulator({"queue_delay": "0.01", **options})
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Simulated(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Simulated:
    """The running simulator as its controls see it."""

    port: int

    def control(self, path: str, body: Any = None, method: str = "") -> Any:
        """Call `/_control/{path}` and give its JSON."""
        return json.loads(self.raw(method or ("GET" if body is None else "POST"), f"/_control/{path}", body)[1])

    def raw(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Any request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The ledger's lines of one kind."""
        return [line for line in self.control("ledger") if line["event"] == name]

    def fault(self, op: str, kind: str, **params: Any) -> None:
        """One rule."""
        self.control("faults", [{"op": op, "kind": kind, **params}])

    def shop(self, slug: str = "boutique", **wish: Any) -> Shop:
        """A new shop with a mug and a shirt in two colours, connected."""
        made = self.control("shops", {"slug": slug, **wish})
        mug = self.control("products", {"shop": slug, "name": "Mug & Co", "sku": "MUG", "price": "12.50", "stock": 9})
        shirt = self.control(
            "products",
            {
                "shop": slug, "name": "Shirt", "type": "variable", "sku": "SHIRT",
                "variations": [
                    {"sku": "SHIRT-RED", "price": "13.00", "attributes": {"Color": "Red"}},
                    {"sku": "SHIRT/BLUE 50%", "price": "14.00", "attributes": {"Color": "Blue"}},
                ],
            },
        )  # fmt: skip
        secrets = {
            "consumer_key": made["consumer_key"],
            "consumer_secret": made["consumer_secret"],
            "webhook_secret": SECRET,
        }
        colours = {row["sku"]: row["id"] for row in shirt["variation_rows"]}
        return Shop(self, slug, made["url"], secrets, mug["id"], shirt["id"], colours)


def strict_storefront() -> WooCommerce:
    """The connector as the app builds it in production."""
    built = CONNECTOR.build(CONNECTOR.settings(), HTTPClient(DialPolicy()))
    assert isinstance(built, WooCommerce)
    return built


def storefront(**settings: Any) -> WooCommerce:
    """The connector as the app builds it in development."""
    chosen = CONNECTOR.settings(**{"woocommerce_allow_http": True, **settings})
    built = CONNECTOR.build(chosen, HTTPClient(DialPolicy(allow_private=True, allow_http=True)))
    assert isinstance(built, WooCommerce)
    return built


@dataclass
class Shop:
    """A simulated shop and our way into it."""

    simulated: Simulated
    slug: str
    url: str
    secrets: dict[str, str]
    mug: int
    shirt: int
    colours: dict[str, int]
    capabilities: dict[str, str] = field(default_factory=dict)

    def session(self, **settings: Any) -> StorefrontSession:
        """A session with this shop's keys."""
        return storefront(**settings).session(ShopAccess(self.url, self.secrets, self.capabilities))

    def order(self, **wish: Any) -> Any:
        """A paid storefront order of two mugs and a red shirt, unless wished otherwise."""
        lines = [{"product_id": self.mug, "quantity": 2}, {"variation_id": self.colours["SHIRT-RED"]}]
        billing = {**ADDRESS, "phone": "+14155550100", "email": "ada@example.com"}
        usual = {"payment_method": "stripe", "lines": lines, "billing": billing, "shipping": ADDRESS}
        return self.simulated.control("orders", {"shop": self.slug, **usual, "shipping_total": "5", **wish})

    def act(self, order_id: int, act: str, **wish: Any) -> Any:
        """Something the merchant does."""
        return self.simulated.control(f"orders/{order_id}/{act}", {"shop": self.slug, **wish})


@dataclass
class Receiver:
    """What arrived at our end; `status` is what we answer."""

    url: str
    requests: list[InboundRequest] = field(default_factory=list)
    status: int = 200
    location: str = ""

    def topics(self) -> list[str | None]:
        """Topics in the order of arrival, pings left out."""
        return [topic for one in self.requests if (topic := one.header("X-WC-Webhook-Topic"))]

    def bodies(self) -> list[Any]:
        """JSON bodies in the order of arrival, pings left out."""
        return [json.loads(one.body) for one in self.requests if one.header("X-WC-Webhook-Topic")]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A web server that keeps what it gets."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_POST()

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.requests.append(InboundRequest(self.command, tuple(self.headers.items()), (), body))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/webhooks/woocommerce/tok-{'a' * 40}")
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
