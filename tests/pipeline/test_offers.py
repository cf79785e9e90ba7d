"""The pre-flight's judgement: which price, which way of shipping, which limit; and what is held, with its facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain import pricing
from app.models import ExchangeRate, ProductLink, Purchase, Shop, SourceLine, StoreOrder
from app.pipeline.buy import preflight
from app.pipeline.buy.claim import Claimed
from app.ports.errors import TryLater
from app.ports.money import Money
from app.ports.storefront import Address
from app.ports.supplier import FreightOption, SupplierProduct, SupplierSKU
from tests.pipeline.stage import TWO, Items, Stage

ADDRESS = Address("Ada Example", "1 Sample Street", "", "Springfield", "", "IL", "62701", "US", "+1 217 555 0100")


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def facts(stage: Stage, items: Items = TWO, **more: Any) -> preflight._Facts:
    """What the database says of a claimed purchase."""
    mine = stage.purchase("CLAIMED", items, **more)
    order = stage.session.get_one(StoreOrder, mine.order_id)
    lines = {one.source_line_id: stage.session.get_one(SourceLine, one.source_line_id) for one in stage.items(mine)}
    return preflight._Facts(
        mine, stage.session.get_one(Shop, mine.shop_id), order, stage.items(mine), lines, {}, {}, ""
    )


def held(act: Any, *given: Any) -> tuple[str, dict[str, Any]]:
    """Why it is held."""
    with pytest.raises(preflight.Held) as why:
        act(*given)
    return why.value.reason, why.value.facts


def option(fee: int = 0, service: str = "STANDARD", **more: Any) -> FreightOption:
    usual = {"min_days": 5, "max_days": 20, "tracked": True, "ships_from": "CN", "stock": None}
    return FreightOption(service, service, usd(fee), **{**usual, **more})


def chosen(
    stage: Stage, *offered: FreightOption, wanted: str = "", longest: int | None = None, stocked: int = 2
) -> Any:
    """The way that is taken of these."""
    stage.shop.max_delivery_days = longest
    known = facts(stage, (("P1", "S1", stocked),), service=wanted)
    product = SupplierProduct("P1", "to P1", "Sample", on_sale=True, seller_id="", skus=())
    return preflight._freight(lambda _act: list(offered), known, known.items[0], product, ADDRESS, "USD")  # type: ignore[arg-type]


def test_the_cheapest_way_is_taken_then_the_quickest_then_a_tracked_one(stage: Stage) -> None:
    dear, cheap = option(200, max_days=1), option(100)
    quick, unknown, untracked = option(100, max_days=19), option(100, max_days=None), option(100, tracked=False)
    assert chosen(stage, dear, cheap) is cheap
    assert chosen(stage, cheap, quick) is quick
    assert chosen(stage, unknown, cheap) is cheap
    assert chosen(stage, untracked, cheap) is cheap
    assert chosen(stage, option(100, max_days=998), unknown).max_days == 998


def test_a_service_that_the_merchant_chose_is_the_only_one(stage: Stage) -> None:
    other, wanted = option(0, "OTHER"), option(500, "WANTED")
    assert chosen(stage, other, wanted, wanted="WANTED") is wanted
    names = [option(0, f"S{number:02}") for number in range(12, 0, -1)]
    reason, told = held(lambda: chosen(stage, *names, wanted="WANTED"))
    assert (reason, told["service"], told["product"]) == ("shipping_service", "WANTED", "P1")
    assert told["offered"] == "S01, S02, S03, S04, S05, S06, S07, S08, S09, S10"


def test_what_takes_longer_than_the_shop_allows_or_an_unknown_time_is_not_taken(stage: Stage) -> None:
    late, unknown, good = option(0, max_days=11), option(0, max_days=None), option(900, max_days=10)
    assert chosen(stage, late, unknown, good, longest=10) is good
    assert held(lambda: chosen(stage, late, unknown, longest=10)) == (
        "not_shippable", {"product": "P1", "country": "US", "days": 10},
    )  # fmt: skip


def test_no_way_at_all_and_too_little_stock_on_the_way_are_told(stage: Stage) -> None:
    assert held(lambda: chosen(stage)) == ("not_shippable", {"product": "P1", "country": "US"})
    assert held(lambda: chosen(stage, option(stock=1))) == ("out_of_stock", {"product": "P1", "stock": 1, "wanted": 2})
    assert chosen(stage, option(stock=2)).stock == 2


def test_a_promotion_counts_all_pieces_of_a_sku_in_the_order(stage: Stage) -> None:
    known = facts(stage, (("P1", "S1", 2), ("P1", "S1", 1), ("P1", "S2", 5), ("P2", "S1", 5)))
    sku = SupplierSKU("S1", "", usd(500), None, price_limit=3, price_above=usd(900))
    assert preflight._price(known, known.items[0], sku) == usd(500)
    assert preflight._price(known, known.items[1], replace(sku, price_limit=2)) == usd(900)
    refused = replace(sku, price_limit=2, price_above=None)
    assert held(lambda: preflight._price(known, known.items[0], refused)) == (
        "promotion_limit", {"product": "P1", "limit": 2, "wanted": 3},
    )  # fmt: skip


def test_the_options_are_ordered_as_the_supplier_writes_them_now(stage: Stage) -> None:
    item = facts(stage).items[0]
    item.sku_attributes = "then"
    skus = (SupplierSKU("S9", "other", usd(1), None), SupplierSKU("S1", "now", usd(1), None))
    product = SupplierProduct("P1", "P1", "", on_sale=True, seller_id="", skus=skus)
    assert preflight._sku_attributes(product, item) == "now"
    assert preflight._sku_attributes(replace(product, skus=skus[:1]), item) == "then"


def judged(stage: Stage, cost: int, *, autopay: bool = True, age: float = 0, margin: int = 10, **more: Any) -> Any:
    """Quote, limit and whether it is paid at once; the shop has 50.00 for the order and keeps 10 %."""
    stage.shop.autopay, stage.shop.margin_percent = autopay, Decimal(margin)
    kept = more.pop("kept", 5000)
    known = facts(stage, **more)
    known.order.kept = kept
    asked_at = stage.container.clock.now() - timedelta(seconds=age)
    offer = preflight._Offer({}, {}, (pricing.QuoteLine(usd(cost - 100), 1),), usd(100))
    return preflight._judge(stage.container, known, offer, asked_at)


def test_what_keeps_the_margin_may_be_bought_up_to_the_limit(stage: Stage) -> None:
    assert judged(stage, 4500)[:2] == (usd(4500), usd(4500))
    reason, told = held(lambda: judged(stage, 4501))
    assert (reason, told) == ("margin", {"quote": "45.01 USD", "limit": "45.00 USD", "paid": "50.00 USD"})


def test_what_the_shop_gave_back_is_told_beside_it(stage: Stage) -> None:
    reason, told = held(lambda: judged(stage, 4501, kept=4000))
    assert (reason, told["paid"], str(told["sold"])) == ("margin", "40.00 USD", "50.00 USD")
    assert held(lambda: judged(stage, 100, kept=None)) == ("money_unknown", {"quote": "1.00 USD"})


@pytest.mark.parametrize(
    ("cost", "kept", "approved", "passes"),
    [
        (4600, 5000, 4600, True),
        (4600, 5000, 4599, False),
        (4600, None, 4600, True),
        (4600, 5000, None, False),
    ],
)
def test_what_a_person_approved_is_bought_up_to_that_and_never_paid_at_once(
    stage: Stage, cost: int, kept: int | None, approved: int | None, passes: bool
) -> None:
    more = {"kept": kept, "approved_minor": approved, "approved_currency": "USD"}
    if passes:
        assert judged(stage, cost, **more) == (usd(cost), usd(approved or 0), False)
    else:
        held(lambda: judged(stage, cost, **more))


@pytest.mark.parametrize(
    ("cost", "autopay", "age", "at_once"),
    [
        (4000, True, 0, True),
        (4000, False, 0, False),
        (4400, True, 0, False),
        (4000, True, 61, False),
        (4000, True, 50, True),
    ],
)
def test_paid_at_once_is_only_what_has_room_and_a_fresh_quote(
    stage: Stage, cost: int, autopay: bool, age: float, at_once: bool
) -> None:
    assert judged(stage, cost, autopay=autopay, age=age)[2] is at_once


def test_an_unknown_currency_cannot_be_approved(stage: Stage) -> None:
    known = facts(stage, approved_minor=10**9, approved_currency="USD")
    known.order.currency = "EUR"
    offer = preflight._Offer({}, {}, (), usd(100))
    assert held(preflight._judge, stage.container, known, offer, stage.now)[0] == "price_unknown"


def test_a_purchase_of_somebody_elses_fence_is_not_checked(stage: Stage) -> None:
    mine: Purchase = stage.purchase("CLAIMED", fence=2)
    claimed = Claimed(mine.id, 2, stage.now, 1, "aliexpress", mine.order_id, mine.shop_id, "1")
    with stage.outside():
        found = preflight._load(stage.container, claimed)
        assert (found.purchase.id, [one.quantity for one in found.items], len(found.lines)) == (mine.id, [2], 1)
        with pytest.raises(preflight.LostClaim):
            preflight._load(stage.container, replace(claimed, fence=3))
    stage.again(mine).state = "READY"
    with stage.outside(), pytest.raises(preflight.LostClaim):
        preflight._load(stage.container, claimed)


def test_what_is_loaded_is_of_this_purchase_alone(stage: Stage) -> None:
    mine, other = stage.purchase("CLAIMED", TWO), stage.purchase("CLAIMED", TWO)
    stage.items(mine)[1].quantity = 0
    for shop, product, seller in (
        (mine.shop_id, "P1", "7"),
        (mine.shop_id, "P9", "8"),
        (stage.new_shop().id, "P1", "9"),
    ):
        stage.add(
            ProductLink(
                shop_id=shop,
                variant_id=f"v{seller}",
                supplier="aliexpress",
                product_id=product,
                sku_id="S1",
                sku_attributes="",
                seller_id=seller,
            )
        )
    stage.add(ExchangeRate(base="USD", quote="EUR", rate=Decimal("0.9")))
    first, theirs = stage.items(mine)[0].id, stage.items(other)[0].source_line_id
    claimed = Claimed(mine.id, 0, stage.now, 1, "aliexpress", mine.order_id, mine.shop_id, "1")
    with stage.outside():
        found = preflight._load(stage.container, claimed)
    assert [one.id for one in found.items] == [first]
    assert theirs not in found.lines
    assert len(found.lines) == 2
    assert found.sellers == {("P1", "S1"): "7"}
    assert found.rates == {("USD", "EUR"): Decimal("0.9")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [("hold = 'x'", "shop_hold"), ("paid = false", "unpaid"), ("test = true", "test_order")],
)
def test_what_the_order_says_by_now_stops_it(stage: Stage, change: str, reason: str) -> None:
    mine = stage.purchase("CLAIMED")
    stage.session.execute(sa.text(f"UPDATE store_order SET {change}"))
    claimed = Claimed(mine.id, 0, stage.now, 1, "aliexpress", mine.order_id, mine.shop_id, "1")
    with stage.outside():
        assert preflight._load(stage.container, claimed).stopped_by == reason


def test_an_address_that_a_person_gave_is_enough(stage: Stage) -> None:
    order, _ = stage.new_order(1)
    facts: Any = SimpleNamespace(order=order)
    with pytest.raises(preflight.Held) as held:
        preflight._address(stage.container, facts)
    assert held.value.reason == "address_missing"
    given = {
        "full_name": "Ada Example",
        "address": "1 Sample Street",
        "city": "Springfield",
        "province": "Illinois",
        "zip": "62701",
        "country": "US",
        "mobile_no": "217 555 0100",
    }
    order.address_override_sealed = stage.container.vault.seal_json(given, order.address_place)
    _, prepared = preflight._address(stage.container, facts)
    assert {name: dict(prepared.fields)[name] for name in ("full_name", "city", "country")} == {
        "full_name": "Ada Example", "city": "Springfield", "country": "US",
    }  # fmt: skip


@pytest.mark.parametrize(("code", "told"), [("timeout", [True, False]), ("ApiCallLimit", [True])])
def test_what_is_no_outage_is_not_told_to_the_breaker(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, code: str, told: list[bool]
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(preflight.breaker, "note_read", lambda *_, ok: seen.append(ok))
    account = SimpleNamespace(opened=SimpleNamespace(connector="aliexpress"))
    answers: list[Any] = ["product", TryLater(code)]

    class Account:
        opened = account.opened

        def __call__(self, _: Any) -> Any:
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

    monkeypatch.setattr(preflight, "AccountReads", lambda *_: Account())
    with preflight._Reads(stage.container, account.opened) as reads:  # type: ignore[arg-type]
        assert reads(lambda supplier: supplier) == "product"
        with pytest.raises(TryLater):
            reads(lambda supplier: supplier)
    assert seen == told
