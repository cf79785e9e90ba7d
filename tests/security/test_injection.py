"""Group G, what is there of it: text that is printed as it is, parameters that stay parameters, a queue that is only a bell."""

from __future__ import annotations

import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from app import create_app
from app.jobs.bell_listener import BellWorker
from app.queue import QUEUE, WAKE, connect
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"
TEMPLATES = "{{7*7}} {% print(7*7) %} ${7*7} <%= 7*7 %> #{7*7} %(x)s {0.__class__}"
ODD_REFERENCES = (
    "' OR '1'='1",
    "1'; DROP TABLE store_order; --",
    "1 UNION SELECT sealed FROM credential",
    "%",
    "_",
    "x" * 10_240,
    "9" * 10_240,
    "١٢٣",
    "\U0001f9e6\u202e\u0000"[:2],
    "#",
    "",
    " ",
    "-1",
    "1e3",
    "０",
    "9223372036854775808",
)


def placed(world: World, **order: Any) -> None:
    world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(1, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}], **order})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def run(world: World, *words: str) -> Any:
    return create_app(world.container).test_cli_runner().invoke(args=list(words))


@pytest.mark.security("S59")
def test_s59_template_marks_in_stored_text_are_printed_literally(world: World) -> None:
    world.shopify_shop(SHOP)
    made = world.shopify.control(
        "products", {"shop": SHOP, "title": TEMPLATES, "variants": [{"sku": "T", "price": "19.90"}]}
    )
    variant = str(made["variants"][0]["id"])
    world.link(1, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE source_line SET title = :title"), {"title": TEMPLATES})
        session.execute(sa.text("UPDATE shop SET name = :title"), {"title": TEMPLATES})
    for words in (("order", "show", "1"), ("order", "show", "1", "--json"), ("order", "list"), ("shop", "list")):
        shown = run(world, *words)
        assert shown.exit_code == 0, shown.output
        assert "{{7*7}}" in shown.output
        assert "49" not in shown.output.replace(str(world.created()[0]["order_id"]), "").split("{{7*7}}")[1][:60]


@pytest.mark.security("S61")
@pytest.mark.parametrize("ref", ODD_REFERENCES, ids=range(len(ODD_REFERENCES)))
def test_s61_an_odd_reference_is_not_found_and_harms_nothing(world: World, ref: str) -> None:
    placed(world)
    for words in (("order", "show", "--", ref), ("order", "show", "--json", "--", ref)):
        shown = run(world, *words)
        assert shown.exit_code in {1, 2}, shown.output
        assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
        for told in ("Traceback", "psycopg", "sqlalchemy", "SELECT"):
            assert told not in shown.output.replace(ref, "")
    assert len(world.orders()) == 1


@pytest.mark.security("S61")
def test_s61_delivery_urls_and_queries_with_sql_are_just_unknown(world: World) -> None:
    placed(world)
    for path in (
        "/webhooks/woocommerce/'%20OR%20'1'='1",
        "/webhooks/woocommerce/%00",
        "/webhooks/woocommerce/%ED%A0%80",
        "/webhooks/shopify'--",
        "/webhooks/" + "x" * 10_240,
        "/metrics?x=%27%3B--&" + "y" * 10_240,
    ):
        status, _ = world.app.call("POST", path, b"{}")
        assert status in {404, 405}, path
    assert len(world.orders()) == 1


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def work_off(url: str) -> None:
    connection = connect(url)
    queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer())
    BellWorker([queue], connection=connection, serializer="json").work(burst=True, logging_level="CRITICAL")


def plant(url: str, name: str, data: bytes) -> None:
    """A job as somebody writes it who got into Redis."""
    now = b"2026-11-23T00:00:00.000000Z"
    with redis.Redis.from_url(url) as client:
        known = {b"created_at": now, b"enqueued_at": now, b"origin": QUEUE.encode(), b"status": b"queued"}
        client.hset(f"rq:job:{name}", mapping={**known, b"data": data, b"timeout": b"10", b"meta": data})
        client.rpush(f"rq:queue:{QUEUE}", name)
        client.sadd("rq:queues", f"rq:queue:{QUEUE}")


@pytest.mark.security("S62")
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "compressed"])
def test_s62_a_pickle_in_the_queue_is_not_executed(redis_url: str, tmp_path: Path, *, wrapped: bool) -> None:

    trap = tmp_path / "executed"
    data = pickle.dumps((None, None, (Bomb(trap),), {}))
    plant(redis_url, "bomb", zlib.compress(data) if wrapped else data)
    work_off(redis_url)
    assert not trap.exists()
    pickle.loads(data)  # noqa: S301 - the trap works
    assert trap.exists()


@pytest.mark.security("S62")
def test_s62_the_bell_itself_is_json_and_holds_no_more_than_a_name(redis_url: str) -> None:
    queue = Queue(QUEUE, connection=connect(redis_url), serializer=JSONSerializer())
    job: Job = queue.enqueue(WAKE, result_ttl=0)
    with redis.Redis.from_url(redis_url) as client:
        stored = client.hget(f"rq:job:{job.id}", "data") or b""
        assert json.loads(zlib.decompress(stored)) == [WAKE, None, [], {}]
    work_off(redis_url)
    assert queue.count == 0


@pytest.mark.security("S62")
def test_s62_a_job_that_names_another_function_is_not_called(redis_url: str, tmp_path: Path) -> None:

    trap = tmp_path / "executed"
    plant(redis_url, "named", zlib.compress(json.dumps(["os.mkdir", None, [str(trap)], {}]).encode()))
    work_off(redis_url)
    assert not trap.exists()


@pytest.mark.security("S62")
def test_s62_redis_wants_a_password_wherever_we_start_one(redis_url: str) -> None:
    host, port = redis_url.rsplit("@", 1)[1].removesuffix("/0").split(":")
    with redis.Redis(host=host, port=int(port)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    compose = (Path(__file__).parents[2] / "compose.yaml").read_text("utf-8")
    assert "requirepass" in compose
    assert "${REDIS_PASSWORD:?" in compose


@pytest.mark.security("S62")
def test_s62_nothing_of_ours_unpickles() -> None:
    root = Path(__file__).parents[2]
    words = ("pickle", "marshal", "shelve", "yaml.load(", "eval(", "exec(")
    found = [
        (path.name, word)
        for folder in ("app", "connectors")
        for path in (root / folder).rglob("*.py")
        for word in words
        if any(line.lstrip().startswith(("import " + word, "from " + word)) or (word.endswith("(") and f" {word}" in line)
               for line in path.read_text("utf-8").splitlines())
    ]  # fmt: skip
    assert found == []
