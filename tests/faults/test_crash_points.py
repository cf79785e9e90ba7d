"""Whoever dies wherever, every paid order is bought once, for the right buyer, and shown once.

Each named point is died at once here, by SIGKILL, several in one run. `make faults` tries every point in every way on
its own, and pairs of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults import enumeration
from tests.faults.deaths import Plan, groups
from tests.faults.enumeration import Outcome, Stage

pytestmark = pytest.mark.alone
SLOTS = 3
MISSED = 12
"""Points that may remain: some are come to only now and then, as when two processes meet."""
MOST = 900


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Servers for these tests: several runs at a time need several databases."""
    with enumeration.stage(tmp_path_factory.mktemp("faults")) as stage:
        yield stage


@pytest.fixture(scope="module")
def quiet(made: Stage) -> dict[str, Outcome]:
    """Each script without any death."""
    return {outcome.plan.script: outcome for outcome in tried(made, [Plan(name) for name in enumeration.SCRIPTS])}


def tried(made: Stage, plans: Sequence[Plan]) -> list[Outcome]:
    """All of them."""
    found: list[Outcome] = []
    enumeration.try_all(made, plans, until=time.monotonic() + MOST, slots=SLOTS, tell=found.append)
    assert len(found) == len(plans)
    return found


def right(outcomes: Sequence[Outcome]) -> None:
    """Tell of each that went wrong all that is known."""
    wrong = [outcome.told() for outcome in outcomes if outcome.wrong]
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.timeout(300)
def test_nobody_dies(quiet: dict[str, Outcome]) -> None:
    right([*quiet.values()])
    reached = frozenset[str]().union(*(outcome.reached for outcome in quiet.values()))
    assert len(reached) > 200
    assert {point.split(" | ")[0] for point in reached} == {"web", "worker", "scheduler", "cli"}
    assert {point.split(" | ")[1].split()[0] for point in reached} == {"commit", "call", "bell", "mail", "journal"}


@pytest.mark.timeout(2 * MOST)
def test_somebody_is_killed_at_each_point(made: Stage, quiet: dict[str, Outcome]) -> None:
    """Each in the first script that comes to it; who was not come to is tried once more."""
    left, outcomes = first_comers(quiet), list[Outcome]()
    for _ in range(2):
        plans = [plan for script, points in left.items() for plan in groups(script, sorted(points))]
        outcomes += tried(made, plans)
        fired = frozenset[str]().union(*(one.fired for one in outcomes))
        left = {script: points - fired for script, points in left.items()}
    right(outcomes)
    missed = frozenset[str]().union(*left.values())
    assert len(missed) <= MISSED, f"nobody came to {sorted(missed)}"


def first_comers(quiet: dict[str, Outcome]) -> dict[str, frozenset[str]]:
    """The points of each script that none before it came to."""
    found, seen = dict[str, frozenset[str]](), frozenset[str]()
    for script in enumeration.SCRIPTS:
        found[script] = quiet[script].reached - seen
        seen |= quiet[script].reached
    return found


@pytest.mark.timeout(300)
def test_a_checker_that_sees_what_is_wrong(made: Stage, tmp_path: Path) -> None:
    """Its verdict is worth something: an order made twice, for nobody, not at all, or for another buyer."""
    with made.scene(1, tmp_path / "scene", Plan("plain")) as scene:
        assert scene.play() == []
        ledger = [line for line in scene.world.aliexpress.control("ledger") if line["op"] == "create"]
        first, *others = ledger
        assert scene.verdict(bought=ledger) == []
        assert "bought" in scene.verdict(bought=[*ledger, {**first, "order_id": "1"}])[0]
        assert "nobody" in scene.verdict(bought=[*ledger, {**first, "order_id": "1", "name_hash": "nobody"}])[0]
        assert "bought {}" in scene.verdict(bought=others)[0]
        assert "bought {}" in scene.verdict(bought=[*ledger, {"op": "close", "order_id": first["order_id"]}])[0]
        swapped = [{**first, "name_hash": others[0]["name_hash"]}, {**others[0], "name_hash": first["name_hash"]}]
        assert any("Waybill has it at" in one for one in scene.verdict(bought=[*swapped, *others[1:]]))
