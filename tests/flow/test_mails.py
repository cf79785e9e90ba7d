"""What the owner of a shop and staff are mailed: once, gathered, and never at the cost of an order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.jobs import sweep
from app.mailer import Letter
from app.models import Alert, Audit, EmailLog, Outbox, Purchase, Shop, Task
from app.pipeline import letters
from app.pipeline.record import alert, end_alerts, task
from app.services import mails, shops
from tests.flow.test_order_changes import order, shop
from tests.flow.world import World, running
from tests.mailbox import Mailbox, mail_server

OWNER, STAFF = "owner@bottles.example", "staff@waybill.example"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as started:
        yield started


@pytest.fixture
def world(database_url: str, redis_url: str, tmp_path: Path, box: Mailbox) -> Iterator[World]:
    """A world that mails, with one shop whose owner has an address."""
    settings = {"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(box.port), "STAFF_EMAIL": STAFF}
    with running(database_url, redis_url, tmp_path, **settings) as made:
        yield made


def owned(world: World) -> str:
    """A shop with an owner's address and a linked variant; gives the variant."""
    made, variant = shop(world)
    shops.set_policy(world.container, made, {"contact_email": OWNER}, actor="test")
    return variant


def give_task(world: World, key: str, text: str) -> None:
    """Something for the merchant to do."""
    with world.container.database.transaction() as session:
        task(session, key, "pay_reminder", turn="merchant", text=text, shop_id=1)


def time_passes(world: World) -> None:
    """An hour and a half goes by, for tasks, alerts and mails."""
    earlier = sa.text("interval '90 minutes'")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Task).values(created_at=Task.created_at - earlier))
        session.execute(sa.update(Alert).values(raised_at=Alert.raised_at - earlier))
        session.execute(sa.update(EmailLog).values(sent_at=EmailLog.sent_at - earlier))
        back = {name: getattr(Purchase, name) - earlier for name in ("state_since", "held_since", "held_told_at")}
        session.execute(sa.update(Purchase).values(back))


def tick(world: World) -> None:
    """The periodic job, and what it asks for."""
    letters.ask(world.container)
    world.settle()


def test_what_happens_together_is_one_mail_and_is_told_once(world: World, box: Mailbox) -> None:
    owned(world)
    give_task(world, "a", "Order #1: pay it, please.")
    give_task(world, "b", "Order #2: pay it, please.")
    time_passes(world)
    tick(world)
    tick(world)
    assert (len(box.mails), box.to) == (1, [[OWNER]])
    assert box.mails[0]["Subject"] == "2 things need your attention in bottles"
    for text in ("Order #1: pay it, please.", "Order #2: pay it, please."):
        assert text in box.text()
        assert text in box.html()
    give_task(world, "c", "Order #3: pay it, please.")
    with world.container.database.transaction() as session:
        earlier = sa.text("interval '40 seconds'")
        session.execute(sa.update(Task).values(created_at=Task.created_at - earlier))
    tick(world)
    assert len(box.mails) == 1, "not again within the hour"
    time_passes(world)
    tick(world)
    assert len(box.mails) == 2
    assert "Order #1" not in box.text(1)
    assert [row["state"] for row in mails.listed(world.container)] == ["SENT", "SENT"]


def test_more_tasks_than_one_mail_holds_are_told_by_the_next_one(world: World, box: Mailbox) -> None:
    owned(world)
    for number in range(60):
        give_task(world, str(number), f"Pay number {number}.")
    for _ in range(3):
        time_passes(world)
        tick(world)
    told = [
        {number for number in range(60) if f"Pay number {number}." in box.text(mail)} for mail in range(len(box.mails))
    ]
    assert told == [set(range(50)), set(range(50, 60))], "each once, the oldest first"


def test_a_mail_server_that_is_down_costs_no_order_and_mails_later_once(world: World, box: Mailbox) -> None:
    variant = owned(world)
    box.after = "451 come back"
    give_task(world, "a", "Pay it.")
    time_passes(world)
    tick(world)
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    assert box.mails == []
    box.after = "250 taken"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Outbox).where(Outbox.kind == "mail").values(run_at=sa.func.now()))
    world.settle(until=lambda: len(box.mails) == 1, seconds=10)
    tick(world)
    assert len(box.mails) == 1
    assert mails.listed(world.container)[0]["tries"] >= 2


