"""More changes than one walk, or one query of the storefront, may give: none is skipped, and the shop is polled on."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.models import Inbox, Shop
from app.pipeline import poll
from app.pipeline.due import Claim
from app.ports.errors import Refused, TryLater
from app.ports.storefront import OrderPage, OrderRef
from tests.flow.world import World

PAGE = 2


class Listed:
    """What a storefront lists, two orders a page: first what stands, then the trash, each with the oldest first."""

    def __init__(
        self, orders: Sequence[OrderRef], trash: Sequence[OrderRef] = (), *, refuses_after: int = 10**6
    ) -> None:
        self._passes = [sorted(part, key=lambda ref: ref.updated_at) for part in (orders, trash)]
        self._refuses_after = refuses_after
        self.asked: list[tuple[datetime, datetime]] = []
        self.fails_at: int | None = None

    def __call__(self, since: datetime, until: datetime, cursor: str | None, _session: Any) -> OrderPage:
        self.asked.append((since, until))
        if self.fails_at is not None and len(self.asked) >= self.fails_at:
            raise TryLater("away", vendor="shopify")
        which, _, begin = (cursor or "0|0").partition("|")
        number, start = int(which), int(begin)
        if start >= self._refuses_after:
            raise Refused("too_far", vendor="shopify")
        times = [ref.updated_at for ref in self._passes[number]]
        inside = self._passes[number][bisect.bisect_left(times, since) : bisect.bisect_right(times, until)]
        found = tuple(inside[start : start + PAGE])
        if start + PAGE < len(inside):
            return OrderPage(found, f"{number}|{start + PAGE}")
        return OrderPage(found, "1|0" if number == 0 else None)


def refs(now: datetime, *minutes: float, begin: int = 1) -> list[OrderRef]:
    """Orders that changed so many minutes ago, numbered from `begin` on."""
    return [OrderRef(str(begin + place), now - timedelta(minutes=ago)) for place, ago in enumerate(minutes)]


def noted(world: World) -> int:
    """How many orders were found to be read."""
    with world.container.database.transaction() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Inbox).where(Inbox.topic == poll.POLLED)) or 0


def look(world: World, shop: int, now: datetime, pages: int) -> Shop:
    """One walk, and the shop after it."""
    poll.run(world.container, Claim(shop, now), pages=pages)
    with world.container.database.transaction() as session:
        return session.get_one(Shop, shop)


def reached_after(world: World, shop: int, now: datetime, pages: int, walks: int) -> bool:
    """Whether so many walks come to the present."""
    return any(look(world, shop, now, pages).poll_cursor == now for _ in range(walks))


@pytest.fixture
def shop(world: World) -> int:
    """A shop that tells nothing by itself."""
    made = world.shopify_shop()
    world.shopify.control("webhook_url", {"url": f"{world.app.url}/nowhere"})
    return made


def test_a_window_longer_than_a_walk_is_read_in_parts(world: World, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = world.container.clock.now()
    listed = Listed(refs(now, *range(20)))
    monkeypatch.setattr(poll, "_changed", listed)
    assert reached_after(world, shop, now, pages=4, walks=12)
    assert noted(world) == 20


def test_a_list_of_several_passes_loses_none_of_the_later_ones(
    world: World, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pass is too long for a walk: how far it came says nothing about the trash."""
    now = world.container.clock.now()
    listed = Listed(refs(now, *range(20)), refs(now, 130, 19.5, 9.5, begin=100))
    monkeypatch.setattr(poll, "_changed", listed)
    assert reached_after(world, shop, now, pages=6, walks=12)
    assert noted(world) == 23


def test_more_changes_within_the_overlap_than_a_walk_holds(
    world: World, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is shorter than the overlap must not be begun again and again."""
    now = world.container.clock.now()
    overlap = world.container.timers.poll_overlap
    listed = Listed([OrderRef(str(number), now - overlap * number / 40) for number in range(1, 31)])
    monkeypatch.setattr(poll, "_changed", listed)
    assert reached_after(world, shop, now, pages=4, walks=30)
    assert noted(world) == 30


def test_a_storefront_that_refuses_pages_beyond_its_limit_is_asked_for_shorter_windows(
    world: World, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = world.container.clock.now()
    monkeypatch.setattr(poll, "_changed", Listed(refs(now, *range(20)), refuses_after=6))
    assert reached_after(world, shop, now, pages=50, walks=3)
    assert noted(world) == 20


def test_a_fault_half_way_keeps_what_was_read_as_a_whole_and_no_more(
    world: World, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = world.container.clock.now()
    listed = Listed(refs(now, *range(20)), refuses_after=6)
    monkeypatch.setattr(poll, "_changed", listed)
    listed.fails_at = 18
    stopped = look(world, shop, now, 50)
    whole = max(until for since, until in listed.asked if until < listed.asked[-1][1])
    assert stopped.poll_error == "away"
    assert stopped.poll_cursor is not None
    assert stopped.poll_cursor < now
    assert stopped.poll_cursor - world.container.timers.poll_overlap <= whole
    listed.fails_at = None
    assert look(world, shop, now, 50).poll_cursor == now
    assert noted(world) == 20


def test_a_fault_at_once_moves_nothing(world: World, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = world.container.clock.now()
    listed = Listed(refs(now, 1))
    listed.fails_at = 1
    monkeypatch.setattr(poll, "_changed", listed)
    failed = look(world, shop, now, 4)
    assert (failed.poll_cursor, failed.poll_full_at, failed.poll_error) == (None, None, "away")


def test_what_is_left_is_walked_at_once(world: World, shop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = world.container.clock.now()
    monkeypatch.setattr(poll, "_changed", Listed(refs(now, *range(20))))
    assert look(world, shop, now, 4).poll_cursor != now
    assert [claim.id for claim in poll.due(world.container, 5)] == [shop]
    assert reached_after(world, shop, now, pages=4, walks=12)
    assert poll.due(world.container, 5) == []


def test_what_was_not_read_for_longer_than_a_night_looks_back_is_read_all_the_same(
    world: World, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The installation was down, or the shop's keys were dead, for longer than a week."""
    now, window = world.container.clock.now(), world.container.timers.nightly_window
    monkeypatch.setattr(poll, "_changed", Listed([OrderRef("1", now - window * 1.2), OrderRef("2", now - window / 2)]))
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(poll_cursor=now - window * 1.5, poll_full_at=now - window * 1.5))
    assert look(world, shop, now, pages=400).poll_cursor == now
    assert noted(world) == 2
