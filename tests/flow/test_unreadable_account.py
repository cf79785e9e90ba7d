"""An account that nobody can read any more, and a shop that changes its account (lifecycle, section 8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.errors import Conflict, WaybillError
from app.jobs import sweep
from app.models import Credential, Evidence, SupplierOrder
from app.services import accounts, purchases, todo
from tests.flow.test_order_changes import order, shop
from tests.flow.test_unclear import fault
from tests.flow.world import World

TWO = {"by": "merchant:ann", "confirm_by": "merchant:bob"}


@pytest.fixture
def unclear(world: World) -> str:
    """An order executed at the supplier, whose answer and push were lost; then the account dies. Gives its number."""
    _, variant = shop(world)
    world.aliexpress.control("push", {"lost": 1000})
    fault(world, "drop_after")
    order(world, variant)
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    die(world)
    world.pass_time("quarantine")
    return str(world.created()[0]["order_id"])


def die(world: World) -> None:
    """The supplier knows the token no more."""
    world.aliexpress.control("kill_token", {"user_id": world.account["user_id"], "refresh": True})
    with world.container.database.transaction() as session:
        session.execute(
            sa.update(Credential)
            .where(Credential.account_id.is_not(None))
            .values(state="DEAD", dead_reason="test", dead_since=sa.func.now())
        )


def a_week_passes(world: World) -> None:
    """It has been dead for eight days."""
    with world.container.database.transaction() as session:
        long_ago = Credential.dead_since - sa.text("interval '8 days'")
        session.execute(sa.update(Credential).where(Credential.account_id.is_not(None)).values(dead_since=long_ago))


def found(world: World, number: str, **who: str) -> None:
    """Somebody says that it is this order."""
    purchases.resolve_found(world.container, 1, [number], unverified_account=True, **{**TWO, **who})


def raised(world: World) -> list[str]:
    """Kinds of open alerts."""
    return [row["kind"] for row in todo.alerts(world.container)]


def test_nobody_is_believed_alone_or_too_early_or_without_need(world: World, unclear: str) -> None:
    with pytest.raises(Conflict, match="less than"):
        found(world, unclear)
    a_week_passes(world)
    with pytest.raises(Conflict, match="second person"):
        found(world, unclear, confirm_by="merchant:ANN")
    with pytest.raises(WaybillError, match="digits only"):
        found(world, "the blue one")
    world.reconnect_account()
    with pytest.raises(Conflict, match="can be read"):
        found(world, unclear)
    assert world.states() == ["UNKNOWN"]


def test_two_persons_find_it_track_it_by_hand_and_it_is_checked_later(world: World, unclear: str) -> None:
    a_week_passes(world)
    found(world, unclear)
    assert (world.states(), world.reasons(), world.outcomes()) == (["PLACED_UNPAID"], ["unverified"], ["PLACED"])
    track(world, "RR77")
    world.settle(until=lambda: world.shown_numbers() == ["RR77"], seconds=10)
    assert (world.states(), len(world.shown_parcels())) == (["SHIPPED"], 1)
    with pytest.raises(Conflict, match="in a parcel already"):
        track(world, "RR78")
    world.reconnect_account()
    world.read_again()
    world.settle(until=lambda: world.purchases()[0].reason != "unverified" and not unread(world), seconds=10)
    assert "unverified_wrong" not in raised(world)
    assert len(world.created()) == 1


def track(world: World, number: str) -> None:
    """The tracking number that the seller told by mail."""
    purchases.track(world.container, 1, number, carrier="China Post", ref="", **TWO)


def unread(world: World) -> bool:
    """Whether the supplier order still waits to be checked."""
    with world.container.database.transaction() as session:
        return bool(session.scalar(sa.text("SELECT count(*) FROM supplier_order WHERE source = 'unverified'")))


def test_a_wrong_number_is_found_out_when_the_account_is_back(world: World, unclear: str) -> None:
    a_week_passes(world)
    found(world, "8199999999999999")
    world.reconnect_account()
    world.read_again()
    world.settle(until=lambda: "unverified_wrong" in raised(world), seconds=10)
    assert len(world.created()) == 1, unclear


def test_not_there_without_reading_is_checked_when_the_account_is_back(world: World, unclear: str) -> None:
    """It was there all the same: an incident, and nothing is bought a second time with the old account."""
    a_week_passes(world)
    newest = "8100000000000001"
    world.pause_shop()
    purchases.resolve_not_there(world.container, 1, newest_seen=newest, unverified_account=True, **TWO)
    assert world.states() == ["VOID", "HELD"]
    assert sweep.recheck_words(world.container) == 0, "the account is still dead"
    world.reconnect_account()
    assert sweep.recheck_words(world.container) == 1
    world.aliexpress.control("push", {"lost": 0})
    world.aliexpress.control("pay", {"order_id": unclear})  # the merchant comes across it there
    world.settle(until=lambda: world.states() == ["PLACED_PAID", "CANCELLED"], seconds=20)
    assert raised(world).count("unverified_wrong") == 1, "nobody could have seen that newest number there"
    assert sweep.recheck_words(world.container) == 0
    with world.container.database.transaction() as session:
        kept = session.scalars(sa.select(Evidence).where(Evidence.kind == "human")).one()
    assert (kept.detail["by"], kept.detail["second"]) == (TWO["by"], TWO["confirm_by"])


def other_account(world: World) -> None:
    """The shop is connected with another account of the merchant."""
    fresh = world.aliexpress.control("accounts", {"user_id": "777777"})
    accounts.connect(
        world.container, 1, fresh["access_token"], fresh["refresh_token"], user_id="777777", actor="merchant"
    )


@pytest.fixture
def refused_by_token(world: World) -> Callable[[], list[int | None]]:
    """A purchase whose send was not executed because the token died on the way; gives a look at all accounts."""
    _, variant = shop(world)
    fault(world, "gateway", code="IllegalAccessToken")
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["token_dead"], seconds=10)
    return lambda: [purchase.account_id for purchase in world.purchases()]


def test_a_purchase_that_was_tried_moves_to_another_account_as_a_new_one(
    world: World, refused_by_token: Callable[[], list[int | None]]
) -> None:
    other_account(world)
    world.settle(until=lambda: world.states() == ["CANCELLED", "PLACED_UNPAID"], seconds=10)
    before, after = world.purchases()
    assert before.reason == "account_changed"
    assert before.out_order_id != after.out_order_id
    assert refused_by_token() == [1, 2]
    assert len(world.created()) == 1


def test_a_purchase_that_was_never_tried_moves_in_place(world: World) -> None:
    made, variant = shop(world)
    world.pause_shop(made)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["shop_paused"])
    other_account(world)
    world.retry(1)
    assert [purchase.account_id for purchase in world.purchases()] == [2]


def test_an_unclear_purchase_never_moves(world: World, unclear: str) -> None:
    other_account(world)
    world.settle()
    assert [(one.state, one.account_id) for one in world.purchases()] == [("UNKNOWN", 1)]
    assert world.calls_of_create() == 1, unclear


@pytest.mark.parametrize("older", [False, True])
def test_that_there_was_no_order_at_all_is_wrong_only_if_there_was_one(world: World, unclear: str, older: bool) -> None:
    """The word "none" is no order number: nobody is told that order "none" cannot be read."""
    a_week_passes(world)
    purchases.resolve_not_there(world.container, 1, newest_seen="none", unverified_account=True, **TWO)
    world.pause_shop()  # the new try is not sent, so that only what was said is looked at
    if older:
        with world.container.database.transaction() as session:
            session.add(
                SupplierOrder(
                    account_id=1, external_id=unclear, role="orphan", source="push", status="", payment="checking",
                    shipping="none", currency="", closed_seen=0, tracks=0, reminders=0, pay_failed=False, closed=False,
                    read_at=sa.func.now(), created_at_supplier=sa.func.now() - sa.text("interval '1 hour'"),
                )
            )  # fmt: skip
    world.reconnect_account()
    assert sweep.recheck_words(world.container) == 1
    assert sweep.recheck_words(world.container) == 0
    assert ("unverified_wrong" in raised(world)) is older
