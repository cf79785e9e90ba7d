"""What the model speaks of: one storefront order line, our row for it, two workers, the wire and the supplier's truth.

The protocol itself is in `protocol.py`, what must never happen in `search.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

NONE, READY, CLAIMED, SENDING, DONE, REJECTED, CANCELLED, HUMAN = range(8)
"""States of the row. SENDING is the point of no return; UNKNOWN is a SENDING row that nobody works on."""

RESTING = frozenset((NONE, DONE, REJECTED, CANCELLED, HUMAN))

IDLE, CLAIMER, ABOUT_TO_SEND, WAITING, ANSWERED = range(5)
"""Where a worker is: free, holding a claim, past T3, request on the wire, answer in hand."""

UNPAID, PAID, EXPIRED = range(3)
NOBODY = -1

REFUSED, REPEATED, STOCK, GATEWAY = -2, -3, -4, -5
"""Answers without an order. Any other answer is the index of the order in `World.orders`."""


class Worker(NamedTuple):
    """`generation` it works on, `answer` it has read."""

    at: int
    generation: int
    answer: int | None


FREE = Worker(IDLE, 0, None)


class Request(NamedTuple):
    """A create call that the supplier has not decided yet. `caller` NOBODY: its worker has hung up or died."""

    generation: int
    caller: int


class Order(NamedTuple):
    """The supplier's ledger."""

    generation: int
    status: int


class World(NamedTuple):
    """Everything at one moment.

    `cancel`: 0 none, 1 before the point of no return, 2 after it. `pushes`: orders whose event is under way.
    `known`: orders that we have evidence of. `misled`: a generation was sent although its cancellation was known.
    `refused_once`, `odd_once`: the supplier has already used its refusal, and its stock or gateway answer.
    """

    deliveries: int
    state: int
    generation: int
    owner: int
    workers: tuple[Worker, Worker]
    wire: tuple[Request, ...]
    orders: tuple[Order, ...]
    pushes: frozenset[int]
    cancel: int
    known: frozenset[int]
    person: int
    refused_once: int
    misled: int
    odd_once: int


START = World(0, NONE, 0, NOBODY, (FREE, FREE), (), (), frozenset(), 0, frozenset(), 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Design:
    """Switches of the protocol; the defaults are ours, each mutant turns one of them."""

    dedupe: str = "none"
    """What the supplier does with a repeated `out_order_id`: none, replay or reject."""
    autopay: bool = True
    """The create call pays too; else the order waits unpaid and may expire."""
    generations: int = 2
    kills: int = 2
    most_deliveries: int = 2
    most_on_wire: int = 3
    cancellations: bool = True
    unique_intent: bool = True
    """One row per (line, generation), by constraint."""
    write_ahead: bool = True
    """SENDING is committed before the first byte leaves."""
    lease_reruns_sending: bool = False
    retry_on_timeout: bool = False
    miss_is_proof: bool = False
    deadline: bool = True
    """A worker that finds the world changed does not send."""
    compare_and_set: bool = True
    fresh_key_on_retry: bool = False
    same_key_resend: bool = False
    reread_before_send: bool = True
    """T3 looks at the cancellation once more."""
    silence_means_no_stock: bool = False
