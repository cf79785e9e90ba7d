"""Envelopes as the gateway writes them. Source: reference, sections 3 and 5."""

from __future__ import annotations

import itertools
from typing import Any

_numbers = itertools.count(1)

MESSAGES = {
    "IllegalAccessToken": "The specified access token is invalid or expired",
    "IllegalRefreshToken": "The specified refresh token is invalid or expired",
    "IncompleteSignature": "The request signature does not conform to platform standards",
    "InsufficientPermission": "The application does not have the permission to access this API",
    "InvalidAppkey": "Invalid Appkey",
    "InvalidCode": "Invalid Code",
    "InvalidApiPath": "The specified API path is invalid",
    "InvalidParameter": "A parameter is invalid",
    "ServiceUnavailable": "Service Unavailable",
    "InternalError": "Internal Error",
}


class GatewayFault(Exception):
    """An error of the gateway itself: it ends a call."""

    def __init__(
        self, code: str, message: str = "", *, sub_code: str = "", sub_message: str = "", kind: str = "ISV"
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message or MESSAGES.get(code, code)
        self.sub_code = sub_code
        self.sub_message = sub_message
        self.kind = kind


def missing(name: str) -> GatewayFault:
    """The fault for a parameter that is not there."""
    text = f'The input parameter "{name}" that is mandatory for processing this request is not supplied'
    return GatewayFault("MissingParameter", text)


def not_readable() -> GatewayFault:
    """The one answer for unknown, foreign and too new orders."""
    return GatewayFault(
        "15",
        "Remote service error",
        sub_code="isv.insufficient-permission",
        sub_message="Insufficient permission.",
        kind="ISP",
    )


def trace() -> dict[str, str]:
    """`request_id` and `_trace_id_`."""
    number = next(_numbers)
    return {"request_id": f"2101{number:021d}", "_trace_id_": f"2102{number:026x}"}


def wrapped(api: str, payload: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    """A business answer. `plain`: the streamlined form, whose exact live shape is unconfirmed."""
    body = {**payload, **trace()}
    return flattened({**body, "code": "0"}) if plain else {api.replace(".", "_") + "_response": body}


def refused(fault: GatewayFault, *, system: bool) -> dict[str, Any]:
    """A gateway error on `/rest` (bare, `message`) or `/sync` (`error_response`, `msg`)."""
    numbers = trace()
    if system:
        return {
            "type": fault.kind,
            "code": fault.code,
            "message": fault.message,
            "request_id": numbers["request_id"],
        }
    extra = {"sub_code": fault.sub_code, "sub_msg": fault.sub_message} if fault.sub_code else {}
    return {"error_response": {"type": fault.kind, "code": fault.code, "msg": fault.message, **extra, **numbers}}


def listed(key: str, values: list[Any]) -> dict[str, list[Any]] | None:
    """A list in its one-key object; None (to be dropped) when empty."""
    return {key: values} if values else None


def dropped(value: Any) -> Any:
    """The value without null members, at any depth: the gateway leaves them out."""
    if isinstance(value, dict):
        return {key: dropped(inner) for key, inner in value.items() if inner is not None}
    return [dropped(inner) for inner in value] if isinstance(value, list) else value


def flattened(value: Any) -> Any:
    """The value with one-key list objects replaced by their lists."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(inner := next(iter(value.values())), list):
            return [flattened(row) for row in inner]
        return {key: flattened(inner) for key, inner in value.items()}
    return [flattened(row) for row in value] if isinstance(value, list) else value
