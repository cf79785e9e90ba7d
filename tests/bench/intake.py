"""P1 to P5: storing a delivery before it is answered, measured against things that store nothing."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.local.binaries import postgres_bin
from tests.bench import wrk
from tests.bench.figures import Report, median
from tests.bench.stand import SECRET, Stand, wait

ROUNDS = 5
_CLIENTS = 16
_PATH = "/webhooks/shopify"
_SLOW_FSYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
static int later(const char *name, int file) {
  int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
  usleep(2000);
  return real(file);
}
int fdatasync(int file) { return later("fdatasync", file); }
int fsync(int file) { return later("fsync", file); }
"""


class Intake:
    """The bench's figures of intake. Three web servers stand side by side; those not under load do nothing."""

    def __init__(self, stand: Stand, report: Report, seconds: float) -> None:
        self.stand, self.report, self.seconds = stand, report, seconds
        self.urls = {
            "hello": stand.web("hello", "tests.bench.hello:app") + "/",
            "web": stand.web() + _PATH,
            "silent": stand.web("silent", "tests.bench.silent:app") + _PATH,
        }
        self.shop = stand.shops[0][1]
        for name in self.urls:
            self.load(name, 1)

    def end(self) -> None:
        for name in self.urls:
            self.stand.stop(name)

    def load(self, name: str, seconds: float | None = None) -> dict[str, float]:
        """A burst at one of the servers: rate, latencies, CPU milliseconds a request."""
        own = [name] if not name.endswith("hello") else []
        before = self.stand.cpu_of(*own) if own else _cpu_alone(self.stand, name)
        done = wrk.burst(self.urls[name], seconds or self.seconds, self.stand.folder, shop=self.shop, secret=SECRET)
        after = self.stand.cpu_of(*own) if own else _cpu_alone(self.stand, name)
        assert not done.failed, f"{name}: {done.failed} of {done.requests} requests failed"
        return {
            "requests": done.requests,
            "rate": done.rate,
            "p50": done.p50,
            "p99": done.p99,
            "slowest": done.slowest,
            "cpu_ms": (after - before) * 1000 / done.requests,
        }

    def against_hello(self) -> None:
        """P1, P2 on this disk and P3."""
        rounds: list[dict[str, Any]] = []
        for _ in range(ROUNDS):
            one = {name: self.load(name) for name in ("hello", "web")}
            one["pgbench"] = {"rate": self._pgbench()}
            rounds.append(one)
            self._empty()
        report = self.report
        rate = median(each["web"]["rate"] / each["hello"]["rate"] * 100 for each in rounds)
        report.at_least("P1", "intake's rate, of a bare POST's (granian)", rate, 22, "%", rounds=rounds)
        times = median(each["web"]["cpu_ms"] / each["hello"]["cpu_ms"] for each in rounds)
        report.at_most("P1", "intake's CPU, of a bare POST's (granian)", times, 6, "x")
        report.told("P1", "intake in one burst", median(each["web"]["rate"] for each in rounds), "/s")
        report.told("P1", "CPU per delivery", median(each["web"]["cpu_ms"] for each in rounds), "ms")
        share = median(each["web"]["rate"] / each["pgbench"]["rate"] * 100 for each in rounds)
        report.at_least("P2", "intake's rate, of pgbench's 16 clients, this disk", share, 22, "%")
        p99 = median(each["web"]["p99"] / each["hello"]["p99"] for each in rounds)
        report.at_most("P3", "p99 at saturation, of a bare POST's", p99, 1.6, "x")
        report.told("P3", "p99 at saturation", median(each["web"]["p99"] for each in rounds), "ms")
        report.at_most("P3", "slowest answer", max(each["web"]["slowest"] for each in rounds), 1000, "ms")

    def gunicorn(self) -> None:
        """P1 under gunicorn's threads: the app object is the same, the server another one."""
        applications = {"gunicorn-hello": ("tests.bench.hello:app", "/"), "gunicorn-web": ("wsgi:app", _PATH)}
        for name, (application, path) in applications.items():
            self.urls[name] = self.stand.gunicorn(name, application, path)
            self.load(name, 1)
        rounds = []
        for _ in range(ROUNDS):
            rounds.append({name: self.load(name) for name in applications})
            self._empty()
        rate = median(each["gunicorn-web"]["rate"] / each["gunicorn-hello"]["rate"] * 100 for each in rounds)
        self.report.at_least("P1", "intake's rate, of a bare POST's (gunicorn gthread)", rate, 36, "%", rounds=rounds)
        times = median(each["gunicorn-web"]["cpu_ms"] / each["gunicorn-hello"]["cpu_ms"] for each in rounds)
        self.report.at_most("P1", "intake's CPU, of a bare POST's (gunicorn gthread)", times, 3, "x")
        for name in applications:
            self.stand.stop(name)
            del self.urls[name]

    def slow_disk(self) -> None:
        """P2 with 2 ms more for each fsync: PostgreSQL started again with a library that sleeps before the call."""
        library = self._slow_fsync()
        if library is None:
            self.report.missing("P2", "the same with 2 ms more for each fsync", "no C compiler to build the delay with")
            return
        server = self.stand.services.postgres
        command = server.command
        server.stop()
        server.command = lambda port: ["env", f"LD_PRELOAD={library}", *command(port)]  # type: ignore[method-assign]
        try:
            server.start()
            for name in ("web", "silent"):  # their pools notice the restart
                self._again(name)
            rounds = []
            for _ in range(ROUNDS):
                rounds.append({"web": self.load("web"), "pgbench": {"rate": self._pgbench()}})
                self._empty()
        finally:
            server.stop()
            server.command = command  # type: ignore[method-assign]
            server.start()
            for name in ("web", "silent"):
                self._again(name)
        share = median(each["web"]["rate"] / each["pgbench"]["rate"] * 100 for each in rounds)
        self.report.at_least("P2", "the same with 2 ms more for each fsync", share, 80, "%", rounds=rounds)

    def _slow_fsync(self) -> Path | None:
        compiler = shutil.which("cc")
        if compiler is None:
            return None
        source, library = self.stand.folder / "slow.c", self.stand.folder / "slow.so"
        source.write_text(_SLOW_FSYNC, encoding="ascii")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        self.stand.services.postgres.identity().own(library)
        return library

    def _again(self, name: str) -> None:
        self.stand.container.database.dispose()
        for _ in range(40):
            with contextlib.suppress(AssertionError):
                self.load(name, 1)
                return
        raise AssertionError(f"{name} does not come back")

    def telling(self) -> None:
        """P4 and P5: with the doorbell, without it, and with Valkey stopped."""
        rounds = []
        kept = {"answered": 0, "stored": 0, "seen_twice": 0}
        for _ in range(ROUNDS):
            one = {"silent": self.load("silent"), "bell": self.load("web")}
            self._empty()
            self.stand.services.valkey._end(self.stand.services.valkey.stop_signal)
            one["down"] = self.load("web")
            kept["answered"] += int(one["down"]["requests"])
            kept["stored"] += int(self.stand.number("SELECT count(*) FROM inbox"))
            kept["seen_twice"] += int(self.stand.number("SELECT count(*) FROM inbox WHERE seen > 1"))
            self.stand.services.valkey.start()
            self._empty()
            rounds.append(one)
        report = self.report
        more = median(each["bell"]["cpu_ms"] / each["silent"]["cpu_ms"] * 100 - 100 for each in rounds)
        report.at_most("P4", "CPU of telling the worker, on top of intake", more, 15, "%", rounds=rounds)
        down = median(each["down"]["cpu_ms"] / each["silent"]["cpu_ms"] * 100 - 100 for each in rounds)
        report.at_most("P4", "the same with Valkey stopped (0, within 3 % of noise)", down, 3, "%")
        rate = median(each["down"]["rate"] / each["bell"]["rate"] * 100 for each in rounds)
        report.at_least("P5", "intake's rate with Valkey stopped, of normal", rate, 90, "%")
        # A burst ends with up to 16 requests under way: stored, but wrk does not count their answers.
        lost = max(kept["answered"] - kept["stored"], 0)
        report.at_most("P5", "deliveries answered 200 and not stored", lost, 0, **kept)
        report.at_most("P5", "deliveries stored twice or twice counted", kept["seen_twice"], 0)

    def own_loop(self) -> None:
        """P5: with Valkey stopped the worker finds the rows by itself."""
        self.stand.services.valkey._end(self.stand.services.valkey.stop_signal)
        try:
            self.stand.worker()
            for _ in range(10):
                wait(lambda: False, 0.7)
                _post(self.urls["web"], self.shop, b'{"id": 1, "title": "Sample"}', "products/update")
            open_ones = "SELECT count(*) FROM inbox WHERE state = 'DUE'"
            wait(lambda: self.stand.number(open_ones) == 0, 15)
            left = self.stand.number(open_ones)
            slowest = self.stand.number("SELECT extract(epoch FROM max(processed_at - received_at)) FROM inbox")
        finally:
            self.stand.stop("worker")
            self.stand.services.valkey.start()
        self._empty()
        self.report.at_most("P5", "commit to picked up and done, Valkey stopped", slowest if not left else 99, 5, "s")

    def _pgbench(self) -> float:
        """Rows a second that PostgreSQL's own load generator stores: the same table, size and commit."""
        script = self.stand.folder / "insert.sql"
        if not script.exists():
            body = (uuid.uuid4().hex * 800)[:22_000]
            script.write_text(
                "\\set r random(1, 1000000000000)\n"
                "INSERT INTO inbox (shop_id, source, topic, dedupe, body, verified) VALUES "
                f"({self.stand.shops[0][0]}, 'shopify', 'orders/create', "
                f"sha256(('pgbench' || :r::bigint)::bytea), '\\x{body}'::bytea, true);\n",
                encoding="ascii",
            )
        url = self.stand.services.database_url.replace("+psycopg", "", 1)
        words = ["-n", "-c", str(_CLIENTS), "-j", "1", "-M", "prepared", "-T", str(max(round(self.seconds), 1))]
        done = subprocess.run(
            [str(postgres_bin() / "pgbench"), *words, "-f", str(script), url],
            check=True,
            capture_output=True,
            text=True,
        )
        found = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
        return float(found.split()[2])

    def _empty(self) -> None:
        self.stand.query("TRUNCATE inbox")


def _cpu_alone(stand: Stand, name: str) -> float:
    from tests.bench.figures import cpu  # noqa: PLC0415

    return cpu([stand.pid(name)])


def _post(url: str, shop: str, body: bytes, topic: str) -> None:
    parts = urlsplit(url)
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": wrk.sign(SECRET, body),
        "X-Shopify-Shop-Domain": shop,
        "X-Shopify-Webhook-Id": str(uuid.uuid4()),
    }
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", parts.path, body, headers)
        status = connection.getresponse().status
    finally:
        connection.close()
    assert status == 200, status


def post_order(url: str, shop: str, order_id: str) -> None:
    """The shop tells that an order was paid: 11 KB, signed."""
    _post(url, shop, wrk.order_body(int(order_id)), "orders/paid")
