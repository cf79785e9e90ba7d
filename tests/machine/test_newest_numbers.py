"""The checker notices a shop that goes on showing a tracking number that is no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.pipeline import parcels
from tests.fresh_databases import FreshDatabases
from tests.machine.clock import migrate
from tests.machine.ending import end
from tests.machine.holds import Broken
from tests.machine.scene import Scene
from tests.machine.shops import GOODS, SHOPIFY
from tests.machine.story import Servers, stage


@pytest.fixture(autouse=True)
def servers(postgres_url: str, valkey_url: str) -> Iterator[None]:
    """What the story plays on."""
    Servers.databases, Servers.redis_url = FreshDatabases(postgres_url, migrate), valkey_url
    yield
    Servers.databases.close()


def renumbered() -> None:
    """A parcel that is shown gets another number, of which nobody is told; then the story ends."""
    with stage(Scene()) as play:
        play.shops.buy(SHOPIFY, [(GOODS[0], 1)], paid=True)
        play.after_step()
        for act in (play.after_step, play.people.pay, play.people.ship):
            play.hear()
            play.work(200)
            act()
            play.pass_time(15)
        play.hear()
        play.work(200)
        play.after_step()
        (bought,) = play.ledger.orders.values()
        (number,) = bought.parcels
        play.supplier("renumber", {"order_id": bought.number, "old": number, "new": "NEWEST"})
        play.after_step()
        end(play)


@pytest.mark.timeout(300)
def test_the_newest_number_is_shown_in_the_end() -> None:
    renumbered()


@pytest.mark.timeout(300)
def test_whoever_does_not_see_new_numbers_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels._Reading, "_renumber", lambda *_: None)
    with pytest.raises(Broken, match="no more"):
        renumbered()
