"""`order.create`: what is refused, what is executed, and how it is answered. Source.

Reference, section 7.1.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

from connectors.aliexpress.simulator import acts
from connectors.aliexpress.simulator.address_rules import refusal
from connectors.aliexpress.simulator.answers import GatewayFault, listed, missing
from connectors.aliexpress.simulator.faults import Rule
from connectors.aliexpress.simulator.records import SKU, Account, Product
from connectors.aliexpress.simulator.world import World

PARAMETER = "param_place_order_request4_open_api_d_t_o"
_AUTOPAY_COUNTRIES = frozenset(
    [
        "NO", "DE", "BE", "PT", "JP", "DK", "LT", "LU", "LV", "FR", "NZ", "HU", "BR", "SE", "UK", "GB", "IE",
        "CA", "US", "EE", "IL", "AE", "CH", "IS", "IT", "MX", "ES", "AT", "AU", "NL",
    ]
)  # fmt: skip
_BUILD = "ERROR_WHEN_BUILD_FOR_PLACE_ORDER"


class BusinessRefusal(Exception):
    """An error inside the normal wrapper."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or code


Line = tuple[Product, SKU, int, dict[str, Any], dict[str, Any]]


def note_call(world: World, params: dict[str, str]) -> None:
    """The ledger's line for a received call, whatever becomes of it."""
    raw = params.get(PARAMETER, "")
    try:
        request = json.loads(raw)
        out_order_id = str(request.get("out_order_id", ""))
    except (ValueError, AttributeError):
        out_order_id = ""
    with world.lock:
        token = world.access.get(params.get("session") or params.get("access_token", ""))
        world.record(
            {
                "op": "create_call",
                "out_order_id": out_order_id,
                "request_hash": hashlib.sha256(raw.encode()).hexdigest(),
                "account": token.user_id if token else "",
            }
        )


def create(world: World, account: Account, params: dict[str, str], rule: Rule | None) -> dict[str, Any]:
    """Answer a call. A fault rule may change the price or let the payment fail."""
    if not params.get(PARAMETER):
        raise missing(PARAMETER)
    try:
        request, extension = (
            json.loads(params[PARAMETER]),
            json.loads(params.get("ds_extend_request") or "{}"),
        )
        with world.lock:
            return _answer(world, account, request, extension, rule)
    except BusinessRefusal as error:
        return {"result": {"is_success": False, "error_code": error.code, "error_msg": error.message}}
    except (ValueError, AttributeError, TypeError, KeyError):
        return {"result": {"is_success": False, "error_code": "PARM_ILLEGL", "error_msg": "PARM_ILLEGL"}}


def _answer(
    world: World, account: Account, request: dict[str, Any], extension: dict[str, Any], rule: Rule | None
) -> dict[str, Any]:
    payment = extension.get("payment") or {}
    wants_pay = str(payment.get("try_to_pay", "false")).lower() == "true"
    _check_account(world, account, wants_pay=wants_pay)
    if payment.get("pay_currency", "USD") != "USD":
        raise BusinessRefusal("PRICE_PAY_CURRENCY_ERROR")
    out_order_id = str(request.get("out_order_id") or "")
    repeated = _repeated(world, account, out_order_id)
    if repeated:
        return _success(list(repeated), "")
    address = {key: str(value) for key, value in (request.get("logistics_address") or {}).items()}
    address["is_foreigner"] = address.get("is_foreigner", "").lower()
    extra = {key: str(value) for key, value in (extension.get("trade_extra_param") or {}).items()}
    broken = refusal(address, extra, accept_gb=world.options.accept_gb, register=world.cpf_register)
    if broken:
        raise BusinessRefusal(*broken)
    lines = [_line(world, item, address["country"]) for item in request["product_items"]]
    _check_lines(lines)
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    ids = _execute(world, account, out_order_id, address, lines, digest, rule)
    if rule and rule.kind == "twice":  # the answer names the first ones only
        again = _execute(world, account, out_order_id, address, lines, digest, rule)
        if wants_pay:
            _pay(world, account, again, address["country"], rule)
    return _success(ids, _pay(world, account, ids, address["country"], rule) if wants_pay or _fails(rule) else "")


def _fails(rule: Rule | None) -> bool:
    return rule is not None and rule.kind == "autopay_fail"


def _success(ids: list[str], message: str) -> dict[str, Any]:
    numbers = listed("number", [int(order_id) for order_id in ids])
    extra = {"error_msg": message} if message else {}
    return {"result": {"is_success": True, "order_list": numbers, **extra}}


def _check_account(world: World, account: Account, *, wants_pay: bool) -> None:
    if account.disabled:
        raise BusinessRefusal("USER_ACCOUNT_DISABLED")
    if account.blacklisted:
        raise BusinessRefusal("BLACKLIST_BUYER_IN_LIST")
    if account.suspicious:
        raise BusinessRefusal("A003_SUSPICIOUS_BUYER")
    if not account.ds_joined and world.options.not_joined == "autopay" and wants_pay:
        raise GatewayFault("InsufficientPermission", "Please auth your account as DS")


