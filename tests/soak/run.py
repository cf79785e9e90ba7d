"""One soak: everything in processes of its own, trade and nemesis for so long, then peace until all is accounted for."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import container as containers
from app import db_migrate
from app.boot import prepare
from app.container import Container
from app.local.control import Control, answers
from app.local.embedded import EmbeddedServices
from app.local.ports import LOOPBACK, free_port
from app.local.processes import ROOT, LocalProcess, flask
from tests.soak.books import ALIEXPRESS, SHOPIFY, WOOCOMMERCE, Books
from tests.soak.checker import Verdict, ask, judge, unclear
from tests.soak.fleet import Fleet
from tests.soak.nemesis import Nemesis
from tests.soak.person import Person
from tests.soak.proxy import Postman, Troubled
from tests.soak.shops import Trade

SCALE = 60.0
ORDERS_A_MINUTE = 46.0
MOST_OPEN = 60
DRAIN_MOST = 420.0
"""Seconds; an unclear order waits for a quarter of them until a person may say what became of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of trade and nemesis; the drain comes on top. `orders_a_minute`: what buyers try to do."""

    seconds: float
    seed: int
    orders_a_minute: float = ORDERS_A_MINUTE


class Soak:
    """Started with `with`; `run()` gives the verdict and the figures. Leaves nothing running."""

    def __init__(self, folder: Path, plan: Plan, tell: Callable[[str], None] = lambda _text: None) -> None:
        self.folder, self._plan, self._tell = folder, plan, tell
        self._stack = ExitStack()
        self.ledgers = folder / "ledgers"
        self.ledgers.mkdir(parents=True)
        self.books = Books(self.ledgers)
        self.services = EmbeddedServices(folder, durable=True)
        self._ports = {name: free_port() for name in (ALIEXPRESS, SHOPIFY, WOOCOMMERCE)}
        self.controls = {name: Control(f"http://{LOOPBACK}:{port}") for name, port in self._ports.items()}
        self.supplier = Troubled(self._ports[ALIEXPRESS], plan.seed)
        self.post = Postman(lambda: self.fleet.ports(), plan.seed)  # noqa: PLW0108 - the fleet comes later
        self._vault = "soak:" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.fleet: Fleet
        self.container: Container

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every process of the product. All keys are made up."""
        return {
            **self.services.environment,
            "APP_ENV": "development",
            "PUBLIC_URL": self.post.url,
            "SECRET_KEY": "for the soak only, for the soak only, for the soak only",
            "VAULT_KEYS": self._vault,
            "STATE_DIR": str(self.folder / "person"),
            "TIME_SCALE": f"{SCALE:g}",
            "POLL_SECONDS": "900",
            "TRACKING_POLL_SECONDS": "1500",  # 25 s here: pushes that tell of a parcel are lost too
            "OUTBOUND_ALLOW_PRIVATE": "1",
            "WOOCOMMERCE_ALLOW_HTTP": "1",
            "WORKER_THREADS": "4",
            "DATABASE_POOL": "8",
            "LOG_LEVEL": "WARNING",
            "ALIEXPRESS_APP_KEY": "500001",
            "ALIEXPRESS_APP_SECRET": "simulated-app-secret",
            "ALIEXPRESS_API_URL": self.supplier.url,
            "SHOPIFY_CLIENT_ID": "simulated-client",
            "SHOPIFY_CLIENT_SECRET": "simulated-secret",
            "SHOPIFY_SHOP_URL_TEMPLATE": f"http://{LOOPBACK}:{self._ports[SHOPIFY]}/{{shop}}",
        }

    def __enter__(self) -> Soak:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        for relay in (self.supplier, self.post):
            self._stack.callback(relay.close)
        self._stack.enter_context(self.services)
        db_migrate.upgrade(self.services.database_url)
        common = {"time_scale": f"{SCALE:g}"}
        hook = f"{self.post.url}/webhooks"
        self._simulator(
            ALIEXPRESS,
            common | {"push_url": f"{hook}/aliexpress", "auto_ship_after": "60", "auto_deliver_after": "240"},
        )
        self._simulator(SHOPIFY, common | {"webhook_url": f"{hook}/shopify"})
        self._simulator(WOOCOMMERCE, common | {"trust_http": "yes", "queue_delay": "6"})
        self.fleet = Fleet(self.environment, self.folder)
        self._stack.callback(self.fleet.close)
        self.container = containers.build(self.environment, name="waybill-soak")
        self._stack.callback(self.container.close)
        prepare(self.container)
        self.fleet.start()
        _until(lambda: any(answers(f"http://{LOOPBACK}:{port}", "/readyz") for port in self.fleet.ports()), 60)

    def _simulator(self, name: str, options: dict[str, str]) -> None:
        words = [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
        ledger = ("--ledger", str(self.ledgers / f"{name}.jsonl"))
        command = flask("simulate", name, "--port", str(self._ports[name]), *ledger, *words)
        process = LocalProcess(f"simulator-{name}", command, {"PYTHONUNBUFFERED": "1"}, self.folder / f"{name}.log")
        self._stack.callback(process.stop)
        process.start()
        process.wait_ready(lambda: answers(self.controls[name].url, "/_control/state"))

    def run(self) -> tuple[Verdict, dict[str, Any]]:
        """Trade under the nemesis, then drain; gives the verdict and the figures."""
        trade = Trade(self.container, self.controls, self.books, self._plan.seed)
        trade.open()
        kill_after = self.container.timers.kill_after.total_seconds()
        nemesis = Nemesis(self.fleet, self.services, self._plan.seed, SCALE, kill_after)
        person = Person(self.fleet, self.controls[ALIEXPRESS], self.books, trade)
        began, loads = time.monotonic(), [os.getloadavg()[0]]
        self.supplier.on = self.post.on = True
        person.start()
        nemesis.start()
        trade.start(self._plan.orders_a_minute, MOST_OPEN)
        while time.monotonic() - began < self._plan.seconds:
            time.sleep(min(10.0, max(began + self._plan.seconds - time.monotonic(), 0.01)))
            loads.append(os.getloadavg()[0])
            self._check_fleet()
            lines, orders = self.books.sizes()
            left = len(self.books.not_bought())
            self._tell(
                f"{time.monotonic() - began:5.0f} s: {lines} lines of {orders} orders, {left} not bought yet, "
                f"{nemesis.kills} kills, load {loads[-1]:.1f}"
            )
        trade.end()
        nemesis.end()
        self.supplier.on = self.post.on = False
        traded = time.monotonic() - began
        self._tell("peace: until everything is accounted for")
        drained = self._drain(began + traded)
        person.end()
        verdict = self._judge()
        return verdict, self._figures(verdict, trade, nemesis, person, (traded, drained), loads)

    def _check_fleet(self) -> None:
        if self.fleet.broken:
            raise RuntimeError(self.fleet.broken)

    def _drain(self, since: float) -> float:
        """Until every order is bought and shown in its shop, or time is over; gives the seconds that it took."""
        told = 0.0
        while time.monotonic() - since < DRAIN_MOST:
            self._check_fleet()
            self.books.read()
            left, hidden = len(self.books.not_bought()), len(self.books.not_shown())
            if left == hidden == 0:
                break
            if time.monotonic() - told > 10:
                told = time.monotonic()
                self._tell(f"{told - since:5.0f} s: {left} not bought, {hidden} not shown yet")
            time.sleep(0.5)
        time.sleep(2.0)  # what would be done twice is done now
        return time.monotonic() - since

    def _judge(self) -> Verdict:
        self.books.read()
        return judge(self.books, ask(self.container))

    def _figures(
        self,
        verdict: Verdict,
        trade: Trade,
        nemesis: Nemesis,
        person: Person,
        seconds: tuple[float, float],
        loads: list[float],
    ) -> dict[str, Any]:
        traded, drained = seconds
        incidents = sum(nemesis.counts.values()) + sum(n for name, n in self.supplier.counts.items() if " " in name)
        return {
            "version": _version(),
            "seed": self._plan.seed,
            "cores": os.cpu_count(),
            "time scale": SCALE,
            "minutes of trade": round(traded / 60, 2),
            "drained in seconds": round(drained, 1),
            "lines": verdict.lines,
            "orders": verdict.orders,
            "creates": len(self.books.bought),
            **unclear(self.container),
            "lines a minute": round(verdict.lines / traded * 60, 1),
            "kills": nemesis.kills,
            "kills a minute": round(nemesis.kills / traded * 60, 1),
            "restarts": self.fleet.restarts,
            "incidents": incidents,
            "bought twice": len(verdict.twice),
            "lost": len(verdict.lost),
            "attached to the wrong customer": len(verdict.wrong),
            "held at the end": len(verdict.waiting),
            "not shown at the end": len(self.books.not_shown()),
            "resolved by a person": len(person.resolved),
            "nemesis": dict(nemesis.counts),
            "nemesis failed": nemesis.failed[:20],
            "supplier's line": dict(self.supplier.counts),
            "post": dict(self.post.counts),
            "person": dict(person.counts),
            "person refused": dict(person.refused),
            "person's trouble": person.trouble[:20],
            "buyers refused": trade.refused,
            "buyers waited seconds": trade.waited,
            "load average": [round(sum(loads) / len(loads), 2), round(max(loads), 2)],
        }


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not start")
        time.sleep(0.1)


def _version() -> str:
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    return "unknown"
