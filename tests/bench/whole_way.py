"""P6, P7 and P14: orders from their webhook to the supplier, and a worker that dies on the way."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.figures import Report, cpu, family, percentile
from tests.bench.intake import post_order
from tests.bench.stand import Stand, wait

_OPEN = {"CREATES_PER_SECOND": "10000", "CREATES_IN_FLIGHT": "4096", "WORKER_PROCESSES": "2"}
_OURS = ("web", "worker", "scheduler")
_PLACED = """
SELECT count(*) FROM purchase WHERE state IN ('PLACED_UNPAID', 'PLACED_PAID') AND id > :since
"""


class WholeWay:
    """The bench's figures of orders."""

    def __init__(self, stand: Stand, report: Report, seconds: float) -> None:
        self.stand, self.report, self.seconds = stand, report, seconds
        self.url = stand.web() + "/webhooks/shopify"
        stand.scheduler()

    def _newest(self) -> int:
        return int(self.stand.number("SELECT coalesce(max(id), 0) FROM purchase"))

    def _orders(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[str, str]]:
        """(shop's domain, order id) of new orders, by (shop, product)."""
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda pair: self.stand.order(*pair), pairs))
        return [(self.stand.shops[shop][1], number) for (shop, _), number in zip(pairs, ids, strict=True)]

    def _tell(self, orders: Sequence[tuple[str, str]]) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda order: post_order(self.url, *order), orders))

    def throughput(self) -> None:
        """P6."""
        many = max(int(self.seconds * 150), 40)
        shops, products = len(self.stand.shops), len(next(iter(self.stand.variants.values())))
        pairs = [(number % shops, number // shops % products) for number in range(many)]
        self.stand.worker(**_OPEN)
        self._run(self._orders(pairs[:200]))  # warm: pools, sessions, prepared statements
        orders = self._orders(pairs)
        with self.stand.slow_simulators():
            found = self._run(orders)
        raw = {**found, "pairs": len(set(pairs)), "orders": many}
        self.report.at_most("P6", "CPU for one order, all our processes", found["cpu_ms"], 25, "ms", **raw)
        for name, share in found["parts"].items():
            self.report.told("P6", f"  of it {name}", share, "ms")
        computed = 2 * 3600 * 1000 / found["cpu_ms"]
        self.report.at_least("P6", "orders an hour that two cores have CPU for", computed, 200_000)
        self.report.at_least("P6", f"orders an hour end to end, {len(set(pairs))} pairs", found["an_hour"], 60_000)
        hot = self._orders([(0, 0)] * max(many // 20, 10))
        with self.stand.slow_simulators():
            found = self._run(hot)
        self.report.told("P6", "the same, one hot SKU", found["an_hour"], why="one at a time: the interlock", **found)
        self.stand.stop("worker")

    def _run(self, orders: Sequence[tuple[str, str]], seconds: float = 240) -> dict[str, Any]:
        stand, since = self.stand, self._newest()
        pids = {name: stand.pid(name) for name in _OURS}
        pids |= {"postgresql": stand.services.postgres.pid, "valkey": stand.services.valkey.pid}
        before = {name: cpu([pid]) for name, pid in pids.items()}
        started = time.monotonic()
        self._tell(orders)
        done = wait(lambda: stand.number(_PLACED, since=since) >= len(orders), seconds)
        took = time.monotonic() - started
        placed = stand.number(_PLACED, since=since)
        if not done:
            states = stand.query(
                "SELECT state, reason, count(*) FROM purchase WHERE id > :since GROUP BY 1, 2", since=since
            )
            raise AssertionError(f"{placed} of {len(orders)} orders were placed in {took:.0f} s: {states}")
        parts = {name: (cpu([pid]) - before[name]) * 1000 / placed for name, pid in pids.items()}
        return {"cpu_ms": sum(parts.values()), "parts": parts, "an_hour": placed * 3600 / took, "seconds": took}

    def latency(self) -> None:
        """P7: 10,000 orders an hour, as they come, with the limits that production has."""
        many = max(int(self.seconds * 15 * 10_000 / 3600), 20)
        shops, products = len(self.stand.shops), len(next(iter(self.stand.variants.values())))
        orders = self._orders([(number % shops, number % products) for number in range(many)])
        self.stand.worker()
        since, ledger = self._newest(), len(self.stand.aliexpress.get("ledger"))
        chance = random.Random(7)
        with self.stand.slow_simulators(), ThreadPoolExecutor(8) as pool:
            for order in orders:
                pool.submit(post_order, self.url, *order)
                time.sleep(chance.expovariate(10_000 / 3600))
            wait(lambda: self.stand.number(_PLACED, since=since) >= many, 60)
        self.stand.stop("worker")
        calls = {
            line["out_order_id"]: float(line["at"])
            for line in reversed(self.stand.aliexpress.get("ledger")[ledger:])
            if line["op"] == "create_call"
        }
        told = self.stand.query(
            "SELECT p.out_order_id, extract(epoch FROM min(i.received_at)) FROM purchase p "
            "JOIN inbox i ON i.order_id = p.order_id WHERE p.id > :since GROUP BY 1",
            since=since,
        )
        times = [calls.get(number, time.time()) - float(at) for number, at in told]
        raw = {"orders": many, "median": percentile(times, 0.5), "slowest": max(times)}
        self.report.at_most("P7", "webhook to order.create's first byte, p95", percentile(times, 0.95), 3, "s", **raw)
        self.report.at_most("P7", f"the same, p99 (of {len(times)})", percentile(times, 0.99), 10, "s")

    def killed(self) -> None:
        """P14: `kill -9` to the worker in the middle of a burst; its supervisor starts another one."""
        shops, products = len(self.stand.shops), len(next(iter(self.stand.variants.values())))
        many = 80
        orders = self._orders([(number % shops, number % products) for number in range(many)])
        self.stand.worker(**{**_OPEN, "WORKER_PROCESSES": "1"})
        since, ledger = self._newest(), len(self.stand.aliexpress.get("ledger"))
        with self.stand.slow_simulators():
            teller = threading.Thread(target=self._tell, args=(orders,))
            teller.start()
            wait(lambda: self.stand.number(_PLACED, since=since) >= 10, 30, look=0.05)
            for child in family(self.stand.pid("worker"))[1:]:
                os.kill(child.pid, signal.SIGKILL)
            at = self.stand.number("SELECT extract(epoch FROM clock_timestamp())")
            teller.join()
            claimed = self.stand.query(
                "SELECT id, fence, state, extract(epoch FROM lease_until) FROM purchase WHERE id > :since "
                "AND state IN ('CLAIMED', 'SENDING') AND state_since < to_timestamp(:at)",
                since=since,
                at=at,
            )
            leased = self.stand.query(
                "SELECT id, attempts, extract(epoch FROM lease_until) FROM inbox "
                "WHERE state = 'DUE' AND lease_until - interval '2 minutes' < to_timestamp(:at)",
                at=at,
            )
            late = self._watch(claimed, leased)
            wait(lambda: self._open(since) == 0, 60)
        self.stand.stop("worker")
        lines = self.stand.aliexpress.get("ledger")[ledger:]
        bought = Counter(line["out_order_id"] for line in lines if line["op"] == "create")
        states = {
            row[0]: int(row[1])
            for row in self.stand.query(
                "SELECT state, count(*) FROM purchase WHERE id > :since GROUP BY 1", since=since
            )
        }
        raw = {"claimed": len(claimed), "inbox": len(leased), "states": states, "late": late}
        self.report.at_most(
            "P14", "killed worker's claims move on, after their lease", max(late, default=0), 10, "s", **raw
        )
        purchases = self.stand.query(
            "SELECT order_id, array_agg(out_order_id) FROM purchase WHERE id > :since GROUP BY 1", since=since
        )
        twice = sum(sum(bought[number] for number in numbers) > 1 for _, numbers in purchases)
        self.report.at_most("P14", f"orders bought twice (of {many}; after the kill {states})", twice, 0)

    def _open(self, since: int) -> float:
        return self.stand.number(
            "SELECT (SELECT count(*) FROM purchase WHERE id > :since AND state IN ('READY', 'CLAIMED', 'SENDING'))"
            " + (SELECT count(*) FROM inbox WHERE state = 'DUE')",
            since=since,
        )

    def _watch(self, claimed: Sequence[Any], leased: Sequence[Any]) -> list[float]:
        """Seconds after its lease at which each moved on; those past the point of no return have no lease to wait."""
        open_purchases = {row[0]: (row[1], float(row[3])) for row in claimed if row[2] == "CLAIMED"}
        open_rows = {row[0]: (row[1], float(row[2])) for row in leased}
        late: list[float] = []
        deadline = time.monotonic() + 240
        while (open_purchases or open_rows) and time.monotonic() < deadline:
            time.sleep(0.25)
            now = self.stand.number("SELECT extract(epoch FROM clock_timestamp())")
            for known, text in (
                (
                    open_purchases,
                    "SELECT id FROM purchase WHERE id = ANY(:ids) AND (fence, state) = (:n, 'CLAIMED')",
                ),
                (open_rows, "SELECT id FROM inbox WHERE id = ANY(:ids) AND (attempts, state) = (:n, 'DUE')"),
            ):
                for number in {each[0] for each in known.values()}:
                    ids = [row for row, each in known.items() if each[0] == number]
                    still = {row[0] for row in self.stand.query(text, ids=ids, n=number)}
                    late += [round(now - known.pop(row)[1], 2) for row in set(ids) - still]
        return late + [999.0] * (len(open_purchases) + len(open_rows))
