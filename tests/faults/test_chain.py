"""A chain of kills: where it goes on, where it ends, and what it has shown."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults import chain
from tests.faults.book import TRIES, Book
from tests.faults.chain import MOST, Chain, deaths, links, swept
from tests.faults.deaths import Plan, of_chain, pairs
from tests.faults.endless import countable, note
from tests.faults.enumeration import SCRIPTS, Outcome
from tests.faults.hunt import CHAINS, LONG, again, chains
from tests.faults.points import KILL, Shot

BOOT, BUY, MAIL = "commit app.boot.prepare", "commit app.pipeline.buy.claim", "mail digest"
PUT_BACK = "commit app.pipeline.buy.commit._put_back"
ONE, TWO, THREE, RARE = (f"worker | {what} | before" for what in (BOOT, BUY, MAIL, PUT_BACK))


class Killed(BaseException):
    """Instead of the real thing."""


@pytest.fixture(autouse=True)
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(kind: str) -> None:
        assert kind == KILL
        raise Killed

    monkeypatch.setattr(chain, "die", die)


def dies(folder: Path, what: str, *, wanted: dict[str, Iterable[str]], first: str = ONE) -> bool:
    """Whether a new process dies there; then all others are gone."""
    chain.write(folder, wanted)
    return killed(Chain(folder, "worker", first), folder, what)


def killed(process: Chain, folder: Path, what: str) -> bool:
    try:
        process.reach(what, "before")
    except Killed:
        swept(folder, len(deaths(folder)) - 1).touch()
        return True
    return False


def test_it_begins_at_its_first_point_and_goes_on_where_a_pair_has_not_been_seen(tmp_path: Path) -> None:
    wanted = {ONE: [TWO], TWO: [TWO, THREE]}
    assert not dies(tmp_path, BUY, wanted=wanted), "it has not begun"
    assert dies(tmp_path, BOOT, wanted=wanted)
    assert not dies(tmp_path, BOOT, wanted=wanted)
    assert not dies(tmp_path, MAIL, wanted=wanted), "that is wanted after another one"
    assert dies(tmp_path, BUY, wanted=wanted)
    assert dies(tmp_path, BUY, wanted=wanted)
    assert not dies(tmp_path, BUY, wanted=wanted), "it was seen to follow on itself"
    assert dies(tmp_path, MAIL, wanted=wanted)
    assert deaths(tmp_path) == [ONE, TWO, TWO, THREE]


def test_who_lived_at_the_last_death_is_not_recovering(tmp_path: Path) -> None:
    wanted = {ONE: [TWO]}
    assert dies(tmp_path, BOOT, wanted=wanted)
    swept(tmp_path, 0).unlink()
    assert not dies(tmp_path, BUY, wanted=wanted)
    swept(tmp_path, 0).touch()
    assert dies(tmp_path, BUY, wanted=wanted)


def test_nor_is_a_command_that_was_given_before_it(tmp_path: Path) -> None:
    wanted = {ONE: [TWO]}
    chain.write(tmp_path, wanted)
    old = Chain(tmp_path, "worker", ONE)
    assert dies(tmp_path, BOOT, wanted=wanted)
    assert not killed(old, tmp_path, BUY)
    assert dies(tmp_path, BUY, wanted=wanted)


def test_another_one_begins_at_a_point_that_is_seldom_come_to(tmp_path: Path) -> None:
    wanted = {ONE: [], TWO: [THREE], RARE: [THREE]}
    assert dies(tmp_path, BOOT, wanted=wanted)
    assert not dies(tmp_path, BUY, wanted=wanted), "that one is come to often"
    assert dies(tmp_path, PUT_BACK, wanted=wanted)
    assert dies(tmp_path, MAIL, wanted=wanted)
    assert links(tmp_path) == [(RARE, THREE)], "the second death followed on nothing"
    assert links(tmp_path, 2) == []
    assert not dies(tmp_path, PUT_BACK, wanted=wanted), "nothing more may follow on it"


def test_as_long_as_something_may_follow_no_other_begins(tmp_path: Path) -> None:
    wanted = {ONE: [TWO], RARE: [THREE]}
    assert dies(tmp_path, BOOT, wanted=wanted)
    assert not dies(tmp_path, PUT_BACK, wanted=wanted)
    assert dies(tmp_path, BUY, wanted=wanted)
    assert dies(tmp_path, PUT_BACK, wanted=wanted)


def test_it_ends(tmp_path: Path) -> None:
    wanted = {ONE: [ONE, TWO], TWO: [ONE, TWO]}
    points = itertools.islice(itertools.cycle([BOOT, BOOT, BUY, BUY]), 4 * MOST)
    died = sum(dies(tmp_path, what, wanted=wanted) for what in points)
    assert died == 5, "each pair once: 1 1 2 2 1"
    wanted = {f"worker | {number} | before": [f"worker | {number + 1} | before"] for number in range(3 * MOST)}
    long = tmp_path / "long"
    long.mkdir()
    died = sum(dies(long, str(number), wanted=wanted, first="worker | 0 | before") for number in range(2 * MOST))
    assert died == MOST


def test_what_was_come_to_after_the_last_death_is_known(tmp_path: Path) -> None:
    wanted = {ONE: [TWO], TWO: [THREE]}
    assert dies(tmp_path, BOOT, wanted=wanted)
    assert not dies(tmp_path, "bell ring", wanted=wanted)
    assert dies(tmp_path, BUY, wanted=wanted)
    assert not dies(tmp_path, "bell answer", wanted=wanted)
    assert (tmp_path / "later").read_text().splitlines() == ["worker | bell answer | before"]


def ran(plan: Plan, died: Iterable[str], *, wrong: str = "", later: Iterable[str] = ()) -> Outcome:
    """The end of a run."""
    chain = [*died]
    fired, whole = frozenset(chain[:1]), bool(chain)
    followed = [*itertools.pairwise(chain)]
    return Outcome(
        plan, fired, [wrong] * bool(wrong), frozenset(), frozenset(later), 1.0, Path(), whole, chain, followed
    )


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Two points, four pairs, two scripts."""
    book = Book.open(tmp_path / "faults.json")
    book.learn("rescue", {ONE, TWO})
    book.learn("plain", {ONE})
    return book


