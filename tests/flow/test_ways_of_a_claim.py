"""What a worker does with its claim when the checks, the shop or its own luck say no: nothing is ever sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.timing import Timers
from app.errors import NotFound
from app.models import Purchase
from app.pipeline.buy import preflight, step
from app.pipeline.buy.claim import claim
from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused, TryLater
from tests.flow.test_claims import due, held_and_ready
from tests.flow.world import World


def take(world: World) -> Any:
    """One claim on the purchase that is ready."""
    held_and_ready(world)
    due(world)
    (mine,) = claim(world.container, 10)
    return mine


def lose(world: World) -> None:
    """Another worker has it by now."""
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(fence=Purchase.fence + 1))


@pytest.mark.parametrize(
    ("error", "state", "reason", "facts"),
    [
        (
            preflight.Held("out_of_stock", product="1", stock=None),
            "HELD",
            "out_of_stock",
            {"product": "1", "stock": "None"},
        ),
        (MerchantMustAct("token_dead", "27"), "HELD", "token_dead", {}),
        (MerchantMustAct("permission", "403", "read_orders"), "HELD", "permission", {"detail": "read_orders"}),
        (Refused("no_such_thing"), "HELD", "needs_person", {"code": "no_such_thing"}),
        (NotFound("no_account", "x"), "HELD", "needs_person", {"code": "no_account"}),
        (TryLater("http_503", vendor="aliexpress"), "READY", "supplier_down", {"code": "http_503"}),
        (TryLater("http_503", vendor="shopify", retry_after=0.5), "READY", "storefront_down", {"code": "http_503"}),
        (OutcomeUnknown("read_timeout", vendor="shopify"), "READY", "storefront_down", {"code": "read_timeout"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_no_of_the_checks_has_its_place(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, state: str, reason: str, facts: dict[str, str]
) -> None:
    mine = take(world)

    def check(*_: Any) -> None:
        raise error

    monkeypatch.setattr(step, "check", check)
    step.run(world.container, mine)
    purchase = world.purchases()[0]
    assert (purchase.state, purchase.reason, purchase.facts) == (state, reason, facts)
    assert world.calls_of_create() == 0


@pytest.mark.parametrize("error", [Refused("x"), TryLater("x", vendor="aliexpress")])
def test_who_lost_the_claim_meanwhile_puts_nothing_anywhere(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    mine = take(world)

    def check(*_: Any) -> None:
        lose(world)
        raise error

    monkeypatch.setattr(step, "check", check)
    step.run(world.container, mine)
    assert world.states() == ["CLAIMED"]


def test_who_lost_the_claim_before_the_checks_asks_nobody_at_the_supplier(world: World) -> None:
    mine = take(world)
    lose(world)
    reads = len(world.aliexpress.control("ledger"))
    step.run(world.container, mine)
    assert world.states() == ["CLAIMED"]
    assert len(world.aliexpress.control("ledger")) == reads


def test_who_may_not_send_for_its_own_pace_comes_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = take(world)

    @contextmanager
    def permit(_: float) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(world.container.pace, "permit", permit)
    step.run(world.container, mine)
    purchase = world.purchases()[0]
    assert (purchase.state, purchase.reason, purchase.facts) == ("READY", "supplier_down", {"code": "own_pace"})
    assert world.calls_of_create() == 0


@pytest.mark.parametrize(
    ("autopay", "age", "seconds"),
    [(False, 0, 40), (False, 59, 40), (True, 0, 40), (True, 30, 29), (True, 58.5, 0.5), (True, 70, 0)],
)
def test_nobody_waits_for_a_turn_until_what_was_asked_is_too_old(autopay: bool, age: float, seconds: float) -> None:
    clock = SimpleNamespace(boottime=lambda: 1000.0)
    container: Any = SimpleNamespace(timers=Timers(), clock=clock)
    plan: Any = SimpleNamespace(order=SimpleNamespace(autopay=autopay), quoted_boottime=1000.0 - age)
    assert step._patience(container, plan) == seconds
    short = replace(Timers(), shop_age_most=timedelta(seconds=30))
    assert step._patience(SimpleNamespace(timers=short, clock=clock), plan) == min(seconds, 10)  # type: ignore[arg-type]
