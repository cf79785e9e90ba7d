"""What comes in: webhooks of both storefronts and pushes, through the real app and a worker's work on the stored row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from connectors.shopify.events import PRIVACY_TOPICS, TOPICS
from tests.fuzz import changes
from tests.fuzz.nasties import MARKERS, TEXTS
from tests.fuzz.reading import broken, stuck_rows
from tests.fuzz.stage import SHOP, Stage
from tests.fuzz.target import Target
from tests.security.sending import post, push_headers, shopify, woo_shop

RECORDED = Path(__file__).parents[1] / "connectors" / "woocommerce" / "data"
WOO = [json.loads(path.read_text()) for path in sorted(RECORDED.glob("webhook-order*.json"))]
WOO_TOPICS = (
    "order.created",
    "order.updated",
    "order.deleted",
    "order.restored",
    "product.updated",
    "product.deleted",
    "x.y",
    "",
)
SHOPIFY_TOPICS = (*TOPICS, *PRIVACY_TOPICS, "unknown/topic", "")
ANSWERS = {200, 400, 401, 404, 411, 413, 415, 429}


def _woo_body(number: int, order: str) -> bytes:
    """A recorded order's body; every other one names an order that the shop has."""
    recorded = WOO[number % len(WOO)]
    body = recorded.get("body", recorded)
    body = json.loads(body) if isinstance(body, str) else dict(body)
    return json.dumps({**body, "id": int(order)} if number % 2 else body).encode()


def _shopify_body(number: int, order: str) -> bytes:
    """A payload that has what each topic's reader looks for."""
    gid = "gid://shopify/FulfillmentOrder/1"
    return json.dumps(
        {
            "id": int(order) if number % 2 else 820982911946154508,
            "admin_graphql_api_id": f"gid://shopify/Order/{order}",
            "order_id": int(order),
            "email": MARKERS["email"],
            "order_edit": {"order_id": int(order)},
            "fulfillment_order": {"id": gid, "status": "open"},
            "fulfillment_order_merges": [{"fulfillment_order": {"id": gid}}],
            "shop_domain": SHOP,
            "orders_to_redact": [int(order), 2],
            "customer": {"id": 191167, "email": MARKERS["email"], "phone": "555-625-1199"},
            "current": ["read_orders"],
            "shipping_address": {"address1": f"4711 {MARKERS['street']} Crescent", "name": MARKERS["name"]},
            "line_items": [{"id": 1, "quantity": 1, "price": "1.00", "title": "x"}],
        }
    ).encode()


def deliver(stage: Stage, case: Any) -> None:
    """Answered with no 500, stored, worked, and the row is at its end or comes back by itself."""
    (order,) = stage.sql(
        "SELECT o.external_id FROM store_order o JOIN shop s ON s.id = o.shop_id WHERE s.connector = %s LIMIT 1",
        case["source"],
    )[0]
    world = stage.world
    if case["source"] == "shopify":
        body = changes.apply(case["change"], _shopify_body(case["number"], order))
        headers = shopify(body, topic=SHOPIFY_TOPICS[case["number"] % len(SHOPIFY_TOPICS)], event=f"e-{case['number']}")
        path = "/webhooks/shopify"
    else:
        shop = woo_shop(world, f"{world.woocommerce.url}/socks")
        body = changes.apply(case["change"], _woo_body(case["number"], order))
        headers, path = shop.headers(body, WOO_TOPICS[case["number"] % len(WOO_TOPICS)]), shop.path
    headers = (*headers, *((name, value) for name, value in case["headers"]))
    _through(stage, path, body, headers)


def _through(stage: Stage, path: str, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    answer = post(stage.world.app.url, path, body, [(name, _one_line(value)) for name, value in headers])
    stage.answers.append(f"{answer.status} {dict(answer.headers)} {answer.body.decode('latin-1')}")
    assert answer.status in ANSWERS, answer
    stage.drain("inbox")
    wrong = stuck_rows(stage) + broken(stage)
    assert not wrong, wrong


def _one_line(value: str) -> str:
    """A header that the sender's own library would send."""
    return "".join(sign for sign in value if sign >= " " and not "\ud800" <= sign <= "\udfff")[:4_000]


def push(stage: Stage, case: Any) -> None:
    """A push about a known order, an unknown one, or nothing."""
    (order,) = stage.sql("SELECT external_id FROM supplier_order LIMIT 1")[0]
    user = stage.sql("SELECT user_id FROM supplier_account LIMIT 1")[0][0]
    valid = {
        "seller_id": 1234,
        "message_type": 53,
        "timestamp": 1_700_000_000,
        "data": {"orderId": int(order) + (case["number"] % 3), "orderStatus": "OrderShipped", "buyerId": user},
    }
    body = changes.apply(case["change"], json.dumps(valid).encode())[:65_536]
    headers = push_headers(body)
    _through(stage, "/webhooks/aliexpress", body, headers if case["number"] % 4 else headers[:1])


HEADERS = ("X-Shopify-Shop-Domain", "X-Shopify-Triggered-At", "X-Shopify-API-Version", "X-WC-Webhook-ID", "Cookie",
           "X-Forwarded-For", "Host-Override", "X-WC-Webhook-Source")  # fmt: skip


def cases() -> st.SearchStrategy[Any]:
    header = st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))).map(list)
    return st.fixed_dictionaries(
        {
            "source": st.sampled_from(("shopify", "woocommerce")),
            "number": st.integers(0, 200),
            "headers": st.one_of(st.just([]), st.just([]), st.lists(header, max_size=2)),
            "change": changes.changes(),
        }
    )


def curated() -> Iterator[Any]:
    for number, change in enumerate(changes.curated()):
        source = ("shopify", "woocommerce")[number % 2]
        yield {"source": source, "number": number, "headers": [], "change": change}
    for number, text in enumerate(TEXTS):
        as_it_is = {"edits": [], "frame": ""}
        yield {"source": "shopify", "number": number, "headers": [[HEADERS[number % 3], text]], "change": as_it_is}


def push_cases() -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"number": st.integers(0, 50), "change": changes.changes()})


def push_curated() -> Iterator[Any]:
    for number, change in enumerate(changes.curated()):
        yield {"number": number, "change": change}


DELIVERY = Target("deliveries", cases(), lambda: list(curated())[::6], deliver, smoke=15)
PUSH = Target("pushes", push_cases(), lambda: list(push_curated())[::6], push, smoke=10)
