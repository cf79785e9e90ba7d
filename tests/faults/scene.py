"""A script played in real processes that may die, with people who do what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import sqlalchemy as sa

from app.models import Purchase, StoreOrder
from tests.faults import chain
from tests.faults.chain import Wanted
from tests.faults.commands import Commands
from tests.faults.leases import Leases
from tests.faults.market import Market
from tests.faults.orders import Order
from tests.faults.people import People
from tests.faults.points import Shot, deaths
from tests.faults.roles import ROLES, Roles, Zygote
from tests.faults.syscalls import Traced
from tests.faults.verdict import problems
from tests.flow.world import World
from tests.mailbox import mail_server

SCALE = 20.0
LOOK = 0.3
LONGEST = 150.0
"""Seconds after which a run that came to no end has failed: a lease of a dead worker lasts twelve."""
MAILED = 20.0
"""Seconds for which a mail is waited for."""
RECOVERED = 3.0
"""Seconds that a run goes on after the last death, whatever the verdict is by then."""
RETOLD = 3.0
"""Seconds after which a shop is asked again for what changed, as every few minutes in the real world."""


class Script(Protocol):
    """What happens in a run: made with its `Scene`, furnished before anybody may die, then played."""

    name: str
    orders: list[Order]
    hurries: bool
    """Whether nobody waits for leases of the dead, nor for a shop to be asked again."""

    def furnish(self) -> None:
        """Shops and goods."""

    def stories(self) -> list[Iterator[None]]:
        """What happens side by side; each goes on at every look, and waits by yielding."""

    def wrong(self) -> list[str]:
        """What is not as it must be beside what is true of every script, one sentence each."""


_BUSY = """SELECT (SELECT count(*) FROM purchase WHERE state IN ('READY', 'CLAIMED', 'SENDING', 'UNKNOWN', 'HUMAN'))
    + (SELECT count(*) FROM outbox WHERE state = 'DUE' AND kind <> 'mail' AND NOT waits)
    + (SELECT count(*) FROM inbox WHERE state = 'DUE')"""


class Scene:
    """Simulators in this process, the product in processes of its own. With a plan of where they die."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        folder: Path,
        zygote: Zygote,
        script: Callable[[Scene], Script],
        plan: Sequence[Shot] = (),
        *,
        together: bool = False,
        wanted: Wanted | None = None,
        system_call: int = 0,
    ) -> None:
        """`system_call`: the worker is a real one that is killed there, instead of one with points.

        `wanted`: the plan is the beginning of a chain in which these pairs are looked for.
        """
        self._stack = ExitStack()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("reached", "later"):
            (folder / name).touch()
        self.mails = self._stack.enter_context(mail_server())
        mail = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(self.mails.port), "STAFF_EMAIL": "staff@example.test"}
        few = {"WORKER_THREADS": "6", "DATABASE_POOL": "8"}
        self.world = World(database_url, redis_url, folder, time_scale=SCALE, **mail, **few)
        self._stack.callback(self.world.close)
        self.world.app.stop()
        self.market = Market(self.world)
        self.script = script(self)
        self.script.furnish()
        roles = [role for role in ROLES if role != "worker" or not system_call]
        where = self.world.environment, folder, self.world.app.port
        if wanted is not None:
            chain.write(folder, wanted)
        how = {"together": together, "chain": plan[0].point if wanted is not None else ""}
        self.roles = Roles(zygote, *where, plan, roles=roles, **how)
        self._stack.callback(self.roles.close)
        self.traced = Traced(self.world.environment, folder, system_call) if system_call else None
        if self.traced is not None:
            self._stack.callback(self.traced.close)
        self.commands = Commands(zygote, self.roles.asked, folder)
        self.people = People(self.world, self.commands)
        self._leases = Leases(self.world.container.database, folder)
        self._hurries = (
            self.script.hurries or len(plan) > 1 or wanted is not None
        )  # a single death waits for its lease to run out
        self._plan = plan
        self._died: int | None = None
        """How many had died when the verdict was taken: who died after that, if anybody, was not looked at."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def reached(self) -> set[str]:
        """Every point that a process came to."""
        return set((self.folder / "reached").read_text().splitlines())

    @property
    def later(self) -> set[str]:
        """Every point that a process came to after the first death of the plan, or the last one of a chain."""
        return set((self.folder / "later").read_text().splitlines())

    @property
    def fired(self) -> set[str]:
        """The points of the plan at which somebody died."""
        names = {path.name for path in deaths(self.folder)[: self._died]}
        return {shot.point for number, shot in enumerate(self._plan) if f"fired-{number}" in names}

    @property
    def chain(self) -> list[str]:
        """Where somebody died in a chain, in order."""
        return chain.deaths(self.folder)[: self._died]

    @property
    def links(self) -> list[tuple[str, str]]:
        """The pairs of a chain."""
        return chain.links(self.folder, self._died)

    @property
    def all_fired(self) -> bool:
        """Whether the whole plan came true."""
        if self.traced is not None and not self.traced.died:
            return False
        return len(deaths(self.folder)[: self._died]) >= len(self._plan)

    def verdict(self, *, bought: Sequence[dict[str, Any]] | None = None) -> list[str]:
        """What is wrong now; `bought` as in `problems`."""
        own = self.people.by_hand
        return [*problems(self.world, self.script.orders, bought=bought, by_hand=own), *self.script.wrong()]

    def play(self) -> list[str]:
        """Play the script, and wait until all stands where it must; gives what is wrong."""
        stories = self.script.stories()
        deadline = time.monotonic() + LONGEST
        retold = time.monotonic()
        while time.monotonic() < deadline:
            stories = [story for story in stories if _goes_on(story)]
            if not stories and not self.verdict() and not self._busy() and self._lived_on():
                died = len(deaths(self.folder))
                time.sleep(0.5)  # what would be done twice is done now
                wrong = self.verdict()
                if len(deaths(self.folder)) == died:
                    self._died = died
                    return wrong
            self.people.act()
            if self._hurries:
                self._leases.let_pass()
                self._leases.pauses()
                if time.monotonic() - retold > RETOLD:
                    retold = time.monotonic()
                    self._ask_shops()
            time.sleep(LOOK)
        return [*self.verdict(), *(f"not told to its end: {story}" for story in stories), self.world.tell()]

    def _lived_on(self) -> bool:
        """Whether everybody who died had time to come back and to do harm."""
        return all(time.time() - path.stat().st_mtime > RECOVERED for path in deaths(self.folder)[-1:])

    def _busy(self) -> int:
        """How many rows wait to be worked on, and could still do something twice."""
        with self.world.container.database.reading() as session:
            return int(session.scalar(sa.text(_BUSY)) or 0)

    def _ask_shops(self) -> None:
        with self.world.container.database.transaction() as session:
            session.execute(sa.text("UPDATE shop SET poll_run_at = now() WHERE poll_lease_until IS NULL"))

    # What stories are told with.

    def until(self, holds: Callable[[], object]) -> Iterator[None]:
        """Wait."""
        while not holds():
            yield

    def until_done(self, *arguments: object, holds: Callable[[], object] | None = None) -> Iterator[None]:
        """Give a command at every look until it is not refused, or, if that is given, until `holds`."""
        while True:
            answer = self.commands.give(*arguments)
            if holds() if holds else not answer.fault:
                return
            yield

    def fault(self, kind: str, **more: object) -> None:
        """The next order.create goes wrong like this."""
        self._fault({"op": "order.create", "times": 1, "kind": kind, **more})

    def fails(self, operation: str, times: int = 2, **more: object) -> None:
        """The supplier's answer to the next calls of this kind is that it cannot."""
        self._fault({"op": operation, "times": times, "kind": "status", **more})

    def _fault(self, rule: dict[str, object]) -> None:
        self.world.aliexpress.control("faults", {"add": [rule]})

    def is_faulty(self, **named: str) -> bool:
        """Whether a fault with these parameters is still to come."""
        rules = self.world.aliexpress.control("state")["faults"]
        return any(rule.items() >= named.items() for rule in rules)

    def purchases(self, order: Order) -> list[Purchase]:
        """The purchases of an order, oldest first."""
        query = (
            sa.select(Purchase)
            .join(StoreOrder, StoreOrder.id == Purchase.order_id)
            .where(StoreOrder.external_id == order.external_id)
            .order_by(Purchase.id)
        )
        with self.world.container.database.transaction() as session:
            return list(session.scalars(query))

    def until_mailed(self) -> Iterator[None]:
        """Wait until somebody was mailed; not for ever, as whoever was about to write may have died."""
        deadline = time.monotonic() + MAILED
        yield from self.until(lambda: self.mails.raw or time.monotonic() > deadline)

    def stands(self, order: Order, *words: str) -> bool:
        """Whether a purchase of this order has one of these words as its state or its reason."""
        return any({purchase.state, purchase.reason} & set(words) for purchase in self.purchases(order))


def _goes_on(story: Iterator[None]) -> bool:
    try:
        next(story)
    except StopIteration:
        return False
    return True
