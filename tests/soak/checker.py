"""The verdict, from what the shops and the supplier wrote down and from what Waybill says about each line."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

from tests.soak.asking import Account, Line, Said
from tests.soak.books import Books, Sold
from tests.soak.verdict import Verdict

LAG = 20.0
"""Seconds for which a cancellation at the shop may be unknown to a create. The pre-flight reads the order after the claim,
so what was told before the claim is known; the claim's lease ends after 12 s here, connecting and calling take 3.5 s at
most, and the relay holds a late create for 4 s more."""
LISTED = frozenset(("HELD", "HUMAN"))
"""States that are lists of somebody: a line in one is explained once it is said whose turn it is."""
ENDED = frozenset(("REJECTED", "EXPIRED", "PAY_BLOCKED", "SUPPLIER_CANCELLED", "REFUNDED"))
"""States in which a line is not bought and nothing goes on: explained only while somebody has an open task about it."""
SETTLED = frozenset(("PLACED_UNPAID", "PLACED_PAID", "PART_SHIPPED", "SHIPPED", "DELIVERED", "CANCELLED"))
"""States of purchases that say nothing about the pieces that are not bought."""
NO_REASON = "Nothing stands in its way"
"""How Waybill begins what it says about a purchase that waits for nothing but its turn."""


def explained(said: Said) -> bool:
    """At the end of a run: it is not bought, and somebody has been told."""
    return bool(said.turn and said.text) if said.state in LISTED else said.state in ENDED and bool(said.tasks)


def waits(said: Said) -> bool:
    """At any time: what happens next is said. An unclear send is looked for; one that is ready may wait for a reason."""
    stopped = said.state == "READY" and bool(said.text) and not said.text.startswith(NO_REASON)
    return explained(said) or said.state == "UNKNOWN" or stopped


def judge(books: Books, told: Mapping[Line, Account]) -> Verdict:
    """Compare. `told`: Waybill's account of each line (`ask`); everything else is the ledgers' word."""
    verdict = Verdict(*books.sizes())
    buyers = {sold.buyer: sold for sold in books.sold.values()}
    verdict.twice += [
        f"order {one.order_id} is for nobody who ordered" for one in books.bought if one.buyer not in buyers
    ]
    for name, there, full, sentence in _lines(books, told):
        if full and (there is None or not there.orders):
            verdict.lost.append(f"{name} is bought, and Waybill does not know its order")
        elif not full and _all(there, explained):
            verdict.waiting.append(f"{name}: {there.states if there else []}")
        elif not full:
            verdict.lost.append(sentence)
    verdict.wrong += [*_attached(books, told), *_parcels(books)]
    verdict.twice += _too_many(books, buyers)
    verdict.hidden += [f"{' '.join(sold.key)} is not shown whole" for sold in books.not_shown()]
    return verdict


def unaccounted(books: Books, told: Mapping[Line, Account]) -> list[str]:
    """Lines of which Waybill does not say what happens next, right now: not placed, in no list, and not waiting."""
    return [
        sentence
        for _, there, full, sentence in _lines(books, told)
        if not (full and there is not None and there.orders) and not _all(there, waits)
    ]


def _lines(books: Books, told: Mapping[Line, Account]) -> Iterator[tuple[str, Account | None, bool, str]]:
    """For each line its name, Waybill's account of it, whether all of it is bought, and the sentence if it is not."""
    have: dict[str, Counter[str]] = {}
    for one in books.bought:
        if one.order_id not in books.closed:
            have.setdefault(one.buyer, Counter()).update(one.pieces)
    for key, sold in [*books.sold.items()]:
        bought = have.get(sold.buyer, Counter())
        left = Counter(bought)
        wanted = sold.left()
        for line, (sku_id, _) in sold.lines.items():
            pieces = wanted[line]
            if not pieces:
                continue  # the buyer cancelled it, and whatever became of it is nothing that is missing
            name, there, full = f"{' '.join(key)} line {line}", told.get((key, line)), left[sku_id] >= pieces
            left[sku_id] -= pieces if full else 0
            states = "unknown to Waybill" if there is None else str(there.states)
            yield name, there, full, f"{name} wanted {pieces}, bought {bought[sku_id]}: {states}"


def _all(there: Account | None, holds: Callable[[Said], bool]) -> bool:
    """Whether it holds for each purchase that could still say something about what is not bought, if there is one."""
    open_ones = [said for said in there.said if said.state not in SETTLED] if there else []
    return bool(open_ones) and all(holds(said) for said in open_ones)


def _too_many(books: Books, buyers: Mapping[str, Sold]) -> list[str]:
    """Orders that were created while those before held all that their buyer wants. Closed later or not: twice is twice.

    What a shop told less than `LAG` before need not have been known. What was bought before a cancellation stays right.
    """
    live: dict[str, dict[str, Counter[str]]] = {}
    owner, told = dict[str, str](), list[str]()
    for one in books.history:
        if isinstance(one, str):
            live.get(owner.get(one, ""), {}).pop(one, None)
        elif one.buyer in buyers:
            owner[one.order_id] = one.buyer
            mine = live.setdefault(one.buyer, {})
            mine[one.order_id] = one.pieces
            sold = buyers[one.buyer]
            over = (sum(mine.values(), Counter[str]()) - sold.wanted(one.at - LAG)) & one.pieces
            told += [
                f"{' '.join(sold.key)}: {n} of {sku} too many with order {one.order_id}" for sku, n in over.items()
            ]
    return told


def regretted(books: Books) -> dict[str, int | float]:
    """Figures: creates with pieces that the shop had taken back by then, which is in order for so short a time only."""
    buyers = {sold.buyer: sold for sold in books.sold.values()}
    after = [
        one.at - max(since for since, _ in buyers[one.buyer].changes if since <= one.at)
        for one in books.bought
        if one.buyer in buyers and one.pieces - buyers[one.buyer].wanted(one.at)
    ]
    changed = [sold for sold in buyers.values() if sold.changes]
    cancelled = [sold for sold in changed if not sold.wanted().total()]
    numbers = {one.buyer for one in books.bought}
    return {
        "orders taken back": len(cancelled),
        "of them never bought": sum(sold.buyer not in numbers for sold in cancelled),
        "orders taken back in part": len(changed) - len(cancelled),
        "bought within the lag": len(after),
        "longest such lag in seconds": round(max(after, default=0.0), 1),
    }


def _attached(books: Books, told: Mapping[Line, Account]) -> list[str]:
    """Supplier orders that Waybill has for a line of somebody else."""
    numbers = defaultdict[str, set[str]](set)
    for one in books.bought:
        numbers[one.buyer].add(one.order_id)
    return [
        f"{' '.join(key)} line {line} has the order {number} of somebody else"
        for key, sold in books.sold.items()
        for line in sold.lines
        for number in sorted(told[key, line].orders - numbers[sold.buyer] if (key, line) in told else ())
    ]


def _parcels(books: Books) -> list[str]:
    """Parcels that a shop shows at somebody else's order, or twice."""
    made = {one.order_id: one.buyer for one in books.bought}
    wrong, seen = [], Counter[tuple[tuple[str, str, str], str]]()
    for parcel in books.shown:
        buyer = made.get(books.owner.get(parcel.tracking, ""), "nobody")
        if buyer != books.sold[parcel.key].buyer:
            wrong.append(f"parcel {parcel.tracking} is shown at {' '.join(parcel.key)}, and is not that buyer's")
        seen[parcel.key, parcel.tracking] += 1
    return wrong + [f"parcel {tracking} is shown {n} times" for (_, tracking), n in seen.items() if n > 1]
