"""What an answer to `order.create` may mean at most, said anew from the lifecycle's table and not from the reader.

A refusal counts only if it is clean: nothing in the whole answer may say that an order was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

GATEWAY = frozenset(
    (
        "IllegalAccessToken", "IllegalRefreshToken", "ApiCallLimit", "IncompleteSignature", "InvalidSignature",
        "MissingParameter", "UnsupportedParamMapping", "InsufficientPermission", "InvalidAppkey",
    )
)  # fmt: skip
REFUSALS = frozenset(
    (
        "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL", "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID",
        "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_NOT_MATCH", "BLACKLIST_BUYER_IN_LIST", "USER_ACCOUNT_DISABLED",
        "PRICE_PAY_CURRENCY_ERROR", "DELIVERY_METHOD_NOT_EXIST", "ERROR_WHEN_BUILD_FOR_PLACE_ORDER",
        "A001_ORDER_CANNOT_BE_PLACED", "A002_INVALID_ZONE", "A003_SUSPICIOUS_BUYER", "A004_CANNOT_USER_COUPON",
        "A005_INVALID_COUNTRIES", "A006_INVALID_ACCOUNT_INFO",
    )
)  # fmt: skip
WRAPPER = "aliexpress_ds_order_create_response"


def clean_refusal(body: bytes) -> bool:
    """Whether the answer may be taken for "nothing was bought"."""
    root = _read(body)
    if not isinstance(root, dict) or _made(root):
        return False
    bare = {} if "error_response" in root or WRAPPER in root else root
    block = root.get("error_response", bare)
    if isinstance(block, dict) and _text(block.get("code")) in GATEWAY and not _said(block.get("sub_code")):
        return True
    wrapper = root.get(WRAPPER, bare)
    result = wrapper.get("result") if isinstance(wrapper, dict) else None
    if not isinstance(result, dict) or "error_response" in root:
        return False
    return str(result.get("is_success")).strip().lower() == "false" and _text(result.get("error_code")) in REFUSALS


def clean_placing(body: bytes) -> bool:
    """Whether the answer may be taken for "all of it was bought": ids, success, and no error of any kind."""
    root = _read(body)
    if not isinstance(root, dict) or "error_response" in root:
        return False
    wrapper = root.get(WRAPPER, root)
    result = wrapper.get("result") if isinstance(wrapper, dict) else None
    if not isinstance(result, dict):
        return False
    if str(result.get("is_success")).strip().lower() != "true" or _said(result.get("error_code")):
        return False
    message = result.get("error_msg")
    if _said(message) and not (isinstance(message, str) and "autopay fail" in message.lower()):
        return False
    return bool(_digits(result.get("order_list")))


def _made(root: Any) -> bool:
    """Whether anything, anywhere, says that an order was made."""
    for key, value in _pairs(root):
        name = str(key).lower()
        if name == "is_success" and str(value).strip().lower() not in {"false", "none"}:
            return True
        if name == "order_list" and value not in (None, "", [], {}):
            return True
    return False


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _pairs(one)


def _digits(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str | int) and not isinstance(value, bool) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for text in map(str, texts) if text.strip().isdigit()] + [
        one for each in inner for one in _digits(each)
    ]


def _said(value: Any) -> bool:
    """Whether a field holds anything: a number, a list or an object is not nothing."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _read(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
