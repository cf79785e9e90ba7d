"""The AliExpress connector against its simulator, on a real loopback port: what its tests share."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from app.ports.http import CallRecord, DialPolicy, HTTPClient
from app.ports.storefront import Address
from app.ports.supplier import PlaceItem, PlaceOrder
from connectors.aliexpress import CONNECTOR
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.supplier import AliExpress, AliExpressSession

BOTTLE, BROWN = "1005006000000008", "12000036000000801"
SOCKS, GREY = "1005006000000002", "12000036000000201"


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""


@dataclass
class Running:
    """A simulator being served, and what a test does to it."""

    port: int
    supplier: AliExpress
    records: list[CallRecord] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def control(self, path: str, data: Any = None) -> Any:
        """POST (with data) or GET a control endpoint."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            method = "GET" if data is None else "POST"
            body = None if data is None else json.dumps(data)
            connection.request(method, f"/_control/{path}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def ledger(self, op: str) -> list[dict[str, Any]]:
        """The ledger's lines of one kind."""
        return [line for line in self.control("ledger") if line["op"] == op]

    def fault(self, kind: str, op: str = "order.create", times: int = 1, **params: Any) -> None:
        """Put one fault in force."""
        self.control("faults", [{"op": op, "kind": kind, "times": times, **params}])

    def session(self, **account: Any) -> AliExpressSession:
        """A session of a (new) account."""
        return self.supplier.session(self.control("accounts", account)["access_token"])


@contextmanager
def running(options: dict[str, str], **settings: Any) -> Iterator[Running]:
    """A simulator on a free port and a supplier that talks to it."""
    app = CONNECTOR.simulator({"readable_after": "0.001", **options})
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    records: list[CallRecord] = []
    fields = {
        "aliexpress_app_key": "500001",
        "aliexpress_app_secret": "simulated-app-secret",
        "aliexpress_api_url": f"http://127.0.0.1:{server.port}",
        "aliexpress_site_url": f"http://127.0.0.1:{server.port}",
        **settings,
    }
    supplier = AliExpress(AliExpressSettings(**fields), HTTPClient(DialPolicy(), records.append))
    try:
        yield Running(server.port, supplier, records)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def place_order(number: str = "100000000000000001", **changes: Any) -> PlaceOrder:
    """An order for one bottle to Berlin."""
    fields: dict[str, Any] = {
        "out_order_id": number,
        "address": Address(
            "Erika Beispiel", "Musterweg 12", "", "Berlin", "Berlin", "BE", "10115", "DE", "+49 30 1234567"
        ),
        "address_fields": (("phone_country", "+49"), ("mobile_no", "301234567")),
        "items": (PlaceItem(BOTTLE, BROWN, "14:365458#Brown", 1, "CAINIAO_FULFILLMENT_STD"),),
        "autopay": False,
    }
    return PlaceOrder(**{**fields, **changes})


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true value of a polled condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail("the condition did not come true")
