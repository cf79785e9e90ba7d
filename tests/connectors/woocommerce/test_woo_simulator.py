"""The simulator does as the real one was seen to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.woocommerce.oauth import signed_url
from connectors.woocommerce.simulator.ledger import Ledger
from tests.connectors.woocommerce.harness import Receiver, Shop, Simulated, body_of, receiving, running, sample, until


def call(shop: Shop, method: str, path: str, body: Any = None, **params: str) -> tuple[int, Any]:
    from datetime import UTC, datetime  # noqa: PLC0415

    url = signed_url(
        method, f"{shop.url}/wp-json/wc/v3/{path}", params,
        shop.secrets["consumer_key"], shop.secrets["consumer_secret"],
        now=datetime.now(UTC),
    )  # fmt: skip
    status, answer, _ = shop.simulated.raw(method, url.partition(str(shop.simulated.port))[2], body)
    return status, json.loads(answer)


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "params"),
    [
        ("not_found", "GET", "orders/999999", None, {}),
        ("invalid_param", "GET", "orders", None, {"per_page": "101"}),
        ("no_route", "GET", "nope", None, {}),
        ("bad_topic", "POST", "webhooks", {"topic": "order.published", "delivery_url": "https://example.com/x"}, {}),
        ("bad_delivery_url", "POST", "webhooks", {"topic": "order.created", "delivery_url": "ftp://x/y"}, {}),
        ("already_trashed", "DELETE", "products/999", None, {}),
    ],
)
def test_errors_are_the_recorded_ones(
    shop: Shop, name: str, method: str, path: str, body: Any, params: dict[str, str]
) -> None:
    expected = sample("rest-errors")[name]["response"]
    assert call(shop, method, path, body, **params) == (expected["status"], json.loads(expected["body_raw"]))


def test_refund_errors_and_webhook_deletion_are_the_recorded_ones(shop: Shop, receiver: Receiver) -> None:
    errors = sample("rest-errors")
    made = shop.order(payment_method="bacs")
    wishes = {"refund_too_large": {"amount": "9999", "api_refund": False}, "refund_gateway": {"amount": "1.00"}}
    for name, wish in wishes.items():
        status, found = call(shop, "POST", f"orders/{made['id']}/refunds", wish)
        assert (status, found) == (500, json.loads(errors[name]["response"]["body_raw"]))
    _, hook = call(shop, "POST", "webhooks", {"topic": "order.created", "delivery_url": receiver.url, "secret": "s"})
    expected = json.loads(errors["webhook_delete_without_force"]["response"]["body_raw"])
    assert call(shop, "DELETE", f"webhooks/{hook['id']}") == (501, expected)
    assert "secret" not in hook


@pytest.mark.parametrize(("name", "act"), [("unknown_key", "revoke"), ("read_only_key", "read_only")])
def test_key_errors_are_the_recorded_ones(name: str, act: str) -> None:
    with running(trust_http="yes") as simulated:
        shop = simulated.shop()
        made = shop.order()
        simulated.control("keys", {"shop": shop.slug, "act": act})
        pair = {key: shop.secrets[key] for key in ("consumer_key", "consumer_secret")}
        query = "&".join(f"{key}={value}" for key, value in pair.items())
        method, path = ("GET", "orders") if act == "revoke" else ("PUT", f"orders/{made['id']}")
        status, body, _ = simulated.raw(method, f"/{shop.slug}/wp-json/wc/v3/{path}?{query}")
        expected = sample("rest-errors")[name]["response"]
        assert (status, json.loads(body)) == (401, json.loads(expected["body_raw"]))


def test_an_order_has_the_recorded_fields(shop: Shop) -> None:
    made = shop.order()
    _, found = call(shop, "GET", f"orders/{made['id']}")
    recorded = body_of("rest-order-get")
    assert set(found) == set(recorded)
    assert set(found["line_items"][0]) == set(recorded["line_items"][0])
    _, note = call(shop, "POST", f"orders/{made['id']}/notes", {"note": "x"})
    assert set(note) == set(body_of("rest-order-note-create"))
    _, refund = call(shop, "POST", f"orders/{made['id']}/refunds", {"amount": "1", "api_refund": False})
    assert set(refund) == set(body_of("rest-order-refund-create"))


def test_oauth_is_checked(shop: Shop) -> None:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    key, secret = shop.secrets["consumer_key"], shop.secrets["consumer_secret"]
    now = datetime.now(UTC)

    def ask(url: str) -> tuple[int, str]:
        status, body, _ = shop.simulated.raw("GET", url.partition(str(shop.simulated.port))[2])
        found = json.loads(body)
        return status, found["message"] if status != 200 else ""

    base = f"{shop.url}/wp-json/wc/v3/products"
    good = signed_url("GET", base, {"sku": "a/b 50%+&=~ü"}, key, secret, now=now)
    assert ask(good) == (200, "")
    assert ask(good) == (401, "Invalid nonce - nonce has already been used.")
    assert ask(good + "&x=1")[1] == "Invalid signature - provided signature does not match."
    assert ask(signed_url("GET", base, {}, key, "cs_no", now=now))[1].startswith("Invalid signature")
    assert ask(signed_url("GET", base, {}, key, secret, now=now - timedelta(hours=1)))[1] == "Invalid timestamp."
    assert ask(signed_url("GET", base, {}, "ck_no", secret, now=now))[1] == "Consumer key is invalid."


def test_checkout_announces_the_update_before_the_creation(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.order()
    until(lambda: len(receiver.topics()) >= 3)
    assert receiver.topics() == ["order.updated", "order.created", "product.updated"]
    shop.order(via="rest", status="processing")
    until(lambda: len(receiver.topics()) >= 5)
    assert receiver.topics()[3:5] == ["order.created", "order.updated"]


def test_several_changes_give_one_delivery_with_the_last_state(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.simulated.control("queue", {"shop": shop.slug, "act": "pause"})
    made = shop.order()
    for state in ("on-hold", "processing", "completed"):
        shop.act(made["id"], "status", status=state)
    shop.simulated.control("queue", {"shop": shop.slug, "act": "run"})
    updates = [
        body for topic, body in zip(receiver.topics(), receiver.bodies(), strict=True) if topic == "order.updated"
    ]
    assert [body["status"] for body in updates] == ["completed"]


def test_trash_restore_and_deletion_for_good(shop: Shop, receiver: Receiver) -> None:
    made, lost = shop.order(), shop.order()
    shop.session().check_webhooks(receiver.url)
    shop.act(made["id"], "trash")
    until(lambda: receiver.topics() == ["order.deleted"])
    assert receiver.bodies() == [{"id": made["id"]}]
    shop.act(made["id"], "restore")
    until(lambda: len(receiver.topics()) == 2)
    assert receiver.topics()[1] == "order.restored"
    shop.simulated.control("queue", {"shop": shop.slug, "act": "pause"})
    shop.act(lost["id"], "edit", customer_note="x")
    shop.act(lost["id"], "delete")
    shop.simulated.control("queue", {"shop": shop.slug, "act": "run"})
    assert receiver.bodies()[2]["code"] == "woocommerce_rest_shop_order_invalid_id"


@pytest.mark.parametrize(("kind", "count"), [("lose", 0), ("duplicate", 2)])
def test_lost_and_doubled_deliveries(shop: Shop, receiver: Receiver, kind: str, count: int) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.simulated.fault("delivery:order.created", kind)
    shop.order()
    until(lambda: len(shop.simulated.events("webhook_delivered")) == 3)
    assert receiver.topics().count("order.created") == count


def test_reordered_deliveries_and_envelopes(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.simulated.fault("delivery:order.updated", "reorder")
    shop.simulated.fault("delivery:order.created", "envelope")
    shop.order()
    until(lambda: len(receiver.topics()) == 3)
    assert receiver.topics() == ["order.created", "product.updated", "order.updated"]
    assert receiver.bodies()[0]["code"] == "woocommerce_rest_cannot_view"


def test_nothing_confirmed_is_forgotten(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with running(ledger=str(ledger), queue_delay="60") as simulated, receiving() as receiver:
        shop = simulated.shop()
        shop.session().check_webhooks(receiver.url)
        made = shop.order()
        shop.act(made["id"], "refund", amount="1")
        before = simulated.control("state")
    with ledger.open("ab") as file:
        file.write(b'{"half a li')
    with running(ledger=str(ledger), queue_delay="60") as again:
        assert again.control("state") == before
        assert len(again.events("order_created")) == 1
        again.control("orders", {"shop": shop.slug, "lines": [{"product_id": shop.mug}]})
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(Ledger(str(ledger)).lines()) == len(lines)


def test_a_scenario_file_brings_shops_and_faults(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    rules = [{"op": "index", "kind": "status", "status": 503, "times": -1}]
    scenario.write_text(json.dumps({"shops": [{"slug": "one"}], "faults": rules}), encoding="utf-8")
    with running(scenario=str(scenario), public_url="https://shops.example") as simulated:
        state = simulated.control("state")
        assert state["shops"]["one"]["settings"]["home"] == "https://shops.example/one"
        assert simulated.raw("GET", "/one/wp-json/")[0] == 503
        assert simulated.control("faults", method="DELETE") == []
        assert simulated.raw("GET", "/one/wp-json/")[0] == 200


def test_controls_refuse_what_they_do_not_know(simulated: Simulated) -> None:
    assert simulated.raw("POST", "/_control/orders", {"shop": "no"})[0] == 404
    assert simulated.raw("POST", "/_control/faults", [{"op": "*", "kind": "magic"}])[0] == 400
    shop = simulated.shop()
    assert simulated.raw("POST", "/_control/orders/1/dance", {"shop": shop.slug})[0] == 404
    assert simulated.raw("POST", "/_control/shops", None)[0] == 201
