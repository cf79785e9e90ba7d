"""`flask reconcile`: a day's sum in one line, and each gap with its row."""

from __future__ import annotations

import sqlalchemy as sa

from tests.cli.test_commands import Shell, shell  # noqa: F401 - a fixture
from tests.flow.test_accounting import lose
from tests.flow.test_money_back import Front
from tests.flow.world import World


def test_a_day_is_told(world: World, shell: Shell) -> None:  # noqa: F811
    assert shell.text("reconcile").strip() == "No shop is connected."
    front = Front(world, "shopify")
    order = front.order()
    text = shell.text("reconcile", "--shop", 1)
    assert "In the shop 1, ours 1 = placed 0 + held 1 + refused 0 + not ours 0." in text
    assert "Every order is accounted for." in text
    lose(world)
    text = shell.text("reconcile")
    assert "In the shop 1, ours 0 = placed 0 + held 0 + refused 0 + not ours 0 + not accounted for 1." in text
    assert order in text
    assert "SINCE (UTC)" in text
    [data] = shell.json("reconcile", "--shop", 1)
    assert (data["store"], data["gap"], data["balanced"], data["orders"][0]["gap"]) == (1, 1, False, "missing")


def test_wrong_input_says_what_to_do(world: World, shell: Shell) -> None:  # noqa: F811
    Front(world, "shopify")
    assert "2026-13-01" in shell.run("reconcile", "--day", "2026-13-01", code=2).stderr
    assert "has not begun yet" in shell.run("reconcile", "--shop", 1, "--day", "2999-01-01", code=1).stderr
    assert "9" in shell.run("reconcile", "--shop", 9, code=1).stderr
    for day in ("0001-01-01", "1999-12-31"):
        assert "counted from 2000-01-01 to today" in shell.run("reconcile", "--day", day, code=1).stderr
    assert "does not show orders of that age" in shell.text("reconcile", "--day", "2000-01-01")


def test_all_shops_are_told_though_one_cannot_be_asked(world: World, shell: Shell) -> None:  # noqa: F811
    Front(world, "shopify").order()
    world.woocommerce_shop("socks")
    world.shopify.control("faults", [{"op": "OrdersPlaced", "kind": "status", "status": 500, "times": 1000}])
    with world.container.database.transaction() as session:
        assert session.scalar(sa.text("SELECT count(*) FROM shop")) == 2
    text = shell.text("reconcile")
    assert "does not answer at the moment" in text
    assert "In the shop 0, ours 0" in text
