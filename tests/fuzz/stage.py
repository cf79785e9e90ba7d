"""What the targets play on: one world with an order on its way and one to be bought, put back after every case."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import redis
import sqlalchemy as sa

from app import logs
from app.jobs.drain import KINDS, Drain
from app.models import Credential, Purchase
from app.ports.http import HTTPAnswer, OutboundCall
from connectors.shopify.throttle import Throttle
from tests.flow.world import BOTTLE, World, running
from tests.fuzz.nasties import MARKERS

SHOP = "bottles.myshopify.com"
Alter = Callable[[OutboundCall, HTTPAnswer], HTTPAnswer]


@dataclass(frozen=True)
class Taped:
    """An answer as it really came: a template for changed ones."""

    vendor: str
    operation: str
    url: str
    answer: HTTPAnswer


class Stage:
    """The world of a fuzz run. `reset()` puts database and Redis back to where the run began."""

    def __init__(self, world: World, log: io.StringIO) -> None:
        self.world = world
        self.log = log
        self.tape: dict[tuple[str, str], Taped] = {}
        self.alter: Alter | None = None
        self.answers: list[str] = []
        """What the app answered to callers in the present case."""
        self._saved: list[tuple[str, bytes]] = []
        self._database = psycopg.connect(
            world.container.settings.database_url.get_secret_value().replace("+psycopg", "", 1), autocommit=True
        )

    def drain(self, *kinds: str) -> None:
        """Work what is due of these kinds, until nothing is."""
        drain = Drain(self.world.container, threads=1, kinds=[kind for kind in KINDS if kind.name in kinds])
        try:
            drain.until_idle(rounds=20)
        finally:
            drain.close()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement, beside the app."""
        cursor = self._database.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def save(self) -> None:
        """Remember every table as it is now."""
        names = [name for (name,) in self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        self._saved = []
        for name in names:
            with self._database.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as copy:
                self._saved.append((name, b"".join(bytes(part) for part in copy)))

    def reset(self) -> None:
        """Put every table back, empty Redis, forget what was logged and answered."""
        self.sql("SET session_replication_role = replica")
        for name, _ in self._saved:
            self.sql(f'DELETE FROM "{name}"')
        for name, rows in self._saved:
            if rows:
                with self._database.cursor().copy(f'COPY "{name}" FROM STDIN'.encode()) as copy:
                    copy.write(rows)
        with redis.Redis.from_url(self.world.environment["REDIS_URL"]) as client:
            client.flushdb()
        for path in (self.world.folder / "state" / "journal").iterdir():
            path.unlink(missing_ok=True)
        self.log.seek(0)
        self.log.truncate()
        self.answers.clear()

    def secrets(self) -> list[str]:
        """Words that may stand nowhere in clear."""
        found = set(MARKERS.values())
        with self.world.container.database.transaction() as session:
            for one in session.scalars(sa.select(Credential)):
                opened = self.world.container.vault.open_json(one.sealed, one.place)
                found |= {str(value) for value in opened.values() if len(str(value)) > 8}
        return sorted(found)

    def shown(self) -> Iterator[tuple[str, str]]:
        """What people or files get to see: (where, text)."""
        yield "logs", self.log.getvalue()
        yield "answers", "\n".join(self.answers)
        for table in ("alert", "task", "call", "audit", "attempt", "evidence", "purchase", "inbox", "outbox", "mail"):
            if any(name == table for name, _ in self._saved):
                rows = self.sql(f"SELECT to_jsonb(t) - 'body' FROM \"{table}\" t")
                yield table, "\n".join(json.dumps(row, ensure_ascii=False) for (row,) in rows)
        folder = self.world.folder / "state"
        yield "journal", "\n".join(path.read_text("latin-1") for path in (folder / "journal").iterdir())


def plant(world: World) -> dict[str, Any]:
    """An order's address that holds the markers."""
    return {
        "address": {
            "firstName": "Zephyrine",
            "lastName": MARKERS["name"],
            "address1": f"4711 {MARKERS['street']} Crescent",
            "city": "Springfield",
            "province": "Illinois",
            "provinceCode": "IL",
            "countryCodeV2": "US",
            "zip": "62701",
            "phone": "+1 217 555 0100",
        }
    }


def _shipped(stage: Stage) -> None:
    """A Shopify order that is on its way, and one that is ready to be bought; a WooCommerce order that is ready."""
    world = stage.world
    made = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(made, variant, BOTTLE)
    lines = [{"variant_id": variant, "quantity": 1}]
    world.shopify.control("orders", {"shop": SHOP, "lines": lines, **plant(world)})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=60)
    bought = str(world.created()[0]["order_id"])
    world.aliexpress.control("pay", {"order_ids": [bought]})
    world.aliexpress.control("ship", {"order_id": bought})
    world.settle(until=lambda: world.states() == ["SHIPPED"] and bool(world.shown_parcels()), seconds=60)
    second = world.woocommerce_shop("socks")
    product = world.woocommerce_product("socks", "SOCKS")
    world.woocommerce_order(
        "socks",
        [{"product_id": int(product), "quantity": 1}],
        billing={
            "first_name": "Zephyrine",
            "last_name": MARKERS["name"],
            "address_1": f"4711 {MARKERS['street']} Crescent",
            "city": "Springfield",
            "state": "IL",
            "postcode": "62701",
            "country": "US",
            "phone": "+1 217 555 0100",
            "email": MARKERS["email"],
        },
    )
    world.settle(until=lambda: len(world.orders()) == 2, seconds=60)
    del second
    world.pause_shop(made)  # else it is bought at once
    world.shopify.control("orders", {"shop": SHOP, "lines": lines, **plant(world)})
    world.settle(until=lambda: "shop_paused" in world.reasons(), seconds=60)
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE shop SET state = 'ACTIVE'"))
        held = session.scalars(sa.select(Purchase.id).where(Purchase.reason == "shop_paused")).one()
    world.retry(held)


