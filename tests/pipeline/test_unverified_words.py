"""What two persons say about an account that nobody can read: kept as said, and checked when it can be read again."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.errors import WaybillError
from app.models import Credential, Evidence, Outbox, ParcelItem, Purchase, ShippedParcel, SupplierOrder
from app.pipeline import evidence, supplier_read, unverified
from app.ports.errors import TryLater
from tests.pipeline.stage import ONE, TWO, Stage

TWO_PERSONS = {"by": "Ada", "confirm_by": "Bob"}


@pytest.fixture(autouse=True)
def dead(stage: Stage) -> None:
    """The account has been dead for long."""
    change = sa.update(Credential).values(state="DEAD", dead_since=stage.now - timedelta(days=8))
    stage.session.execute(change)


def code(stage: Stage, act: Any, *given: Any, **more: Any) -> str:
    """The code of what is refused, "" if it is not."""
    with stage.outside():
        try:
            act(stage.container, *given, **{**TWO_PERSONS, **more})
        except WaybillError as refused:
            return refused.code
        return ""


@pytest.mark.parametrize("state", ["UNKNOWN", "HUMAN"])
def test_the_orders_that_it_became_are_its_own_as_said(stage: Stage, state: str) -> None:
    mine, other = stage.purchase(state, TWO, outcome="UNKNOWN"), stage.purchase(state, TWO, outcome="UNKNOWN")
    stage.lock(mine, "S1")
    stage.lock(other, "S2")
    assert code(stage, unverified.found, mine.id, ["81", "82"]) == ""
    after = stage.again(mine)
    assert (after.state, after.reason, after.facts) == ("PLACED_UNPAID", "unverified", {"orders": "81, 82"})
    assert stage.locked() == {other.id}
    orders = stage.session.scalars(sa.select(SupplierOrder).order_by(SupplierOrder.id)).all()
    assert [(one.external_id, one.purchase_id, one.role, one.source) for one in orders] == [
        ("81", mine.id, "bought", "unverified"), ("82", mine.id, "bought", "unverified"),
    ]  # fmt: skip
    assert all(800 < stage.soon(one.track_run_at) < 1000 for one in orders)
    said = stage.session.scalars(sa.select(Evidence).order_by(Evidence.id)).all()
    assert [(one.kind, one.supplier_order_ref, one.purchase_id) for one in said] == [
        ("human", "81", mine.id), ("human", "82", mine.id),
    ]  # fmt: skip
    assert said[0].detail == {"said": "found", "by": "Ada", "second": "Bob", "verified": False}
    assert stage.again(other).state == state


def test_what_was_read_of_an_order_before_it_was_said_to_be_its_is_read_anew(stage: Stage) -> None:
    """Its items knew no purchase, so nothing could be shown in the shop."""
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    orphan = stage.supplier_order("81", None, ONE)
    assert code(stage, unverified.found, mine.id, ["81"]) == ""
    assert (stage.again(orphan).read_at, stage.stored(orphan)) == (None, [])
    mine, orphan = stage.again(mine), stage.again(orphan)
    unverified.check_order(stage.container, stage.session, orphan, stage.read("81"))
    supplier_read.apply_read(stage.container, stage.session, orphan, stage.read("81"), mine)
    assert stage.alerts() == []
    assert [one.purchase_item_id for one in stage.stored(orphan)] == [stage.items(mine)[0].id]


@pytest.mark.parametrize(
    ("state", "outcome", "refused"),
    [("SENDING", "OPEN", "not_unclear"), ("VOID", "VOID", "not_unclear"), ("UNKNOWN", "NOT_SENT", "not_unclear")],
)
def test_only_of_what_is_unclear_and_may_have_been_sent(stage: Stage, state: str, outcome: str, refused: str) -> None:
    mine = stage.purchase(state, outcome=outcome)
    assert code(stage, unverified.found, mine.id, ["81"]) == refused


@pytest.mark.parametrize(
    ("days", "said", "verified", "asked"),
    [(6, "", None, True), (8, "", None, False), (8, "not there", False, True), (8, "not there", True, False)],
)
def test_a_push_without_a_buyer_is_looked_up_where_nobody_could_check_that_it_was_not_there(
    stage: Stage, days: int, said: str, verified: bool | None, asked: bool
) -> None:
    given_up = stage.purchase("VOID", outcome="VOID", sent_at=stage.now - timedelta(days=days))
    if said:
        its = {"purchase_id": given_up.id, "account_id": stage.account.id, "supplier_order_ref": "80"}
        stage.add(Evidence(kind="human", detail={"said": said, "verified": verified}, **its))
    assert evidence._accounts(stage.session, "aliexpress", None, turn=0) == ([stage.account.id] if asked else [])


def test_neither_anothers_order_nor_an_unknown_purchase_nor_one_person(stage: Stage) -> None:
    mine = stage.purchase("HUMAN", outcome="UNKNOWN")
    stage.supplier_order("81", stage.purchase("HUMAN"))
    assert code(stage, unverified.found, mine.id, ["81"]) == "other_purchase"
    assert code(stage, unverified.found, mine.id + 9, ["82"]) == "no_purchase"
    assert code(stage, unverified.found, mine.id, ["82"], confirm_by="") == "second_person"
    assert stage.again(mine).state == "HUMAN"


def test_a_tracking_number_is_shown_in_the_shop_with_every_piece_that_is_in_no_parcel_yet(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_UNPAID", TWO, outcome="PLACED"), stage.purchase("PLACED_UNPAID", TWO)
    order = stage.supplier_order("81", mine, TWO)
    first, second = stage.items(mine)
    before = stage.add(ShippedParcel(supplier_order_id=order.id, tracking_number="OLD"))
    stage.add(ParcelItem(parcel_id=before.id, purchase_item_id=second.id, quantity=1))
    stage.add(ParcelItem(parcel_id=before.id, purchase_item_id=first.id, quantity=1))
    theirs = stage.items(other)[0].id
    stage.add(ParcelItem(parcel_id=before.id, purchase_item_id=theirs, quantity=2))
    assert code(stage, unverified.track, mine.id, " LP1 ", carrier=" Post ") == ""
    parcel = stage.session.scalars(sa.select(ShippedParcel).where(ShippedParcel.id != before.id)).one()
    assert (parcel.tracking_number, parcel.carrier, parcel.shown_number) == ("LP1", "Post", "")
    packed = stage.session.execute(
        sa.select(ParcelItem.purchase_item_id, ParcelItem.quantity).where(ParcelItem.parcel_id == parcel.id)
    )
    assert [tuple(one) for one in packed] == [(first.id, 1)]
    order = stage.again(order)
    assert (order.payment, order.shipping, order.source) == ("paid", "shipped", "unverified")
    assert stage.again(mine).state == "SHIPPED"
    act = stage.session.scalars(sa.select(Outbox)).one()
    assert (act.dedupe_key, act.kind, act.payload) == (f"fulfil:{parcel.id}:LP1", "fulfil", {"parcel_id": parcel.id})
    assert code(stage, unverified.track, mine.id, "LP2") == "nothing_left"


def test_a_number_that_the_order_has_already_is_refused_in_words(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_UNPAID", outcome="PLACED"), stage.purchase("PLACED_UNPAID", outcome="PLACED")
    stage.supplier_order("81", mine, ONE)
    stage.supplier_order("82", other, ONE)
    assert [code(stage, unverified.track, one.id, "LP1 ") for one in (mine, other, mine)] == ["", "", "known_number"]


@pytest.mark.parametrize(
    ("number", "refused"), [("", "bad_number"), ("  ", "bad_number"), ("x" * 65, "bad_number"), ("x" * 64, "")]
)
def test_a_tracking_number_has_one_to_64_characters(stage: Stage, number: str, refused: str) -> None:
    mine = stage.purchase("PLACED_UNPAID", outcome="PLACED")
    stage.supplier_order("81", mine, ONE)
    assert code(stage, unverified.track, mine.id, number) == refused


def test_the_order_that_it_is_of_has_to_be_there_and_to_be_named_where_there_are_several(stage: Stage) -> None:
    mine, other = stage.purchase("PLACED_UNPAID", outcome="PLACED"), stage.purchase("HUMAN")
    stage.supplier_order("70", other)
    assert code(stage, unverified.track, other.id, "LP1") == "not_placed"
    assert code(stage, unverified.track, mine.id, "LP1") == "not_placed"
    first = stage.supplier_order("81", mine, ONE)
    second = stage.supplier_order("82", mine)
    assert code(stage, unverified.track, mine.id, "LP1") != ""
    assert code(stage, unverified.track, mine.id, "LP1", ref="99") != ""
    assert code(stage, unverified.track, mine.id, "LP1", ref="82") == ""
    found = stage.session.scalars(sa.select(ShippedParcel.supplier_order_id)).one()
    assert (found, stage.again(first).shipping) == (second.id, "none")


@pytest.mark.parametrize("how", ["fits", "other items", "not readable", "never sent"])
def test_what_was_said_is_checked_when_the_account_can_be_read_again(stage: Stage, how: str) -> None:
    mine: Purchase = stage.purchase("PLACED_UNPAID", outcome="" if how == "never sent" else "PLACED")
    order = stage.supplier_order("81", mine, source="unverified", read_at=None, payment="paid", shipping="shipped")
    read = None if how == "not readable" else stage.read("81", TWO if how == "other items" else ONE)
    unverified.check_order(stage.container, stage.session, order, read)
    assert stage.alerts() == ([] if how == "fits" else [f"unverified:order-{order.id}"])
    if read is None:
        assert (order.source, order.payment, order.shipping) == ("unverified", "paid", "shipped")
    else:
        assert (order.source, order.payment, order.shipping) == ("human", "checking", "none")


@pytest.mark.parametrize(
    ("made", "read", "same", "holds"),
    [(-60, True, True, False), (60, True, True, True), (-60, False, True, True), (-60, True, False, True)],
)
def test_an_older_order_belies_the_word_that_there_was_none(
    stage: Stage, made: int, read: bool, same: bool, holds: bool
) -> None:
    account = stage.account if same else stage.new_account()
    said = stage.add(Evidence(kind="human", account_id=stage.account.id))
    stage.session.refresh(said)
    stage.supplier_order(
        "81",
        account_id=account.id,
        created_at_supplier=said.at + timedelta(seconds=made),
        read_at=stage.now if read else None,
    )
    assert unverified._was_empty(stage.session, said) is holds


@pytest.mark.parametrize("listed", [True, False])
def test_an_account_that_cannot_be_read_yet_leaves_the_word_as_it_was_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    mine = stage.purchase("VOID", outcome="VOID")
    said = stage.add(
        Evidence(
            kind="human",
            account_id=stage.account.id,
            purchase_id=mine.id,
            supplier_order_ref="70",
            detail={"verified": False},
        )
    )
    looked: list[str] = []
    answers: list[Any] = [stage.read("70"), [SimpleNamespace(order_id="71")] if listed else TryLater("timeout")]

    def answer(*_: Any) -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(unverified, "with_account", answer)
    monkeypatch.setattr(evidence, "look_up", lambda *given, **_: looked.append(given[2]))
    number = said.id
    with stage.outside():
        unverified.check(stage.container, number)
    said = stage.again(said)
    assert (said.detail["verified"], looked) == ((True, ["71"]) if listed else (False, []))
    assert said.looked_at is not None
