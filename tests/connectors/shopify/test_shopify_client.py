"""Errors in four layers, points, versions, tokens; and S24, S31, S32: what a call may tell and take."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.http import CallRecord
from app.ports.storefront import ShopAccess
from connectors.shopify import faults
from connectors.shopify.session import ShopifySession
from connectors.shopify.throttle import Status, Throttle
from connectors.shopify.tokens import exchange
from tests.connectors.shopify.harness import SHOP, Simulated, parcel, read, running


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("frozen", "shop_frozen"),
        ("locked", "shop_frozen"),
        ("gone", "shop_gone"),
        ("forbidden", "shop_permission"),
        ("non_expiring", "shop_token_dead"),
    ],
)
def test_states_of_a_shop(simulated: Simulated, status: str, reason: str) -> None:
    simulated.control(f"shops/{SHOP}", {"status": status})
    with pytest.raises(MerchantMustAct) as caught:
        simulated.session().order("1")
    assert (caught.value.reason, caught.value.vendor) == (reason, "shopify")


def test_a_dead_token(simulated: Simulated) -> None:
    simulated.control("expire_token", {"shop": SHOP})
    with pytest.raises(MerchantMustAct) as caught:
        simulated.session().order("1")
    assert (caught.value.reason, caught.value.code) == ("shop_token_dead", "401")
    with pytest.raises(MerchantMustAct, match="no_access_token"):
        simulated.storefront().session(ShopAccess(SHOP, {}, {}))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reads_may_be_tried_later(simulated: Simulated, status: int) -> None:
    simulated.fault("order", "status", status=status, headers={"Retry-After": "7"})
    with pytest.raises(TryLater) as caught:
        simulated.session().order("1")
    assert (caught.value.code, caught.value.retry_after) == (str(status), 7.0)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut", "internal"])
def test_reads_without_an_answer_may_be_tried_later(simulated: Simulated, kind: str) -> None:
    simulated.fault("order", kind)
    with pytest.raises(TryLater):
        simulated.session().order("1")


def test_a_shop_that_cannot_be_reached_was_sent_nothing() -> None:
    with running() as simulated:
        simulated.shop()
        session = simulated.session()
        order = read(session, simulated.order()["id"])
    with pytest.raises(TryLater, match="connect_failed"):
        simulated.session().fulfil(order.id, parcel(order))


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"null", b"[" * 5_000])
def test_answers_that_are_no_answer(simulated: Simulated, body: bytes) -> None:
    order = read(simulated.session(), simulated.order()["id"])
    simulated.fault("order", "status", status=200, body=body.decode())
    with pytest.raises(TryLater):
        simulated.session().order("1")
    simulated.fault("fulfillmentCreate", "status", status=200, body=body.decode())
    with pytest.raises(OutcomeUnknown):
        simulated.session().fulfil(order.id, parcel(order))


@pytest.mark.security("S31")
def test_s31_redirects_are_not_followed(simulated: Simulated) -> None:
    simulated.fault("order", "status", status=302, headers={"Location": "http://169.254.169.254/"})
    with pytest.raises(TryLater, match="302"):
        simulated.session().order("1")


@pytest.mark.security("S32")
def test_s32_an_answer_without_end_is_cut(simulated: Simulated) -> None:
    simulated.fault("order", "status", status=200, body="x" * 6_000_000)
    with pytest.raises(TryLater, match="too_large"):
        simulated.session().order("1")


def test_a_throttled_call_waits_the_computed_time_and_succeeds(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.fault("order", "throttled")
    session = simulated.session()
    slept: list[float] = []
    session._client.sleep = slept.append
    assert read(session, made["id"]).id == made["id"]
    assert len(slept) == 1
    assert 1.0 <= slept[0] <= 1.1


def test_a_mutation_that_was_throttled_was_not_executed(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    session._client.sleep = lambda _seconds: None
    simulated.fault("fulfillmentCreate", "throttled", times=2)
    assert session.fulfil(order.id, parcel(order)).tracking_numbers == ("LP0001",)
    simulated.fault("fulfillmentTrackingInfoUpdate", "throttled", times=3)
    with pytest.raises(TryLater) as caught:
        session.update_tracking(order.id, session.fulfilments(order.id)[0].id, parcel(order, "LP2"))
    assert caught.value.code == "THROTTLED"
    assert caught.value.retry_after is not None


@pytest.mark.parametrize("code", ["", "SOMETHING_NEW", "INTERNAL_SERVER_ERROR"])
@pytest.mark.parametrize("data", [True, False])
def test_an_error_beside_an_executed_mutation_is_no_refusal(simulated: Simulated, code: str, data: bool) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", "internal", code=code, after=True, data=data)
    assert session.fulfil(order.id, parcel(order)).tracking_numbers == ("LP0001",)
    assert len(simulated.events("fulfillment_created")) == 1


@pytest.mark.parametrize("code", ["", "SOMETHING_NEW"])
def test_an_error_of_unknown_kind_leaves_a_mutation_open(simulated: Simulated, code: str) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", "internal", code=code)
    with pytest.raises(OutcomeUnknown):
        session.fulfil(order.id, parcel(order))
    assert session.fulfil(order.id, parcel(order)).tracking_numbers == ("LP0001",)


def test_an_answer_that_is_both_throttled_and_executed_is_not_sent_again(simulated: Simulated) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    shown = session.fulfil(order.id, parcel(order))
    simulated.fault("fulfillmentTrackingInfoUpdate", "internal", code="THROTTLED", after=True)
    with pytest.raises(OutcomeUnknown):
        session._client.run("track", id=f"gid://shopify/Fulfillment/{shown.id}", tracking={"number": "X"}, notify=False)


@pytest.mark.parametrize("status", [202, 204, 206, 302, 307, 408, 409, 425, 430, 501])
def test_only_a_plain_no_refuses_a_mutation(simulated: Simulated, status: int) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", "status", status=status, body="" if status == 204 else "{}")
    with pytest.raises(OutcomeUnknown, match=str(status)):
        session.fulfil(order.id, parcel(order))


@pytest.mark.parametrize("status", [400, 405, 406, 413, 415, 422])
def test_a_plain_no_refuses_a_mutation(simulated: Simulated, status: int) -> None:
    session = simulated.session()
    order = read(session, simulated.order()["id"])
    simulated.fault("fulfillmentCreate", "status", status=status, body="{}")
    with pytest.raises(Refused, match=str(status)):
        session.fulfil(order.id, parcel(order))


def exhaust(session: ShopifySession, order_id: str) -> None:
    for _ in range(10_000):
        session.order(order_id)


def test_an_empty_bucket_is_left_alone() -> None:
    with running(bucket="300", restore_rate="1") as simulated:
        simulated.shop()
        made = simulated.order()
        session = simulated.session()
        with pytest.raises(TryLater) as caught:
            exhaust(session, made["id"])
        assert caught.value.code == "points_short"
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 1
        # What we did not send was not refused: the shop never had to say THROTTLED.
        assert all(record.outcome == "ok" for record in simulated.records)


def test_points() -> None:
    now = [100.0]
    throttle = Throttle(monotonic=lambda: now[0])
    assert throttle.reserve("a", 50) == 0
    throttle.settle("a", "Doc", 50, asked=60, status=Status(1000, 100, 10))
    assert throttle.cost("Doc") == 60
    assert throttle.reserve("a", 60) == 0
    assert throttle.reserve("a", 60) == pytest.approx(2.0)
    assert throttle.reserve("b", 60) == 0
    now[0] += 2
    assert throttle.reserve("a", 60) == 0
    throttle.settle("a", "Doc", 60, asked=None, status=None)
    throttle.settle("a", "Doc", 60, asked=None, status=Status(1000, 1000, 10))
    # Dearer than the whole bucket: only the shop can say so.
    assert throttle.reserve("a", 5000) == 0


def test_points_are_not_promised_twice() -> None:
    throttle = Throttle(monotonic=lambda: 0.0)
    throttle.settle("a", "Doc", 0, asked=10, status=Status(1000, 100, 10))
    got: list[float] = []
    threads = [threading.Thread(target=lambda: got.append(throttle.reserve("a", 10))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(0.0) == 10


def test_another_version_is_noted(simulated: Simulated) -> None:
    made = simulated.order()
    simulated.fault("order", "version", version="2026-01")
    read(simulated.session(), made["id"])
    assert "answered by version 2026-01 instead of 2026-10" in simulated.records[-1].answer


@pytest.mark.security("S24")
def test_s24_records_and_errors_carry_no_token_and_no_person(simulated: Simulated) -> None:
    secret_name = "Canary Person"  # what a log must never show
    made = simulated.order(address={"firstName": secret_name, "address1": "Canary Street"})
    session = simulated.session()
    order = read(session, made["id"])
    session.fulfil(order.id, parcel(order))
    simulated.storefront().refresh(simulated.access())
    raised: list[OutsideError] = []
    for kind in ("throttled", "drop_after", "internal", "status"):
        simulated.fault("order", kind, times=1)
        try:
            session._client.sleep = lambda _seconds: None
            session.order(made["id"])
        except OutsideError as error:
            raised.append(error)
    told = "\n".join(map(repr, [*simulated.records, *raised, session._client, simulated.access()]))
    assert "Canary" not in told
    for secret in ("access_token", "refresh_token"):
        assert simulated.tokens[SHOP][secret] not in told
    assert "simulated-secret" not in told


def test_error_layers() -> None:
    denied = [{"message": "x", "extensions": {"code": "ACCESS_DENIED"}, "path": ["order", 1, "email"]}]
    cases: list[tuple[Any, bool, type[OutsideError]]] = [
        ("[API] Invalid API key or access token", False, MerchantMustAct),
        ("something else", False, Refused),
        (denied, False, MerchantMustAct),
        (denied, True, OutcomeUnknown),  # a field of the answer is hidden: what was asked for may have been done
        ([{"message": "x", "extensions": {"code": "ACCESS_DENIED"}, "path": ["fulfill"]}], True, MerchantMustAct),
        ([{"message": "x", "extensions": {"code": "SHOP_INACTIVE"}}], True, MerchantMustAct),
        ([{"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], True, OutcomeUnknown),
        ([{"message": "x", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], False, TryLater),
        ([{"message": "x", "extensions": {"code": "undefinedField"}}], True, Refused),
        ([{"message": "x", "extensions": {"code": "MAX_COST_EXCEEDED"}}], True, Refused),
        # Without a code that says so, nobody knows whether a mutation was executed.
        ([{"message": "Internal error. Looks like something went wrong on our end."}], True, OutcomeUnknown),
        ([{"message": "x", "extensions": {"code": "SOMETHING_NEW"}}], True, OutcomeUnknown),
        ([{"message": "x", "extensions": {"code": "SOMETHING_NEW"}}], False, Refused),
        ([{"message": "x", "extensions": {"code": "undefinedField"}}, {"message": "y"}], True, OutcomeUnknown),
        ([{"message": "x", "extensions": {"code": "undefinedField"}}, {"message": "y"}], False, Refused),
        ("Internal Server Error", True, OutcomeUnknown),
        ({"odd": 1}, True, OutcomeUnknown),
        ([None, 5], True, OutcomeUnknown),
    ]  # fmt: skip
    for errors, effect, kind in cases:
        assert type(faults.of_errors(errors, effect=effect)) is kind
    assert faults.fields_of(denied) == ("order.email",)
    texts = ("2", "-1", "nan", "inf", "x", None, "99999")
    assert [faults.seconds(text) for text in texts] == [2, 0, None, None, None, None, 3600]


def test_documents_that_are_too_dear_or_wrong_are_refused(simulated: Simulated) -> None:
    answer = simulated.graphql("{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { id } } } } }")
    assert answer["errors"][0]["extensions"]["code"] == "MAX_COST_EXCEEDED"
    assert "nonsense" in simulated.graphql("{ shop { nonsense } }")["errors"][0]["message"]


def test_refreshing(simulated: Simulated) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    front = simulated.storefront()
    front._clock = lambda: now
    grant = front.refresh(simulated.access())
    assert grant.access_token != simulated.tokens[SHOP]["access_token"]
    assert (grant.expires_at, grant.refresh_expires_at) == (now + timedelta(hours=1), now + timedelta(days=90))
    assert "read_orders" in grant.scopes
    assert "shpat_" not in repr(grant)
    # The old access token keeps working, and the lost answer's token can be used again …
    assert simulated.session().order("1") is None
    again = front.refresh(simulated.access())
    # … until its replacement is used for the first time.
    assert again.refresh_token is not None
    third = front.refresh(simulated.access(refresh_token=again.refresh_token))
    for dead in (simulated.tokens[SHOP]["refresh_token"], str(grant.refresh_token)):
        with pytest.raises(MerchantMustAct) as caught:
            front.refresh(simulated.access(refresh_token=dead))
        assert caught.value.reason == "shop_token_dead"
    assert front.session(simulated.access(access_token=third.access_token)).order("1") is None


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop_before"},
        {"kind": "drop_after"},
        {"kind": "cut"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
    ],
    ids=str,
)
def test_a_lost_refresh_may_be_repeated(simulated: Simulated, fault: dict[str, Any]) -> None:
    simulated.fault("token", **fault)
    front = simulated.storefront()
    with pytest.raises(TryLater):
        front.refresh(simulated.access())
    assert front.refresh(simulated.access()).refresh_token


def test_refreshes_that_cannot_help(simulated: Simulated) -> None:
    front = simulated.storefront()
    with pytest.raises(MerchantMustAct, match="no_refresh_token"):
        front.refresh(ShopAccess(SHOP, {}, {}))
    with pytest.raises(TryLater, match="invalid_client"):
        simulated.storefront(shopify_client_secret="wrong").refresh(simulated.access())
    simulated.fault("token", "status", status=200, body='{"access_token":"x"}')
    with pytest.raises(Refused, match="incomplete_grant"):
        front.refresh(simulated.access())
    simulated.control("uninstall", {"shop": SHOP})
    with pytest.raises(MerchantMustAct) as caught:
        front.refresh(simulated.access())
    assert caught.value.reason == "shop_token_dead"


def test_two_refreshes_at_once_where_only_the_newest_counts() -> None:
    with running(refresh_race="last") as simulated:
        simulated.shop()
        front = simulated.storefront()
        first, second = front.refresh(simulated.access()), front.refresh(simulated.access())
        with pytest.raises(MerchantMustAct):
            front.refresh(simulated.access(refresh_token=str(first.refresh_token)))
        assert front.refresh(simulated.access(refresh_token=str(second.refresh_token))).expires_at


def test_the_first_tokens_of_an_installation(simulated: Simulated) -> None:
    front = simulated.storefront()
    now = datetime.now(UTC)
    grant = exchange(front._http, simulated.settings(), SHOP, "a-session-token", now)
    assert front.session(simulated.access(access_token=grant.access_token)).order("1") is None
    with pytest.raises(MerchantMustAct):
        front.refresh(simulated.access())


def test_access_tokens_expire() -> None:
    # An hour is 36 milliseconds here.
    with running(time_scale="100000") as simulated:
        simulated.shop()
        session = simulated.session()
        with pytest.raises(MerchantMustAct):
            exhaust(session, "1")


def test_a_call_record_is_made_of_every_call(simulated: Simulated) -> None:
    simulated.session().order("1")
    record: CallRecord = simulated.records[-1]
    assert (record.vendor, record.operation, record.outcome, record.status) == (
        "shopify",
        "OrderForDropship",
        "ok",
        200,
    )
    assert record.request_id.startswith("sim-")
