"""Nothing secret and nobody's address in logs, Redis, plain columns or answers (S51, S56), and no trace on a page (S57)."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from app import create_app, logs
from app.errors import SettingsInvalid
from app.models import Credential, StoreOrder
from app.pipeline import import_order
from app.vault import VaultError
from app.web import webhooks
from tests.flow.world import APP_SECRET, BOTTLE, CLIENT_SECRET, World, running
from tests.security.real_server import ROOT
from tests.security.sending import post, shopify

SHOP = "bottles.myshopify.com"
PERSON = {
    "firstName": "Zephyrine",
    "lastName": "Quackenbush",
    "company": "Snorkelworks",
    "address1": "4711 Marmalade Crescent",
    "address2": "Unit Bumblebee",
    "city": "Wigglesworth",
    "zip": "62701",
    "phone": "+1 217 555 0142",
}
WOO_PERSON = {
    "first_name": "Zephyrine",
    "last_name": "Quackenbush",
    "company": "Snorkelworks",
    "address_1": "4711 Marmalade Crescent",
    "address_2": "Unit Bumblebee",
    "city": "Wigglesworth",
    "state": "IL",
    "postcode": "62701",
    "country": "US",
    "phone": "+1 217 555 0142",
    "email": "zephyrine@quackenbush.example",
}
CANARIES = ("Zephyrine", "Quackenbush", "Snorkelworks", "Marmalade", "Bumblebee", "Wigglesworth", "5550142", "555 0142")


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(logs, "sys", SimpleNamespace(stderr=stream))  # pytest sets the real one anew for each phase
    return stream


@pytest.fixture
def told(
    captured: io.StringIO, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[tuple[World, io.StringIO]]:
    """A world that logs everything, and what it logs."""
    with running(database_url, redis_url, tmp_path, LOG_LEVEL="DEBUG") as world:
        yield world, captured
    logs.configure("ERROR", json_lines=False)


def secrets_of(world: World) -> set[str]:
    """Everything that nobody may read: our keys, and every token that the vault holds."""
    own = {APP_SECRET, CLIENT_SECRET, world.environment["SECRET_KEY"], world.environment["VAULT_KEYS"][3:]}
    own |= {world.environment[name].split(":")[2].split("@")[0] for name in ("REDIS_URL", "DATABASE_URL")} - {""}
    with world.container.database.transaction() as session:
        for one in session.scalars(sa.select(Credential)):
            own |= {str(value) for value in world.container.vault.open_json(one.sealed, one.place).values()}
    return {one for one in own if len(one) > 7}


def hits(where: str, words: set[str]) -> list[str]:
    plain = where.lower()
    return sorted(word for word in words if word.lower() in plain)


def database_text(world: World) -> str:
    """Every row of every table as text; bytes as Latin letters."""
    told: list[str] = []
    with world.container.database.transaction() as session:
        names = session.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        for name in names:
            for row in session.execute(sa.select(sa.text("*")).select_from(sa.table(name))):
                told.append(name + " " + " ".join(readable(value) for value in row))
    return "\n".join(told)


def readable(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)


def redis_text(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        return "\n".join(f"{key!r} {client.dump(key)!r}" for key in client.scan_iter("*"))


def clean(world: World, stream: io.StringIO) -> None:
    words = set(CANARIES) | secrets_of(world)
    files = "\n".join(path.read_text("latin-1") for path in (world.folder / "state").rglob("*") if path.is_file())
    for name, text in {
        "logs": stream.getvalue(),
        "database": database_text(world),
        "redis": redis_text(world.environment["REDIS_URL"]),
        "state folder": files,
    }.items():
        assert hits(text, words) == [], name


def shops(world: World) -> tuple[str, str]:
    """A shop of each kind with a linked bottle: their variants."""
    first = world.shopify_shop(SHOP)
    second = world.woocommerce_shop("socks")
    variant = world.shopify_variant(SHOP, "BOTTLE")
    product = world.woocommerce_product("socks", "BOTTLE")
    world.link(first, variant, BOTTLE)
    world.link(second, product, BOTTLE)
    return variant, product


def buy(world: World, variant: str, product: str) -> None:
    world.shopify.control(
        "orders", {"shop": SHOP, "address": PERSON, "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.woocommerce_order(
        "socks", [{"product_id": int(product), "quantity": 1}], billing=WOO_PERSON, customer_note="Ask Quackenbush"
    )


@pytest.mark.security("S51")
@pytest.mark.security("S56")
def test_s51_s56_the_whole_way_leaves_no_canary_in_the_clear(told: tuple[World, io.StringIO]) -> None:
    world, stream = told
    buy(world, *shops(world))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    with world.container.database.transaction() as session:
        for order in session.scalars(sa.select(StoreOrder)):
            opened = world.container.vault.open(order.address_sealed or b"", order.address_place)
            assert b"Marmalade" in opened  # the canaries are there to be found
    for line in world.created():
        world.aliexpress.control("pay", {"order_ids": [line["order_id"]]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"] * 2, seconds=20)
    for line in world.created():
        world.aliexpress.control("ship", {"order_id": line["order_id"]})
    world.settle(until=lambda: world.states() == ["SHIPPED"] * 2, seconds=20)
    clean(world, stream)
    shown = create_app(world.container).test_cli_runner()
    pages = [
        shown.invoke(args=list(words)).output
        for words in (("order", "list"), ("order", "show", "1"), ("order", "show", "2", "--json"), ("shop", "list"))
    ]
    pages += [str(world.app.call("GET", path)[1]) for path in ("/metrics", "/readyz")]
    assert hits("\n".join(pages), set(CANARIES) | secrets_of(world)) == []
    clean(world, stream)


@pytest.mark.security("S56")
@pytest.mark.parametrize(
    ("port", "fault"),
    [
        ("aliexpress", {"op": "order.create", "kind": "drop_after"}),
        ("aliexpress", {"op": "order.create", "kind": "html"}),
        ("aliexpress", {"op": "order.create", "kind": "cut"}),
        ("aliexpress", {"op": "order.create", "kind": "success_without_ids"}),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_s56_faults_of_others_leave_no_canary(
    told: tuple[World, io.StringIO], port: str, fault: dict[str, Any]
) -> None:
    world, stream = told
    getattr(world, port).control("faults", [{**fault, "times": 1}])
    buy(world, *shops(world))
    world.settle(seconds=15, until=lambda: len(world.states()) == 2 and world.calls_of_create() >= 1)
    world.drain.until_idle()
    clean(world, stream)


QUOTING = "4711 Marmalade Crescent, WIGGLESWORTH of Zephyrine Quackenbush (phone 12175550142) is not valid"


@pytest.mark.security("S51")
@pytest.mark.security("S56")
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL", "msg": QUOTING},
        {"kind": "error", "code": "INVENTORY_HOLD_ERROR", "msg": QUOTING},
        {"kind": "gateway", "code": "15", "msg": QUOTING, "sub_code": "isp.error", "sub_msg": QUOTING},
    ],
    ids=["refused", "unclear", "gateway"],
)
def test_s56_an_answer_that_quotes_the_address_is_kept_without_it(
    told: tuple[World, io.StringIO], fault: dict[str, Any]
) -> None:
    world, stream = told
    world.aliexpress.control("faults", [{**fault, "op": "order.create", "times": 2}])
    buy(world, *shops(world))
    world.settle(seconds=15, until=lambda: len(world.states()) >= 2 and world.calls_of_create() >= 1)
    clean(world, stream)
    assert "is not valid" in database_text(world)  # what is said without the person stays


@pytest.mark.security("S56")
def test_s56_an_address_that_is_refused_is_told_without_it(told: tuple[World, io.StringIO]) -> None:
    world, stream = told
    variant, product = shops(world)
    world.shopify.control(
        "orders",
        {
            "shop": SHOP,
            "address": {**PERSON, "zip": "Bumblebee", "phone": "Marmalade", "city": ""},
            "lines": [{"variant_id": variant, "quantity": 1}],
        },
    )
    world.woocommerce_order(
        "socks",
        [{"product_id": int(product), "quantity": 1}],
        billing={**WOO_PERSON, "address_1": "", "state": "Wigglesworth"},
    )
    world.settle(until=lambda: world.states() == ["HELD"] * 2, seconds=10)
    clean(world, stream)
    shown = create_app(world.container).test_cli_runner()
    for ref in ("1", "2"):
        assert hits(shown.invoke(args=["order", "show", ref]).output, set(CANARIES)) == []


@pytest.mark.security("S56")
@pytest.mark.security("S57")
def test_s56_s57_crashes_tell_neither_the_person_nor_the_place(
    told: tuple[World, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, stream = told
    variant, product = shops(world)

    def crash(*given: object, **_: object) -> None:
        street = " ".join(str(one) for one in given) + json.dumps(PERSON) + json.dumps(WOO_PERSON)
        try:
            int(street)
        except ValueError as error:
            raise KeyError(street + "\n2026-11-23 [info] forged_line" + APP_SECRET) from error

    receive = webhooks.receive
    for place, name in ((import_order, "_copy"), (webhooks, "receive")):
        monkeypatch.setattr(place, name, crash)
    body = json.dumps({"id": 7, "shipping_address": PERSON}).encode()
    answer = post(world.app.url, "/webhooks/shopify", body, shopify(body))
    assert answer.status == 500
    page = json.loads(answer.body)
    number = re.search("Quote ([0-9a-f]{12}) ", page["message"])
    assert number
    assert number[1] in stream.getvalue()
    assert set(page) == {"error", "message"}
    for word in (*CANARIES, "Traceback", "KeyError", ".py", "psycopg", "werkzeug", "flask", "SELECT"):
        assert word not in answer.body.decode()

    monkeypatch.setattr(webhooks, "receive", receive)
    buy(world, variant, product)
    world.drain.until_idle(rounds=3)
    assert "step_failed" in stream.getvalue()
    assert "_copy" in stream.getvalue()  # the place is told
    lines = stream.getvalue().splitlines()
    assert not [line for line in lines if line.startswith("2026-11-23 [info] forged_line")]
    clean(world, stream)


@pytest.mark.security("S56")
@pytest.mark.parametrize("json_lines", [True, False])
def test_s56_no_value_forges_a_line(captured: io.StringIO, *, json_lines: bool) -> None:
    logs.configure("DEBUG", json_lines=json_lines)
    try:
        forged = "x\r\n2026-11-23T00:00:00Z [error] forged\u2028forged\x85forged\x1b[2J"
        logs.logger("t").warning("event", number=forged, listed=[forged], nested={"a": forged}, odd=ValueError(forged))
        logging.getLogger("library").warning("heard %s", forged)
    finally:
        logs.configure("ERROR", json_lines=False)
    text = captured.getvalue()
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


@pytest.mark.security("S56")
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer tokentokentoken",
        "authorization: Basic tokentokentoken==",
        "access_token=tokentokentoken&x=1",
        '{"refresh_token": "tokentokentoken", "x": 1}',
        "{'session': 'tokentokentoken'}",
        "shpat_tokentokentoken",
        "ck_tokentokentoken",
        "redis://:tokentokentoken@localhost/0",
        "postgresql://waybill:tokentokentoken@localhost/waybill",
    ],
)
def test_s56_token_like_text_is_masked(captured: io.StringIO, text: str) -> None:
    logs.configure("DEBUG", json_lines=True)
    try:
        logs.logger("t").info("event", detail=text, listed=[text], nested={"deep": {"er": text}})
        logging.getLogger("library").warning("heard %s", text)
    finally:
        logs.configure("ERROR", json_lines=False)
    assert captured.getvalue().count("\n") == 2
    assert "tokentokentoken" not in captured.getvalue()


@pytest.mark.security("S56")
@pytest.mark.parametrize("part", [":", "://", "session", "Bearer ", "ck_", "password='"])
def test_s56_a_long_field_costs_no_time(captured: io.StringIO, part: str) -> None:
    logs.configure("DEBUG", json_lines=True)
    begun = time.monotonic()
    try:
        logs.logger("t").info("event", detail="://" + part * 30_000)
    finally:
        logs.configure("ERROR", json_lines=False)
    assert time.monotonic() - begun < 30  # a pattern that goes back and forth takes minutes
    assert captured.getvalue().count("\n") == 1


@pytest.mark.security("S56")
def test_s56_messages_of_the_database_are_not_told(told: tuple[World, io.StringIO]) -> None:
    world, stream = told
    log, values = logs.logger("t"), {"name": CANARIES[1]}  # the trace shows the lines of the source, as they stand
    for _ in ("first", "second, which is refused"):
        try:
            with world.container.database.transaction() as session:
                session.execute(sa.text("INSERT INTO merchant (id, name) VALUES (7, :name)"), values)
        except sa.exc.SQLAlchemyError as error:
            log.error("failed", exc_info=error)
    assert "SQLSTATE 23505" in stream.getvalue()
    assert hits(stream.getvalue(), set(CANARIES)) == []


@pytest.mark.security("S51")
def test_s51_what_is_sealed_for_one_place_opens_in_no_other(world: World) -> None:
    buy(world, *shops(world))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    vault = world.container.vault
    with world.container.database.transaction() as session:
        first, second = session.scalars(sa.select(StoreOrder).order_by(StoreOrder.id)).all()
        credentials = session.scalars(sa.select(Credential).order_by(Credential.id)).all()
        places = {one.place for one in credentials} | {first.address_place, second.address_place}
        sealed = {one.place: one.sealed for one in credentials}
        for order in (first, second):
            assert order.address_sealed
            sealed[order.address_place] = order.address_sealed
    assert len(places) == len(sealed) == 5
    for home, value in sealed.items():
        assert vault.open(value, home)
        for place in places - {home}:
            with pytest.raises(VaultError):
                vault.open(value, place)
        for damaged in (value[:-1], value[:20] + bytes([value[20] ^ 1]) + value[21:], b""):
            with pytest.raises(VaultError):
                vault.open(damaged, home)


@pytest.mark.security("S57")
def test_s57_debugging_is_impossible_in_production(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    production = {
        **world.environment,
        "APP_ENV": "production",
        "PUBLIC_URL": "https://waybill.example",
        "TIME_SCALE": "1",
        "OUTBOUND_ALLOW_PRIVATE": "",
        "WOOCOMMERCE_ALLOW_HTTP": "",
        "FLASK_DEBUG": "1",
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "granian", "--interface", "wsgi", "--port", "0", "wsgi:app"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **production},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert b"FLASK_DEBUG" in done.stdout + done.stderr
    monkeypatch.setenv("FLASK_DEBUG", "1")
    built = create_app.__globals__["container"].build(production)
    try:
        with pytest.raises(SettingsInvalid, match="FLASK_DEBUG"):
            create_app(built)
        monkeypatch.delenv("FLASK_DEBUG")
        assert create_app(built).debug is False
    finally:
        built.close()


@pytest.mark.security("S57")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/webhooks/shopify", 405),
        ("POST", "/healthz", 405),
        ("POST", "/webhooks/x", 404),
    ],
)
def test_s57_pages_of_errors_tell_no_more_than_their_name(world: World, method: str, path: str, status: int) -> None:
    answer = post(world.app.url, path, b"", (), method=method)
    assert answer.status == status
    assert len(answer.body) < 60
    for word in ("Traceback", "werkzeug", "flask", "Python", "<html"):
        assert word not in answer.body.decode()
