"""Renewing an account's token: an unknown answer is asked again with the stored pair, a refusal ends it once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app import shop_access
from app.jobs import sweep
from app.models import Credential, SupplierAccount
from app.ports.errors import MerchantMustAct, OutsideError
from app.services import accounts
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World


def credential(world: World) -> Credential:
    """The account's credential."""
    with world.container.database.transaction() as session:
        return session.scalars(sa.select(Credential).where(Credential.account_id.is_not(None))).one()


def test_after_an_unknown_answer_the_stored_pair_is_used_again(world: World) -> None:
    shop(world)
    opened = shop_access.open_account(world.container, 1)
    world.aliexpress.control("faults", [{"op": "token.refresh", "kind": "drop_before", "times": 1}])
    with pytest.raises(OutsideError):
        shop_access.renew(world.container, opened)
    kept = credential(world)
    assert (kept.state, kept.version, kept.lease_owner) == ("LIVE", opened.version, None)
    assert shop_access.open_account(world.container, 1).secrets == opened.secrets
    assert shop_access.renew(world.container, opened).version == opened.version + 1


def test_a_final_refusal_is_asked_for_once_and_told_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, asked = shop_access._ask, list[int]()

    def ask(container: Any, opened: Any) -> Any:
        asked.append(opened.credential_id)
        return whole(container, opened)

    monkeypatch.setattr(shop_access, "_ask", ask)
    _, variant = shop(world)
    world.aliexpress.control("kill_token", {"user_id": world.account["user_id"], "refresh": True})
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["token_dead"], seconds=10)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["token_dead"] * 2, seconds=10)
    for _ in range(2):
        sweep.refresh_tokens(world.container)
        sweep.watch(world.container)
        world.settle()
    assert credential(world).state == "DEAD"
    assert asked == [credential(world).id]
    assert world.tasks().count("token_dead") == 1
    assert (world.states(), world.calls_of_create()) == (["HELD"] * 2, 0)
    again = world.aliexpress.control("accounts", {"user_id": world.account["user_id"]})
    accounts.connect(world.container, 1, again["access_token"], again["refresh_token"], actor="merchant:1")
    assert world.tasks() == [], "with the connection, not with the next sweep: no mail asks for what is done"


def test_a_token_that_dies_early_is_renewed_before_the_order_is_sent(world: World) -> None:
    """A read finds it dead and renews it; the order goes with the new one, not with the one it began with."""
    _, variant = shop(world)
    world.aliexpress.control("kill_token", {"user_id": world.account["user_id"]})
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)
    assert world.outcomes() == ["PLACED"]


def renewing(world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: str) -> shop_access.Opened:
    """Renew the account's token; while the supplier's answer is on its way, `meanwhile` happens in the database."""
    whole = shop_access._ask

    def ask(container: Any, opened: Any) -> Any:
        grant = whole(container, opened)
        with world.container.database.transaction() as session:
            session.execute(sa.text(meanwhile))
        return grant

    monkeypatch.setattr(shop_access, "_ask", ask)
    return shop_access.renew(world.container, shop_access.open_account(world.container, 1))


def test_a_renewal_that_outlives_its_lease_keeps_its_pair(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supplier ended the old pair with it: thrown away, the account would be dead."""
    _, variant = shop(world)
    before = shop_access.open_account(world.container, 1)
    taken = "UPDATE credential SET lease_owner = 'other', lease_until = now() + interval '1 minute'"
    renewed = renewing(world, monkeypatch, f"{taken} WHERE account_id = 1")
    assert renewed.secrets["access_token"] != before.secrets["access_token"]
    kept = credential(world)
    assert (kept.version, kept.lease_owner) == (before.version + 1, "other"), "who asks now may still store over it"
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=10)


def test_a_renewal_keeps_its_pair_though_its_number_is_another_accounts(world: World) -> None:
    """The account was connected without its number, and again with it: the number is known twice."""
    shop(world)
    opened = shop_access.open_account(world.container, 1)
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE supplier_account SET user_id = 'unknown:1' WHERE id = 1"))
        session.add(SupplierAccount(merchant_id=1, supplier="aliexpress", user_id=opened.user_id))
    renewed = shop_access.renew(world.container, shop_access.open_account(world.container, 1))
    assert renewed.secrets["access_token"] != opened.secrets["access_token"]
    assert (credential(world).version, renewed.user_id) == (opened.version + 1, "unknown:1")


def test_a_renewal_that_comes_after_a_new_connection_is_thrown_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop(world)
    opened = shop_access.open_account(world.container, 1)
    connected = "UPDATE credential SET lease_owner = NULL, lease_until = NULL, version = version + 1"
    renewed = renewing(world, monkeypatch, f"{connected} WHERE account_id = 1")
    assert renewed.secrets == opened.secrets
    assert renewed.version == opened.version + 1


@pytest.mark.parametrize("over", [False, True])
def test_a_host_whose_clock_is_ahead_ends_no_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, *, over: bool
) -> None:
    """Of an account that cannot be renewed, whether it is over is told by the clock that all hosts share."""
    shop(world)
    clock = type(world.container.clock)
    right = clock.now
    ends = right(world.container.clock) + timedelta(minutes=-1 if over else 30)
    opened = replace(shop_access.open_account(world.container, 1), secrets={"access_token": "there"}, expires_at=ends)
    monkeypatch.setattr(clock, "now", lambda self: right(self) + timedelta(hours=1))
    if over:
        with pytest.raises(MerchantMustAct):
            shop_access.fresh(world.container, opened)
    else:
        assert shop_access.fresh(world.container, opened) is opened
    assert credential(world).state == ("DEAD" if over else "LIVE")