def _repeated(world: World, account: Account, out_order_id: str) -> tuple[str, ...]:
    """What a known `out_order_id` does within its window, by the configured mode."""
    since, ids = world.repeats.get((account.user_id, out_order_id), (0.0, ()))
    fresh = world.now() - since <= world.options.scaled(world.options.dedupe_window)
    if not out_order_id or not ids or not fresh or world.options.dedupe == "none":
        return ()
    if world.options.dedupe == "reject":
        raise BusinessRefusal("REPEATED_ORDER_ERROR")
    return ids


def _line(world: World, item: dict[str, Any], country: str) -> Line:
    product_id, count = str(item["product_id"]), int(item["product_count"])
    product = world.find_product(product_id)
    if product is None or not product.on_sale or country in product.not_for or count < 1:
        raise BusinessRefusal(_BUILD)
    if product.us_id and (product_id == product.us_id) != (country == "US"):
        raise BusinessRefusal(_BUILD)
    sku = next((sku for sku in product.skus if sku.sku_attr == item.get("sku_attr", "")), None)
    if sku is None:
        raise BusinessRefusal(_BUILD)
    options = product.options_for(country)
    wanted = item.get("logistics_service_name") or (options[0]["service"] if options else "-")
    option = next((option for option in options if option["service"] == wanted), None)
    if option is None:
        raise BusinessRefusal("DELIVERY_METHOD_NOT_EXIST")
    return product, sku, count, option, item


def _check_lines(lines: list[Line]) -> None:
    if not lines:
        raise BusinessRefusal("PARM_ILLEGL")
    if len({product.currency for product, *_ in lines}) > 1:
        raise BusinessRefusal("PRICE_PAY_CURRENCY_ERROR")
    wanted: dict[str, int] = {}
    for _product, sku, count, *_ in lines:
        wanted[sku.sku_id] = wanted.get(sku.sku_id, 0) + count
        if wanted[sku.sku_id] > sku.stock:
            raise BusinessRefusal("INVENTORY_HOLD_ERROR")
        if sku.over(wanted[sku.sku_id]) and sku.limit_strategy == "create_order_fail":
            raise BusinessRefusal(_BUILD)  # which code really comes is not documented


def _execute(
    world: World,
    account: Account,
    out_order_id: str,
    address: dict[str, str],
    lines: list[Line],
    digest: str,
    rule: Rule | None,
) -> list[str]:
    """One order for each seller (rule `split`: each item), each a line of the ledger before anything is answered."""
    factor = Decimal(str(rule.params.get("factor", "1.5"))) if rule and rule.kind == "price_change" else Decimal(1)
    sellers = list(dict.fromkeys(product.seller_id for product, *_ in lines))
    name = address.get("full_name") or address.get("contact_person", "")
    ids: list[str] = []
    parts = [[line for line in lines if line[0].seller_id == seller] for seller in sellers]
    if rule and (rule.kind == "split" or rule.params.get("split")):
        parts = [[line] for line in lines]
    for part in parts:
        items = [_item(line, factor, sum(count for _, sku, count, *_ in lines if sku is line[1])) for line in part]
        total = sum((Decimal(i["price"]) * i["quantity"] + Decimal(i["shipping"]) for i in items), Decimal(0))
        order_id = world.next_order_id()
        world.record(
            {
                "op": "create",
                "order_id": order_id,
                "out_order_id": out_order_id,
                "account": account.user_id,
                "seller_id": part[0][0].seller_id,
                "items": items,
                "total": f"{total:.2f}",
                "currency": "USD",
                "country": address["country"],
                "name_hash": hashlib.sha256(name.encode()).hexdigest()[:16],
                "service": part[0][3]["service"],
                "pay_timeout": world.options.scaled(world.options.pay_timeout),
                "digest": digest,
            }
        )
        world.pushes.order_event(order_id, account.user_id, "OrderCreated")
        ids.append(order_id)
    return ids


def _item(line: Line, factor: Decimal, together: int) -> dict[str, Any]:
    """A child order. `together`: pieces of its SKU in all that was ordered, which is what a promotion counts."""
    product, sku, count, option, item = line
    price = (sku.normal if sku.over(together) else sku.price) + sku.tax
    return {
        "product_id": str(item["product_id"]),
        "sku_id": sku.sku_id,
        "title": product.title,
        "quantity": count,
        "price": f"{price * factor:.2f}",
        "shipping": f"{Decimal(str(option['fee'])):.2f}",
    }


def _pay(world: World, account: Account, ids: list[str], country: str, rule: Rule | None) -> str:
    """Automatic payment; the text of `error_msg` when it fails."""
    if account.autopay and country in _AUTOPAY_COUNTRIES and not _fails(rule):
        for order_id in ids:
            acts.pay(world, order_id, by="autopay")
        return ""
    for order_id in ids:
        world.pushes.order_event(order_id, account.user_id, "paymentFailedEvent")
    return "OrderCreated, autoPay fail:APIPayFail"
