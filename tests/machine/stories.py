"""The state machine: everything that may happen, one act a step. Hypothesis makes stories of it, and shortens them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.fresh_databases import FreshDatabases
from tests.machine.ending import end
from tests.machine.fates import CREATES, READS
from tests.machine.play import Play
from tests.machine.shops import GOODS, SHOPIFY, WOOCOMMERCE

NUMBER = st.integers(0, 7)
UNITS = ("buy", "inbox", "any", "reconcile", "track", "act", "poll")
JOBS = ("leases", "journal", "held", "probe", "refresh_tokens", "watch", "hooks", "mails", "audit_seal")
JUMPS = (1.0, 5.0, 12.0, 35.0, 70.0, 130.0, 400.0, 1_900.0, 3_800.0, 90_000.0)
MOST_ORDERS = 4


class Servers:
    """What stories play on, shared by all of them."""

    databases: ClassVar[FreshDatabases]
    redis_url: ClassVar[str]
    played: ClassVar[int] = 0


@contextmanager
def _stage() -> Iterator[Play]:
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Servers.databases.migrated() as url,
        ExitStack() as stack,
    ):
        play = Play(url, Servers.redis_url, Path(folder))
        stack.callback(play.close)
        yield play


class Stories(RuleBasedStateMachine):
    """One story."""

    def __init__(self) -> None:
        super().__init__()
        self._whole = ExitStack()
        self.play = self._whole.enter_context(_stage())
        self._broken = False
        Servers.played += 1

    def teardown(self) -> None:
        """The end of a story that did not break before."""
        try:
            if not self._broken:
                end(self.play)
        finally:
            self._whole.close()

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
            self.play.after_step()
        except BaseException:
            self._broken = True
            raise

    @initialize(shop=st.sampled_from((SHOPIFY, WOOCOMMERCE)), goods=st.integers(0, 2), pieces=st.integers(1, 2))
    def first_order(self, shop: str, goods: int, pieces: int) -> None:
        """Somebody buys something, and the webhooks of it are on their way."""
        self._do(lambda: self.play.shops.buy(shop, [(GOODS[goods], pieces)], paid=True))

    # Buyers and merchants

    @precondition(lambda self: len(self.play.shops.orders) < MOST_ORDERS)
    @rule(
        shop=st.sampled_from((SHOPIFY, WOOCOMMERCE)),
        goods=st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True),
        pieces=st.integers(1, 2),
        paid=st.sampled_from((True, True, True, False)),
    )
    def order(self, shop: str, goods: list[int], pieces: int, paid: bool) -> None:
        """Another order."""
        self._do(lambda: self.play.shops.buy(shop, [(GOODS[one], pieces) for one in goods], paid=paid))

    @rule(
        which=NUMBER, act=st.sampled_from(("cancel", "fewer", "more", "refund a piece", "refund all", "pay", "touch"))
    )
    def change(self, which: int, act: str) -> None:
        """An order is changed in its shop."""
        order = self.play.shops.orders[which % len(self.play.shops.orders)]
        line_id, sku = order.lines[0]
        pieces = max(order.wanted[sku], 0)
        data: dict[str, Any] = {}
        name = act
        if act in {"fewer", "more"}:
            quantity = pieces + (1 if act == "more" else -1)
            if quantity < 0:
                return
            name = "edit"
            if order.shop == SHOPIFY:
                data = {"changes": [{"line": 0, "quantity": quantity}]}
            else:
                data = {"lines": [{"id": int(line_id), "quantity": quantity}]}
        elif act == "refund a piece":
            name = "refund"
            if order.shop == SHOPIFY:
                data = {"lines": [{"line": 0, "quantity": 1}]}
            else:
                data = {"lines": [{"id": int(line_id), "quantity": 1, "total": "60.00"}]}
        elif act == "refund all":
            name = "refund"
            data = {"full": True} if order.shop == SHOPIFY else {}
        elif act == "touch" and order.shop == WOOCOMMERCE:
            name, data = "edit", {"customer_note": "please hurry"}
        self._do(lambda: self.play.shops.act(order, name, data))

    # The way of webhooks and pushes

    @precondition(lambda self: self.play.postbox.waiting)
    @rule(which=NUMBER, copies=st.sampled_from((1, 1, 2)))
    def deliver(self, which: int, copies: int) -> None:
        """One of those on their way arrives, perhaps twice, perhaps before an older one."""
        waiting = self.play.postbox.waiting
        letter = waiting.pop(which % len(waiting))
        self._do(lambda: [self.play.deliver(letter) for _ in range(copies)])

    @precondition(lambda self: self.play.postbox.waiting)
    @rule()
    def deliver_all(self) -> None:
        """All of them arrive."""
        waiting, self.play.postbox.waiting = self.play.postbox.waiting, []
        self._do(lambda: [self.play.deliver(letter) for letter in waiting])

    @precondition(lambda self: self.play.postbox.waiting)
    @rule(which=NUMBER)
    def lose(self, which: int) -> None:
        """One of them never arrives."""
        waiting = self.play.postbox.waiting
        self._do(lambda: waiting.pop(which % len(waiting)))

    @precondition(lambda self: self.play.postbox.past)
    @rule(which=NUMBER)
    def deliver_again(self, which: int) -> None:
        """One that arrived long ago arrives once more."""
        past = self.play.postbox.past
        self._do(lambda: self.play.deliver(past[-1 - which % len(past)]))

    # Workers

    @rule()
    def work(self) -> None:
        """Somebody works off all that is due."""
        self._do(self.play.work)

    @rule(who=st.integers(0, 1), what=st.sampled_from(UNITS))
    def begin(self, who: int, what: str) -> None:
        """A worker that has nothing to do takes something, and stops at once where something can be seen of it."""
        if self.play.workers[who].idle:
            self._do(lambda: self.play.begin(self.play.workers[who], what))

    @rule(what=st.sampled_from(JOBS))
    def sweep(self, what: str) -> None:
        """The sweeper begins one of its jobs."""
        if self.play.workers[2].idle:
            self._do(lambda: self.play.begin(self.play.workers[2], what))

    @precondition(lambda self: any(not worker.idle for worker in self.play.workers))
    @rule(who=st.integers(0, 2), stops=st.sampled_from((1, 2, 4, 8, 0)))
    def go(self, who: int, stops: int) -> None:
        """A worker goes on for so many stops; 0 is to its end."""
        busy = [worker for worker in self.play.workers if not worker.idle]
        self._do(lambda: self.play.go(busy[who % len(busy)], stops))

    @precondition(lambda self: any(not worker.idle for worker in self.play.workers))
    @rule(who=st.integers(0, 2))
    def kill(self, who: int) -> None:
        """A worker dies where it stands."""
        busy = [worker for worker in self.play.workers if not worker.idle]
        self._do(lambda: self.play.kill(busy[who % len(busy)]))

    @rule(seconds=st.sampled_from(JUMPS))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self._do(lambda: self.play.pass_time(seconds))

    @rule()
    def flush_redis(self) -> None:
        """Everything in Redis is gone."""
        self._do(self.play.flush_redis)

    # The supplier

    @rule(fate=st.sampled_from(sorted(CREATES)))
    def next_create(self, fate: str) -> None:
        """What becomes of the next call that places an order."""
        self._do(lambda: self.play.supplier("faults", {"add": [CREATES[fate]]}))

    @rule(fate=st.sampled_from(sorted(READS)))
    def next_read(self, fate: str) -> None:
        """What becomes of another call to the supplier."""
        self._do(lambda: self.play.supplier("faults", {"add": [READS[fate]]}))

    @rule(which=NUMBER, act=st.sampled_from(("pay", "ship", "close", "cancel", "deliver")))
    def at_supplier(self, which: int, act: str) -> None:
        """Something happens to an order at the supplier."""
        orders = sorted(self.play.ledger.orders)
        if orders:
            self._do(lambda: self.play.supplier(act, {"order_id": orders[which % len(orders)]}))

    @rule(
        goods=st.integers(0, 2),
        change=st.sampled_from(({"stock": 0}, {"stock": 99}, {"price": "58.00"}, {"price": "5.00"})),
    )
    def goods_change(self, goods: int, change: dict[str, Any]) -> None:
        """The price or the stock of a SKU changes."""
        data = {"product_id": GOODS[goods].product_id, "sku_changes": {GOODS[goods].sku_id: change}}
        self._do(lambda: self.play.supplier("products", data))

    @rule(
        shop=st.sampled_from((SHOPIFY, WOOCOMMERCE)),
        act=st.sampled_from(("access", "both", "renew", "shop", "shop renewed")),
    )
    def tokens(self, shop: str, act: str) -> None:
        """Tokens die, and are given again."""
        play = self.play
        if act == "renew":
            self._do(lambda: play.revive_account(shop))
        elif act == "shop":
            self._do(
                lambda: play.world.shopify.call("POST", "/_control/expire_token", {"shop": "bottles.myshopify.com"})
            )
        elif act == "shop renewed":
            self._do(play.revive_shop)
        else:
            self._do(lambda: play.supplier("kill_token", {"user_id": play.accounts[shop], "refresh": act == "both"}))

    # People

    @rule(
        act=st.sampled_from(
            ("pay", "ship", "approve", "retry", "again", "fix_addresses", "dismiss", "look_into_unclear")
        )
    )
    def people(self, act: str) -> None:
        """Somebody does all there is to do of one kind."""
        self._do(getattr(self.play.people, act))