def names(*points: str) -> list[str]:
    return [plan.name for plan in pairs("rescue", points)]


def test_it_has_shown_its_pairs_and_missed_nothing_as_it_ends_late(book: Book) -> None:
    (plan, *_) = chains(book, countable(book)["pairs"])
    assert plan.wanted is not None
    assert [len({*points}) for points in plan.wanted.values()] == [0, 0], "only such as are seldom come to"
    other = [*itertools.islice(chains(book, countable(book)["pairs"]), 2)][1]
    assert [len({*points}) for points in (other.wanted or {}).values()] == [1, 1], "and some of the others"
    assert plan.script == "rescue"
    note(book, ran(plan, [ONE, ONE, TWO], later=[TWO]))
    assert {*book.passed} == {names(ONE, TWO)[0], names(ONE, TWO)[1]}
    assert book.missed == {}


def test_after_a_single_death_what_was_not_come_to_is_missed(book: Book) -> None:
    (plan, *_) = chains(book, countable(book)["pairs"])
    note(book, ran(plan, [ONE], later=[TWO]))
    assert book.passed == {}
    assert book.missed == {names(ONE, TWO)[0]: 1}


def test_one_that_never_began_has_missed_all_that_follows_on_its_first_death(book: Book) -> None:
    (plan, *_) = chains(book, countable(book)["pairs"])
    for _ in range(TRIES):
        note(book, ran(plan, []))
    assert {*book.missed} == {*names(ONE, TWO)[:2]}
    scripts = {one.shots[0].point: one.script for one in chains(book, countable(book)["pairs"])}
    assert scripts == {ONE: "plain", TWO: "rescue"}, "the next script is tried"


def test_one_that_went_wrong_has_shown_nothing_and_is_tried_again_as_it_was(book: Book) -> None:
    (plan, *_) = chains(book, countable(book)["pairs"])
    note(book, ran(plan, [ONE, ONE, TWO], wrong="bought twice"))
    assert (book.passed, book.missed) == ({}, {})
    (once_more,) = again(Book.open(book.path))
    assert once_more == of_chain("rescue", [ONE, ONE, TWO])
    assert once_more.shots == (Shot(ONE, KILL), Shot(ONE, KILL), Shot(TWO, KILL))
    note(book, Outcome(once_more, frozenset({ONE, TWO}), [], frozenset(), frozenset(), 1.0, Path(), whole=True))
    assert {*book.passed} == {once_more.name}
    assert book.failed == {}
    assert "bought twice" in book.once[once_more.name]
    assert [*again(book)] == []


@pytest.mark.parametrize("died", [[], [ONE]])
def test_one_that_went_wrong_before_a_second_death_speaks_of_the_first(book: Book, died: list[str]) -> None:
    (plan, *_) = chains(book, countable(book)["pairs"])
    note(book, ran(plan, died, wrong=" "))
    assert [*book.failed] == [of_chain("rescue", [ONE]).name], "whatever is said, it is not passed"


def test_every_script_is_looked_into() -> None:
    assert sorted(LONG) == sorted(SCRIPTS)


def test_each_first_death_has_its_turn_and_an_end(book: Book) -> None:
    begun = [plan.shots[0].point for plan in chains(book, countable(book)["pairs"])]
    assert begun == [ONE, TWO] * CHAINS
    for name in names(ONE, TWO):
        book.note(name, fired=True)
    assert [*chains(book, countable(book)["pairs"])] == []
