"""A send whose answer was lost though the supplier executed it, and all who may find its order."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from app.errors import Conflict
from app.journal import Entry
from app.models import Alert, Attempt, Audit, Breaker, Purchase, SupplierOrder, Task
from app.pipeline import adopt, evidence, import_order, not_there, reconcile, track
from app.pipeline.buy.outcome import plain, replay
from app.pipeline.due import Claim
from app.pipeline.receive import receive
from app.ports.inbound import Delivery
from app.ports.supplier import PlaceOutcome, PlaceResult
from tests.flow.world import SOCKS
from tests.races.byhand import order_by_hand
from tests.races.scene import Shop


class Unclear:
    """One purchase that is UNKNOWN, and the order that the supplier made of it. Pushes go nowhere by themselves."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.world, self.container = shop, shop.world, shop.world.container
        with self.container.database.transaction() as session:
            session.execute(sa.delete(Breaker))  # three lost answers in a row would stop the next race's send
        self.order = shop.order(1)
        self.known = len(self.world.created())
        self.world.aliexpress.control("faults", [{"op": "order.create", "kind": "drop_after", "times": 1}])
        shop.send(self.order)
        self.ref = str(self.world.created()[self.known]["order_id"])
        self.purchase = shop.purchases(self.order)[0]
        assert self.purchase.state == "UNKNOWN"
        with self.container.database.transaction() as session:
            sent = sa.select(Attempt).where(Attempt.purchase_id == self.purchase.id, Attempt.outcome == "UNKNOWN")
            self.attempt = session.scalars(sent).one()

    @property
    def account(self) -> int:
        """Our id of the account that it was sent under."""
        assert self.purchase.account_id is not None
        return self.purchase.account_id

    def push(self) -> None:
        """The supplier's message about the order is worked off."""
        push(self.shop, self.ref)

    def look(self) -> None:
        """The reconciler's check."""
        reconcile.run(self.container, self.purchase.id)

    def track(self) -> None:
        """A worker reads the supplier order, if there is a row for it."""
        for order in self.rows():
            track.run(self.container, Claim(order.id, self.container.clock.now()))

    def answer_is_kept(self) -> None:
        """The answer came, and the worker died when it had written it into the journal."""
        for path in (self.world.folder / "state" / "journal").glob("*.jsonl"):
            path.unlink()  # the answers of earlier races
        result = plain(PlaceResult(PlaceOutcome.PLACED, order_ids=(self.ref,)))
        entry = Entry(self.attempt.id, self.purchase.id, self.purchase.out_order_id, result)
        self.container.journal.append(replace(entry, at=self.attempt.sent_at.timestamp()))
        with self.container.database.transaction() as session:
            session.execute(sa.update(Attempt).where(Attempt.id == self.attempt.id).values(outcome="OPEN"))

    def answer(self) -> None:
        """What the journal keeps is recorded."""
        replay(self.container)

    def is_seen(self) -> None:
        """A push told of the order while nobody could say yet whose it is."""
        with self.container.database.transaction() as session:
            adopt.row(session, self.account, self.ref, "push")

    def found(self) -> None:
        """A person names the order's number; told so if there is nothing to resolve any more."""
        with contextlib.suppress(Conflict):
            evidence.confirm(self.container, self.purchase.id, self.ref, by="merchant:1")

    def may_be_given_up(self) -> None:
        """The quarantine is over, and a person sees another order at the top of the account's list."""
        with self.container.database.transaction() as session:
            mine = sa.update(Purchase).where(Purchase.id == self.purchase.id)
            session.execute(mine.values(quarantine_until=Purchase.quarantine_until - timedelta(hours=1)))
        self.newest = order_by_hand(self.world, SOCKS)

    newest: str

    def not_there(self) -> None:
        """A person says that it is not there; told so if there is nothing to give up any more."""
        with contextlib.suppress(Conflict):
            not_there.give_up(self.container, self.purchase.id, newest_seen=self.newest, by="merchant:1")

    def rows(self) -> list[SupplierOrder]:
        """What we keep about the order."""
        with self.container.database.transaction() as session:
            mine = sa.select(SupplierOrder).where(SupplierOrder.external_id == self.ref)
            return list(session.scalars(mine))

    def told(self) -> set[str]:
        """Kinds of what is open about the order, its purchases and this shop order."""
        ids = [purchase.id for purchase in self.shop.purchases(self.order)]
        with self.container.database.transaction() as session:
            tasks = session.scalars(sa.select(Task.kind).where(Task.purchase_id.in_(ids), ~Task.over)).all()
            alerts = session.scalars(
                sa.select(Alert.kind).where(Alert.purchase_id.in_(ids), Alert.ended_at.is_(None))
            ).all()
        return {*tasks, *alerts}

    def times_attached(self) -> int:
        """How often the order was given to a purchase."""
        ids = [row.id for row in self.rows()]
        with self.container.database.transaction() as session:
            lines = sa.select(sa.func.count()).where(
                Audit.entity == "supplier_order", Audit.entity_id.in_(ids), Audit.action == "attached"
            )
            return session.scalar(lines) or 0

    def bought(self) -> int:
        """Pieces of bottles that the supplier's ledger has for this order, by our numbers."""
        numbers = {purchase.out_order_id for purchase in self.shop.purchases(self.order)}
        mine = [line for line in self.world.created()[self.known :] if line["out_order_id"] in numbers]
        return sum(int(item["quantity"]) for line in mine for item in line["items"])


def push(shop: Shop, ref: str) -> None:
    """A message of the supplier's about its order `ref` comes and is worked off."""
    container = shop.world.container
    body = json.dumps({"message_type": 53, "data": {"buyerId": "", "orderId": ref, "orderStatus": "OrderCreated"}})
    row = receive(container, "aliexpress", None, Delivery("order_status"), body.encode())
    import_order.run(container, Claim(row, container.clock.now()))
