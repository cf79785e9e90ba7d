"""What the soak's verdict is worth: made-up ledgers in which something is wrong, and one in which nothing is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.soak.books import Books, Bought, Key, Shown, Sold
from tests.soak.checker import Account, Line, Verdict, judge

ADA: Key = ("shopify", "one.myshopify.com", "1")
BEA: Key = ("woocommerce", "two", "1")


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Two buyers of the same goods; all is bought and shown."""
    made = Books(tmp_path)
    made.sold = {
        ADA: Sold(ADA, "#1001", "ada", {"11": ("red", 2), "12": ("blue", 1)}),
        BEA: Sold(BEA, "1", "bea", {"11": ("red", 2)}),
    }
    made.bought = [
        Bought("901", "ada", "a", Counter({"red": 2, "blue": 1})),
        Bought("902", "bea", "a", Counter({"red": 2})),
    ]
    made.history = [*made.bought]
    made.owner = {"T1": "901", "T2": "902"}
    made.shown = [Shown(ADA, "T1", (("11", 2), ("12", 1))), Shown(BEA, "T2", (("11", 2),))]
    return made


def told(**changed: Account | None) -> dict[Line, Account]:
    """Waybill's account of the three lines; `ada11="…"` changes one, None takes it away."""
    good = {
        "ada11": Account(frozenset({"SHIPPED"}), frozenset({"901"})),
        "ada12": Account(frozenset({"SHIPPED"}), frozenset({"901"})),
        "bea11": Account(frozenset({"SHIPPED"}), frozenset({"902"})),
    } | changed
    places = {"ada11": (ADA, "11"), "ada12": (ADA, "12"), "bea11": (BEA, "11")}
    return {places[name]: account for name, account in good.items() if account is not None}


def counts(verdict: Verdict) -> tuple[int, int, int, int]:
    """Bought twice, lost, at the wrong customer, held with a reason."""
    return len(verdict.twice), len(verdict.lost), len(verdict.wrong), len(verdict.waiting)


def test_nothing_is_wrong(books: Books) -> None:
    verdict = judge(books, told())
    assert (verdict.lines, verdict.orders, counts(verdict), verdict.good) == (3, 2, (0, 0, 0, 0), True)


def test_an_order_that_was_made_twice(books: Books) -> None:
    books.bought.append(Bought("903", "bea", "a", Counter({"red": 2})))
    books.history.append(books.bought[-1])
    assert counts(judge(books, told())) == (1, 0, 0, 0)
    assert not judge(books, told()).good
    books.closed.add("903")
    books.history.append("903")
    assert counts(judge(books, told())) == (1, 0, 0, 0), "twice, though the second one was closed unpaid"


def test_an_order_that_was_made_again_when_the_first_one_was_closed(books: Books) -> None:
    books.bought.append(Bought("903", "bea", "a", Counter({"red": 2})))
    books.closed.add("902")
    books.history += ["902", books.bought[-1]]
    books.owner["T2"] = "903"
    again = Account(frozenset({"SHIPPED"}), frozenset({"902", "903"}))
    assert counts(judge(books, told(bea11=again))) == (0, 0, 0, 0)


def test_one_piece_too_many(books: Books) -> None:
    books.bought[0] = books.history[0] = Bought("901", "ada", "a", Counter({"red": 3, "blue": 1}))
    assert counts(judge(books, told())) == (1, 0, 0, 0)


def test_an_order_for_nobody(books: Books) -> None:
    books.bought.append(Bought("903", "cyd", "a", Counter({"red": 2})))
    assert counts(judge(books, told())) == (1, 0, 0, 0)


@pytest.mark.parametrize("state", ["READY", "CLAIMED", "SENDING", "UNKNOWN", "VOID", "PLACED_UNPAID"])
def test_a_line_that_was_never_bought(books: Books, state: str) -> None:
    del books.bought[1], books.shown[1]
    nothing = Account(frozenset({state}))
    assert counts(judge(books, told(bea11=nothing))) == (0, 1, 0, 0)


def test_a_line_of_which_too_little_was_bought(books: Books) -> None:
    books.bought[1] = Bought("902", "bea", "a", Counter({"red": 1}))
    assert counts(judge(books, told())) == (0, 1, 0, 0)


def test_a_line_that_waybill_never_saw(books: Books) -> None:
    del books.bought[1], books.shown[1]
    assert counts(judge(books, told(bea11=None))) == (0, 1, 0, 0)


def test_a_line_that_is_bought_and_forgotten(books: Books) -> None:
    assert counts(judge(books, told(bea11=None))) == (0, 1, 0, 0)
    assert counts(judge(books, told(bea11=Account(frozenset({"READY"}))))) == (0, 1, 0, 0)


def test_a_line_in_a_persons_list_is_not_lost(books: Books) -> None:
    del books.bought[1], books.shown[1]
    verdict = judge(books, told(bea11=Account(frozenset({"HUMAN"}))))
    assert (counts(verdict), verdict.good) == ((0, 0, 0, 1), True)


def test_orders_that_are_attached_crosswise(books: Books) -> None:
    crossed = {"ada11": "902", "ada12": "902", "bea11": "901"}
    swapped = {name: Account(frozenset({"SHIPPED"}), frozenset({number})) for name, number in crossed.items()}
    assert counts(judge(books, told(**swapped))) == (0, 0, 3, 0)


def test_a_parcel_that_is_shown_to_somebody_else(books: Books) -> None:
    books.shown[1] = Shown(BEA, "T1", (("11", 2),))
    assert counts(judge(books, told())) == (0, 0, 1, 0)


def test_a_parcel_that_is_shown_twice(books: Books) -> None:
    books.shown.append(books.shown[1])
    assert counts(judge(books, told())) == (0, 0, 1, 0)


def test_a_parcel_of_nobodys_order(books: Books) -> None:
    books.shown[1] = Shown(BEA, "T9", (("11", 2),))
    assert counts(judge(books, told())) == (0, 0, 1, 0)
