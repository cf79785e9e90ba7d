"""A story's stage: the world on one clock, its workers, its postbox, its people. `stories.py` says what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import redis
import sqlalchemy as sa

from app.errors import WaybillError
from app.jobs.drain import KINDS
from app.jobs.periodic import claim_due, make_due, run_job
from app.jobs.schedule import JOBS
from app.models import Inbox, Merchant, Purchase, Shop, SupplierAccount
from app.pipeline.buy import watch
from app.ports.errors import OutsideError
from app.ports.supplier import PlaceOrder
from tests.flow.world import World
from tests.machine import points
from tests.machine.clock import StoryClock, plain
from tests.machine.connections import Connections
from tests.machine.holds import holds
from tests.machine.invariants import Invariants
from tests.machine.ledger import Ledger
from tests.machine.market import Market
from tests.machine.money import Money
from tests.machine.people import People
from tests.machine.postbox import Letter, Postbox
from tests.machine.scene import Scene
from tests.machine.sends import Sends
from tests.machine.shops import GOODS, MOST_ORDERS, SHOPIFY, WOOCOMMERCE, Shops
from tests.machine.workers import LONGEST, Worker, current, lock_waits

KIND = {kind.name: kind for kind in KINDS}
URGENT = ("reconcile", "buy", "act", "inbox", "track", "poll")
STEP = 0.25
"""Seconds of the story for each of its steps."""
NAP = 0.5
"""Seconds of the story that a sleep takes at least."""
LONGEST_WAY = 80
"""Stops of one unit of work, at most."""


class Play:
    """One story. Close it in any case."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, scene: Scene) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        self.scene, self._redis_url = scene, redis_url
        self._stack = ExitStack()
        self.clock = self._stack.enter_context(StoryClock(database_url))
        few = {"DATABASE_POOL": "10", "CREATES_PER_SECOND": "1000", "WORKER_THREADS": "4"}
        options = {"aliexpress": {"readable_after": "10", "dedupe": scene.dedupe}, "shopify": {"webhook_workers": "1"}}
        self.world = World(database_url, redis_url, folder, time_scale=1.0, clock=self.clock, options=options, **few)
        self._stack.callback(self.world.close)
        self.container = self.world.container
        self.flask = self.world.app._app
        self.postbox = Postbox()
        self.world.app._server.app = self.postbox  # the same port: what the shops know of us
        self._look = self._stack.enter_context(psycopg.connect(plain(database_url), autocommit=True))
        self.workers = [Worker(name, lambda: lock_waits(self._look)) for name in ("first", "second", "sweeper")]
        self.step = 0
        self.sends = Sends()
        self.accounts: dict[str, str] = {}
        self.shops = self._open_shops()
        self.ledger = Ledger(self.world)
        self.market, self.money, self.connections = Market(self), Money(self), Connections(self)
        self.invariants = Invariants(self)
        self._stack.enter_context(points.installed(self.container, self._about_to_place, self._sleep))
        self.people = People(self)
        self.supplier("push", {"lost": -1 if scene.silent else 0})
        self.after_step()
        self.postbox.waiting.clear()  # greetings of new webhooks, which say nothing of an order

    def close(self) -> None:
        """End everything, the workers first."""
        for worker in self.workers:
            self.kill(worker)
        watch._slots.reset()
        self._stack.close()

    def _open_shops(self) -> Shops:
        """Two merchants, each with a shop and an account of their own."""
        shops = Shops(self.world)
        with self.container.database.transaction() as session:
            second = Merchant(name="Another merchant")
            session.add(second)
            session.flush()
            shop = session.get_one(Shop, shops.ids[WOOCOMMERCE])
            theirs = session.scalars(sa.select(SupplierAccount).order_by(SupplierAccount.id.desc())).first()
            assert theirs is not None
            shop.merchant_id = theirs.merchant_id = second.id
            users = session.scalars(sa.select(SupplierAccount.user_id).order_by(SupplierAccount.id)).all()
        self.accounts = dict(zip((SHOPIFY, WOOCOMMERCE), users, strict=True))
        for user in users:
            self.world.aliexpress.control("accounts", {"user_id": user, "autopay": True, "tokens": False})
        return shops

    def _about_to_place(self, worker: Worker | None, order: PlaceOrder) -> None:
        """T4 may begin two seconds after T3 at most; nobody can have waited between that check and this moment."""
        began = (self.step, self.clock.at) if worker is None else (worker.began, worker.began_at)
        self.sends.note(self.container, order, self.clock.at, began)
        if worker is not None and worker.kill_at is not None:
            late = self.clock.boottime() - (worker.kill_at - self.container.timers.kill_after.total_seconds())
            most = self.container.timers.send_deadline.total_seconds()
            holds(late <= most, f"T4: a send began {late:.0f} s after its point of no return")

    def _sleep(self, seconds: float) -> None:
        """Somebody sleeps: time goes by, not ours."""
        if current() is None:
            self.pass_time(max(seconds, NAP))
        else:
            self.clock.advance(max(seconds, NAP))

    # Steps

    def after_step(self) -> None:
        """What the simulators have to say comes to the postbox; then everything must hold."""
        self.step += 1
        self._collect()
        self.shops.look(self.step)
        self.invariants.check()
        self.clock.advance(STEP)

    def _collect(self) -> None:
        deadline = monotonic() + LONGEST
        self.world.woocommerce.control("queue", {"shop": "socks", "act": "run"})
        self.world.woocommerce.control("queue", {"shop": "socks", "act": "pause"})
        while not (
            self.world.shopify.control("state")["idle"] and self.world.aliexpress.control("state")["pushes"]["idle"]
        ):
            assert monotonic() < deadline, "the simulators still have something to send"
        self.postbox.collect()

    def begin(self, worker: Worker, what: str) -> None:
        """Let an idle worker take one row of this kind (`any`: the most urgent), or do this periodic job."""
        worker.began, worker.began_at = self.step, self.clock.at
        worker.begin(lambda: self._unit(what))
        worker.wait(self.workers)

    def _unit(self, what: str) -> bool:
        if what in JOBS:
            JOBS[what].act(self.container)
            return True
        if hasattr(People, what):
            getattr(self.people, what)()
            return True
        return any(self._one(kind) for kind in (URGENT if what == "any" else (what,)))

    def _one(self, name: str) -> bool:
        """Work off one row of a kind; gives whether there was one."""
        kind = KIND[name]
        for row in kind.claim(self.container, 1):
            kind.run(self.container, row)
            return True
        return False

    def go(self, worker: Worker, stops: int) -> None:
        """On by so many stops; 0: to the end."""
        for _ in range(stops or 1):
            if not worker.idle:
                worker.go(through=not stops)
                worker.wait(self.workers)

    def kill(self, worker: Worker) -> None:
        """It dies where it stands."""
        if not worker.idle:
            worker.go(kill=True)
            worker.wait([])

    def let_transactions_end(self) -> None:
        """Whoever acts now must not wait for a worker that stands still. (One that acts is let go on by the story.)"""
        if current() is not None:
            return
        for worker in self.workers:
            worker.leave_transaction(self.workers)

    def go_on(self, worker: Worker, stops: int) -> None:
        """On by so many stops, perhaps none."""
        if stops:
            self.go(worker, stops)

    def brink(self, worker: Worker, where: str) -> None:
        """All that is known is worked off; then a worker that has nothing to do buys as far as this point."""
        if worker.idle:
            self.something_to_buy()
            self.begin(worker, "buy")
            self.go_until(worker, where)

    def go_until(self, worker: Worker, where: str) -> None:
        """On to a stop whose name begins like this, or to the end."""
        for _ in range(LONGEST_WAY):
            if worker.idle or worker.point.startswith(where):
                return
            self.go(worker, 1)

    def work(self, most: int = 60, *, kinds: Sequence[str] = URGENT) -> int:
        """Somebody who never stops works off what is due; gives how many rows."""
        self.let_transactions_end()
        done = 0
        while done < most and any(self._one(kind) for kind in kinds):
            done += 1
        return done

    def hear(self) -> None:
        """All that was sent to us arrives and is worked off; nothing is bought."""
        self._collect()
        self.deliver_all()
        self.work(kinds=[kind for kind in URGENT if kind != "buy"])

    def something_to_buy(self) -> None:
        """All that is known is worked off; if then nothing waits for being bought, somebody orders something."""
        self.hear()
        with self.container.database.transaction() as session:
            ready = session.scalar(sa.select(sa.func.count()).select_from(Purchase).where(Purchase.state == "READY"))
        count = len(self.shops.orders)
        if not ready and count < MOST_ORDERS:
            self.shops.buy((SHOPIFY, WOOCOMMERCE)[count % 2], [(GOODS[count % len(GOODS)], 1)], paid=True)
            self.shops.look(self.step)  # it may be bought, and be changed, before this step is over
            self.hear()

    def sweep(self) -> None:
        """Every periodic job that is due is done."""
        self.let_transactions_end()
        make_due(self.container)
        while turns := claim_due(self.container, 20):
            for turn in turns:
                run_job(self.container, turn)

    def pass_time(self, seconds: float) -> None:
        """Time goes by. The supervisor kills whom it finds too long behind the point of no return."""
        self.let_transactions_end()
        for worker in self.workers:
            if worker.kill_at is not None and worker.kill_at < self.clock.boottime() + seconds:
                self.kill(worker)
        self.clock.advance(seconds)

    # The outside

    def deliver_all(self) -> None:
        """All webhooks and pushes on their way arrive."""
        waiting, self.postbox.waiting = self.postbox.waiting, []
        for letter in waiting:
            self.deliver(letter)

    def deliver(self, letter: Letter) -> None:
        """A webhook or push arrives. I6: whoever is told 200 is in the inbox."""
        self.let_transactions_end()
        before = self._seen()
        status = self.postbox.deliver(self.flask, letter)
        holds(status == 200, f"a true {letter.topic} was answered with {status}")
        holds(self._seen() == before + 1, f"I6: a {letter.topic} was answered with 200 but not stored")

    def _seen(self) -> int:
        with self.container.database.transaction() as session:
            return int(session.scalar(sa.select(sa.func.coalesce(sa.func.sum(Inbox.seen), 0))) or 0)

    def by_hand(self, act: Callable[[], object]) -> None:
        """An act of a person; what the product refuses is refused."""
        self.let_transactions_end()
        with suppress(WaybillError, OutsideError):
            act()

    def supplier(self, path: str, data: Any) -> bool:
        """A control call of the supplier; gives whether it was possible."""
        status, _ = self.world.aliexpress.call("POST", f"/_control/{path}", data)
        return status < 300

    def flush_redis(self) -> None:
        """Everything in Redis is gone."""
        with redis.Redis.from_url(self._redis_url) as client:
            client.flushall()

    def poll_now(self) -> None:
        """Every shop is asked for changes at the next look."""
        with self.container.database.transaction() as session:
            session.execute(sa.update(Shop).values(poll_run_at=sa.func.now()))
