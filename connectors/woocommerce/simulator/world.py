"""The state of all shops of one simulator: plain rows in tables, changed only by `Shop.commit`."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.woocommerce.simulator.faults import Faults
from connectors.woocommerce.simulator.ledger import Ledger

Row = dict[str, Any]
TABLES = (
    "settings",
    "keys",
    "products",
    "orders",
    "refunds",
    "notes",
    "fulfilments",
    "webhooks",
    "queue",
    "counters",
)


def now_gmt(ahead: int = 0) -> str:
    """Now as WooCommerce writes it: UTC, whole seconds, no zone. `ahead`: by a clock that is wrong by so many."""
    return (datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=ahead)).isoformat(timespec="seconds")


class Shop:
    """One shop. Hold `lock` while reading several rows or changing any."""

    def __init__(self, slug: str, world: World) -> None:
        self.slug = slug
        self.world = world
        self.lock = threading.RLock()
        self.tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
        self.nonces: dict[str, int] = {}
        self.queue_paused = False

    def __getitem__(self, table: str) -> dict[str, Any]:
        return self.tables[table]

    def setting(self, name: str) -> Any:
        """A shop setting."""
        return self.tables["settings"].get(name)

    @property
    def home(self) -> str:
        """The shop's address, no slash at its end."""
        return str(self.setting("home"))

    @property
    def rest_base(self) -> str:
        """The REST base, no slash at its end."""
        return f"{self.home}/wp-json"

    @property
    def clock_ahead(self) -> int:
        """Seconds by which the clock of the front-end that answers at present is wrong; negative: behind.

        The setting of that name may change at any time, as where several front-ends take turns.
        """
        return int(self.setting("clock_ahead") or 0)

    def now_gmt(self) -> str:
        """Now by that clock, as it is written into orders."""
        return now_gmt(self.clock_ahead)

    def next_id(self, sequence: str, start: int = 1) -> int:
        """The next number; orders, products and refunds share the sequence `post`."""
        counters = self.tables["counters"]
        counters[sequence] = int(counters.get(sequence, start - 1)) + 1
        return int(counters[sequence])

    def commit(self, event: str, put: Mapping[str, Mapping[str, Any]], **facts: Any) -> None:
        """Change rows (None deletes) and write the ledger line. The caller holds `lock`."""
        self._apply(put)
        if put.get("queue"):
            self.world.ring(self)
        rows = {**put, "counters": self.tables["counters"]}
        self.world.ledger.append(
            {"at": datetime.now(UTC).isoformat(), "shop": self.slug, "event": event, **facts, "put": rows}
        )

    def _apply(self, put: Mapping[str, Mapping[str, Any]]) -> None:
        for table, rows in put.items():
            for key, row in rows.items():
                if row is None:
                    self.tables[table].pop(key, None)
                else:
                    self.tables[table][key] = row

    def restore(self, put: Mapping[str, Mapping[str, Any]]) -> None:
        """Rows out of the ledger."""
        self._apply(put)


_OPTIONS = frozenset(
    (
        "country", "currency", "decimals", "fulfilments", "host", "ledger", "port", "public_url", "queue_delay",
        "scenario", "time_scale", "timezone", "trust_http",
    )
)  # fmt: skip


class World:
    """Everything that one simulator process knows. `options` are texts; see `build`."""

    def __init__(self, options: Mapping[str, str]) -> None:
        strange = set(options) - _OPTIONS
        if strange:
            raise ValueError(f"unknown option of the WooCommerce simulator: {', '.join(sorted(strange))}")
        self.options = options
        self.lock = threading.Lock()
        self.shops: dict[str, Shop] = {}
        self.ring: Callable[[Shop], None] = lambda _shop: None
        self.faults = Faults()
        self.trust_http = options.get("trust_http", "").lower() in {"1", "true", "yes"}
        self.time_scale = max(float(options.get("time_scale") or 1), 0.001)
        self.queue_delay = float(options.get("queue_delay") or 0.1)
        self.ledger = Ledger(options.get("ledger", ""))
        for line in self.ledger.replay():
            self._shop(line["shop"]).restore(line.get("put", {}))

    def _shop(self, slug: str) -> Shop:
        with self.lock:
            return self.shops.setdefault(slug, Shop(slug, self))

    def scenario(self) -> dict[str, Any]:
        """The scenario file: `{"faults": [...], "shops": [...]}`; empty without one."""
        path = self.options.get("scenario", "")
        if not path:
            return {}
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {"faults": found}

    def create_shop(self, wish: Mapping[str, Any], root: str) -> tuple[Shop, str, str]:
        """A new shop below `root`, or the existing one of that slug, with its first key and secret."""
        shop = self._shop(str(wish.get("slug") or "shop"))
        with shop.lock:
            if not shop["settings"]:
                settings = self._settings(shop.slug, wish, root)
                shop.tables["counters"] = {"post": 10}
                shop.commit("shop_created", {"settings": settings})
            if not shop["keys"]:
                key = str(wish.get("consumer_key") or f"ck_{secrets.token_hex(20)}")
                row = {"secret": str(wish.get("consumer_secret") or f"cs_{secrets.token_hex(20)}")}
                row |= {"permissions": str(wish.get("permissions") or "read_write"), "owner": "manager"}
                shop.commit("key_created", {"keys": {key: row}})
            key, row = next(iter(shop["keys"].items()))
            return shop, key, row["secret"]

    def _settings(self, slug: str, wish: Mapping[str, Any], root: str) -> Row:
        return {
            "home": f"{(self.options.get('public_url') or root).rstrip('/')}/{slug}",
            "name": str(wish.get("name") or f"{slug.title()} Shop"),
            "currency": str(wish.get("currency") or self.options.get("currency") or "USD"),
            "decimals": int(wish.get("decimals", self.options.get("decimals") or 2)),
            "country": str(wish.get("country") or self.options.get("country") or "US:CA"),
            "timezone": str(wish.get("timezone") or self.options.get("timezone") or "America/Los_Angeles"),
            "fulfilments": bool(wish.get("fulfilments", self.options.get("fulfilments", "") in {"1", "true", "yes"})),
            "permalinks": str(wish.get("permalinks") or "pretty"),
            "version": str(wish.get("version") or "11.0.1"),
            "clock_ahead": int(wish.get("clock_ahead", 0)),
        }
