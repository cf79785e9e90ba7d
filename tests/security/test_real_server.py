"""The rows of group A that depend on the web server: granian, started by the line of the Procfile."""

from __future__ import annotations

import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.flow.world import BOTTLE, World
from tests.security.real_server import Granian, status_of
from tests.security.sending import Headers, order_body, post, push_headers, shopify, signature, without

SHOP = "bottles.myshopify.com"
LIMIT = 2_000_000
MEMORY = 50_000_000


def head(path: str, headers: Headers, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers), *more]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def at_once(count: int, act: Callable[[], int]) -> Counter[int]:
    with ThreadPoolExecutor(count) as pool:
        return Counter(future.result() for future in [pool.submit(act) for _ in range(count)])


class Peak:
    """The most memory that the server held meanwhile, above what it held before."""

    def __init__(self, server: Granian) -> None:
        self._server, self._before = server, server.memory()
        self._over = threading.Event()
        self.growth = 0
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.growth = max(self.growth, self._server.memory() - self._before)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.security("S11")
def test_s11_chunked_bodies_and_lying_lengths(world: World, granian: Granian) -> None:
    world.shopify_shop(SHOP)
    good = order_body(7)
    plain, close = shopify(good), "Connection: close"
    send = granian.raw
    assert send(head("/webhooks/shopify", plain, "Transfer-Encoding: chunked", close) + chunked(good)) == 200
    big = b"x" * (LIMIT + 1)
    assert send(head("/webhooks/shopify", shopify(b""), "Transfer-Encoding: chunked", close) + chunked(big)) == 413
    assert send(head("/webhooks/shopify", plain, f"Content-Length: {LIMIT + 1}", close)) == 413
    assert send(head("/webhooks/shopify", plain, "Content-Length: 500", close) + good, half_close=True) == 400
    # Shorter than what comes: the signature is that of the whole body. The rest is not taken for a request.
    assert send(head("/webhooks/shopify", plain, "Content-Length: 3", close) + good) == 401
    for lie in ("-1", "1e3", "abc", "3\r\nContent-Length: 10"):
        assert send(head("/webhooks/shopify", plain, f"Content-Length: {lie}", close) + good) == 400
    assert send(head("/webhooks/shopify", plain, close)) == 401  # no length, no body
    assert send(head("/webhooks/shopify", plain, "Transfer-Encoding: chunked", close) + b"zz\r\n" + good) in {400, 401}
    cut = head("/webhooks/shopify", plain, "Transfer-Encoding: chunked", close) + b"a\r\n" + good[:4]
    assert send(cut, half_close=True) in {400, 401}
    assert world.inbox_rows() == 1


@pytest.mark.security("S11")
@pytest.mark.parametrize("way", ["chunked", "declared", "at-the-limit"])
def test_s11_two_hundred_large_bodies_at_once_take_less_than_50_mb(world: World, granian: Granian, way: str) -> None:
    world.shopify_shop(SHOP)
    body = b"x" * (LIMIT + 1 if way != "at-the-limit" else LIMIT)
    data = (
        head("/webhooks/shopify", shopify(b""), "Transfer-Encoding: chunked", "Connection: close") + chunked(body)
        if way == "chunked"
        else head("/webhooks/shopify", shopify(b""), f"Content-Length: {len(body)}", "Connection: close") + body
    )
    at_once(20, lambda: granian.call("GET", "/healthz")[0])
    with Peak(granian) as peak:
        found = at_once(200, lambda: granian.raw(data))
    # 503: too many at once, to be sent again. 0: it refused after the head and hung up while the body was being sent.
    assert set(found) <= ({413, 503, 0} if way != "at-the-limit" else {401, 503}), found
    assert peak.growth < MEMORY, peak.growth
    assert granian.call("GET", "/healthz")[0] == 200
    assert world.inbox_rows() == 0