def _read_everything(stage: Stage) -> None:
    """One call of each kind goes onto the tape."""
    from tests.fuzz.sessions import every_read  # noqa: PLC0415 - it needs the stage

    for act in every_read(stage).values():
        act()


@contextmanager
def staged(database_url: str, redis_url: str, folder: Path) -> Iterator[Stage]:
    """The stage on a migrated database and an empty Redis; what is logged goes into the stage."""
    stream = io.StringIO()
    real, logs.sys = logs.sys, SimpleNamespace(stderr=stream)  # type: ignore[attr-defined]
    whole, reserve = OutboundCall.send, Throttle.reserve
    stage: Stage | None = None

    def send(call: OutboundCall, *given: Any, **named: Any) -> HTTPAnswer:
        answer = whole(call, *given, **named)
        if stage is None:
            return answer
        if stage.alter is not None:
            return stage.alter(call, answer)
        stage.tape.setdefault((call.vendor, call.operation), Taped(call.vendor, call.operation, given[1], answer))
        return answer

    try:
        with running(database_url, redis_url, folder, LOG_LEVEL="INFO") as world:
            stage = Stage(world, stream)
            OutboundCall.send = send  # type: ignore[method-assign]
            Throttle.reserve = lambda *_: 0.0  # type: ignore[method-assign] # odd points only make one wait
            _shipped(stage)
            world.shopify.control("webhook_url", {"url": ""})  # what comes in comes from the targets alone
            world.aliexpress.control("push", {"lost": -1})
            _read_everything(stage)
            stage.save()
            stage.reset()
            yield stage
    finally:
        OutboundCall.send, Throttle.reserve = whole, reserve  # type: ignore[method-assign]
        logs.sys = real  # type: ignore[attr-defined]
        logging.getLogger().handlers[:] = []
        logs.configure("ERROR", json_lines=False)


def changed(answer: HTTPAnswer, body: bytes) -> HTTPAnswer:
    """The answer with another body."""
    return replace(answer, body=body)
