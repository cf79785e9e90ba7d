"""Reading the answer to `order.create`. Source: lifecycle, section 7, to the letter; reference, section 7.1.

Whatever is not listed is UNKNOWN: a wrong "not executed" would buy twice, a wrong "unknown" asks a person.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from app.ports.http import HTTPAnswer, TransportError
from app.ports.supplier import PayResult, PlaceOutcome, PlaceResult
from connectors.aliexpress import envelope, errors, wire
from connectors.aliexpress.address import guess_field
from connectors.aliexpress.envelope import Answer, GatewayError

METHOD = "aliexpress.ds.order.create"
_OK = 200
_ADDRESS = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
_REJECTED = {
    _ADDRESS: "address_refused",
    "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID": "customs_id",
    "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_NOT_MATCH": "customs_id",
    "BLACKLIST_BUYER_IN_LIST": "account_blocked",
    "USER_ACCOUNT_DISABLED": "account_blocked",
    "PRICE_PAY_CURRENCY_ERROR": "currency",
    "DELIVERY_METHOD_NOT_EXIST": "shipping_service",
    "ERROR_WHEN_BUILD_FOR_PLACE_ORDER": "needs_person",
    "A001_ORDER_CANNOT_BE_PLACED": "needs_person",
    "A002_INVALID_ZONE": "needs_person",
    "A003_SUSPICIOUS_BUYER": "needs_person",
    "A004_CANNOT_USER_COUPON": "needs_person",
    "A005_INVALID_COUNTRIES": "needs_person",
    "A006_INVALID_ACCOUNT_INFO": "needs_person",
}
_HINTS = {"INVENTORY_HOLD_ERROR": "out_of_stock"}
"""Reasons shown with UNKNOWN; the reference says "not enough stock, or system error", so never a verdict."""
_DEEPEST = 50
"""Levels of objects and lists in an answer that are looked into."""


def not_composable(detail: str) -> PlaceResult:
    """An order that cannot be written down as a request: nothing was sent and trying again does not help."""
    return PlaceResult(PlaceOutcome.REJECTED, reason="needs_person", code="not_composable", message=detail)


def transport(error: TransportError) -> PlaceResult:
    """A call without a complete answer. Only the proof that no byte left makes it NOT_SENT."""
    if not error.sent:
        return PlaceResult(PlaceOutcome.NOT_SENT, code=error.reason, answer=f"not sent: {error.reason}")
    return PlaceResult(PlaceOutcome.UNKNOWN, code=error.reason, answer=f"sent, then {error.reason}")


def judge(reply: HTTPAnswer, *, autopay: bool, definite: frozenset[str] = frozenset()) -> PlaceResult:
    """The class of a complete answer.

    `definite`: further gateway codes that a person declared to prove "not executed".
    """
    try:
        answer = envelope.open_sync(METHOD, reply.body)
    except wire.Malformed as error:
        return _unknown("malformed_answer", answer=f"HTTP {reply.status}, {len(reply.body)} bytes: {error}")
    result = wire.mapping(answer.payload.get("result"))
    ids, readable = _order_ids(result)
    if reply.status != _OK:
        return _unknown(f"http_{reply.status}", ids, answer=f"HTTP {reply.status}")
    if answer.error is not None:
        return _gateway(answer, answer.error, ids, definite)
    return _with_ids(result, ids, readable=readable, autopay=autopay) if ids else _without_ids(answer, result)


def _order_ids(result: dict[str, Any]) -> tuple[tuple[str, ...], bool]:
    """The ids of the answer in their order, and whether every element of the list was one."""
    raw = result.get("order_list")
    listed = wire.rows(raw)
    if isinstance(raw, dict) and len(raw) == 1 and not listed:
        listed = [next(iter(raw.values()))]
    found = [wire.identity(value) for value in listed]
    return tuple(dict.fromkeys(value for value in found if value)), all(found)


def _tells_of_orders(whole: Any) -> bool:
    """Whether anything says that orders were made: no refusal beside it proves the opposite.

    What lies deeper than `_DEEPEST` may say so.
    """
    level = [whole]
    for _ in range(_DEEPEST):
        if any(isinstance(one, dict) and _tells(one) for one in level):
            return True
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = list(chain.from_iterable(inner))
        if not level:
            return False
    return True


def _tells(value: dict[str, Any]) -> bool:
    return bool(value.get("order_list")) or ("is_success" in value and wire.truth(value["is_success"]) is not False)


def _gateway(answer: Answer, error: GatewayError, ids: tuple[str, ...], definite: frozenset[str]) -> PlaceResult:
    if ids or error.sub_code or error.code == "15" or _tells_of_orders(answer.whole):
        return _unknown(error.sub_code or error.code, ids, message=error.message, answer=error.words)
    if error.code in errors.TOKEN_CODES:
        reason = "token_dead"
    elif error.code in errors.LIMIT_CODES:
        reason = "call_limit"
    elif error.code in errors.CONFIG_CODES or error.code in definite:
        reason = "config"
    else:
        return _unknown(error.code or "no_code", message=error.message, answer=error.words)
    return PlaceResult(
        PlaceOutcome.NOT_EXECUTED,
        reason=reason,
        code=error.code,
        message=error.message[:300],
        retry_after=errors.ban_seconds(error.message) if reason == "call_limit" else None,
        answer=error.words,
    )


def _with_ids(result: dict[str, Any], ids: tuple[str, ...], *, readable: bool, autopay: bool) -> PlaceResult:
    code, message = wire.text(result.get("error_code")), wire.text(result.get("error_msg"))
    success = wire.truth(result.get("is_success")) is True
    account = f"is_success={success} ids={','.join(ids)} {code} {message}".strip()
    # An error of another kind than text is one all the same.
    if success and readable and not wire.says(result.get("error_code")):
        if not wire.says(result.get("error_msg")):
            pay = PayResult.SAID_PAID if autopay else PayResult.NOT_ASKED
            return PlaceResult(PlaceOutcome.PLACED, ids, pay, answer=account)
        if "autopay fail" in message.lower():
            return PlaceResult(PlaceOutcome.PLACED, ids, PayResult.FAILED, message=message[:300], answer=account)
    return _unknown(code or "ids_with_message", ids, message=message, answer=account)


def _without_ids(answer: Answer, result: dict[str, Any]) -> PlaceResult:
    code, message = wire.text(result.get("error_code")), wire.text(result.get("error_msg"))
    success = wire.truth(result.get("is_success"))
    account = f"is_success={success} no ids {code} {message}".strip()
    reason = _REJECTED.get(code)
    told_more = answer.payload.get("error_response") is not None or _tells_of_orders(answer.whole)
    if reason is None or success is not False or told_more:
        return _unknown(code or "no_ids", message=message, answer=account)
    return PlaceResult(
        PlaceOutcome.REJECTED,
        reason=reason,
        code=code,
        message=message[:300],
        field="cpf" if reason == "customs_id" else guess_field(message) if reason == "address_refused" else "",
        answer=account,
    )


def _unknown(code: str, ids: tuple[str, ...] = (), *, message: str = "", answer: str = "") -> PlaceResult:
    return PlaceResult(
        PlaceOutcome.UNKNOWN,
        ids,
        PayResult.UNKNOWN,
        reason=_HINTS.get(code, ""),
        code=code,
        message=message[:300],
        answer=answer[:1000],
    )
