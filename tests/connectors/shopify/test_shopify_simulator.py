"""The simulator itself: strict, stateful over a kill, and its webhooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.ports.errors import BadDelivery
from app.ports.inbound import HintKind
from connectors.shopify import CONNECTOR
from tests.connectors.shopify.harness import SHOP, Receiver, Simulated, parcel, read, running, until

ORDERS = "query O($id: ID!) { order(id: $id) { name } }"
FULFILL = (
    "mutation F($f: FulfillmentInput!) {"
    " fulfillmentCreate(fulfillment: $f) { fulfillment { id } userErrors { message } } }"
)


def test_requests_that_the_real_one_refuses(simulated: Simulated) -> None:
    assert simulated.graphql("{ shop { id } }", headers={"X-Shopify-Access-Token": "x"})["status"] == 401
    assert simulated.graphql("{ shop { id } }", version="2027-01")["status"] == 404
    assert simulated.graphql("{ shop { id } }", headers={"Content-Type": "text/plain"})["status"] == 400
    old = simulated.graphql("{ shop { id } }", version="2024-01")
    assert (old["status"], old["headers"]["x-shopify-api-version"]) == (200, "2026-01")
    assert "non-null" in simulated.graphql(ORDERS)["errors"][0]["message"]
    assert simulated.graphql(ORDERS, {"id": {"a": 1}})["errors"]
    assert simulated.graphql("{ shop {")["errors"]
    assert simulated.graphql("{ orders { nodes { id } } }")["errors"]
    assert simulated.raw("GET", f"/{SHOP}/admin/api/2026-10/orders.json", b"", {})[0] == 404
    assert simulated.raw("POST", "/nobody.myshopify.com/admin/api/2026-10/graphql.json", b"{}", {})[0] == 404


def test_fulfilments_that_the_real_one_refuses(simulated: Simulated) -> None:
    made = simulated.order(lines=[{"quantity": 2}])
    one, two = made["fulfillment_orders"][0]["id"], simulated.order()["fulfillment_orders"][0]["id"]
    lines = simulated.graphql(
        "query L($id: ID!) { fulfillmentOrder(id: $id) { lineItems(first: 5) { nodes { id } } } }", {"id": one}
    )
    item = lines["data"]["fulfillmentOrder"]["lineItems"]["nodes"][0]["id"]

    def refusal(groups: list[dict[str, object]], **more: object) -> str:
        answer = simulated.graphql(FULFILL, {"f": {"lineItemsByFulfillmentOrder": groups, **more}})
        errors = answer["data"]["fulfillmentCreate"]["userErrors"]
        return str(errors[0]["message"]) if errors else ""

    def group(quantity: int, ref: str = item) -> dict[str, object]:
        return {"fulfillmentOrderId": one, "fulfillmentOrderLineItems": [{"id": ref, "quantity": quantity}]}

    assert "quantity" in refusal([group(3)])
    assert "quantity" in refusal([group(0)])
    assert "does not exist" in refusal([group(1, "gid://shopify/FulfillmentOrderLineItem/1")])
    assert "does not exist" in refusal([{"fulfillmentOrderId": "gid://shopify/FulfillmentOrder/1"}])
    assert "same order" in refusal([{"fulfillmentOrderId": one}, {"fulfillmentOrderId": two}])
    assert "not both" in refusal([group(1)], trackingInfo={"number": "1", "numbers": ["1"]})
    assert refusal([group(2)]) == ""
    assert "unfulfillable" in refusal([group(1)])
    assert len(simulated.events("fulfillment_created")) == 1


def test_acts_that_make_no_sense_are_refused(simulated: Simulated) -> None:
    made = simulated.order()
    assert "unknown act" in simulated.refused("nonsense", {})
    assert "unknown act" in simulated.refused(f"orders/{made['id']}/nonsense", {})
    assert "no order" in simulated.refused("orders/1/pay", {})
    assert "no shop" in simulated.refused("orders", {"shop": "nobody", "lines": [{}]})
    assert "needs lines" in simulated.refused("orders", {"shop": SHOP})
    assert "domain" in simulated.refused("shops", {"domain": "evil.com"})
    assert "more than" in simulated.refused(f"orders/{made['id']}/refund", {"lines": [{"line": 0, "quantity": 9}]})
    assert "unknown kind" in simulated.refused("faults", [{"op": "order", "kind": "nonsense"}])
    with pytest.raises(ValueError, match="unknown option"):
        CONNECTOR.simulator({"nonsense": "1"})


def test_nothing_is_forgotten_by_a_kill(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with running(ledger=str(ledger)) as simulated:
        simulated.shop()
        session = simulated.session()
        order = read(session, simulated.order()["id"])
        fulfilment = session.fulfil(order.id, parcel(order))
        pending = simulated.order(financial_status="pending")
        tokens = simulated.tokens
    with ledger.open("a", encoding="utf-8") as file:
        file.write('{"seq": 99, "event": "half a li')
    with running(ledger=str(ledger)) as simulated:
        simulated.tokens = tokens
        session = simulated.session()
        assert session.fulfilments(order.id) == (fulfilment,)
        simulated.act(pending, "pay")
        assert read(session, pending["id"]).paid
        assert simulated.order()["id"] not in (order.id, pending["id"])
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["event"] for line in lines].count("fulfillment_created") == 1


def test_a_scenario_file(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text(
        json.dumps(
            {
                "shops": [{"domain": SHOP}],
                "orders": [{"shop": SHOP, "lines": [{"quantity": 1}]}],
                "faults": [{"op": "order", "kind": "internal", "times": -1}],
            }
        ),
        encoding="utf-8",
    )
    with running(scenario=str(scenario)) as simulated:
        state = simulated.control("state")
        assert len(state["orders"]) == len(state["shops"]) == len(state["faults"]) == 1
        assert "access_tokens" not in state["shops"][0]


def test_the_shop_may_be_named_by_the_host(simulated: Simulated) -> None:
    headers = {
        "Host": f"{SHOP}:443",
        "Content-Type": "application/json",
        "X-Shopify-Access-Token": simulated.tokens[SHOP]["access_token"],
    }
    body = json.dumps({"query": "{ shop { name } }"}).encode()
    status, _, text = simulated.raw("POST", "/admin/api/2026-10/graphql.json", body, headers)
    assert (status, json.loads(text)["data"]["shop"]["name"]) == (200, "one")


def test_webhooks_are_signed_and_understood(receiver: Receiver) -> None:
    with running(webhook_url=receiver.url) as simulated:
        simulated.shop(our_location=True)
        made = simulated.order(financial_status="pending")
        for act in ("pay", "edit", "hold", "risk", "touch"):
            simulated.act(made, act)
        simulated.act(made, "hold", release=True)
        simulated.act(made, "request_fulfillment")
        order = read(simulated.session(), made["id"])
        simulated.session().fulfil(order.id, parcel(order))
        simulated.act(made, "refund")
        simulated.act(made, "delete")
        simulated.control("uninstall", {"shop": SHOP})
        until(lambda: "app/uninstalled" in receiver.topics() and "orders/delete" in receiver.topics())
        until(lambda: len(receiver.requests) >= 15)
        front = simulated.storefront()
        for request in receiver.requests:
            found = front.verify(request, ())
            hint = front.read_event(found.topic, request.body)
            assert found.shop_key == SHOP
            if found.topic == "fulfillment_orders/fulfillment_request_accepted":
                continue
            assert hint.kind in (HintKind.ORDER, HintKind.ORDER_GONE, HintKind.UNINSTALLED), found.topic
            assert hint.ref is None or hint.ref == made["id"] or hint.ref.startswith("fulfillment_order:")
        keys = {front.verify(request, ()).event_key for request in receiver.requests}
        assert len(keys) == len(receiver.requests)


def test_a_failed_delivery_is_tried_eight_times_with_one_id(receiver: Receiver) -> None:
    receiver.status = 503
    with running(webhook_url=receiver.url, time_scale="1000000") as simulated:
        simulated.shop()
        simulated.order(financial_status="pending", lines=[{"requires_shipping": False}])
        until(lambda: len(receiver.requests) >= 8)
        until(lambda: simulated.control("state")["idle"])
        assert len(receiver.requests) == 8
        assert len({request.header("X-Shopify-Webhook-Id") for request in receiver.requests}) == 1
        assert len({request.body for request in receiver.requests}) == 1


@pytest.mark.parametrize(("kind", "expected"), [("duplicate", 2), ("lose", 0), ("delay", 1), ("wrong_secret", 1)])
def test_disturbed_webhooks(receiver: Receiver, kind: str, expected: int) -> None:
    with running(webhook_url=receiver.url, time_scale="100") as simulated:
        simulated.shop()
        simulated.fault("webhook:orders/create", kind, seconds=5)
        simulated.order(financial_status="pending", lines=[{"requires_shipping": False}])
        until(lambda: len(receiver.requests) >= expected and simulated.control("state")["idle"])
        assert receiver.topics() == ["orders/create"] * expected
        if kind == "wrong_secret":
            with pytest.raises(BadDelivery):
                simulated.storefront().verify(receiver.requests[0], ())


def test_reordered_webhooks(receiver: Receiver) -> None:
    with running(webhook_url=receiver.url) as simulated:
        simulated.shop()
        simulated.fault("webhook:orders/create", "reorder")
        simulated.order(lines=[{"requires_shipping": False}])
        until(lambda: len(receiver.requests) == 2)
        assert receiver.topics() == ["orders/paid", "orders/create"]


def test_a_redelivery_repeats_the_id(receiver: Receiver) -> None:
    with running(webhook_url=receiver.url) as simulated:
        simulated.shop()
        simulated.order(financial_status="pending", lines=[{"requires_shipping": False}])
        until(lambda: receiver.requests)
        simulated.control("redeliver", {})
        until(lambda: len(receiver.requests) == 2)
        front = simulated.storefront()
        assert len({front.verify(request, ()).event_key for request in receiver.requests}) == 1


@pytest.mark.security("S05")
def test_s05_a_rotation_as_shopify_does_it(receiver: Receiver) -> None:
    with running(webhook_url=receiver.url) as simulated:
        simulated.shop()
        simulated.control("rotate_secret", {"new_secret": "second-secret", "sign_with": "previous"})
        simulated.order(financial_status="pending", lines=[{"requires_shipping": False}])
        until(lambda: receiver.requests)
        request = receiver.requests[0]
        rotated = {"shopify_client_secret": "second-secret", "shopify_client_secret_previous": "simulated-secret"}
        assert simulated.storefront(**rotated).verify(request, ()).topic == "orders/create"
        with pytest.raises(BadDelivery):
            simulated.storefront(shopify_client_secret="second-secret").verify(request, ())
        assert simulated.storefront(**rotated).refresh(simulated.access()).refresh_token


def test_redacted_webhooks(receiver: Receiver) -> None:
    with running(webhook_url=receiver.url) as simulated:
        simulated.shop(protected_data_approved=False)
        simulated.order(financial_status="pending", lines=[{"requires_shipping": False}])
        until(lambda: receiver.requests)
        address = json.loads(receiver.requests[0].body)["shipping_address"]
        assert (address["address1"], address["name"], address["country_code"]) == (None, None, "US")
