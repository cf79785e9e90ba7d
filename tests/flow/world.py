"""A whole small world in one process: simulators and web app on loopback ports, and a drain loop on demand."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from app import container as containers
from app import create_app
from app.boot import prepare
from app.clock import Clock
from app.container import Container
from app.jobs.drain import KINDS, Drain
from app.models import (
    Attempt,
    Credential,
    Inbox,
    Purchase,
    PurchaseItem,
    ShippedParcel,
    Shop,
    StoreOrder,
    SupplierOrder,
    Task,
)
from app.pipeline import generation
from app.registry import find
from tests.flow.connecting import add_link, connect_account, connect_shop

VAULT = "k1:" + "A" * 43 + "="  # pragma: allowlist secret - thirty-two zero bytes, for tests
APP_KEY, APP_SECRET = "500001", "simulated-app-secret"
CLIENT_ID, CLIENT_SECRET = "simulated-client", "simulated-secret"
BOTTLE = ("1005006000000008", "12000036000000801")
SOCKS = ("1005006000000002", "12000036000000201")


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """No lines in the tests' output."""


def _bind(place: socket.socket, port: int) -> None:
    """As soon as the last connections there have ended."""
    for last in (*(False,) * 40, True):
        try:
            place.bind(("127.0.0.1", port))
        except OSError:
            if last:
                raise
            time.sleep(0.05)
        else:
            return


