"""Shopify's four layers of errors in our four words.

Source: Shopify reference 3.3; 402, 404 and 423 are unconfirmed there.
"""

from __future__ import annotations

import math
import re
from http import HTTPStatus
from typing import Any

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater
from app.ports.http import TransportError
from connectors.shopify.permissions import LACKING

_MERCHANT = {402: "shop_frozen", 403: LACKING, 404: "shop_gone", 423: "shop_frozen"}
_REFUSING = frozenset((400, 405, 406, 411, 413, 414, 415, 422, 431))
"""Statuses by which a server says that it did not take the request up; any other one says nothing about a mutation."""
_TOO_MANY = 429
_SCOPE = re.compile(r"`([a-z_]{1,80})`")
_SERVER = 500
_MAX_WAIT = 3600.0
_BEFORE_EXECUTION = frozenset(
    (
        # Shopify's own, before anything is resolved.
        "THROTTLED", "MAX_COST_EXCEEDED", "SHOP_INACTIVE", "BAD_REQUEST", "INVALID_VARIABLE",
        # The static validation of graphql-ruby, on which the API runs.
        "argumentLiteralsIncompatible", "argumentNotAccepted", "argumentNotUnique", "cannotSpreadFragment",
        "defaultValueInvalidType", "directiveCannotBeApplied", "directiveNotUniqueForLocation", "fieldConflict",
        "fragmentNotUnique", "fragmentOnNonCompositeType", "infiniteLoop", "inputFieldNotUnique",
        "missingMutationConfiguration", "missingRequiredArguments", "missingRequiredInputObjectAttribute",
        "selectionMismatch", "undefinedDirective", "undefinedField", "undefinedType", "uniquelyNamedOperations",
        "useAndDefineFragment", "variableMismatch", "variableNotDefined", "variableNotUnique", "variableNotUsed",
        "variableRequiresValidType",
    )
)  # fmt: skip


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
    said_no = HTTPStatus.BAD_REQUEST <= status < _SERVER and status != HTTPStatus.REQUEST_TIMEOUT
    if status in _REFUSING or (not effect and said_no):
        return Refused(str(status))
    # Broken, a proxy's word, or an answer that nobody has described: no refusal.
    return OutcomeUnknown(str(status)) if effect else TryLater(str(status), retry_after=seconds(retry_after))


def of_errors(errors: Any, *, effect: bool) -> OutsideError:
    """The top-level `errors` of a 200 answer that carries no usable data. THROTTLED is dealt with before.

    Of a mutation only errors that are known to come before execution are a no; the rest leaves open what was done.
    """
    if isinstance(errors, str) and "access token" in errors.lower():
        return MerchantMustAct("shop_token_dead", "invalid_token")
    codes = codes_of(errors)
    if effect and not before_execution(errors):
        return OutcomeUnknown(min(codes, default="graphql_errors"), messages_of(errors))
    return Refused("errors", errors[:200]) if isinstance(errors, str) else _no(codes, errors)


def _no(codes: set[str], errors: Any) -> OutsideError:
    """What errors mean that left nothing done."""
    if "ACCESS_DENIED" in codes:
        lacking = scopes_of(errors) or fields_of(errors)
        return MerchantMustAct(LACKING, "ACCESS_DENIED", ", ".join(lacking)[:200])
    if "SHOP_INACTIVE" in codes:
        return MerchantMustAct("shop_frozen", "SHOP_INACTIVE")
    if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"}:
        return TryLater("INTERNAL_SERVER_ERROR")
    return Refused(min(codes, default="graphql_errors"), messages_of(errors))


def before_execution(errors: Any) -> bool:
    """Whether every one of these errors proves that the document was not executed."""
    return isinstance(errors, list) and bool(errors) and all(_is_before(error) for error in errors)


def _is_before(error: Any) -> bool:
    codes = codes_of([error])
    if codes == {"ACCESS_DENIED"}:
        # At the mutation itself it is a no; below it, a field of the answer is hidden from us after the act.
        path = error.get("path")
        return not isinstance(path, list) or len(path) <= 1
    return bool(codes) and codes <= _BEFORE_EXECUTION


def only_denied(errors: Any) -> bool:
    """Whether nothing is wrong but that fields are hidden from us."""
    return isinstance(errors, list) and all(codes_of([error]) == {"ACCESS_DENIED"} for error in errors)


def scopes_of(errors: Any) -> tuple[str, ...]:
    """The access scopes that the errors say are lacking; none for data that the app is not approved to see."""
    found: list[str] = []
    for error in errors if isinstance(errors, list) else []:
        extensions = error.get("extensions") if isinstance(error, dict) else None
        if isinstance(extensions, dict) and extensions.get("code") == "ACCESS_DENIED":
            found += _SCOPE.findall(str(extensions.get("requiredAccess") or "")[:500])
    return tuple(dict.fromkeys(found))


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
