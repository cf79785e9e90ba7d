"""How long an account's tokens live: renewed ahead, once more before the window ends, and never by a refusal's haste."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app import shop_access
from app.errors import Conflict
from app.jobs import sweep
from app.models import Credential
from app.services import accounts
from tests.flow.test_mended_tokens import credential
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REFUSED = {"op": "token.refresh", "kind": "gateway", "code": "IllegalRefreshToken", "times": 1}


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("life", "window", "due"),
    [
        (720, 1440, 504),
        (720, None, 504),
        (24, 31.2, 16.8),
        (24, 17, 14.6),
        (24, 2.4, None),
        (24, 1, None),
        (None, 48, None),
    ],
)
def test_when_a_token_is_renewed(life: float | None, window: float | None, due: float | None) -> None:
    """At seven tenths; the last time with a tenth left of the window, so that the token of that time outlives it."""
    ends = NOW + hours(life) if life is not None else None
    found = shop_access._refresh_due(NOW, ends, NOW + hours(window) if window is not None else None)
    assert found == (NOW + hours(due) if due is not None else None)


def due_now(world: World) -> None:
    with world.container.database.transaction() as session:
        session.execute(sa.update(Credential).values(refresh_due_at=sa.func.now()))


def test_a_refresh_that_is_refused_ends_no_token_that_works(world: World) -> None:
    """Only its merchant can renew it now; until it ends everything goes on."""
    _, variant = shop(world)
    world.aliexpress.control("faults", [REFUSED | {"times": 2}])
    due_now(world)
    before = credential(world).version
    for _ in range(2):
        sweep.refresh_tokens(world.container)
    kept = credential(world)
    assert (kept.state, kept.version, kept.can_refresh) == ("LIVE", before, False)
    assert kept.refresh_refused == "IllegalRefreshToken"
    assert (kept.refresh_due_at, kept.lease_owner) == (None, None)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    sweep.watch(world.container)
    [text] = world.task_texts()
    assert "is not renewed any more, and ends on" in text
    with pytest.raises(Conflict, match="only its merchant"):
        accounts.refresh(world.container, 1, actor="ann")
    again = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    accounts.connect(world.container, 1, again["access_token"], again["refresh_token"], actor="merchant:1")
    assert world.tasks() == []


def test_when_it_has_ended_its_merchant_is_told_that_instead(world: World) -> None:
    shop(world)
    for told, values in (
        ("is not renewed", {"refresh_refused": "IllegalRefreshToken"}),
        ("has ended", {"state": "DEAD"}),
    ):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Credential).where(Credential.account_id.is_not(None)).values(**values))
        sweep.watch(world.container)
        [text] = world.task_texts()
        assert told in text


def test_a_refusal_of_a_token_that_has_ended_ends_the_connection(world: World) -> None:
    shop(world)
    world.aliexpress.control("faults", [REFUSED])
    with world.container.database.transaction() as session:
        session.execute(sa.update(Credential).values(expires_at=sa.func.now() - hours(1)))
    due_now(world)
    sweep.refresh_tokens(world.container)
    assert credential(world).state == "DEAD"


def test_since_when_a_renewal_fails_is_known_until_it_works(world: World) -> None:
    shop(world)
    world.aliexpress.control("faults", [{"op": "token.refresh", "kind": "status", "status": 503, "times": 2}])
    due_now(world)
    sweep.refresh_tokens(world.container)
    since = credential(world).refresh_failing_since
    assert since is not None
    sweep.refresh_tokens(world.container)
    assert credential(world).refresh_failing_since == since
    sweep.refresh_tokens(world.container)
    kept = credential(world)
    assert (kept.refresh_failing_since, kept.can_refresh, kept.refresh_refused) == (None, True, "")
    assert kept.refresh_due_at is not None
    assert kept.refresh_due_at > world.container.clock.now()


def test_what_cannot_be_refreshed_is_left_alone_until_it_ends(world: World) -> None:
    """A refresh that nobody can make would end a token that works."""
    shop(world)
    made = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    ends = world.container.clock.now() + hours(5)
    accounts.connect(world.container, 1, made["access_token"], "", ends, user_id=made["user_id"], actor="merchant:1")
    kept = credential(world)
    assert (kept.can_refresh, kept.refresh_due_at) == (False, None)
    sweep.refresh_tokens(world.container)
    assert credential(world).state == "LIVE"


def test_a_refresh_is_no_consent(world: World) -> None:
    shop(world)
    made = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    ends = world.container.clock.now() + hours(5)
    accounts.connect(
        world.container, 1, made["access_token"], made["refresh_token"], ends, user_id=made["user_id"], actor="test"
    )
    first = credential(world)
    accounts.refresh(world.container, 1, actor="test")
    second = credential(world)
    assert (second.version, second.consents) == (first.version + 1, first.consents)
    assert second.authorised_at == first.authorised_at
    assert second.issued_at > first.issued_at
