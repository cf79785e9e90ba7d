"""Every send, noted in the moment before it goes out: who makes it, and what was committed by then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from app.container import Container
from app.models import Attempt
from app.pipeline.buy.commit import request_hash
from app.ports.supplier import PlaceOrder
from connectors.aliexpress import orders

if TYPE_CHECKING:
    from app.pipeline.buy.preflight import Plan
    from tests.machine.ledger import Call


GRAIN = 0.001
"""Seconds by which two clocks of one story differ at most: they round."""


@dataclass(frozen=True)
class Send:
    """One call of `place`. `at`, `began_at`: the story's epoch seconds.

    `began`, `began_at`: when whoever sends took the work, the step and the time. `said`: its request hash, as attempts
    have it; `on_wire`: the hash of the same order as the supplier's ledger has it. `committed`: request hashes of the
    open attempts under its number that another connection saw before the send.
    """

    number: str
    at: float
    began: int
    began_at: float
    said: str
    on_wire: str
    committed: tuple[str, ...]


class Sends:
    """All of a story."""

    def __init__(self) -> None:
        self._sends: list[Send] = []

    def note(self, container: Container, order: PlaceOrder, at: float, began: tuple[int, float]) -> None:
        """This order is about to be placed."""
        query = sa.select(Attempt.request_hash).where(
            Attempt.out_order_id == order.out_order_id, Attempt.outcome == "OPEN"
        )
        with container.database.engine.connect() as connection:
            committed = tuple(connection.scalars(query))
        said = request_hash(cast("Plan", SimpleNamespace(order=order)))
        on_wire = ""
        with suppress(ValueError):  # what cannot be composed is not sent
            on_wire = orders.request_hash(orders.wire_parameters(order))
        self._sends.append(Send(order.out_order_id, at, *began, said, on_wire, committed))

    def made(self, number: str, at: float) -> Send | None:
        """The send under this number of ours by which the supplier was called or made something at this time."""
        return next((one for one in reversed(self._sends) if one.number == number and one.at <= at + GRAIN), None)

    def unwritten(self, calls: Sequence[Call]) -> str:
        """What is wrong about the first of these calls that was not committed, as it is, before it was sent."""
        for call in calls:
            send = self.made(call.out_order_id, call.at)
            if send is None or not send.committed:
                return f"the supplier was asked for {call.out_order_id}, which nobody had written down before"
            if send.said not in send.committed:
                return f"what was sent for {call.out_order_id} is not what was written down before"
            if call.request_hash != send.on_wire:
                return f"the supplier was asked for something else under {call.out_order_id} than we sent"
        return ""
