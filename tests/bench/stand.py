"""Waybill as in production, on loopback: durable servers, the Procfile's command lines, simulators beside."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from app import container as containers
from app import db_migrate
from app.boot import prepare
from app.container import Container
from app.local.control import Control, answers
from app.local.embedded import EmbeddedServices
from app.local.ports import LOOPBACK, free_port
from app.local.processes import LocalProcess, flask, production_command
from tests.bench.figures import cpu
from tests.flow.connecting import add_link, connect_account, connect_shop

SECRET = secrets.token_hex(16)
APP_KEY, APP_SECRET = "500001", secrets.token_hex(16)
ANSWER_AFTER = 0.15


class Stand:
    """Servers, two simulators, and whatever is started on top."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = EmbeddedServices(folder, durable=True)
        self.ports = {name: free_port() for name in ("aliexpress", "shopify")}
        self.aliexpress, self.shopify = (Control(f"http://{LOOPBACK}:{port}") for port in self.ports.values())
        self.processes: dict[str, LocalProcess] = {}
        self.shops: list[tuple[int, str]] = []
        self.variants: dict[str, list[str]] = {}
        self._container: Container | None = None
        self._vault = "bench:" + base64.b64encode(secrets.token_bytes(32)).decode()

    @property
    def environment(self) -> dict[str, str]:
        """Production settings: no relaxed rule, time as it is. Only the addresses are the simulators'."""
        return {**self.services.environment, **self.environment_without_servers}

    @property
    def environment_without_servers(self) -> dict[str, str]:
        """The part that is known before anything runs."""
        return {
            "APP_ENV": "production",
            "PUBLIC_URL": "https://waybill.example",
            "TRUSTED_HOSTS": LOOPBACK,
            "SECRET_KEY": "for the benchmark only, for the benchmark only",
            "VAULT_KEYS": self._vault,
            "STATE_DIR": str(self.folder / "state"),
            "ALIEXPRESS_APP_KEY": APP_KEY,
            "ALIEXPRESS_APP_SECRET": APP_SECRET,
            "ALIEXPRESS_API_URL": self.aliexpress.url,
            "SHOPIFY_CLIENT_ID": "bench",
            "SHOPIFY_CLIENT_SECRET": SECRET,
            "SHOPIFY_SHOP_URL_TEMPLATE": f"{self.shopify.url}/{{shop}}",
        }

    @property
    def container(self) -> Container:
        assert self._container is not None
        return self._container

    def __enter__(self) -> Self:
        try:
            self.services.start()
            db_migrate.upgrade(self.services.database_url)
            options = {"app_key": APP_KEY, "app_secret": APP_SECRET}
            self._simulator("aliexpress", options)
            self._simulator("shopify", {"client_id": "bench", "client_secret": SECRET, "bucket": "0"})
            self._container = containers.build(self.environment, name="waybill-bench")
            prepare(self._container)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is not None:
            self._container.close()
        for process in self.processes.values():
            process.ask_to_stop()
        for process in self.processes.values():
            process.stop()
        self.services.stop()

    def _simulator(self, name: str, options: dict[str, str]) -> None:
        words = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
        process = self.run(f"simulator-{name}", flask("simulate", name, "--port", str(self.ports[name]), *words), {})
        process.wait_ready(lambda: answers(f"http://{LOOPBACK}:{self.ports[name]}", "/_control/state"))

    def run(self, name: str, command: list[str], environment: dict[str, str]) -> LocalProcess:
        """Start a process of our own."""
        log = self.folder / "logs" / f"{name}.log"
        log.unlink(missing_ok=True)
        process = LocalProcess(name, command, {"PYTHONUNBUFFERED": "1", **environment}, log)
        self.processes[name] = process
        process.start()
        return process

    def web(self, name: str = "web", application: str = "wsgi:app") -> str:
        """The web server as the Procfile starts it; gives its URL."""
        port = free_port()
        command = [
            application if word == "wsgi:app" else word for word in production_command("web", {"PORT": str(port)})
        ]
        url = f"http://{LOOPBACK}:{port}"
        path = "/" if application.startswith("tests.bench.hello") else "/healthz"
        process = self.run(name, command, self.environment)
        process.wait_ready(lambda: answers(url, path) if path != "/" else _listens(port))
        time.sleep(1.0)  # both of its workers
        return url

    def gunicorn(self, name: str, application: str, path: str) -> str:
        """The same app object under gunicorn: two workers of sixteen threads."""
        port = free_port()
        words = ["--worker-class", "gthread", "--workers", "2", "--threads", "16", "--log-level", "warning"]
        command = [sys.executable, "-m", "gunicorn", *words, "--bind", f"{LOOPBACK}:{port}", application]
        process = self.run(name, command, self.environment)
        process.wait_ready(lambda: _listens(port))
        time.sleep(2.0)  # both of its workers
        return f"http://{LOOPBACK}:{port}{path}"

    def worker(self, **settings: str) -> LocalProcess:
        """`flask worker`."""
        process = self.run("worker", production_command("worker", {}), {**self.environment, **settings})
        process.wait_ready(lambda: process.said("worker_started"))
        return process

    def scheduler(self) -> None:
        """`flask scheduler`."""
        self.run("scheduler", production_command("scheduler", {}), self.environment)

    def stop(self, name: str) -> None:
        """End one process."""
        self.processes.pop(name).stop(40.0)

    def pid(self, name: str) -> int:
        process = self.processes[name]._process
        assert process is not None
        return process.pid

    def cpu_of(self, *names: str) -> float:
        """CPU seconds so far of these processes and of both servers."""
        pids = [self.pid(name) for name in names]
        servers = (self.services.postgres, self.services.valkey)
        return cpu([*pids, *(server.pid for server in servers if server.is_running())])

    def query(self, text: str, **values: Any) -> list[Any]:
        """Ask (or change) the database."""
        with self.container.database.transaction() as session:
            result = session.execute(sa.text(text), values)
            return list(result.all()) if result.returns_rows else []

    def number(self, text: str, **values: Any) -> float:
        return float(self.query(text, **values)[0][0] or 0)

    def furnish(self, shops: int, products: int) -> None:
        """Shops with an account each and variants linked to products: shops x products (account, SKU) pairs."""
        rows = [
            {
                "product_id": str(1005007000000000 + number),
                "seller_id": str(1_200_000_000 + number),
                "title": f"Bench product {number}",
                "skus": [{"sku_id": str(12000037000000000 + number), "sku_attr": "", "price": "7.19", "stock": 10**8}],
            }
            for number in range(products)
        ]
        self.aliexpress.post("products", rows)
        for place in range(shops):
            domain = f"bench-{place}.myshopify.com"
            made = self.shopify.post("shops", {"domain": domain})
            tokens = {name: made[name] for name in ("access_token", "refresh_token")}
            shop_id = connect_shop(self.container, "shopify", domain, tokens)
            account = self.aliexpress.post("accounts", {"user_id": str(2_000_000_000 + place)})
            connect_account(self.container, shop_id, account)
            wish = [{"sku": f"B{number}", "price": "19.90"} for number in range(products)]
            product = self.shopify.post("products", {"shop": domain, "title": "Sample", "variants": wish})
            self.variants[domain] = [str(variant["id"]) for variant in product["variants"]]
            for variant, row in zip(self.variants[domain], rows, strict=True):
                target = str(row["product_id"]), str(row["skus"][0]["sku_id"])  # type: ignore[index]
                add_link(self.container, shop_id, variant, *target, sku_attributes="", seller_id=str(row["seller_id"]))
            self.shops.append((shop_id, domain))
        # As if just polled; and caps that a benchmark's thousands of orders do not reach.
        self.query("UPDATE shop SET poll_run_at = now() + interval '1 day', day_cap = 1000000000000")

    def order(self, shop: int, place: int) -> str:
        """A buyer's paid order, about which the shop has not told yet; gives its id."""
        _, domain = self.shops[shop]
        wish = {
            "shop": domain,
            "webhooks": False,
            "lines": [{"variant_id": self.variants[domain][place], "quantity": 1}],
        }
        return str(self.shopify.post("orders", wish)["id"])

    @contextmanager
    def slow_simulators(self) -> Iterator[None]:
        """They answer after 150 ms."""
        self.aliexpress.post("faults", [{"op": "*", "kind": "latency", "seconds": ANSWER_AFTER, "times": -1}])
        rule = {"op": "*", "kind": "latency", "ms": int(ANSWER_AFTER * 1000), "times": -1}
        self.shopify.post("faults", [rule])
        try:
            yield
        finally:
            self.aliexpress.post("faults", [])
            with suppress(ValueError):
                self.shopify._call("DELETE", "faults", None)


def _listens(port: int) -> bool:
    import socket  # noqa: PLC0415

    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def wait(holds: Callable[[], bool], seconds: float, look: float = 0.2) -> bool:
    """Whether it held in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(look)
    return True


def dump(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