def test_a_crash_after_the_server_took_it_sends_the_same_letter_again(world: World, box: Mailbox) -> None:
    owned(world)
    give_task(world, "a", "Pay it.")
    time_passes(world)
    tick(world)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Task).values(mailed_at=None))
        session.execute(sa.update(EmailLog).values(state="SENDING", sent_at=None))
        session.execute(sa.update(Outbox).where(Outbox.kind == "mail").values(state="DUE", run_at=sa.func.now()))
    world.settle(until=lambda: len(box.mails) == 2, seconds=10)
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]


def test_held_orders_are_told_with_their_reason_and_again_the_next_day(world: World, box: Mailbox) -> None:
    variant = owned(world)
    shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
    order(world, variant)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"] * 2)
    tick(world)
    assert box.mails == [], "held for a moment only"
    time_passes(world)
    tick(world)
    tick(world)
    assert box.mails[0]["Subject"] == "2 things need your attention in bottles"
    assert {"#1001", "#1002"} <= set(box.text().replace(",", " ").split())
    assert len(box.mails) == 1
    for _ in range(16):
        time_passes(world)
    with world.container.database.transaction() as session:
        session.execute(sa.delete(Outbox).where(Outbox.kind == "mail"))
        session.execute(sa.update(EmailLog).values(dedupe_key="yesterday's"))
    tick(world)
    assert len(box.mails) == 2


def test_a_price_above_the_limit_and_a_dead_account_become_tasks_that_end_with_their_cause(world: World) -> None:
    variant = owned(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "price_change", "times": 1, "factor": 5}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["PAY_BLOCKED"], seconds=20)
    assert world.tasks() == ["price_over_limit"]
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE credential SET state = 'DEAD' WHERE account_id IS NOT NULL"))
    for _ in range(3):
        sweep.watch(world.container)
    assert world.tasks() == ["price_over_limit", "token_dead"]
    world.reconnect_account()
    sweep.watch(world.container)
    with world.container.database.transaction() as session:
        still = session.scalars(sa.select(Task.kind).where(Task.done_at.is_(None))).all()
    assert still == ["price_over_limit"]


def test_staff_are_mailed_about_alerts_and_again_when_a_cause_comes_back(world: World, box: Mailbox) -> None:
    for times in (1, 2):
        with world.container.database.transaction() as session:
            session.execute(sa.update(Alert).values(ended_at=sa.func.now()))
            alert(session, "breaker:x", "supplier_down", "Buying is paused.")
        time_passes(world)
        tick(world)
        tick(world)
        assert (len(box.mails), box.to[-1]) == (times, [STAFF])
    assert box.mails[0]["Subject"] == "Waybill: 1 alert (supplier_down)"


def test_the_gravest_alerts_are_told_first_however_many_there_are_of_another_kind(world: World, box: Mailbox) -> None:
    with world.container.database.transaction() as session:
        for number in range(300):
            alert(session, f"unread:{number}", "order_unread", f"Order number {number}, of a dead account.")
        alert(session, "webhooks:1", "webhooks_off", "Webhooks are off.")
        alert(session, "duplicate:1", "duplicate", "Do not pay it.")
    time_passes(world)
    tick(world)
    [mail] = box.mails
    assert mail["Subject"] == "Waybill: 302 alerts (duplicate, order_unread, webhooks_off)"
    text = box.text()
    assert text.index("Do not pay it.") < text.index("Order number 299,") < text.index("Webhooks are off.")
    assert [number for number in range(300) if f"Order number {number}," in text] == [*range(290, 300)]
    assert "And 290 more of order_unread" in text
    time_passes(world)
    tick(world)
    assert len(box.mails) == 1, "what was counted was told"


def test_an_alert_that_is_raised_anew_while_its_mail_goes_out_is_told_again(
    world: World, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.container.database.transaction() as session:
        alert(session, "a", "order_unread", "As it was.")

    def meanwhile(letter: Letter) -> None:
        send(letter)
        monkeypatch.undo()
        with world.container.database.transaction() as session:
            end_alerts(session, "a")
        with world.container.database.transaction() as session:
            alert(session, "a", "order_unread", "As it is now.")

    send = world.container.mailer.send
    monkeypatch.setattr(world.container.mailer, "send", meanwhile)
    tick(world)
    time_passes(world)
    tick(world)
    assert ["As it is now." in box.text(mail) for mail in range(len(box.mails))] == [False, True]


def test_held_purchases_that_were_never_told_come_before_those_told_yesterday(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = owned(world)
    shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
    order(world, variant)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"] * 2)
    long_ago = sa.func.now() - sa.text("interval '3 days'")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Purchase).values(held_since=long_ago))
        session.execute(sa.update(Purchase).where(Purchase.id == 1).values(held_told_at=long_ago))
    monkeypatch.setattr(letters, "MOST", 1)
    with world.container.database.transaction() as session:
        draft = letters._for_shop(world.container, session, 1)
    assert draft is not None
    assert draft.held == [2]


