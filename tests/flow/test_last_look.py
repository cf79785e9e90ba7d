"""The point of no return looks at everything once more: whatever changed since the checks, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.calls import Story
from app.models import Attempt, Interlock, Spend
from app.pipeline.buy import commit as committing
from app.pipeline.buy import run as buy
from app.pipeline.buy import step
from app.pipeline.buy.claim import Claimed, claim
from app.pipeline.buy.preflight import Plan
from tests.flow.test_claims import due, held_and_ready
from tests.flow.world import World

CHANGES = (
    ("store_order", "cancelled", "true", "CANCELLED", "cancelled_by_shop"),
    ("store_order", "gone", "true", "CANCELLED", "cancelled_by_shop"),
    ("purchase", "cancel_requested_at", "now()", "CANCELLED", "cancelled_by_shop"),
    ("store_order", "paid", "false", "HELD", "changed"),
    ("store_order", "hold", "'fraud'", "HELD", "changed"),
    ("store_order", "source_version", "source_version + 1", "HELD", "changed"),
    ("store_order", "address_override_sealed", r"'\x00'", "HELD", "changed"),
    ("purchase", "version", "version + 1", "HELD", "changed"),
    ("purchase_item", "quantity", "2", "HELD", "changed"),
    ("source_line", "to_ship", "0", "HELD", "changed"),
    ("source_line", "refunded", "1", "HELD", "quantity_over"),
    ("shop", "state", "'PAUSED'", "HELD", "shop_paused"),
    ("shop", "state", "'UNINSTALLED'", "HELD", "uninstalled"),
    ("purchase", "lease_until", "now() - interval '1 second'", "READY", ""),
)
"""What changes between checks and commit (table, column, value), and where the purchase goes then, with the reason."""


@dataclass
class Moment:
    """The moment before the commit: `act` is done then, `plan` is what the checks made."""

    act: Callable[[], object] = lambda: None
    bend: Callable[[Plan], Plan] = lambda plan: plan
    plan: Plan | None = None


@pytest.fixture
def moment(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moment]:
    """A purchase that is ready, and a hand on the moment before its commit."""
    made, whole = Moment(), step.commit

    def commit(container: Any, claimed: Claimed, plan: Plan, story: Story) -> Any:
        made.plan = plan
        made.act()
        return whole(container, claimed, made.bend(plan), story)

    monkeypatch.setattr(step, "commit", commit)
    held_and_ready(world)
    yield made
    assert world.calls_of_create() == 0


def attempt_one(world: World) -> tuple[str, str, dict[str, Any]]:
    """Claim it and go as far as it goes: (state, reason, facts)."""
    due(world)
    (mine,) = claim(world.container, 1)
    buy(world.container, mine)
    purchase = world.purchases()[0]
    return purchase.state, purchase.reason, purchase.facts


def left_behind(world: World) -> int:
    """Rows that only a committed send has."""
    with world.container.database.transaction() as session:
        return sum(
            session.scalar(sa.select(sa.func.count()).select_from(model)) or 0 for model in (Attempt, Interlock, Spend)
        )


def change(world: World, text: str) -> None:
    """As another process commits it."""
    with world.container.database.transaction() as session:
        session.execute(sa.text(text))


def test_whatever_changed_since_the_checks_stops_the_send(world: World, moment: Moment) -> None:
    for table, column, value, state, reason in CHANGES:
        with world.container.database.transaction() as session:
            before = session.execute(sa.text(f"SELECT {column} FROM {table}")).scalar_one()
        moment.act = lambda: change(world, f"UPDATE {table} SET {column} = {value}")  # noqa: B023 - called in this round
        assert attempt_one(world)[:2] == (state, reason), (table, column)
        assert left_behind(world) == 0, (table, column)
        with world.container.database.transaction() as session:
            session.execute(sa.text(f"UPDATE {table} SET {column} = :before"), {"before": before})
            session.execute(sa.text("UPDATE purchase SET state = 'READY', reason = '', facts = '{}'"))


def test_more_than_the_line_has_left_is_said_in_pieces(world: World, moment: Moment) -> None:
    moment.act = lambda: change(world, "UPDATE source_line SET refunded = 1")
    assert attempt_one(world) == ("HELD", "quantity_over", {"wanted": 1, "limit": 0})


@pytest.mark.parametrize(("minutes", "reason"), [(2, ""), (0, "changed")])
def test_automatic_payment_needs_a_fresh_quote_and_a_shop_that_still_wants_it(
    world: World, moment: Moment, minutes: int, reason: str
) -> None:
    """Planned with automatic payment, which the shop switched off meanwhile; or planned too long ago."""

    def bend(plan: Plan) -> Plan:
        order = replace(plan.order, autopay=True)
        return replace(plan, order=order, quoted_boottime=plan.quoted_boottime - 60 * minutes)

    moment.bend = bend
    assert attempt_one(world)[:2] == ("READY", reason)
    assert left_behind(world) == 0


def test_who_lost_its_claim_while_it_was_stopped_puts_nothing_back(
    world: World, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = committing._put_back

    def put_back(*given: Any) -> None:
        change(world, "UPDATE purchase SET fence = fence + 1")
        whole(*given)

    monkeypatch.setattr(committing, "_put_back", put_back)
    moment.act = lambda: change(world, "UPDATE store_order SET paid = false")
    assert attempt_one(world)[0] == "CLAIMED", "it is the next worker's now"


def test_another_number_of_the_claim_commits_nothing(world: World, moment: Moment) -> None:
    moment.act = lambda: change(world, "UPDATE purchase SET fence = fence + 1")
    assert attempt_one(world)[0] == "CLAIMED"
    assert left_behind(world) == 0


def test_the_hash_of_a_request_names_what_is_sent_and_not_to_whom(world: World, moment: Moment) -> None:
    moment.act = lambda: change(world, "UPDATE store_order SET paid = false")
    attempt_one(world)
    plan = moment.plan
    assert plan is not None
    first = plan.order.items[0]
    elsewhere = replace(plan.order, address=replace(plan.order.address, line1="Another Street 2"))
    assert committing.request_hash(replace(plan, order=elsewhere)) == committing.request_hash(plan)
    others = (
        replace(plan.order, out_order_id="1"),
        replace(plan.order, autopay=True),
        *(
            replace(plan.order, items=(replace(first, **{name: value}),))
            for name, value in (
                ("product_id", "1"),
                ("sku_id", "1"),
                ("sku_attributes", "1"),
                ("quantity", 9),
                ("service", "x"),
            )
        ),
    )
    hashes = {committing.request_hash(replace(plan, order=order)) for order in others}
    assert len({*hashes, committing.request_hash(plan)}) == len(others) + 1