@pytest.fixture
def shipped(world: World, tmp_path: Path) -> Iterator[Granian]:
    """The line of the Procfile with its own workers and threads."""
    server = Granian(world.environment, tmp_path, threads=None)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for a thousand connections: some systems give a process 256 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Trickle:
    """So many deliveries at once, each sent at one byte a second."""

    def __init__(self, server: Granian, many: int, length: int) -> None:
        self._connections = [server.connect() for _ in range(many)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._first = head("/webhooks/shopify", shopify(b""), f"Content-Length: {length}") + b"x"

    def _send(self) -> None:
        part = self._first
        while True:
            for connection in self._connections:
                with suppress(OSError):  # the server may have given it up
                    connection.sendall(part)
            part = b"x"
            if self._over.wait(1):
                return

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()


def seconds_of(act: Callable[[], None], many: int) -> list[float]:
    """How long each of so many took, the slowest last."""
    found = []
    for _ in range(many):
        began = time.monotonic()
        act()
        found.append(time.monotonic() - began)
    return sorted(found)


@pytest.mark.security("S14")
def test_s14_slow_heads_occupy_no_thread(world: World, granian: Granian) -> None:
    slow = [granian.connect() for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(b"POST /webhooks/shopify HT")
        assert granian.call("GET", "/healthz")[0] == 200
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.security("S14")
@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("length", [1000, LIMIT], ids=["small", "large"])
def test_s14_healthy_deliveries_pass_while_500_bodies_trickle(world: World, shipped: Granian, length: int) -> None:
    """Each slow body holds one thread; threads are made as they are needed, and there are more of them than that.

    The large ones announce 2 MB each: what is set aside for large bodies is what came of them, not what they announce.
    """
    world.shopify_shop(SHOP)
    bodies = iter([order_body(number, name="x" * 100_000) for number in range(1, 201)])

    def deliver() -> None:
        body = next(bodies)
        assert post(f"http://127.0.0.1:{shipped.port}", "/webhooks/shopify", body, shopify(body)).status == 200

    def look() -> None:
        assert shipped.call("GET", "/healthz")[0] == 200

    deliver()
    with Trickle(shipped, 500, length):
        time.sleep(2)  # all of them have begun
        delivered, looked = seconds_of(deliver, 199), seconds_of(look, 200)
    assert delivered[-3] < 1, delivered[-5:]
    assert looked[-3] < 1, looked[-5:]
    assert world.inbox_rows() == 200


@pytest.mark.security("S15")
def test_s15_a_shop_that_floods_loses_nothing_and_stops_nobody(world: World, granian: Granian) -> None:
    url = f"http://127.0.0.1:{granian.port}"
    world.shopify_shop("flood.myshopify.com")
    quiet = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(quiet, variant, BOTTLE)
    world.shopify.control("webhook_url", {"url": f"{url}/webhooks/shopify"})

    def flood(number: int) -> int:
        body = order_body(10_000 + number)
        return post(url, "/webhooks/shopify", body, shopify(body, domain="flood.myshopify.com")).status

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(flood, number) for number in range(500)]
        world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
        deadline = time.monotonic() + 60
        while world.states() != ["PLACED_UNPAID"]:
            world.drain.round()
            assert time.monotonic() < deadline, world.tell()
            time.sleep(0.01)
        found = Counter(answer.result() for answer in answers)
    # A shop sends again whatever was not answered with 200.
    assert set(found) <= {200, 429, 503}, found
    world.settle(seconds=60, until=lambda: counts(world).get("DUE", 0) == 0)
    with world.container.database.transaction() as session:
        stored = session.scalar(sa.text("SELECT count(*) FROM inbox WHERE shop_id <> :quiet"), {"quiet": quiet})
    assert stored == found[200]
    assert len(world.created()) == 1


def counts(world: World) -> dict[str, int]:
    with world.container.database.transaction() as session:
        return {state: many for state, many in session.execute(sa.text("SELECT state, count(*) FROM inbox GROUP BY 1"))}


@pytest.mark.security("S16")
def test_s16_a_thousand_bad_signatures_write_nothing(world: World, granian: Granian) -> None:
    world.shopify_shop(SHOP)
    written = rows_written(world)
    body = b"[" * 50_000
    wrong = without(shopify(body), "X-Shopify-Hmac-Sha256")
    data = head(
        "/webhooks/shopify",
        (*wrong, ("X-Shopify-Hmac-Sha256", signature("wrong", body))),
        f"Content-Length: {len(body)}",
    )

    def many() -> Counter[int]:
        with granian.connect() as connection:
            found: Counter[int] = Counter()
            for _ in range(100):
                connection.sendall(data + body)
                found[status_of(connection)] += 1
            return found

    with ThreadPoolExecutor(10) as pool:
        found = sum((future.result() for future in [pool.submit(many) for _ in range(10)]), Counter())
    assert found == {401: 1000}
    bad_push = (*without(push_headers(b"x"), "Authorization"), ("Authorization", "0" * 64))
    assert post(f"http://127.0.0.1:{granian.port}", "/webhooks/aliexpress", b"{}", bad_push).status == 401
    assert world.inbox_rows() == 0
    assert rows_written(world) == written


def rows_written(world: World) -> int:
    """Rows of any table ever inserted, changed or deleted in this database."""
    with world.container.database.transaction() as session:
        session.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    with world.container.database.transaction() as session:
        found = session.scalar(
            sa.text(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables"
                " WHERE relname IN ('inbox', 'audit', 'store_order', 'shop', 'credential', 'evidence')"
            )
        )
    return int(found or 0)


@pytest.mark.security("S16")
def test_s16_what_is_refused_is_neither_parsed_nor_looked_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.shopify_shop(SHOP)
    assert post(world.app.url, "/webhooks/shopify", b"", ()).status == 415  # the first request looks at the keys, once
    statements: list[str] = []
    sa.event.listen(
        world.container.database.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
    )

    def parsed(*_: object, **__: object) -> None:
        pytest.fail("a refused body was parsed")

    monkeypatch.setattr("json.loads", parsed)
    body = order_body(7)
    wrong = without(shopify(body), "X-Shopify-Hmac-Sha256")
    assert (
        post(world.app.url, "/webhooks/shopify", body, (*wrong, ("X-Shopify-Hmac-Sha256", "A" * 43 + "="))).status
        == 401
    )
    assert statements == []
