"""Comparing a day with the shop's own list: whose fault it is when that breaks, and what a day is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from app.pipeline import accounting, day_book
from app.pipeline.due import Claim
from app.ports.errors import TryLater
from app.ports.storefront import PlacedPage
from tests.pipeline.stage import Stage

DAY = date(2026, 3, 1)


def away(*_: Any, **__: Any) -> Any:
    raise sa.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError("the server closed the connection"))


def test_a_database_that_is_away_is_no_fault_of_the_shop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = stage.shop
    number, before = shop.id, shop.account_run_at
    monkeypatch.setattr(day_book, "read", away)
    with stage.outside(), pytest.raises(sa.exc.OperationalError):
        accounting.run(stage.container, Claim(number, stage.now))
    shop = stage.again(shop)
    assert (shop.account_error, shop.account_failing_since, shop.account_run_at) == ("", None, before)


@pytest.mark.parametrize("zone", ["Atlantis/Poseidonia", "../../etc/passwd", ""])
def test_days_of_a_shop_whose_zone_nobody_knows_are_those_of_utc(stage: Stage, zone: str) -> None:
    stage.shop.timezone = zone
    assert day_book.bounds(stage.shop, DAY) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


def test_a_list_of_orders_that_never_ends_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []

    def page(*_: Any) -> PlacedPage:
        turns.append("page")
        return PlacedPage(("1",), next_cursor="again")

    monkeypatch.setattr(day_book, "with_shop", page)
    monkeypatch.setattr(day_book, "PAGES", 3)
    shop = stage.shop
    with stage.outside(), pytest.raises(TryLater) as given_up:
        day_book.read(stage.container, shop, DAY)
    assert (given_up.value.code, len(turns)) == ("endless_list", 3)
