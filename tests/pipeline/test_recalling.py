"""A send that the database forgot is put back: as unclear, with its money, and never where something was sent since."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.models import Attempt, Audit, Spend
from app.pipeline import recall
from app.ports.money import Money
from tests.pipeline.stage import TWO, Stage


@pytest.mark.parametrize("state", ["DRAFT", "READY", "HELD", "CLAIMED", "UNKNOWN", "CANCELLED", "PLACED_UNPAID"])
def test_only_what_is_about_to_be_ordered_can_be_recalled(stage: Stage, state: str) -> None:
    mine = stage.purchase(state)
    assert recall.may_recall(stage.session, mine) is (state in {"READY", "HELD", "CLAIMED"})


@pytest.mark.parametrize(
    ("outcome", "may"),
    [
        ("OPEN", False),
        ("UNKNOWN", False),
        ("VOID", False),
        ("REJECTED", False),
        ("NOT_SENT", True),
        ("NOT_EXECUTED", True),
    ],
)
def test_what_may_have_been_sent_since_is_not_put_back_over_it(stage: Stage, outcome: str, may: bool) -> None:
    mine, other = stage.purchase("READY", outcome=outcome), stage.purchase("READY", outcome="OPEN")
    assert recall.may_recall(stage.session, mine) is may
    assert not recall.may_recall(stage.session, other)


def test_without_account_items_or_links_nobody_knows_what_was_ordered(stage: Stage) -> None:
    mine = stage.purchase("READY", TWO)
    assert recall.may_recall(stage.session, mine)
    first, second = stage.items(mine)
    second.sku_id = ""
    stage.session.flush()
    assert not recall.may_recall(stage.session, mine)
    second.quantity = 0
    stage.session.flush()
    assert recall.may_recall(stage.session, mine)
    mine.account_id = None
    assert not recall.may_recall(stage.session, mine)
    mine.account_id = stage.account.id
    first.quantity = 0
    stage.session.flush()
    assert not recall.may_recall(stage.session, mine)


@pytest.mark.parametrize(
    ("state", "way"),
    [
        ("HELD", ["READY", "CLAIMED", "SENDING", "UNKNOWN"]),
        ("READY", ["CLAIMED", "SENDING", "UNKNOWN"]),
        ("CLAIMED", ["SENDING", "UNKNOWN"]),
    ],
)
@pytest.mark.parametrize("cost", [None, Money(777, "USD")])
def test_it_goes_the_way_that_it_went_before(stage: Stage, state: str, way: list[str], cost: Money | None) -> None:
    mine, other = stage.purchase(state, TWO, autopay=True, checks=4), stage.purchase("READY")
    first, second = stage.items(mine)
    first.order_product_id, first.product_id = "", "linked"
    second.quantity = 0
    mine.alerted_at = mine.escalated_at = stage.now
    sent_at = stage.now - timedelta(days=3)
    made = recall.recall(stage.container, stage.session, mine, sent_at=sent_at, by="journal", cost=cost)
    assert (made.outcome, made.out_order_id, made.autopay, made.sent_at) == (
        "UNKNOWN",
        mine.out_order_id,
        False,
        sent_at,
    )
    assert (made.purchase_id, made.account_id, made.worker, made.order_ids) == (
        mine.id,
        mine.account_id,
        "recalled",
        [],
    )
    assert made.items == [["linked", "S1", 2, first.id]]
    moved = sa.select(Audit.to_state).where(
        Audit.entity == "purchase", Audit.entity_id == mine.id, Audit.action == "move"
    )
    assert list(stage.session.scalars(moved.order_by(Audit.id))) == way
    assert (mine.state, mine.reason, mine.facts) == ("UNKNOWN", "recalled", {"attempt": made.id})
    assert (mine.sent_at, mine.sent_deadline, mine.checks, mine.autopay) == (sent_at, sent_at, 0, False)
    assert (mine.alerted_at, mine.escalated_at) == (None, None)
    assert -60 < stage.soon(mine.check_at) < 60
    assert 29 * 60 < stage.soon(mine.quarantine_until) < 31 * 60
    assert (mine.limit_minor, mine.quote_currency) == (2500, "USD"), "the money that the shop has for these pieces"
    spends = list(stage.session.scalars(sa.select(Spend)))
    if cost is None:
        assert spends == []
    else:
        (spend,) = spends
        assert (spend.attempt_id, spend.quoted, spend.currency, spend.state) == (made.id, 777, "USD", "RESERVED")
        assert (spend.autopay, spend.day, spend.shop_id) == (False, sent_at.date(), mine.shop_id)
    assert stage.session.scalar(sa.select(Attempt.id).where(Attempt.purchase_id == other.id)) is None
    assert not recall.may_recall(stage.session, mine)