class Served:
    """A WSGI application on a free loopback port."""

    def __init__(self, app: Any, port: int = 0) -> None:
        self._app = app
        self._running = False
        self._start(port)

    def _start(self, port: int) -> None:
        self._server: BaseWSGIServer = make_server("127.0.0.1", port, self._app, threaded=True, request_handler=_Quiet)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self._running = True

    def stop(self) -> None:
        """End it."""
        if self._running:
            self._server.shutdown()
            self._server.server_close()
            self._running = False

    def close(self) -> None:
        """End it, and a simulator's own threads."""
        self.stop()
        getattr(self._app, "extensions", {}).get("close", lambda: None)()

    def restart(self) -> None:
        """Answer on the same port again."""
        self._start(self.port)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens. The port stays ours meanwhile: a server of another test would answer there."""
        self.stop()
        with socket.socket() as place:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(place, self.port)
            yield
        self.restart()

    def call(
        self, method: str, path: str, data: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request: (status, parsed JSON or text)."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        body = data if isinstance(data, bytes) else None if data is None else json.dumps(data).encode()
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text.decode("utf-8", "replace")

    def control(self, path: str, data: Any = None) -> Any:
        """A control call of a simulator."""
        status, found = self.call("GET" if data is None else "POST", f"/_control/{path}", data)
        assert status < 300, (path, status, found)
        return found


class World:
    """Simulators, app and database of one test."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        folder: Path,
        *,
        time_scale: float,
        clock: Clock | None = None,
        options: Mapping[str, Mapping[str, str]] | None = None,
        **extra: str,
    ) -> None:
        """`options`: further options of the simulators, by their names; `extra`: further settings."""
        self.folder = folder
        more = options or {}
        specs = find()
        scale = str(time_scale)
        self._placeholder = Served(lambda _environ, start: [start("503 Not yet", []) or b""])
        port = self._placeholder.port  # held until the simulators have theirs
        self.aliexpress = Served(
            specs["aliexpress"].simulator(
                {
                    "ledger": str(folder / "aliexpress.jsonl"),
                    "time_scale": scale,
                    "readable_after": "0.01",
                    "callback_url": f"http://127.0.0.1:{port}/connect/aliexpress/callback",
                    **more.get("aliexpress", {}),
                }
            )
        )
        self.shopify = Served(
            specs["shopify"].simulator(
                {"ledger": str(folder / "shopify.jsonl"), "time_scale": scale, **more.get("shopify", {})}
            )
        )
        self.woocommerce = Served(
            specs["woocommerce"].simulator(
                {
                    "ledger": str(folder / "woocommerce.jsonl"),
                    "time_scale": scale,
                    "queue_delay": "0.01",
                    "trust_http": "yes",
                }
            )
        )
        self._placeholder.stop()
        self.environment = {
            "APP_ENV": "test",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "SECRET_KEY": "for tests only, for tests only, for tests only",
            "VAULT_KEYS": VAULT,
            "STATE_DIR": str(folder / "state"),
            "TIME_SCALE": scale,
            "OUTBOUND_ALLOW_PRIVATE": "1",
            "WOOCOMMERCE_ALLOW_HTTP": "1",
            "ALIEXPRESS_APP_KEY": APP_KEY,
            "ALIEXPRESS_APP_SECRET": APP_SECRET,
            "ALIEXPRESS_API_URL": self.aliexpress.url,
            "SHOPIFY_CLIENT_ID": CLIENT_ID,
            "SHOPIFY_CLIENT_SECRET": CLIENT_SECRET,
            "SHOPIFY_SHOP_URL_TEMPLATE": f"{self.shopify.url}/{{shop}}",
            "LOG_LEVEL": "ERROR",
            **extra,
        }
        self._clock = clock
        self._open(port)
        self.shopify.control("webhook_url", {"url": f"{self.app.url}/webhooks/shopify"})
        self.aliexpress.control("push", {"url": f"{self.app.url}/webhooks/aliexpress"})
        self.account: dict[str, Any] = {}
        self.variants: dict[str, str] = {}
        self.variant_ids: dict[str, str] = {}

    def _open(self, port: int) -> None:
        self.container: Container = containers.build(self.environment, clock=self._clock)
        prepare(self.container)
        self.app = Served(create_app(self.container), port)
        kinds = [kind for kind in KINDS if kind.name not in {"job", "long_job", "poll", "account"}]
        self.drain = Drain(self.container, threads=6, kinds=kinds)

    def shut(self) -> None:
        """End the product; the shops and the supplier go on."""
        self.app.stop()
        self._end_product()

    def _end_product(self) -> None:
        """Its server does not wait for the requests that it still answers: their connections are waited for here."""
        self.drain.close()
        deadline = time.monotonic() + 5
        while self.container.database.engine.pool.checkedout() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.container.close()

    def reopen(self, **environment: str) -> None:
        """Start the product again, after `shut`, where it was; perhaps on another database."""
        self.environment |= environment
        self._open(self.app.port)

    def close(self) -> None:
        """End everything."""
        for server in (self.app, self.aliexpress, self.shopify, self.woocommerce):
            server.close()
        self._end_product()
        gc.collect()  # the simulators' ledger files close with them, inside this test and not in the next

    def shopify_shop(self, domain: str = "bottles.myshopify.com", **asked: Any) -> int:
        """A connected Shopify shop with a linked variant; gives its id."""
        made = self.shopify.control("shops", {"domain": domain, **asked})
        tokens = {"access_token": made["access_token"], "refresh_token": made["refresh_token"]}
        return self._finish(connect_shop(self.container, "shopify", domain, tokens))

    def woocommerce_shop(self, slug: str = "socks", **asked: Any) -> int:
        """A connected WooCommerce shop; gives its id."""
        made = self.woocommerce.control("shops", {"slug": slug, "currency": "USD", **asked})
        keys = {"consumer_key": made["consumer_key"], "consumer_secret": made["consumer_secret"]}
        return self._finish(connect_shop(self.container, "woocommerce", made["url"], keys))

    def _finish(self, shop_id: int) -> int:
        self.account = self.account or self.aliexpress.control("accounts", {})
        connect_account(self.container, shop_id, self.account)
        return shop_id

    def shopify_variant(self, domain: str, sku: str, price: str = "19.90") -> str:
        """A product with one variant; gives the variant's id."""
        made = self.shopify.control(
            "products", {"shop": domain, "title": f"Sample {sku}", "variants": [{"sku": sku, "price": price}]}
        )
        self.variant_ids[sku] = str(made["variants"][0]["id"])
        return self.variant_ids[sku]

    def woocommerce_product(self, slug: str, sku: str, price: str = "19.90") -> str:
        """A simple product; gives its id."""
        made = self.woocommerce.control(
            "products", {"shop": slug, "name": f"Sample {sku}", "type": "simple", "sku": sku, "regular_price": price}
        )
        return str(made["id"])

    def woocommerce_order(self, slug: str, lines: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """A paid order by card with a good address, unless told otherwise."""
        address = {
            "first_name": "Ada",
            "last_name": "Example",
            "address_1": "1 Sample Street",
            "city": "Springfield",
            "state": "IL",
            "postcode": "62701",
            "country": "US",
            "phone": "+1 217 555 0100",
        }
        asked = {"shop": slug, "lines": lines, "payment_method": "stripe", "billing": address, **more}
        made: dict[str, Any] = self.woocommerce.control("orders", asked)
        return made

    def link(self, shop_id: int, variant: str, target: tuple[str, str]) -> None:
        """Link a variant to a supplier SKU of the simulator's catalogue."""
        products = self.aliexpress.control("state")["products"]
        product = (
            products[target[0]]
            if isinstance(products, dict)
            else next(one for one in products if str(one["product_id"]) == target[0])
        )
        sku = next(one for one in product["skus"] if str(one["sku_id"]) == target[1])
        add_link(
            self.container,
            shop_id,
            variant,
            *target,
            sku_attributes=sku["sku_attr"],
            seller_id=str(product["seller_id"]),
        )

    def settle(self, *, seconds: float = 6.0, until: Callable[[], bool] | None = None) -> None:
        """Work until nothing is due and `until` holds. Raises AssertionError when time is over."""
        deadline = time.monotonic() + seconds
        while True:
            self.drain.until_idle()
            if until is None or until():
                return
            assert time.monotonic() < deadline, self.tell()
            time.sleep(0.03)

    def purchases(self) -> list[Purchase]:
        """All purchases, oldest first."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(Purchase).order_by(Purchase.id)))

    def states(self) -> list[str]:
        """The state of every purchase."""
        return [purchase.state for purchase in self.purchases()]

    def orders(self) -> list[StoreOrder]:
        """All storefront orders."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(StoreOrder).order_by(StoreOrder.id)))

    def tell(self) -> str:
        """What stands where, for a failing test."""
        lines = [
            f"purchase {p.id} order {p.order_id} g{p.generation} {p.state} {p.reason} {p.facts}"
            for p in self.purchases()
        ]
        queries = (
            "SELECT id, topic, state, attempts, result FROM inbox ORDER BY id",
            "SELECT external_id, payment, shipping, status FROM supplier_order",
            "SELECT kind, state, result FROM outbox",
        )
        with self.container.database.transaction() as session:
            for query in queries:
                lines.extend(f"{query.split()[-1]}: {row}" for row in session.execute(sa.text(query)))
        return "\n".join(lines)

    def created(self) -> list[dict[str, Any]]:
        """What the supplier really created."""
        return [line for line in self.aliexpress.control("ledger") if line["op"] == "create"]

    def outcomes(self) -> list[str]:
        """The outcome of every attempt that was really sent: a busy machine may hold a worker up past its deadline."""
        with self.container.database.transaction() as session:
            query = sa.select(Attempt.outcome).where(Attempt.outcome != "NOT_SENT").order_by(Attempt.id)
            return list(session.scalars(query))

    def reasons(self) -> list[str]:
        """The reason of every purchase."""
        return [purchase.reason for purchase in self.purchases()]

    def quantities(self) -> list[int]:
        """The quantity of every purchase item."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(PurchaseItem.quantity).order_by(PurchaseItem.id)))

    def tasks(self) -> list[str]:
        """Kinds of open tasks."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(Task.kind).where(Task.done_at.is_(None)).order_by(Task.id)))

    def task_texts(self) -> list[str]:
        """What people are asked for."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(Task.text).where(Task.done_at.is_(None)).order_by(Task.id)))

    def inbox_rows(self) -> int:
        """How many events are stored."""
        with self.container.database.transaction() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(Inbox)) or 0

    def calls_of_create(self) -> int:
        """How many order.create calls reached the supplier."""
        return sum(line["op"] == "create_call" for line in self.aliexpress.control("ledger"))

    def shown_parcels(self) -> list[dict[str, Any]]:
        """Fulfilments that the Shopify simulator shows."""
        return [found for order in self.shopify.control("state")["orders"] for found in order["fulfillments"]]

    def sku_of(self, product_id: str) -> str:
        """The first SKU of a product of the simulator's catalogue."""
        products = self.aliexpress.control("state")["products"]
        product = (
            products[product_id]
            if isinstance(products, dict)
            else next(one for one in products if str(one["product_id"]) == product_id)
        )
        return str(product["skus"][0]["sku_id"])

    def pass_time(self, name: str) -> None:
        """Move the clock of unclear purchases: as if the quarantine or the hour until a person were over."""
        column = {"quarantine": Purchase.quarantine_until, "human": Purchase.sent_at}[name]
        with self.container.database.transaction() as session:
            session.execute(
                sa.update(Purchase)
                .where(Purchase.state.in_(("SENDING", "UNKNOWN", "HUMAN")))
                .values({column: column - timedelta(minutes=90), Purchase.check_at: sa.func.now()})
            )

    def read_again(self) -> None:
        """Make every supplier order due for a read now."""
        with self.container.database.transaction() as session:
            session.execute(sa.update(SupplierOrder).values(track_run_at=sa.func.now()))

    def parcel_numbers(self) -> list[str]:
        """Tracking numbers of all parcels."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(ShippedParcel.tracking_number).order_by(ShippedParcel.id)))

    def shown_numbers(self) -> list[str]:
        """Tracking numbers as the shops show them."""
        with self.container.database.transaction() as session:
            return list(session.scalars(sa.select(ShippedParcel.shown_number).order_by(ShippedParcel.id)))

    def pause_shop(self, shop_id: int = 1) -> None:
        """As the merchant does."""
        with self.container.database.transaction() as session:
            session.execute(sa.update(Shop).where(Shop.id == shop_id).values(state="PAUSED"))

    def retry(self, purchase_id: int) -> None:
        """A person presses retry."""
        with self.container.database.transaction() as session:
            generation.reconsider(session, session.get_one(Purchase, purchase_id, with_for_update=True), again=True)

    def refund(self, order_id: str, pieces: int) -> None:
        """Refund pieces of the first line of a Shopify order."""
        self.shopify.control(f"orders/{order_id}/refund", {"lines": [{"line": 0, "quantity": pieces}]})

    def edit(self, order_id: str, quantity: int) -> None:
        """Set the quantity of the first line of a Shopify order."""
        self.shopify.control(f"orders/{order_id}/edit", {"changes": [{"line": 0, "quantity": quantity}]})

    def reconnect_account(self) -> None:
        """The merchant gives consent again."""
        fresh = self.aliexpress.control("accounts", {"user_id": self.account["user_id"]})
        with self.container.database.transaction() as session:
            credential = session.scalars(sa.select(Credential).where(Credential.account_id.is_not(None))).one()
            secrets = {"access_token": fresh["access_token"], "refresh_token": fresh["refresh_token"]}
            credential.sealed = self.container.vault.seal_json(secrets, credential.place)
            credential.state, credential.version = "LIVE", credential.version + 1
            held = session.scalars(sa.select(Purchase.id).where(Purchase.reason == "token_dead")).all()
        for purchase_id in held:
            self.retry(purchase_id)


@contextmanager
def running(
    database_url: str, redis_url: str, folder: Path, *, time_scale: float = 60.0, **extra: str
) -> Iterator[World]:
    """A world for one test."""
    world = World(database_url, redis_url, folder, time_scale=time_scale, **extra)
    try:
        yield world
    finally:
        world.close()
