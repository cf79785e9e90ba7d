"""The commands: from an empty database to an order's story, in text and in JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app import create_app
from app.cli.output import table
from tests.flow.world import BOTTLE, World


class Shell:
    """Runs commands as a person does."""

    def __init__(self, app: Flask) -> None:
        self._runner = app.test_cli_runner()

    def invoke(self, *words: str, **more: Any) -> Result:
        return self._runner.invoke(args=[str(word) for word in words], **more)

    def run(self, *words: str, code: int = 0, **more: Any) -> Result:
        result = self.invoke(*words, **more)
        assert result.exit_code == code, (words, result.output, result.exception)
        return result

    def text(self, *words: str, **more: Any) -> str:
        return self.run(*words, **more).stdout

    def json(self, *words: str, **more: Any) -> Any:
        return json.loads(self.run(*words, "--json", **more).stdout)


@pytest.fixture
def shell(world: World) -> Shell:
    return Shell(create_app(world.container))


def connect(world: World, shell: Shell) -> int:
    """A Shopify shop with an account, its secrets given in all three ways."""
    made = world.shopify.control("shops", {"domain": "bottles.myshopify.com"})
    tokens = f"{made['access_token']}\n{made['refresh_token']}\n"
    shop = shell.json(
        "shop", "connect-shopify", "--shop", "bottles.myshopify.com", "--access-token", "-", "--refresh-token", "-",
        input=tokens,
    )  # fmt: skip
    assert made["access_token"] not in json.dumps(shop)
    account = world.aliexpress.control("accounts", {})
    environment = {"WAYBILL_ACCESS_TOKEN": account["access_token"], "WAYBILL_REFRESH_TOKEN": account["refresh_token"]}
    shell.run("account", "connect", "--shop", shop["id"], "--expires-at", "2099-01-01T00:00:00Z", env=environment)
    return int(shop["id"])


def test_whole_way_by_commands(world: World, shell: Shell) -> None:
    assert "No shop is connected" in shell.text("shop", "list")
    shop = connect(world, shell)
    world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    link = shell.json("link", "add", "--shop", shop, "--sku", "BOTTLE", "--product", BOTTLE[0], "--sku-id", BOTTLE[1])
    assert link["verified"]
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": link["variant_id"], "quantity": 2}]}
    )
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    world.settle(until=lambda: bool(shell.json("paylist")["pay"]), seconds=15)
    created = world.created()[0]["order_id"]
    assert created in shell.text("paylist")
    page = shell.text("order", "show", created)
    for word in (
        "WHERE IT STANDS",
        "waits to be paid",
        "flask paylist",
        "LINES",
        "PURCHASES",
        "WHAT HAPPENED",
        created,
    ):
        assert word in page
    [row] = shell.json("order", "list")
    assert row["states"] == ["PLACED_UNPAID"]
    assert shell.json("order", "show", row["id"])["stands"]["turn"] == "merchant"
    for words in (
        ("shop", "list"), ("shop", "show", shop), ("account", "list"), ("rate", "list"), ("link", "list"),
        ("order", "list"), ("purchase", "list"), ("purchase", "list", "--state", "PLACED_UNPAID"), ("paylist",),
        ("placement", "status"), ("inbox", "list"), ("outbox", "list"), ("alerts",), ("tasks",), ("alerts", "--all"), ("tasks", "--all"),
        ("order", "address", row["id"]),
    ):  # fmt: skip
        assert shell.text(*words).strip()
        assert shell.json(*words) is not None


def test_limits_rates_pausing_and_sweeping(world: World, shell: Shell) -> None:
    shop = connect(world, shell)
    changed = shell.json(
        "shop", "set", shop, "--margin-percent", "12.5", "--order-cap", "79.90", "--autopay", "--no-notify",
        "--max-delivery-days", "30",
    )  # fmt: skip
    assert changed["policy"]["order_cap"] == "79.90 USD"
    assert changed["policy"]["margin_percent"] == "12.50"
    assert (changed["policy"]["autopay"], changed["policy"]["notify_customer"]) == (True, False)
    assert shell.json("shop", "set", shop, "--max-delivery-days", "0")["policy"]["max_delivery_days"] is None
    assert "Nothing changed" in shell.text("shop", "set", shop)
    assert shell.json("rate", "set", "USD", "EUR", "0.92")[0]["rate"] == "0.92"
    assert shell.json("shop", "pause", shop)["state"] == "PAUSED"
    assert "paused already" in shell.run("shop", "pause", shop, code=1).stderr
    assert shell.json("shop", "resume", shop)["state"] == "ACTIVE"
    assert set(shell.json("sweep", "--once")) >= {"leases", "journal"}
    assert shell.json("placement", "freeze", "--reason", "test", "--by", "ann")["frozen"]
    assert "FROZEN" in shell.text("placement", "status")
    assert not shell.json("placement", "release", "--by", "ann", "--second", "ben")["frozen"]
    assert "good until" in shell.text("account", "refresh", "1")
    assert shell.json("db", "upgrade")["before"]


def test_faults_are_one_line_or_json_and_exit_1(world: World, shell: Shell) -> None:
    result = shell.run("order", "show", "nothing", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: No order is known")
    result = shell.run("order", "show", "nothing", "--json", code=1)
    assert json.loads(result.stdout)["error"] == "no_order"
    world.shopify.control("shops", {"domain": "bottles.myshopify.com"})
    result = shell.run(
        "shop", "connect-shopify", "--shop", "bottles.myshopify.com", "--access-token", "wrong", "--json", code=1
    )
    assert json.loads(result.stdout)["error"] == "keys_refused"
    for words in (
        ("sweep",),
        ("purchase", "resolve", "1"),
        ("purchase", "resolve", "1", "--found", "1"),
        ("purchase", "again", "1"),
        ("account", "refresh", "1"),
        ("shop", "show", "7"),
        ("inbox", "replay", "7"),
        ("outbox", "retry", "7"),
        ("link", "remove", "7"),
        ("tasks", "--done", "7"),
        ("order", "address", "1", "--set", "city"),
    ):
        assert shell.run(*words, code=1).stderr.startswith("Error: "), words
        assert set(json.loads(shell.run(*words, "--json", code=1).stdout)) == {"error", "message"}


def test_wrong_values_are_refused_before_anything_happens(shell: Shell) -> None:
    for words in (
        ("rate", "set", "USD", "EUR", "much"),
        ("account", "connect", "--shop", "1", "--access-token", "x", "--expires-at", "tomorrow"),
        ("account", "connect", "--shop", "1", "--access-token", "x", "--expires-at", "2030-01-01T00:00:00"),
        ("shop", "set", "1", "--order-cap", "NaN"),
        ("inbox", "list", "--limit", "0"),
    ):
        shell.run(*words, code=2)


def test_every_command_takes_json_and_explains_itself(shell: Shell) -> None:
    groups = ("shop", "account", "rate", "link", "order", "purchase", "placement", "inbox", "outbox", "db")
    for group in groups:
        told = shell.text(group, "--help")
        for line in told.split("Commands:")[1].strip().splitlines():
            assert "--json" in shell.text(group, line.split()[0], "--help"), line
    for name in ("paylist", "alerts", "tasks", "sweep", "worker", "scheduler", "simulate"):
        assert "--json" in shell.text(name, "--help")


def test_table_is_aligned_and_short() -> None:
    rows = [{"a": 1, "b": "x" * 200}, {"a": None, "b": "line\nbreak"}]
    lines = table(rows, "a", "b=Long one").splitlines()
    assert lines[0] == "A  LONG ONE"
    assert lines[1].endswith("…")
    assert lines[2] == "-  line break"
    assert table([], "a", empty="None.") == "None."


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("order", "show"), "Missing argument"),
        (("order", "shows"), "No such command"),
        (("purchase", "list", "--limit", "many"), "--limit"),
        (("purchase", "resolve", "one", "--not-there"), "'one' is not a valid integer"),
        (("purchase", "resolve", "1", "--found"), "needs a value"),
        (("account", "connect", "--shop", "1"), "--access-token"),
    ],
)
def test_wrong_usage_is_told_in_json_to_programs(shell: Shell, words: tuple[str, ...], told: str) -> None:
    answer = json.loads(shell.run(*words, "--json", code=2).stdout)
    assert answer["error"] == "usage"
    assert told in answer["message"]
    assert shell.run(*words, code=2).stdout == ""


def test_looks_that_found_nothing_new_are_one_line_of_the_story(world: World, shell: Shell) -> None:
    shop = connect(world, shell)
    variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
    world.link(shop, variant, BOTTLE)
    shell.run("shop", "set", shop, "--order-cap", "1")
    world.shopify.control(
        "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
    )
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    before = shell.text("order", "show", 1)
    for times in ("once more", "2 times more", "3 times more"):
        world.retry(1)
        world.settle(until=lambda: world.reasons() == ["cap_order"])
        page = shell.text("order", "show", 1)
        assert f"Purchase 1 was looked at {times}: it is held as before." in page
        assert len(page.splitlines()) == len(before.splitlines()) + 1
    moved = [one["detail"]["state"] for one in shell.json("order", "show", 1)["timeline"] if one["kind"] == "purchase"]
    assert moved.count("HELD") == 4, "JSON tells all"
