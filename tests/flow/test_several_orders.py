"""One purchase, several supplier orders: found one by one, closed one by one, never bought twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.errors import Conflict
from app.models import Attempt, Credential, Interlock, SupplierOrder, SupplierOrderItem
from app.pipeline import adopt, evidence, fit, locks, not_there, supplier_read
from app.pipeline.track import ASSUMED_WINDOW
from app.ports.supplier import OrderPayment, OrderShipping
from app.ports.supplier import SupplierOrder as OrderRead
from app.services import orphans, paylist, purchases, shops, todo
from app.shop_access import with_account
from tests.flow.world import BOTTLE, SOCKS, World

GLASS = "1005006000000001"


def two_lines(world: World, *faults: dict[str, object]) -> tuple[str, str]:
    """A paid order of two items of one seller; gives the two variants."""
    shop = world.woocommerce_shop("socks")
    socks, glass = world.woocommerce_product("socks", "SOCKS"), world.woocommerce_product("socks", "GLASS", "49.90")
    world.link(shop, socks, SOCKS)
    world.link(shop, glass, (GLASS, world.sku_of(GLASS)))
    world.aliexpress.control("faults", [{"op": "order.create", "times": 1, **fault} for fault in faults])
    world.woocommerce_order(
        "socks", [{"product_id": int(socks), "quantity": 1}, {"product_id": int(glass), "quantity": 1}]
    )
    return socks, glass


def interlocks(world: World) -> int:
    """How many items are kept for one purchase."""
    with world.container.database.transaction() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Interlock)) or 0


def attached(world: World) -> list[tuple[str, str]]:
    """(role, payment) of every supplier order."""
    with world.container.database.transaction() as session:
        rows = session.execute(sa.select(SupplierOrder.role, SupplierOrder.payment).order_by(SupplierOrder.id))
        return [(role, payment) for role, payment in rows]


def pay_all(world: World) -> None:
    """The merchant pays every order."""
    world.aliexpress.control("pay", {"order_ids": [line["order_id"] for line in world.created()]})
    world.settle(until=lambda: world.states() == ["PLACED_PAID"], seconds=20)


def test_ids_that_cover_every_item_are_one_purchase(world: World) -> None:
    two_lines(world, {"kind": "split"})
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    assert len(world.created()) == 2
    assert interlocks(world) == 0
    pay_all(world)
    assert attached(world) == [("bought", "paid")] * 2


def test_ids_that_do_not_cover_every_item_keep_it_unclear_and_its_items_locked(world: World) -> None:
    """The rest is in nobody's hands: no second send of these items until a person or a push names it."""
    world.aliexpress.control("push", {"lost": 1000})
    _, glass = two_lines(world, {"kind": "partial_ids", "split": True})
    world.settle(until=lambda: world.reasons() == ["partly_found"], seconds=20)
    assert world.states()[0] in {"UNKNOWN", "HUMAN"}
    found = world.purchases()[0].facts
    assert (found["found"], found["of"]) == (1, 2)
    assert interlocks(world) == 2
    world.woocommerce_order("socks", [{"product_id": int(glass), "quantity": 1}])
    world.settle()
    assert world.calls_of_create() == 1
    world.pass_time("human")
    world.settle(until=lambda: world.states() == ["HUMAN", "READY"], seconds=20)
    assert "resolve_unclear" in world.tasks()
    known, rest = (line["order_id"] for line in world.created())
    told = purchases.resolve_found(world.container, world.purchases()[0].id, [known, rest], by="merchant:1")
    assert told["state"] == "PLACED_UNPAID"
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert world.calls_of_create() == 2


def test_rest_called_not_there_becomes_a_new_part_and_late_evidence_an_incident(world: World) -> None:
    world.aliexpress.control("push", {"lost": 1000})
    two_lines(world, {"kind": "partial_ids", "split": True})
    world.settle(until=lambda: world.reasons() == ["partly_found"], seconds=20)
    world.pass_time("quarantine")
    unclear, (first, rest) = world.purchases()[0], (line["order_id"] for line in world.created())
    with pytest.raises(Conflict, match="--found"):
        not_there.give_up(world.container, unclear.id, newest_seen=rest, by="merchant:1")
    not_there.give_up(world.container, unclear.id, newest_seen=first, by="merchant:1")
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID", "PLACED_UNPAID"], seconds=20)
    assert sorted(world.quantities()) == [0, 1, 1]
    evidence.look_up(world.container, unclear.account_id or 0, rest, source="push")
    world.settle()
    assert ("duplicate", "unpaid") in attached(world)
    assert "duplicate" in world.tasks()
    assert [one["supplier_order"] for one in paylist.listed(world.container)["do_not_pay"]] == [rest]


