"""Permissions: what the simulator gives without one, and what the connector makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused
from connectors.shopify import orders
from connectors.shopify.faults import of_errors, scopes_of
from connectors.shopify.permissions import FOR_ORDERS, covers
from connectors.shopify.simulator.making import SCOPES
from tests.connectors.shopify.harness import SHOP, Simulated, parcel, read, running

NOW = datetime.now(UTC)
ORDERS = "{ orders(first: 5) { nodes { id } } }"
ONE = "query O($id: ID!) { order(id: $id) { name lineItems(first: 5) { nodes { name variant { id } } } } }"


def without(*scopes: str) -> list[str]:
    return [scope for scope in SCOPES.split(",") if scope not in scopes]


def grant(simulated: Simulated, scopes: list[str]) -> None:
    simulated.control(f"shops/{SHOP}", {"scopes": scopes})


def taken(scope: str) -> list[str]:
    """All grants but those that hold this one."""
    return without(scope, scope.replace("read_", "write_", 1))


def test_a_field_without_its_scope_is_refused_as_shopify_does(simulated: Simulated) -> None:
    grant(simulated, without("read_orders"))
    answer = simulated.graphql(ORDERS)
    # `orders` is not nullable in the schema: the null goes up to `data`.
    assert (answer["status"], answer["data"]) == (200, None)
    assert answer["errors"] == [
        {
            "message": "Access denied for orders field. Required access: `read_orders` access scope.",
            "path": ["orders"],
            "extensions": {
                "code": "ACCESS_DENIED",
                "documentation": "https://shopify.dev/api/usage/access-scopes",
                "requiredAccess": "`read_orders` access scope.",
            },
        }
    ]
    assert simulated.graphql("{ shop { name } }")["data"] == {"shop": {"name": "one"}}


def test_below_an_order_only_the_field_is_null(simulated: Simulated) -> None:
    product = simulated.control("products", {"shop": SHOP, "variants": [{"sku": "A"}]})
    made = simulated.order(lines=[{"variant_id": product["variants"][0]["id"]}])
    grant(simulated, without("write_products"))
    answer = simulated.graphql(ONE, {"id": made["gid"]})
    assert answer["data"]["order"]["lineItems"]["nodes"] == [{"name": "Sample product", "variant": None}]
    assert answer["errors"][0]["path"] == ["order", "lineItems", "nodes", 0, "variant"]


def test_scopes_from_the_start_and_by_the_merchant(simulated: Simulated) -> None:
    simulated.shop("two.myshopify.com", scopes="read_orders, read_products")
    assert simulated.session("two.myshopify.com").profile().scopes == ("read_orders", "read_products")
    simulated.control("scopes", {"shop": SHOP, "scopes": ["read_orders"]})
    assert simulated.session().profile().scopes == ("read_orders",)


def test_fulfilment_orders_that_may_not_be_seen_are_left_out_without_an_error(simulated: Simulated) -> None:
    made = simulated.order()
    grant(simulated, without("write_merchant_managed_fulfillment_orders"))
    query = "query O($id: ID!) { order(id: $id) { fulfillmentOrders(first: 5) { nodes { id } } } }"
    answer = simulated.graphql(query, {"id": made["gid"]})
    assert answer["data"]["order"]["fulfillmentOrders"]["nodes"] == []
    assert "errors" not in answer


@pytest.mark.parametrize("scope", FOR_ORDERS)
def test_a_permission_that_is_lacking_is_named_and_no_half_order_is_read(simulated: Simulated, scope: str) -> None:
    made = simulated.order()
    grant(simulated, taken(scope))
    with pytest.raises(MerchantMustAct) as caught:
        simulated.session().order(made["id"])
    assert (caught.value.reason, caught.value.code) == ("shop_permission", "ACCESS_DENIED")
    assert scope in caught.value.detail
    grant(simulated, SCOPES.split(","))
    assert read(simulated.session(), made["id"]).paid


def test_lists_and_variants_without_permission(simulated: Simulated) -> None:
    grant(simulated, ["read_locations"])
    session = simulated.session()
    for call, scope in (
        (lambda: session.orders_changed(NOW - timedelta(days=1), NOW, None), "read_orders"),
        (lambda: session.variants(sku="A"), "read_products"),
        (lambda: session.variants(variant_id="1"), "read_products"),
    ):
        with pytest.raises(MerchantMustAct) as caught:
            call()
        assert (caught.value.reason, caught.value.detail) == ("shop_permission", scope)


def test_a_parcel_without_permission_is_not_shown_and_nothing_is_unclear(simulated: Simulated) -> None:
    order = read(simulated.session(), simulated.order()["id"])
    grant(simulated, [scope.replace("write_", "read_") for scope in SCOPES.split(",")])
    with pytest.raises(MerchantMustAct) as caught:
        simulated.session().fulfil(order.id, parcel(order))
    assert caught.value.reason == "shop_permission"
    assert "write_merchant_managed_fulfillment_orders" in caught.value.detail
    assert simulated.events("fulfillment_created") == []


def test_denied_answers_in_other_shapes() -> None:
    bare = [{"message": "Access denied", "path": ["orders"], "extensions": {"code": "ACCESS_DENIED"}}]
    assert scopes_of(bare) == scopes_of("text") == scopes_of([None, {"extensions": 1}]) == ()
    assert isinstance(error := of_errors(bare, effect=False), MerchantMustAct)
    assert error.detail == "orders"
    deep = [{**bare[0], "path": ["fulfillmentCreate", "fulfillment"]}]
    assert isinstance(of_errors(deep, effect=True), OutcomeUnknown)


def test_the_right_to_write_includes_that_to_read() -> None:
    assert covers(["write_orders"], "read_orders")
    assert not covers(["read_orders"], "write_orders")
    assert not covers(["write_orders"], "read_all_orders")


def test_an_order_older_than_sixty_days_is_hidden_and_not_gone(simulated: Simulated) -> None:
    made = simulated.order()
    session = simulated.session()
    simulated.act(made, "age", days=61)
    assert simulated.graphql(ONE, {"id": made["gid"]})["data"] == {"order": None}
    assert session.order(made["id"]) is None
    assert session.orders_changed(NOW - timedelta(days=90), NOW + timedelta(days=1), None).orders == ()
    assert session.hides(NOW - timedelta(days=61))
    assert not session.hides(NOW - timedelta(days=1))
    grant(simulated, [*SCOPES.split(","), "read_all_orders"])
    assert not session.hides(NOW - timedelta(days=61))
    assert read(session, made["id"]).paid


def test_a_parcel_of_a_hidden_order_is_refused_in_words(simulated: Simulated) -> None:
    made = simulated.order()
    order = read(simulated.session(), made["id"])
    simulated.act(made, "age", days=61)
    with pytest.raises(Refused, match="older than 60 days") as caught:
        simulated.session().fulfil(order.id, parcel(order))
    assert caught.value.code == "order_not_shown"


def test_lists_longer_than_can_be_paged_are_read_in_several_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = int((NOW - timedelta(hours=1)).timestamp())
    with running(page_limit="200") as simulated:
        simulated.shop()
        made = {simulated.order(lines=[{}], updated_at=begin + place, webhooks=False)["id"] for place in range(250)}
        session = simulated.session()

        def listed() -> set[str]:
            found, cursor = set[str](), None
            while True:
                page = session.orders_changed(NOW - timedelta(hours=2), NOW, cursor)
                found |= {ref.id for ref in page.orders}
                cursor = page.next_cursor
                if cursor is None:
                    return found

        with pytest.raises(Refused, match="PAGINATION_LIMIT"):
            listed()
        monkeypatch.setattr(orders, "RESTART", 2)
        assert listed() == made
