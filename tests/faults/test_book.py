"""What was tried stays known: over runs, at its version, and until it goes wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from app.pipeline import reconcile
from tests.faults.book import TRIES, Book
from tests.faults.deaths import PLACEMENT, RECOVERY, groups, in_any, is_central, later, other_pairs, pairs, singles
from tests.faults.endless import also_missed, countable, coverage, until_over
from tests.faults.enumeration import Outcome
from tests.faults.points import EXCEPTION, InjectedError, Points, Shot, transactions

BUY, BOOT, MAIL = "worker | commit app.pipeline.buy.claim", "worker | commit app.boot.prepare", "worker | mail digest"
ADVANCE = "worker | commit app.boot.advance"


def test_it_adds_up_over_runs_and_says_at_which_version(tmp_path: Path) -> None:
    path = tmp_path / "results" / "faults.json"
    first = Book.open(path)
    first.now = "aaa"
    first.learn("plain", {BUY})
    first.note("one", fired=True)
    second = Book.open(path)
    second.now = "bbb"
    second.learn("plain", {MAIL})
    second.note("two", fired=True)
    kept = Book.open(path)
    assert kept.passed == {"one": "aaa", "two": "bbb"}
    assert kept.points == {"plain": sorted({BUY, MAIL})}
    assert [found.name for found in path.parent.iterdir()] == [path.name], "nothing is left beside it"


def test_what_goes_wrong_is_to_be_tried_again(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    book.note("one", fired=True)
    assert not book.is_left("one")
    book.now = "aaa"
    book.note("one", fired=True, wrong="bought twice")
    assert book.is_left("one")
    assert Book.open(book.path).failed == {"one": "at aaa: bought twice"}
    book.note("one", fired=True)
    assert (book.failed, Book.open(book.path).once) == ({}, {"one": "at aaa: bought twice"}), "it is not forgotten"


def test_what_is_never_come_to_is_given_up_after_some_runs_and_does_not_count_as_passed(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    one, two = in_any(singles("plain", [BUY]))[:2]
    for _ in range(TRIES):
        assert book.next_plan(one) == one.plans[0]
        book.note(one.plans[0].name, fired=False)
    assert book.next_plan(one) is None
    assert book.count([one, two]) == (0, 1, 2)


def test_what_one_script_never_comes_to_is_tried_in_the_next(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    book.learn("plain", {BUY})
    book.learn("desk", {BUY})
    (death,) = countable(book)["pairs"]
    plain, desk = (plan.name for plan in death.plans)
    for _ in range(TRIES):
        book.note(plain, fired=False)
    assert book.next_plan(death) == death.plans[1]
    assert book.count([death]) == (0, 0, 1)
    book.note(desk, fired=True, wrong="bought twice")
    assert book.next_plan(death) == death.plans[1], "it is tried again where it went wrong"
    book.missed[desk] = TRIES
    assert (book.next_plan(death), book.count([death])) == (None, (0, 0, 1)), "it is neither passed nor never come to"
    book.note(desk, fired=True)
    assert book.next_plan(death) is None
    assert book.count([death]) == (1, 0, 1)
    assert book.passes(death) == [desk]


def test_a_run_in_which_nobody_died_again_speaks_of_every_second_death_that_it_did_not_come_to(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    book.learn("plain", {BUY, BOOT, MAIL, ADVANCE})
    planned = pairs("plain", [BUY, BOOT])[1]
    ran = Outcome(planned, frozenset({BUY}), [], frozenset({BUY}), frozenset({BUY, MAIL}), 1.0, tmp_path, whole=False)
    assert also_missed(book, ran) == [pairs("plain", [BUY, ADVANCE])[1].name]
    assert also_missed(book, replace(ran, fired=frozenset())) == [], "the first death is what it would speak of"
    assert also_missed(book, replace(ran, plan=singles("plain", [BUY])[0])) == []


def test_the_table_says_how_far_we_are(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    book.learn("plain", {BUY, MAIL})
    book.note(singles("plain", [BUY])[0].name, fired=True)
    book.note("plain: worker | system call 7 ! kill", fired=True)
    table = {line[:24].strip(): line[24:].split() for line in coverage(book).splitlines()}
    assert table["singles"] == ["1", "6", "0"]
    assert table["pairs"] == ["0", "1", "0"]
    assert table["system calls drawn"] == ["1", "sampled"]


def test_pairs_are_those_of_placement_and_recovery_in_either_order() -> None:
    found = [tuple(shot.point for shot in plan.shots) for plan in pairs("plain", [BUY, BOOT, MAIL])]
    assert found == [(BUY, BUY), (BUY, BOOT), (BOOT, BUY), (BOOT, BOOT)]


def test_what_is_being_tried_is_not_begun_again_until_it_was_missed(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    one, two = in_any(singles("plain", [BUY]))[:2]
    plans = until_over(book, [one, two])
    assert [next(plans), next(plans)] == [*one.plans, *two.plans]
    book.note(one.plans[0].name, fired=False)
    assert list(itertools.islice(plans, 5)) == [*one.plans], "the other one is still being tried"


def test_a_death_that_both_scripts_come_to_counts_once(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "faults.json")
    book.learn("plain", {BUY})
    book.learn("troubles", {BUY, BOOT})
    assert {what: len(deaths) for what, deaths in countable(book).items()} == {"singles": 6, "pairs": 4}


def test_other_pairs_are_the_same_for_the_same_seed_and_hold_a_point_elsewhere() -> None:
    points = [BUY, BOOT, MAIL]
    first, again, other = (
        [plan.name for plan in itertools.islice(other_pairs("plain", points, seed), 20)] for seed in (1, 1, 2)
    )
    assert first == again != other
    for plan in itertools.islice(other_pairs("plain", points, 3), 20):
        assert not all(is_central(shot.point) for shot in plan.shots)


def test_a_group_holds_every_point_once_and_no_neighbours() -> None:
    points = [f"worker | commit {number:03}" for number in range(50)]
    dealt = [[shot.point for shot in plan.shots] for plan in groups("plain", points, most=16)]
    assert sorted(itertools.chain(*dealt)) == points
    assert max(map(len, dealt)) <= 16
    assert dealt[0][:2] == [points[0], points[4]]


def test_every_name_of_a_central_point_is_one_that_a_script_comes_to() -> None:
    points = set[str]().union(*Book.open().points.values())
    assert [part for part in PLACEMENT + RECOVERY if not any(part in point for point in points)] == []


def test_a_functions_second_transaction_is_another_point() -> None:
    lines = transactions(reconcile.run.__code__)
    source = Path(reconcile.__file__).read_text().splitlines()
    assert sorted(lines.values()) == [1, 2]
    assert all("database.transaction()" in source[line - 1] for line in lines)
    assert set(transactions(reconcile.claim.__code__).values()) == {1}


def test_a_point_may_be_died_at_when_it_is_come_to_again(tmp_path: Path) -> None:
    (tmp_path / "reached").touch()
    points = Points(tmp_path, "worker", [Shot("worker | bell ring | before", EXCEPTION, arrival=3)])
    for _ in range(2):
        points.reach("bell ring", "before")
    points.reach("bell ring", "after")
    with pytest.raises(InjectedError):
        points.reach("bell ring", "before")
    points.reach("bell ring", "before")


def test_later_arrivals_are_drawn_by_a_seed() -> None:
    some = [plan.name for plan in itertools.islice(later("plain", [BUY, MAIL], 3), 20)]
    assert some == [plan.name for plan in itertools.islice(later("plain", [BUY, MAIL], 3), 20)]
    assert all(name.endswith(("@ 2", "@ 3", "@ 4", "@ 5", "@ 6")) for name in some)
