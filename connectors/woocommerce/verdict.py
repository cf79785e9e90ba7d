"""The shop's answers → the four outcomes. Source: woocommerce reference, section 4 "Errors" and its traps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.http import HTTPAnswer, TransportError
from connectors.woocommerce import payload

TOKEN_DEAD = "shop_token_dead"  # noqa: S105  a reason code
PERMISSION = "shop_permission"
ADDRESS = "shop_address"
CLOCK = "shop_clock"
REPEATED = "shop_call_repeated"
"""Both: what OAuth 1, spoken on plain http only, refuses although the keys are good."""

NO_ROUTE = "rest_no_route"

ORDER_GONE = "woocommerce_rest_shop_order_invalid_id"
_NOT_THERE = re.compile(r"woocommerce_rest_[a-z_]*invalid_id|0")
"""Codes of what does not exist; the fulfilments endpoint has none of its own and says 0."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_MOVED = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT})


class Missing(Exception):  # no outcome, only a no
    """The shop has no such thing (404 with a code that says so)."""

    counted_as = "not_there"


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: its JSON value and its headers."""

    value: Any
    headers: Mapping[str, str]


def transport_failure(error: TransportError, *, write: bool) -> OutsideError:
    """What a call without a complete answer means."""
    if error.reason in {"forbidden_address", "bad_url"}:
        return MerchantMustAct(ADDRESS, error.reason)
    if error.sent and write:
        return OutcomeUnknown(error.reason)
    return TryLater(error.reason)


def judge(answer: HTTPAnswer, *, write: bool) -> Answer:
    """The answer if it is a good one, else `Missing` or an outcome is raised. Details hold codes, never values."""
    value, is_json = _value(answer)
    if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED}:
        if is_json:
            return Answer(value, answer.headers)
        # A page instead of data: plain permalinks, a maintenance page, or PHP warnings around the JSON.
        raise OutcomeUnknown("html_answer") if write else TryLater("html_answer")
    envelope = payload.mapping(value)
    code = payload.text(envelope.get("code"))[:100]
    if write and (answer.status < HTTPStatus.BAD_REQUEST or answer.status == HTTPStatus.REQUEST_TIMEOUT):
        # Neither done nor refused in WooCommerce's own words: a proxy or plugin may have done it all the same.
        raise OutcomeUnknown(code or f"http_{answer.status}")
    if answer.status in range(300, 400):
        raise _redirected(answer.status)
    if answer.status in _BUSY:
        raise TryLater(code or f"http_{answer.status}", retry_after=_retry_after(answer.headers))
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _failed(code or f"http_{answer.status}", answer, write=write)
    raise _refusal(answer.status, code, envelope, is_json=is_json, write=write)


def is_trouble(status: int) -> bool:
    """Whether the shop is busy or broken, which says nothing about its address."""
    return status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _value(answer: HTTPAnswer) -> tuple[Any, bool]:
    if "json" not in answer.headers.get("Content-Type", "").lower():
        return None, False
    try:
        return payload.load(answer.body), True
    except payload.Unreadable:
        return None, False


def _redirected(status: int) -> OutsideError:
    detail = "the shop's address leads somewhere else"
    if status in _MOVED:
        return MerchantMustAct(ADDRESS, f"http_{status}", detail)
    return TryLater(f"http_{status}", detail)


def _failed(code: str, answer: HTTPAnswer, *, write: bool) -> OutsideError:
    if write:
        return OutcomeUnknown(code)
    return TryLater(code, retry_after=_retry_after(answer.headers))


def _refusal(
    status: int, code: str, envelope: Mapping[str, Any], *, is_json: bool, write: bool
) -> OutsideError | Missing:
    if not is_json or status < HTTPStatus.BAD_REQUEST:
        # The host's or a firewall's own page, not WooCommerce's word.
        return TryLater(f"http_{status}", "not an answer of WooCommerce")
    if status == HTTPStatus.UNAUTHORIZED:
        return _unauthorized(payload.text(envelope.get("message")), code, write=write)
    if status == HTTPStatus.FORBIDDEN:
        return MerchantMustAct(PERMISSION, code)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE} and code != NO_ROUTE:
        if _NOT_THERE.fullmatch(code):
            return Missing(code)
        # Maintenance and security plugins answer 404 too: that nothing is there only WooCommerce can say.
        return OutcomeUnknown(code or f"http_{status}") if write else TryLater(code or f"http_{status}")
    names = payload.mapping(payload.mapping(envelope.get("data")).get("params"))
    return Refused(code or f"http_{status}", ", ".join(sorted(map(payload.text, names)))[:200])


def _unauthorized(message: str, code: str, *, write: bool) -> OutsideError:
    if "Invalid timestamp" in message:
        return TryLater(CLOCK, "the shop's clock and ours are over 15 minutes apart; the keys are not at fault")
    if "Invalid nonce" in message:
        # Each of ours is new: something between us repeated the call, and the first of them may have been executed.
        return OutcomeUnknown(REPEATED) if write else TryLater(REPEATED, "a proxy repeated a call")
    return MerchantMustAct(PERMISSION if "write permission" in message else TOKEN_DEAD, code)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, at most an hour; dates are not worth reading."""
    seconds = headers.get("Retry-After", "")
    return float(min(int(seconds), 3600)) if _SECONDS.fullmatch(seconds) else None
