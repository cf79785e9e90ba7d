"""Whoever dies where an order is placed or recovered, every paid order is bought once, for the right buyer, shown once.

`make faults` tries every point in every way, and pairs of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import enumeration
from tests.faults.enumeration import PLACEMENT, Outcome, Stage
from tests.faults.points import KILL, Shot

SLOTS = 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Servers for these tests: several runs at a time need several databases."""
    with enumeration.stage(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


def test_nobody_dies(made: Stage) -> None:
    quiet = made.run(0, ())
    assert quiet.wrong == []
    assert len(quiet.reached) > 100
    assert {"worker | call aliexpress.aliexpress.ds.order.create | sent"} <= quiet.reached


@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_while_it_places_an_order(made: Stage) -> None:
    points = sorted(point for point in made.run(0, ()).reached if any(part in point for part in PLACEMENT))
    found: list[Outcome] = []
    plans = [(Shot(point, KILL),) for point in points]
    enumeration.try_all(made, plans, until=time.monotonic() + 600, slots=SLOTS, tell=found.append)
    assert [(enumeration.name(one.plan), one.wrong) for one in found if one.wrong] == []
    assert sum(one.fired for one in found) >= len(points) - 2, "most of them were really killed"


@pytest.mark.timeout(300)
def test_a_checker_that_sees_what_is_wrong(made: Stage, tmp_path: Path) -> None:
    """Its verdict is worth something: an order made twice, for nobody, not at all, or for another buyer."""
    with made.scene(1, tmp_path / "scene") as scene:
        assert scene.play() == []
        ledger = [line for line in scene.world.aliexpress.control("ledger") if line["op"] == "create"]
        first, *others = ledger
        assert scene.verdict(bought=ledger) == []
        assert "bought" in scene.verdict(bought=[*ledger, {**first, "order_id": "1"}])[0]
        assert "nobody" in scene.verdict(bought=[*ledger, {**first, "order_id": "1", "name_hash": "nobody"}])[0]
        assert "bought {}" in scene.verdict(bought=others)[0]
        swapped = [{**first, "name_hash": others[0]["name_hash"]}, {**others[0], "name_hash": first["name_hash"]}]
        assert any("Waybill has it at" in one for one in scene.verdict(bought=[*swapped, *others[1:]]))
