"""The tools that say what the tests are worth: small mistakes are made as meant, and counted as what they are."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.teeth.choosing import Choice
from tests.teeth.cover import Module, tell
from tests.teeth.equivalent import EQUIVALENT
from tests.teeth.modules import MODULES, ROOT, TESTS
from tests.teeth.mutation import UNTESTED, Book, Judge, Trust, verdict, wilson
from tests.teeth.mutator import Mutation, mutations
from tests.teeth.warm import KILLED, SURVIVED

SAMPLE = '''
LIMIT = 3

def act(rows: list[int] | None, held: bool) -> int:
    """At most 3."""
    if held and len(rows) >= LIMIT:
        log.info("too many", rows=7)
        give(rows)
    return 1 if not held else LIMIT - 1
'''


def test_each_small_mistake_is_made_once_and_leaves_the_rest_as_it_is() -> None:
    found = [(one.line, one.says) for one in mutations("m", SAMPLE)]
    assert found == [
        (2, "3 → 4"),
        (6, "and → or"),
        (6, "condition turned round"),
        (6, ">= → >"),
        (8, "without give()"),
        (9, "gives None"),
        (9, "1 → 2"),
        (9, "not left out"),
        (9, "- → +"),
        (9, "1 → 2 (2)"),
    ]
    for one in mutations("m", SAMPLE):
        changed = one.of(SAMPLE)
        ast.parse(changed)
        same = [line for line in changed.splitlines() if line in SAMPLE.splitlines()]
        assert len(same) == len(SAMPLE.splitlines()) - 1, one


def test_what_nobody_promises_anything_about_is_left_alone() -> None:
    source = 'def act(session, text):\n    session.flush()\n    log.info("x", n=1)\n    show(text[:300])\n'
    assert [one.says for one in mutations("m", source)] == ["without show()"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_broken_in_many_ways_each_with_a_name_of_its_own(name: str) -> None:
    found = mutations(name, (ROOT / name).read_text())
    assert len(found) >= 5
    assert len({one.key for one in found}) == len(found)


def test_the_folders_of_tests_are_there() -> None:
    assert [folder for folder in TESTS if not any((ROOT / folder).glob("**/test_*.py"))] == []


def test_what_is_said_to_change_nothing_is_a_change_that_can_be_made_and_has_a_reason() -> None:
    possible = {one.key for name in MODULES for one in mutations(name, (ROOT / name).read_text())}
    assert sorted(set(EQUIVALENT) - possible) == []
    assert [key for key, reason in EQUIVALENT.items() if len(reason) < 20] == []


def test_the_interval_holds_the_score_and_narrows() -> None:
    low, high = wilson(85, 100)
    assert low < 85 < high
    assert wilson(850, 1000)[0] > low
    assert wilson(0, 0) == (0.0, 100.0)
    assert wilson(10, 10)[1] == 100.0


def test_results_add_up_over_runs_and_the_last_word_counts(tmp_path: Path) -> None:
    one = mutations("m", SAMPLE)[0]
    book = Book.open(tmp_path / "book.jsonl")
    book.note("text", one, "survived", "", 1.0)
    book.note("text", one, KILLED, "test_x", 1.0)
    assert Book.open(tmp_path / "book.jsonl").found == {("text", one.key): KILLED}


def test_less_than_the_floor_fails(capsys: pytest.CaptureFixture[str]) -> None:
    modules = [Module("a", 100, 90, "7"), Module("b", 100, 100, "")]
    assert [tell(modules, floor) for floor in (95.0, 95.1)] == [0, 1]
    assert "95.0 %  " in capsys.readouterr().out


def test_quick_tests_go_first_and_then_one_of_each_file() -> None:
    lines = {
        "m": {
            2: set[str](),
            6: {"tests/flow/a.py::x", "tests/flow/a.py::y", "tests/flow/b.py::z", "tests/unit/c.py::w"},
        }
    }
    busy = {"tests/flow/a.py::x": 9, "tests/flow/a.py::y": 1, "tests/flow/b.py::z": 5}
    change = Mutation("m", 6, 6, 0, 1, "", "", "")
    wanted = ["tests/unit/c.py::w", "tests/flow/a.py::y", "tests/flow/b.py::z", "tests/flow/a.py::x"]
    assert Choice(lines, busy).of(change, 9) == wanted
    assert Choice(lines, busy).of(change, 2) == wanted[:2]
    best = Choice(lines, busy).of(change, 9, {"tests/flow/a.py::x": 1, "tests/flow/b.py::z": 2})
    assert best == [wanted[0], wanted[2], wanted[3], wanted[1]], "what has noticed most in this module"
    assert Choice(lines, busy).of(Mutation("m", 2, 2, 0, 1, "", "", ""), 9) == wanted, "run while it was loaded"
    assert Choice(lines, busy).of(Mutation("m", 7, 7, 0, 1, "", "", ""), 9) == []


class _Scripted:
    """A judge that finds what it is told to: by the first of the tests that it is given."""

    def __init__(self, *, fail: set[str], always: set[str]) -> None:
        self.fail, self.always, self.asked = fail, always, 0

    def judge(self, one: Mutation | None, tests: Sequence[str]) -> tuple[str, str]:
        self.asked += 1
        failing = self.always if one is None else self.fail | self.always
        by = next((test for test in tests if test in failing), "")
        return (KILLED, by + "[x]") if by else (SURVIVED, "")


def test_a_test_that_fails_without_any_change_has_noticed_nothing() -> None:
    change = Mutation("m", 1, 1, 0, 1, "", "", "")
    choice, trust = Choice({"m": {1: {"bad", "good", "idle"}}}, {"bad": 1, "good": 2, "idle": 3}), Trust()
    judge = _Scripted(fail={"good"}, always={"bad"})
    assert verdict(judge, change, choice, trust, 9) == (KILLED, "good[x]")  # type: ignore[arg-type]
    assert (trust.good, trust.bad, trust.noticed["m"]) == ({"good"}, {"bad"}, {"good": 1})
    judge.asked = 0
    assert verdict(judge, change, choice, trust, 9) == (KILLED, "good[x]")  # type: ignore[arg-type]
    assert judge.asked == 1, "whoever passed without it once is trusted"
    judge.fail.clear()
    assert verdict(judge, change, choice, trust, 9) == (SURVIVED, "")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_warm_process_tells_a_change_that_is_noticed_from_one_that_is_not(tmp_path: Path) -> None:
    module, test = "app/domain/caps.py", "tests/domain/test_pricing.py::test_caps_are_never_passed_by_a_cent"
    judge = Judge(tmp_path / "tree", {})
    try:
        found = {one.says: one for one in mutations(module, (ROOT / module).read_text())}
        assert judge.judge(None, [test]) == (SURVIVED, "")
        assert judge.judge(found["> → >="], [test])[0] == KILLED
        assert judge.judge(found["0 → 1"], [test]) == (SURVIVED, ""), "nothing is no negative cost: another test tells"
        assert judge.judge(None, []) == (UNTESTED, "")
        with pytest.raises(RuntimeError, match="not found"):
            judge.judge(None, [f"{test}_that_is_not_there"])
        assert (tmp_path / "tree" / module).read_text() == (ROOT / module).read_text()
    finally:
        judge.close()
