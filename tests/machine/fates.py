"""What may become of a call that places an order, and of other calls to the supplier: rules of its simulator."""

from __future__ import annotations

from typing import Any

Rule = dict[str, Any]


def _create(kind: str, **more: Any) -> Rule:
    return {"op": "order.create", "kind": kind, **more}


CREATES: dict[str, Rule] = {
    "executed, its answer lost": _create("drop_after"),
    "lost before it was executed": _create("drop_before"),
    "executed, its answer cut": _create("cut"),
    "an empty 200, executed": _create("empty", execute=True),
    "an empty 200, not executed": _create("empty"),
    "a page of HTML, executed": _create("html", execute=True),
    "a 503, executed": _create("status", status=503, execute=True),
    "a 503, not executed": _create("status", status=503),
    "no stock, executed all the same": _create("error", code="INVENTORY_HOLD_ERROR", execute=True),
    "no stock, not executed": _create("error", code="INVENTORY_HOLD_ERROR"),
    "a repeated order, executed": _create("error", code="REPEATED_ORDER_ERROR", execute=True),
    "a repeated order, not executed": _create("error", code="REPEATED_ORDER_ERROR"),
    "a signature fault of the gateway": _create("gateway", code="IncompleteSignature"),
    "a call limit": _create("call_limit"),
    "code 15, executed": _create("gateway", code="15", sub_code="isp.remote-service-timeout", execute=True),
    "code 15, not executed": _create("gateway", code="15", sub_code="isp.remote-service-timeout"),
    "an order for each item": _create("split"),
    "success without numbers": _create("success_without_ids"),
    "an order for each item, one number told": _create("partial_ids", split=True),
    "numbers and an error": _create("ids_with_error"),
    "its automatic payment failed": _create("autopay_fail"),
    "a higher price": _create("price_change", factor="9"),
    "a refused address": _create("error", code="B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"),
    "a refused buyer": _create("error", code="A003_SUSPICIOUS_BUYER"),
}
"""One for the next create. Whatever is not said to be executed is not."""

_WORST = "no stock, executed all the same"
FATES = (
    *sorted(CREATES),
    *(name for name, rule in CREATES.items() if rule.get("execute") or rule["kind"] in {"drop_after", "cut"}),
    _WORST,
    _WORST,
)
"""The names of those fates; the more dangerous, the more often."""

READS: dict[str, Rule] = {
    "an order cannot be read": {"op": "order.get", "kind": "status", "status": 503},
    "reading an order is cut": {"op": "order.get", "kind": "cut"},
    "a product cannot be read": {"op": "product.get", "kind": "status", "status": 503},
    "freight is not told": {"op": "freight.query", "kind": "drop_before"},
    "a token is not renewed": {"op": "token.refresh", "kind": "drop_before"},
    "a token is renewed, its answer lost": {"op": "token.refresh", "kind": "drop_after"},
}
"""One for the next such call."""

SHOP_READS: dict[str, Rule] = {
    "its answer is lost": {"op": "*", "kind": "drop_after"},
    "it is lost": {"op": "*", "kind": "drop_before"},
    "its answer is cut": {"op": "*", "kind": "cut"},
    "a 503": {"op": "*", "kind": "status", "status": 503},
}
"""One for the next call to a shop."""
