"""What the soak's verdict is worth: made-up ledgers in which something is wrong, and one in which nothing is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from app.models import Purchase
from app.services import standing
from tests.soak.asking import Account, Line, Said
from tests.soak.books import Books, Bought, Key, Shown, Sold
from tests.soak.checker import LAG, NO_REASON, judge, unaccounted
from tests.soak.verdict import NEVER, Verdict

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


def says(state: str, *orders: str, turn: str = "merchant", text: str = "Why.", tasks: tuple[str, ...] = ()) -> Account:
    """An account of a line with one purchase."""
    return Account((Said(state, turn, text, tasks),), frozenset(orders))


def told(**changed: Account | None) -> dict[Line, Account]:
    """Waybill's account of the three lines; `ada11="…"` changes one, None takes it away."""
    good = {
        "ada11": says("SHIPPED", "901"),
        "ada12": says("SHIPPED", "901"),
        "bea11": says("SHIPPED", "902"),
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
    again = says("SHIPPED", "902", "903")
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
    assert counts(judge(books, told(bea11=says(state)))) == (0, 1, 0, 0)


def test_a_line_of_which_too_little_was_bought(books: Books) -> None:
    books.bought[1] = Bought("902", "bea", "a", Counter({"red": 1}))
    assert counts(judge(books, told())) == (0, 1, 0, 0)


def test_a_line_that_waybill_never_saw(books: Books) -> None:
    del books.bought[1], books.shown[1]
    assert counts(judge(books, told(bea11=None))) == (0, 1, 0, 0)


def test_a_line_that_is_bought_and_forgotten(books: Books) -> None:
    assert counts(judge(books, told(bea11=None))) == (0, 1, 0, 0)
    assert counts(judge(books, told(bea11=says("READY")))) == (0, 1, 0, 0)


def test_a_line_in_a_persons_list_is_not_lost(books: Books) -> None:
    del books.bought[1], books.shown[1]
    for state in ("HUMAN", "HELD"):
        assert counts(judge(books, told(bea11=says(state)))) == (0, 0, 0, 1)
        assert counts(judge(books, told(bea11=says(state, turn="")))) == (0, 1, 0, 0), "nobody's turn"
        assert counts(judge(books, told(bea11=says(state, text="")))) == (0, 1, 0, 0), "no word of why"


@pytest.mark.parametrize("state", ["EXPIRED", "REFUNDED", "SUPPLIER_CANCELLED", "PAY_BLOCKED", "REJECTED"])
def test_a_line_that_came_to_its_end_is_lost_unless_somebody_has_a_task(books: Books, state: str) -> None:
    del books.bought[1], books.shown[1]
    assert counts(judge(books, told(bea11=says(state)))) == (0, 1, 0, 0)
    assert counts(judge(books, told(bea11=says(state, tasks=("expired_unpaid",))))) == (0, 0, 0, 1)


def test_one_purchase_that_is_explained_does_not_excuse_another(books: Books) -> None:
    del books.bought[1], books.shown[1]
    held, ready = says("HELD").said, says("READY").said
    assert counts(judge(books, told(bea11=Account(held + ready)))) == (0, 1, 0, 0)
    assert counts(judge(books, told(bea11=Account(held + says("SHIPPED").said)))) == (0, 0, 0, 1)


def test_orders_that_are_attached_crosswise(books: Books) -> None:
    crossed = {"ada11": "902", "ada12": "902", "bea11": "901"}
    swapped = {name: says("SHIPPED", number) for name, number in crossed.items()}
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


@pytest.mark.parametrize(("at", "twice"), [(90.0, 0), (100.0 + LAG - 1, 0), (100.0 + LAG + 1, 1)])
def test_an_order_that_was_made_after_it_was_cancelled(books: Books, at: float, twice: int) -> None:
    books.sold[BEA].changes.append((100.0, {"11": 0}))
    books.bought[1] = books.history[1] = Bought("902", "bea", "a", Counter({"red": 2}), at)
    assert counts(judge(books, told())) == (twice, 0, 0, 0)


@pytest.mark.parametrize(("at", "twice"), [(90.0, 0), (100.0 + LAG + 1, 1)])
def test_an_order_with_a_piece_that_was_refunded(books: Books, at: float, twice: int) -> None:
    books.sold[BEA].changes.append((100.0, {"11": 1}))
    books.bought[1] = books.history[1] = Bought("902", "bea", "a", Counter({"red": 2}), at)
    assert counts(judge(books, told())) == (twice, 0, 0, 0)


def test_what_was_bought_before_it_was_cancelled_makes_no_later_order_right(books: Books) -> None:
    books.sold[ADA].changes.append((100.0, {"11": 2, "12": 0}))
    books.bought.append(Bought("903", "ada", "a", Counter({"blue": 1}), 100.0 + LAG + 1))
    books.history.append(books.bought[-1])
    assert counts(judge(books, told())) == (1, 0, 0, 0)


def test_a_cancelled_line_is_missed_by_nobody_and_what_is_left_of_an_order_is(books: Books) -> None:
    del books.bought[1], books.shown[1]
    books.sold[BEA].changes.append((100.0, {"11": 0}))
    assert judge(books, told(bea11=None)).good
    books.sold[BEA].changes[0] = (100.0, {"11": 1})
    verdict = judge(books, told(bea11=None))
    assert (counts(verdict), len(verdict.hidden)) == ((0, 1, 0, 0), 1)


def test_a_line_that_is_bought_and_not_shown(books: Books) -> None:
    del books.shown[1]
    assert judge(books, told()).failures() == ["not shown: woocommerce two 1 is not shown whole"]


def test_what_is_said_of_a_line_that_is_not_bought_yet(books: Books) -> None:
    assert unaccounted(books, told()) == []
    assert len(unaccounted(books, told(bea11=None))) == 1, "bought, and not known"
    del books.bought[1], books.shown[1]
    for state in ("HELD", "HUMAN", "UNKNOWN", "READY"):
        assert unaccounted(books, told(bea11=says(state))) == []
    for state in ("DRAFT", "CLAIMED", "SENDING", "VOID", "EXPIRED", "SHIPPED"):
        assert len(unaccounted(books, told(bea11=says(state)))) == 1
    text = "Nothing stands in its way; it is ordered as soon as its turn comes."
    assert len(unaccounted(books, told(bea11=says("READY", text=text)))) == 1
    assert len(unaccounted(books, told(bea11=None))) == 1


def test_how_waybill_begins_that_nothing_is_in_the_way() -> None:
    purchase = Purchase(state="READY", reason="", waiting_for=None, facts={}, account_id=1, supplier="aliexpress")
    assert standing.of(purchase, standing.Gates()).text.startswith(NO_REASON)


@pytest.mark.parametrize("kind", ["twice", "lost", "wrong", "waiting", "hidden", "trouble"])
def test_a_run_fails_for_every_kind_of_trouble(kind: str) -> None:
    verdict = Verdict()
    assert verdict.good
    getattr(verdict, kind).append("this is wrong")
    assert not verdict.good
    assert len(verdict.failures(timed=False)) == 1


@pytest.mark.parametrize(("minutes", "good"), [(0.0, True), (15.0, True), (15.1, False), (NEVER, False)])
def test_a_run_fails_when_it_is_late(minutes: float, good: bool) -> None:
    verdict = Verdict(minutes=minutes)
    assert verdict.good == good
    assert verdict.failures(timed=False) == [], "where the machine is shared it is only told"
