"""What must be true after every step (lifecycle, section 5), by the ledgers of the simulators.

Our own rows are read only where an invariant is about them: I2, I3, I8, I9, I10, and which order a purchase is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import audit_chain
from app.domain.purchase_flow import FOLLOWED, LEGAL
from app.models import Attempt, Audit, PlacementFreeze, Purchase, Shop, Spend, StoreOrder, SupplierOrder
from tests.machine.holds import holds
from tests.machine.ledger import Bought
from tests.machine.shown import nothing_wrong

if TYPE_CHECKING:
    from tests.machine.play import Play

SENDS = ("NOT_SENT", "NOT_EXECUTED")


class Invariants:
    """What was seen already, so that a new row is looked at in the step in which it came."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._bought: set[str] = set()
        self._calls = 0
        self._purchases: set[int] = set()
        self._attempts: set[int] = set()
        self._spends: set[int] = set()
        self._stopped: set[int] = set()
        """Ids of purchases that we knew after the step before must not be sent."""

    def check(self) -> None:
        """Raises `Broken`."""
        play = self._play
        play.ledger.read()
        with play.container.database.transaction() as session:
            self._never_twice()
            self._written_ahead(session)
            _one_send(session)
            self._not_after_stop(session)
            self._right_owner(session)
            self._within_caps(session)
            _legal_steps(session)
            self._followed(session)
        nothing_wrong(play)
        chain = audit_chain.verify(play.container)
        holds(chain.intact, f"I9: {chain}")

    def _never_twice(self) -> None:
        """I1: what is bought and not closed never exceeds what was wanted while the one who bought it looked."""
        play = self._play
        for order in play.ledger.orders.values():
            if order.number in self._bought:
                continue
            self._bought.add(order.number)
            buyer = next((one for one in play.shops.orders if one.name_hash == order.name_hash), None)
            holds(buyer is not None, f"P5: order {order.number} is for nobody")
            assert buyer is not None
            send = play.sends.made(order.number_of_ours, order.created)
            holds(send is not None, f"I3: order {order.number} was made for {order.number_of_ours}, which nobody sent")
            assert send is not None
            most, live = buyer.most_since(send.began), play.ledger.live_of(order.name_hash)
            for sku in order.items:
                holds(
                    live[sku] <= most[sku],
                    f"I1: {buyer.buyer} wanted {most[sku]} of {sku} at most, {live[sku]} are bought",
                )
            self._right_merchant(order, buyer.shop)
            play.money.judge(order, buyer.shop, send.began_at)

    def _right_merchant(self, order: Bought, shop: str) -> None:
        """I12: bought with the account of the merchant whose shop it is."""
        theirs = self._play.accounts[shop]
        holds(order.account == theirs, f"I12: order {order.number} was made in account {order.account}, not {theirs}")

    def _written_ahead(self, session: Session) -> None:
        """I3: whatever the supplier was asked to create was written down and committed before, just as it was asked.

        Our hash is of what we decided, the supplier's of the text that it received: each is compared with the order
        between the two, as it was when it was sent.
        """
        calls = self._play.ledger.calls
        wrong = self._play.sends.unwritten(calls[self._calls :])
        holds(not wrong, f"I3: {wrong}")
        self._calls = len(calls)
        sent = session.execute(sa.select(Attempt.out_order_id, sa.func.count()).group_by(Attempt.out_order_id)).all()
        for number, count in sent:
            asked = sum(call.out_order_id == number for call in calls)
            holds(asked <= count, f"I3: {asked} calls for {number}, {count} written down")

    def _not_after_stop(self, session: Session) -> None:
        """I5: nothing passes the point of no return once it is known that it must not."""
        active = sa.select(Shop.id).where(Shop.state == "ACTIVE")
        frozen = sa.exists().where(PlacementFreeze.released_at.is_(None), PlacementFreeze.account_id.is_(None))
        unwanted = (StoreOrder.cancelled, StoreOrder.gone, ~StoreOrder.paid, StoreOrder.hold != "")
        query = (
            sa.select(Purchase.id)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
            .where(
                sa.or_(*unwanted, Purchase.cancel_requested_at.is_not(None), Purchase.shop_id.not_in(active), frozen)
            )
        )
        stopped = set(session.scalars(query))
        rows = session.execute(sa.select(Attempt.id, Attempt.purchase_id)).all()
        for attempt_id, purchase_id in rows:
            if attempt_id not in self._attempts:
                self._attempts.add(attempt_id)
                late = purchase_id in self._stopped & stopped
                holds(not late, f"I5: purchase {purchase_id} was sent although it was known that it must not be")
        self._stopped = stopped

    def _right_owner(self, session: Session) -> None:
        """I4, P5: an order of the supplier stands at one purchase, of the buyer it was made for."""
        rows = session.execute(
            sa.select(SupplierOrder.external_id, StoreOrder.external_id, Shop.connector)
            .join(Purchase, Purchase.id == SupplierOrder.purchase_id)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
            .join(Shop, Shop.id == Purchase.shop_id)
        ).all()
        seen: set[str] = set()
        for number, order_id, shop in rows:
            holds(number not in seen, f"I4: order {number} stands at two purchases")
            seen.add(number)
            made_for = self._play.ledger.orders.get(number)
            ours = next(one for one in self._play.shops.orders if (one.shop, one.external_id) == (shop, order_id))
            holds(made_for is not None, f"I4: order {number} does not exist at the supplier")
            assert made_for is not None
            holds(
                made_for.name_hash == ours.name_hash,
                f"P5: order {number} was made for another buyer than {ours.buyer}",
            )

    def _within_caps(self, session: Session) -> None:
        """I8: with what it reserves, a day's spending is within its shop's caps."""
        rows = session.execute(sa.select(Spend, Shop.day_cap).join(Shop, Shop.id == Spend.shop_id)).all()
        for spend, cap in rows:
            if spend.attempt_id in self._spends:
                continue
            self._spends.add(spend.attempt_id)
            others = sum(
                other.quoted if other.settled is None else other.settled
                for other, _ in rows
                if other is not spend
                and (other.shop_id, other.day) == (spend.shop_id, spend.day)
                and other.state != "RELEASED"
            )
            holds(others + spend.quoted <= cap, f"I8: {others} + {spend.quoted} are over the day's cap {cap}")

    def _followed(self, session: Session) -> None:
        """I10: a new generation follows only one that is over."""
        before = sa.orm.aliased(Purchase)
        query = sa.select(Purchase.id, before.state).join(before, before.id == Purchase.previous_id)
        for purchase_id, state in session.execute(query):
            if purchase_id not in self._purchases:
                self._purchases.add(purchase_id)
                holds(state in FOLLOWED, f"I10: purchase {purchase_id} follows one that is {state}")


def _one_send(session: Session) -> None:
    """I2: of each purchase row, one attempt at most may have been executed."""
    query = (
        sa.select(Attempt.purchase_id)
        .where(Attempt.outcome.not_in(SENDS))
        .group_by(Attempt.purchase_id)
        .having(sa.func.count() > 1)
    )
    twice = session.scalars(query).all()
    holds(not twice, f"I2: purchases {twice} were sent twice")


def _legal_steps(session: Session) -> None:
    """I9: each row of the journal of steps begins where the last one ended, and is a legal one."""
    states: dict[int, str] = {}
    columns = sa.select(Audit.entity_id, Audit.from_state, Audit.to_state)
    steps = columns.where(Audit.entity == "purchase", Audit.to_state != "").order_by(Audit.id)
    for purchase_id, left, entered in session.execute(steps):
        before = states.get(purchase_id, "")
        holds(
            left == before and entered in {before, *LEGAL[before]},
            f"I9: purchase {purchase_id} was {before or 'new'} and went from {left} to {entered}",
        )
        states[purchase_id] = entered
    for purchase_id, state in session.execute(sa.select(Purchase.id, Purchase.state)):
        told = states.get(purchase_id)
        holds(told == state, f"I9: purchase {purchase_id} is {state}, {told} told")
