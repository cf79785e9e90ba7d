"""Shopify's four layers of errors in our four words.

Source: Shopify reference 3.3; 402, 404 and 423 are unconfirmed there.
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.http import TransportError

_MERCHANT = {402: "shop_frozen", 403: "shop_permission", 404: "shop_gone", 423: "shop_frozen"}
_BEFORE_EXECUTION = frozenset(
    (
        # Shopify's own.
        "BAD_REQUEST", "INVALID_VARIABLE", "MAX_COST_EXCEEDED",
        # The static validation of graphql-ruby, on which the API runs.
        "argumentLiteralsIncompatible", "argumentNotAccepted", "argumentNotUnique", "cannotSpreadFragment",
        "defaultValueInvalidType", "directiveCannotBeApplied", "fieldConflict", "fragmentNotUnique",
        "fragmentOnNonCompositeType", "inputFieldNotUnique", "missingRequiredArguments",
        "missingRequiredInputObjectAttribute", "selectionMismatch", "undefinedDirective", "undefinedField",
        "undefinedType", "useAndDefineFragment", "variableMismatch", "variableNotDefined", "variableNotUnique",
        "variableNotUsed", "variableRequiresValidType",
    )
)  # fmt: skip
"""What validation says of a document or its variables: no mutation has begun. Any other code may come after it."""
_TOO_MANY = 429
_SERVER = 500
_MAX_WAIT = 3600.0


def of_transport(error: TransportError, *, effect: bool) -> OutsideError:
    """No complete answer. Once a byte of a mutation has left, nobody knows whether it was executed."""
    if effect and error.sent:
        return OutcomeUnknown(error.reason)
    if error.reason in ("forbidden_address", "bad_url"):
        return Refused(error.reason)
    return TryLater(error.reason)


def of_status(status: int, body: bytes, retry_after: str | None, *, effect: bool) -> OutsideError:
    """An answer other than 200."""
    if status == HTTPStatus.UNAUTHORIZED:
        return MerchantMustAct("shop_token_dead", "401")
    if status == HTTPStatus.FORBIDDEN and b"on-expiring" in body:
        return MerchantMustAct("shop_token_dead", "non_expiring_token")
    if status in _MERCHANT:
        return MerchantMustAct(_MERCHANT[status], str(status))
    if status == _TOO_MANY:
        return TryLater("429", retry_after=seconds(retry_after))
    said = HTTPStatus.BAD_REQUEST <= status < _SERVER and status != HTTPStatus.REQUEST_TIMEOUT
    if said:
        return Refused(str(status))
    # Broken, a proxy's word, or an answer that nobody has described: no refusal.
    return OutcomeUnknown(str(status)) if effect else TryLater(str(status), retry_after=seconds(retry_after))


def of_errors(errors: Any, *, effect: bool) -> OutsideError:
    """The top-level `errors` of a 200 answer that carries no usable data. THROTTLED is dealt with before."""
    if isinstance(errors, str):
        dead = "access token" in errors.lower()
        return MerchantMustAct("shop_token_dead", "invalid_token") if dead else Refused("errors", errors[:200])
    codes = codes_of(errors)
    # Of a mutation: denied itself, or only a field of the answer after it was executed?
    below = effect and any("." in path for path in fields_of(errors))
    if "ACCESS_DENIED" in codes and not below:
        return MerchantMustAct("shop_permission", "ACCESS_DENIED", ", ".join(fields_of(errors))[:200])
    if "SHOP_INACTIVE" in codes:
        return MerchantMustAct("shop_frozen", "SHOP_INACTIVE")
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"}:
        return OutcomeUnknown("INTERNAL_SERVER_ERROR") if effect else TryLater("INTERNAL_SERVER_ERROR")
    code = min(codes, default="graphql_errors")
    if effect and not (codes and codes <= _BEFORE_EXECUTION):
        return OutcomeUnknown(code, messages_of(errors))
    return Refused(code, messages_of(errors))


def codes_of(errors: Any) -> set[str]:
    """The `extensions.code` of each error."""
    found = set()
    for error in errors if isinstance(errors, list) else []:
        extensions = error.get("extensions") if isinstance(error, dict) else None
        code = extensions.get("code") if isinstance(extensions, dict) else None
        if isinstance(code, str):
            found.add(code[:60])
    return found


def fields_of(errors: Any) -> tuple[str, ...]:
    """The dotted path of each error, list positions left out."""
    paths = []
    for error in errors if isinstance(errors, list) else []:
        path = error.get("path") if isinstance(error, dict) else None
        if isinstance(path, list):
            paths.append(".".join(str(step) for step in path if not isinstance(step, int)))
    return tuple(dict.fromkeys(paths))


def messages_of(errors: Any) -> str:
    """The errors' texts in one line. They speak of fields and types of our own documents, not of people."""
    if not isinstance(errors, list):
        return ""
    texts = [str(error.get("message", "")) for error in errors if isinstance(error, dict)]
    return "; ".join(texts)[:300]


def seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds, None if absent or odd."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return min(max(value, 0.0), _MAX_WAIT) if math.isfinite(value) else None
