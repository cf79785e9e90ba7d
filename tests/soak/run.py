"""One soak: everything in processes of its own, trade and nemesis for so long, then peace until all is accounted for."""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
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
from app.local.processes import LocalProcess, flask
from tests.soak.asking import Account, Line, ask, unclear
from tests.soak.books import ALIEXPRESS, SHOPIFY, WOOCOMMERCE, Books
from tests.soak.checker import judge, unaccounted
from tests.soak.figures import Parts, Times, figures
from tests.soak.fleet import Fleet
from tests.soak.nemesis import Nemesis
from tests.soak.person import Person
from tests.soak.post import Postman
from tests.soak.proxy import WRITES, Troubled
from tests.soak.shops import Trade
from tests.soak.verdict import MOST_MINUTES, NEVER, Verdict

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
        self.lines = {name: Troubled(port, f"{plan.seed} {name}", WRITES[name]) for name, port in self._ports.items()}
        self.post = Postman(lambda: self.fleet.ports(), plan.seed)  # noqa: PLW0108 - the fleet comes later
        self._vault = "soak:" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.fleet: Fleet
        self.container: Container
        self.told: dict[Line, Account] = {}
        """Waybill's last answer."""

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
            "POLL_SECONDS": "600",
            "TRACKING_POLL_SECONDS": "1500",  # 25 s here: pushes that tell of a parcel are lost too
            "OUTBOUND_ALLOW_PRIVATE": "1",
            "WOOCOMMERCE_ALLOW_HTTP": "1",
            "WORKER_THREADS": "4",
            "DATABASE_POOL": "8",
            "LOG_LEVEL": "WARNING",
            "ALIEXPRESS_APP_KEY": "500001",
            "ALIEXPRESS_APP_SECRET": "simulated-app-secret",
            "ALIEXPRESS_API_URL": self.lines[ALIEXPRESS].url,
            "SHOPIFY_CLIENT_ID": "simulated-client",
            "SHOPIFY_CLIENT_SECRET": "simulated-secret",
            "SHOPIFY_SHOP_URL_TEMPLATE": f"{self.lines[SHOPIFY].url}/{{shop}}",
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
        for relay in (*self.lines.values(), self.post):
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
        shops = {"trust_http": "yes", "queue_delay": "6", "public_url": self.lines[WOOCOMMERCE].url}
        self._simulator(WOOCOMMERCE, common | shops)
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
        self._harm(on=True)
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
        self._harm(on=False)
        traded = time.monotonic() - began
        _until(self.fleet.up, 60)
        recovered = time.monotonic()
        self._tell("peace: until everything is accounted for")
        minutes, still = self._account(recovered)
        self._tell(f"each line accounted for {minutes:.1f} minutes of the product's time after recovery")
        drained = self._drain(recovered)
        loads.append(os.getloadavg()[0])
        person.end()
        self.told = ask(self.container)
        self.books.read()
        verdict = judge(self.books, self.told)
        verdict.minutes, verdict.open = minutes, still
        verdict.trouble += [f"nemesis, {sentence}" for sentence in nemesis.failed]
        verdict.trouble += [f"person, {sentence}" for sentence in person.trouble]
        lines = {name: relay.counts for name, relay in self.lines.items()}
        parts = Parts(self.books, trade, nemesis, person, self.fleet, lines, self.post.counts)
        times = Times(self._plan.seed, SCALE, traded, drained, loads)
        return verdict, figures(verdict, parts, times, unclear(self.container))

    def _harm(self, *, on: bool) -> None:
        for relay in (*self.lines.values(), self.post):
            relay.on = on

    def _check_fleet(self) -> None:
        if self.fleet.broken:
            raise RuntimeError(self.fleet.broken)

    def _account(self, since: float) -> tuple[float, list[str]]:
        """Minutes of the product's time until each line was accounted for, and those that were late or never were.

        What counts is when Waybill was asked: how long it takes to ask is ours.
        """
        late: list[str] = []
        while True:
            self._check_fleet()
            asked = time.monotonic()
            minutes = round((asked - since) * SCALE / 60, 1)
            self.books.read()
            still = unaccounted(self.books, ask(self.container))
            if still and minutes > MOST_MINUTES and not late:
                late = still
                self._tell(f"{minutes:.1f} minutes, and not accounted for: {len(still)} lines, {still[0]}")
            if not still or asked - since > DRAIN_MOST:
                return NEVER if still else minutes, still or late
            time.sleep(0.25)

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
        drained = time.monotonic() - since
        time.sleep(2.0)  # what would be done twice is done now
        return drained


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not start")
        time.sleep(0.1)