def test_an_address_that_is_refused_is_given_up_and_staff_hear_of_it(world: World, box: Mailbox) -> None:
    owned(world)
    give_task(world, "a", "Pay it.")
    time_passes(world)
    box.answer = "550 no such user"
    tick(world)
    assert [row["state"] for row in mails.listed(world.container)] == ["REFUSED"]
    box.answer = "250 OK"
    tick(world)
    assert box.to == [[STAFF]]
    assert "contact-email" in box.text()
    tick(world)
    assert box.to == [[STAFF]], "not again to the address that was refused"
    shops.set_policy(world.container, 1, {"contact_email": "other@bottles.example"}, actor="test")
    tick(world)
    assert box.to == [[STAFF], ["other@bottles.example"]]
    with world.container.database.transaction() as session:
        history = str(session.scalars(sa.select(Audit.detail).where(Audit.action == "policy")).all())
    assert "@" not in history


def test_while_one_mail_waits_for_its_server_no_second_one_is_asked_for(world: World, box: Mailbox) -> None:
    owned(world)
    box.after = "451 come back"
    for key in ("a", "b"):
        give_task(world, key, f"Pay {key}.")
        time_passes(world)
        tick(world)
    with world.container.database.transaction() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Outbox.kind == "mail")) == 1
    box.after = "250 taken"
    with world.container.database.transaction() as session:
        session.execute(sa.update(Outbox).where(Outbox.kind == "mail").values(run_at=sa.func.now()))
    world.settle(until=lambda: len(box.mails) == 1, seconds=10)
    assert "Pay a." in box.text()
    assert "Pay b." in box.text()


def test_a_shop_with_a_nasty_name_is_mailed_all_the_same(world: World, box: Mailbox) -> None:
    owned(world)
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(name="Ann\r\nBcc: victim@example.com\x1b" + "x" * 300))
    give_task(world, "a", "Pay it.")
    time_passes(world)
    tick(world)
    assert box.to == [[OWNER]]
    assert box.mails[0]["Bcc"] is None


def test_nobody_to_mail_is_no_error_and_nothing_is_forgotten(world: World, box: Mailbox) -> None:
    shop(world)
    give_task(world, "a", "Pay it.")
    time_passes(world)
    tick(world)
    assert box.mails == []
    shops.set_policy(world.container, 1, {"contact_email": OWNER}, actor="test")
    tick(world)
    assert len(box.mails) == 1


def test_a_mail_about_something_else_does_not_tell_what_was_just_held(world: World, box: Mailbox) -> None:
    variant = owned(world)
    shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
    give_task(world, "a", "Order #1: pay it, please.")
    time_passes(world)
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    tick(world)
    assert "#1001" not in box.text(), "held for a moment only"
    time_passes(world)
    tick(world)
    assert "#1001" in box.text(1)
    time_passes(world)
    tick(world)
    assert len(box.mails) == 2, "told once a day"


def test_a_look_that_finds_it_held_as_before_is_no_new_beginning(world: World, box: Mailbox) -> None:
    variant = owned(world)
    shops.set_policy(world.container, 1, {"order_cap": 1}, actor="test")
    order(world, variant)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    time_passes(world)
    before = world.purchases()[0].stands_since
    world.retry(1)
    world.settle(until=lambda: world.reasons() == ["cap_order"])
    assert world.purchases()[0].stands_since == before
    tick(world)
    assert "#1001" in box.text()
    shops.set_policy(world.container, 1, {"order_cap": 10**6, "day_cap": 1}, actor="test")
    world.retry(1)
    world.settle(until=lambda: world.reasons() == ["cap_day"])
    assert world.purchases()[0].stands_since > before, "another reason is another wait"


def test_what_the_supplier_refused_is_told(world: World, box: Mailbox) -> None:
    """The successor of a refused purchase is held from its first moment."""
    variant = owned(world)
    code = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "error", "code": code, "times": 1}])
    order(world, variant)
    world.settle(until=lambda: world.states() == ["REJECTED", "HELD"], seconds=10)
    time_passes(world)
    tick(world)
    assert "#1001" in box.text()