@pytest.mark.parametrize("whole", [True, False])
def test_partial_closing_leaves_the_rest_and_is_bought_again_by_the_merchant_only(world: World, whole: bool) -> None:
    """A whole supplier order of the purchase is closed, or a child order of its only one."""
    two_lines(world, *([{"kind": "split"}] if whole else []))
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    with pytest.raises(Conflict, match="no piece"):
        purchases.again(world.container, world.purchases()[0].id, actor="merchant:1")
    order = world.created()[0]
    item = order["items"][0]
    world.aliexpress.control(
        "cancel", {"order_id": order["order_id"]} | ({} if whole else {"sku_ids": [item["sku_id"]]})
    )
    world.settle(until=lambda: "partly_closed" in world.tasks(), seconds=30)
    world.settle()
    assert world.states() == ["PLACED_PAID"], "nothing is ordered again by itself"
    told = purchases.again(world.container, world.purchases()[0].id, actor="merchant:1")
    assert told["id"] != world.purchases()[0].id
    world.settle(until=lambda: world.states() == ["PLACED_PAID", "PLACED_UNPAID"], seconds=20)
    again = world.created()[-1]
    assert [(one["sku_id"], one["quantity"]) for one in again["items"]] == [(item["sku_id"], 1)]
    assert "partly_closed" not in world.tasks()
    with pytest.raises(Conflict, match="no piece"):
        purchases.again(world.container, world.purchases()[0].id, actor="merchant:1")


@pytest.fixture
def unread(world: World) -> tuple[str, str]:
    """(an order of two items that was never read though its number was in the answer, a newer one that was)."""
    world.aliexpress.control("push", {"lost": 1000})
    two_lines(world, {"op": "order.get", "kind": "status", "status": 503, "times": -1})
    world.settle(until=lambda: world.reasons() == ["confirming"], seconds=20)
    bottle = world.woocommerce_product("socks", "BOTTLE")
    world.link(1, bottle, BOTTLE)
    with world.container.database.transaction() as session:  # not read in time, whatever the reason
        session.execute(sa.update(SupplierOrder).values(track_run_at=None))
    world.aliexpress.control("faults", [])
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 1}])
    world.settle(until=lambda: world.states()[1:] == ["PLACED_UNPAID"], seconds=20)
    world.pass_time("quarantine")
    lost, other = (str(line["order_id"]) for line in world.created())
    return lost, other


def test_numbers_that_the_supplier_gave_are_there_though_they_cannot_be_read(
    world: World, unread: tuple[str, str]
) -> None:
    """Two items, so the numbers of the answer are confirmed by a read; while that fails nobody may say "not there"."""
    lost, other = unread
    with pytest.raises(Conflict, match=lost):
        not_there.give_up(world.container, 1, newest_seen=other, by="merchant:1", confirm_by="ann")
    world.read_again()
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    assert world.calls_of_create() == 2


def test_a_person_may_name_the_very_number_that_could_not_be_read(world: World, unread: tuple[str, str]) -> None:
    lost, _ = unread
    purchases.resolve_found(world.container, 1, [lost], by="merchant:1")
    assert world.states() == ["PLACED_UNPAID"] * 2
    assert interlocks(world) == 0


def test_a_number_that_is_read_after_a_week_of_silence_and_not_there_is_late_evidence(
    world: World, unread: tuple[str, str]
) -> None:
    lost, other = unread
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE supplier_order SET recorded_at = recorded_at - interval '8 days'"))
    world.pause_shop()
    not_there.give_up(world.container, 1, newest_seen=other, by="merchant:1", confirm_by="ann")
    assert world.states()[0] == "VOID"
    world.read_again()
    world.settle(until=lambda: world.states()[0] == "PLACED_UNPAID", seconds=20)
    assert world.reasons()[-1] == "late_evidence"
    assert world.calls_of_create() == 2
    assert [one["supplier_order"] for one in paylist.listed(world.container)["pay"]] == sorted([lost, other])


def test_what_turns_up_after_not_there_and_a_cancellation_is_told(world: World) -> None:
    """Nothing takes its place, so nothing would ever look for it again."""
    world.aliexpress.control("push", {"lost": 1000})
    two_lines(world, {"kind": "drop_after"})
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    lost = str(world.created()[0]["order_id"])
    bottle = world.woocommerce_product("socks", "BOTTLE")
    world.link(1, bottle, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 1}])
    world.settle(until=lambda: world.states()[1:] == ["PLACED_UNPAID"], seconds=20)
    world.pass_time("quarantine")
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE store_order SET cancelled = true WHERE id = 1"))
    other = str(world.created()[1]["order_id"])
    not_there.give_up(world.container, 1, newest_seen=other, by="merchant:1", confirm_by="ann")
    assert world.states()[0] == "CANCELLED"
    evidence.look_up(world.container, 1, lost, source="push")
    assert ("duplicate", "unpaid") in attached(world)
    assert "duplicate" in world.tasks()
    assert [one["supplier_order"] for one in paylist.listed(world.container)["do_not_pay"]] == [lost]


