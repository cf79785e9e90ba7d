"""A command that dies between its transactions and is given once more does all that it would have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Purchase
from app.services import accounts, orders, shops
from tests.flow.world import BOTTLE, World

SHOP = "bottles.myshopify.com"
MOST = 40
"""More transactions than any of these commands has."""


class Killed(BaseException):
    """Nothing in the product expects it."""


@contextmanager
def killed_after(commits: int) -> Iterator[None]:
    """This process dies, so to speak, as soon as that many transactions are committed."""
    left, commit = [commits], Session.commit

    def counted(session: Session) -> None:
        commit(session)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Session, "commit", counted)
        yield


def give(command: Callable[[], Any], commits: int) -> bool:
    """Give it, die, and give it once more. False if it was through before."""
    try:
        with killed_after(commits):
            command()
    except Killed:
        command()
        return True
    return False


def bottle_order(world: World, **asked: Any) -> None:
    """A paid order of a linked bottle."""
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}], **asked})


def at_every_commit(world: World, hold: Callable[[], None], command: Callable[[], Any]) -> None:
    """Wherever the command dies: given once more, what `hold` held is held no more."""
    for commits in range(1, MOST):
        hold()
        died = give(command, commits)
        assert "HELD" not in world.states(), f"still held when it died after {commits} commits"
        if not died:
            assert commits > 1
            return
    pytest.fail("it never came to its end")


def hold(world: World, reason: str, **more: Any) -> None:
    """The live purchase is held again for this reason."""
    with world.container.database.transaction() as session:
        newest = sa.select(sa.func.max(Purchase.id)).scalar_subquery()
        session.execute(sa.update(Purchase).where(Purchase.id == newest).values(state="HELD", reason=reason, **more))


def test_an_address_that_is_corrected(world: World) -> None:
    bottle_order(world, address={"phone": "not a number"})
    world.settle(until=lambda: world.reasons() == ["address_invalid"])
    ref = str(world.orders()[0].id)

    def again() -> None:
        orders.fix_address(world.container, ref, {"mobile_no": "", "phone_country": ""}, actor="test")
        hold(world, "address_invalid")

    changes = {"mobile_no": "2175550100", "phone_country": "+1"}
    at_every_commit(world, again, lambda: orders.fix_address(world.container, ref, changes, actor="test"))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def test_a_limit_that_is_raised(world: World) -> None:
    bottle_order(world)
    shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
    world.settle(until=lambda: world.reasons() == ["cap_order"])

    def again() -> None:
        shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
        hold(world, "cap_order")

    at_every_commit(world, again, lambda: shops.set_policy(world.container, 1, {"order_cap": 50_000}, actor="test"))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])


def another_account(world: World) -> Callable[[], Any]:
    """The command that gives the shop an account which it never had."""
    fresh = world.aliexpress.control("accounts", {})
    tokens = fresh["access_token"], fresh["refresh_token"]
    return lambda: accounts.connect(world.container, 1, *tokens, user_id=str(fresh["user_id"]), actor="test")


def test_a_shop_that_moves_to_another_account_before_anything_was_tried(world: World) -> None:
    bottle_order(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "error", "code": "USER_ACCOUNT_DISABLED"}])
    world.settle(until=lambda: world.reasons() == ["account_blocked"] * 2)
    for commits in range(1, MOST):
        hold(world, "account_blocked")
        died = give(another_account(world), commits)
        assert world.states() == ["REJECTED", "READY"], f"still held when it died after {commits} commits"
        if not died:
            return
    pytest.fail("it never came to its end")


def test_a_shop_that_moves_to_another_account_after_a_send_without_effect(world: World) -> None:
    """Its purchase stays with the old account, so another one is derived for the new account."""
    bottle_order(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "call_limit", "times": -1}])
    world.settle(until=lambda: "NOT_EXECUTED" in world.outcomes())
    for commits in range(1, MOST):
        hold(world, "account_blocked")
        died = give(another_account(world), commits)
        *before, last = world.purchases()
        assert before, f"nothing was derived for the new account when it died after {commits} commits"
        assert {purchase.state for purchase in before} == {"CANCELLED"}
        assert (last.state, last.account_id) == ("READY", accounts.listed(world.container)[-1]["id"])
        if not died:
            return
        with world.container.database.transaction() as session:  # as if it had been tried there too
            session.execute(sa.update(Attempt).values(purchase_id=last.id, account_id=last.account_id))
    pytest.fail("it never came to its end")