def test_everything_closed_after_payment_is_told_to_the_merchant(world: World) -> None:
    two_lines(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    world.aliexpress.control("cancel", {"order_id": world.created()[0]["order_id"]})
    world.settle(until=lambda: world.states() == ["SUPPLIER_CANCELLED"], seconds=30)
    assert world.tasks() == ["supplier_cancelled"]
    purchases.again(world.container, world.purchases()[0].id, actor="merchant:1")
    assert world.tasks() == []


def test_closed_after_it_was_shipped_counts_as_refunded(world: World) -> None:
    two_lines(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    order = world.created()[0]
    world.aliexpress.control("ship", {"order_id": order["order_id"]})
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=20)
    world.aliexpress.control("cancel", {"order_id": order["order_id"]})
    world.settle(until=lambda: world.states() == ["REFUNDED"], seconds=30)
    assert world.tasks() == ["supplier_cancelled"]


def duplicate(world: World, unread: tuple[str, str]) -> str:
    """The number of an order that turned up unpaid after a person had said "not there", and another was made."""
    lost, other = unread
    with world.container.database.transaction() as session:
        session.execute(sa.text("UPDATE supplier_order SET recorded_at = recorded_at - interval '8 days'"))
    not_there.give_up(world.container, 1, newest_seen=other, by="merchant:1", confirm_by="ann")
    world.settle(until=lambda: world.states()[-1] == "PLACED_UNPAID", seconds=20)
    world.read_again()
    world.settle(until=lambda: ("duplicate", "unpaid") in attached(world), seconds=10)
    return lost


def test_a_duplicate_that_was_paid_and_is_kept_holds_nothing_up(world: World, unread: tuple[str, str]) -> None:
    """Unpaid it must not be paid; paid, a person says that it is kept, and what is ordered later goes on."""
    lost = duplicate(world, unread)
    with pytest.raises(Conflict, match="Do not pay it"):
        orphans.dismiss(world.container, lost, by="staff:ann")
    with pytest.raises(Conflict, match="can be read"):
        orphans.dismiss(world.container, lost, by="staff:ann", confirm_by="staff:bob")
    assert "duplicate" in world.tasks()
    world.aliexpress.control("pay", {"order_ids": [lost]})
    world.settle(until=lambda: ("duplicate", "paid") in attached(world), seconds=10)
    orphans.dismiss(world.container, lost, by="staff:ann")
    assert "duplicate" not in world.tasks()
    assert lost not in [one["supplier_order"] for one in paylist.listed(world.container)["do_not_pay"]]


@pytest.mark.parametrize("why", ["the account is dead", "its time to be paid is over"])
def test_an_unpaid_duplicate_that_nobody_can_read_holds_nothing_up_for_ever(
    world: World, unread: tuple[str, str], why: str
) -> None:
    lost = duplicate(world, unread)
    dead = world.container.timers.unreadable_after
    days = ASSUMED_WINDOW / world.container.settings.time_scale + dead
    with world.container.database.transaction() as session:
        if why == "the account is dead":
            session.execute(sa.update(Credential).values(state="DEAD", dead_since=sa.func.now() - dead))
        else:
            past = {"pay_until": None, "created_at_supplier": sa.func.now() - days}
            session.execute(sa.update(SupplierOrder).where(SupplierOrder.external_id == lost).values(past))
    if why == "the account is dead":
        with pytest.raises(Conflict, match="confirm-by"):
            orphans.dismiss(world.container, lost, by="staff:ann")
        orphans.dismiss(world.container, lost, by="staff:ann", confirm_by="staff:bob")
    else:
        orphans.dismiss(world.container, lost, by="staff:ann")
    assert "duplicate" not in world.tasks()


def test_an_order_that_is_found_after_the_first_was_shipped_is_followed_like_it(world: World) -> None:
    """The supplier made two orders of one send and named one: the purchase never goes back, the second is tracked."""
    world.aliexpress.control("push", {"lost": 1000})
    shop = world.woocommerce_shop("socks")
    bottle = world.woocommerce_product("socks", "BOTTLE")
    world.link(shop, bottle, BOTTLE)
    world.woocommerce_order("socks", [{"product_id": int(bottle), "quantity": 2}])
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    pay_all(world)
    world.aliexpress.control("ship", {"order_id": world.created()[0]["order_id"]})
    world.read_again()
    world.settle(until=lambda: world.states() == ["SHIPPED"], seconds=20)
    with world.container.database.transaction() as session:
        first = session.scalars(sa.select(SupplierOrder)).one()
        session.execute(sa.update(SupplierOrderItem).values(quantity=1))
        session.execute(sa.update(SupplierOrder).values(track_run_at=None))
    read = with_account(world.container, first.account_id, lambda supplier: supplier.order(first.external_id))
    assert read is not None
    items = tuple(replace(item, quantity=1) for item in read.items)
    second = replace(read, shipping=OrderShipping.NONE, payment=OrderPayment.UNPAID, items=items)

    def tell(what: OrderRead) -> str:
        with world.container.database.transaction() as session:
            locks.account(session, first.account_id)
            candidates = fit.fitting(world.container, session, first.account_id, what)
            order = adopt.row(session, first.account_id, "8100000099999999", "push")
            supplier_read.apply_read(world.container, session, order, what)
            if order.purchase_id is None:
                return evidence.attach(world.container, session, order, what, candidates, source="push")
            return order.payment

    assert tell(second) == "attached to purchase 1"
    assert tell(replace(second, payment=OrderPayment.PAID)) == "paid"
    assert world.states() == ["SHIPPED"]


def test_what_is_covered_is_no_candidate_and_not_locked_for_a_push(world: World) -> None:
    """A busy account has a thousand placed purchases in the window of a push."""
    two_lines(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
    world.read_again()
    world.settle()
    with world.container.database.transaction() as session:
        order = session.scalars(sa.select(SupplierOrder)).one()
    read = with_account(world.container, order.account_id, lambda supplier: supplier.order(order.external_id))
    assert read is not None
    for change, many in (("quantity = quantity", 0), ("quantity = quantity - 1", 1)):
        with world.container.database.transaction() as session:
            session.execute(sa.text(f"UPDATE supplier_order_item SET {change}"))
            looked = fit.fitting(world.container, session, order.account_id, read)
            held = session.scalar(
                sa.text(
                    "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
                    "WHERE c.relname = 'purchase' AND l.mode = 'RowShareLock' AND l.pid = pg_backend_pid()"
                )
            )
        assert (len(looked), held) == (many, many)


@pytest.mark.parametrize("told", ["linked id", "no SKU"])
def test_an_order_is_recognised_by_either_name_of_its_product(world: World, told: str) -> None:
    """The id to order by may be another one for the buyer's country than the linked one; a SKU may be left out."""
    world.aliexpress.control("push", {"lost": 1000})
    two_lines(world, {"kind": "drop_after"})
    world.settle(until=lambda: world.states() == ["UNKNOWN"], seconds=20)
    lost = str(world.created()[0]["order_id"])
    read = with_account(world.container, 1, lambda supplier: supplier.order(lost))
    assert read is not None
    if told == "no SKU":
        read = replace(read, items=tuple(replace(item, sku_id="") for item in read.items))
    with world.container.database.transaction() as session:
        attempt = session.scalars(sa.select(Attempt).where(Attempt.outcome == "UNKNOWN")).one()
        if told == "linked id":
            attempt.items = [[f"9{product[1:]}", *rest] for product, *rest in attempt.items]
        session.flush()
        looked = fit.fitting(world.container, session, 1, read)
        assert [purchase.id for purchase, _ in looked] == [1]
        strange = replace(read, items=tuple(replace(item, product_id="1") for item in read.items))
        assert fit.fitting(world.container, session, 1, strange) == []


@pytest.mark.parametrize("autopay", [False, True])
def test_a_second_order_of_one_call_that_the_answer_does_not_name_is_told(world: World, autopay: bool) -> None:
    """It is given to nobody, and staff hear of it as soon as the order that was named has been read."""
    two_lines(world, {"kind": "twice"})
    user = {"user_id": world.account["user_id"], "autopay": True, "tokens": False}
    world.aliexpress.control("accounts", user)
    shops.set_policy(world.container, 1, {"autopay": autopay}, actor="test")
    placed = "PLACED_PAID" if autopay else "PLACED_UNPAID"
    world.settle(until=lambda: world.states() == [placed] and bool(todo.alerts(world.container)), seconds=20)
    assert len(world.created()) == 2
    (told,) = todo.alerts(world.container)
    assert (told["kind"], told["purchase_id"]) == ("duplicate", 1)
    assert world.created()[1]["order_id"] in told["text"]
    assert world.tasks() == ["stray_order"]
    paid = "paid" if autopay else "unpaid"
    assert sorted(attached(world)) == [("bought", paid), ("orphan", paid)]
    orphans.dismiss(world.container, world.created()[1]["order_id"], by="staff:ann")
    assert (todo.alerts(world.container), world.tasks()) == ([], [])
