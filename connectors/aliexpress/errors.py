"""Their codes, our four outcomes. Source: reference, sections 4.5 and 5; lifecycle, section 7. Default: unknown."""

from __future__ import annotations

import re

from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater, Withdrawn
from app.ports.http import TransportError
from connectors.aliexpress.envelope import GatewayError

TOKEN_CODES = frozenset({"IllegalAccessToken", "IllegalRefreshToken"})
LIMIT_CODES = frozenset({"ApiCallLimit"})
QUOTA_CODES = frozenset({"AppCallLimit"})
"""The app's own quota is used up. Only known by name, so it proves nothing about a call that changes something."""
CONFIG_CODES = frozenset(
    {
        "IncompleteSignature",
        "InvalidSignature",
        "MissingParameter",
        "UnsupportedParamMapping",
        "InsufficientPermission",
        "InvalidAppkey",
    }
)
PASSING_CODES = frozenset({"InternalError", "SystemError", "ServiceTimeout", "ServiceUnavailable"})
WITHDRAWN_CODES = frozenset({"InvalidApiPath"})
"""There is no such method (any more). The code is known of the platform's family only."""
REFUSED_CODES = CONFIG_CODES | {"InvalidCode", "AUTH_TYPE_UNSUPPORTED", "isv.402"}
LONGEST_BAN = 900.0
_BAN = re.compile(r"last\s+([0-9]{1,6})\s+second")


def ban_seconds(message: str) -> float | None:
    """How long a call limit lasts, in seconds, as the message says, at most a quarter of an hour; None if it does not.

    A longer one would stop all buying on the word of one text; after it the next call is told the rest.
    """
    found = _BAN.search(message)
    return min(float(found.group(1)), LONGEST_BAN) if found else None


def is_unreadable(error: GatewayError) -> bool:
    """True for the answer given alike to unknown, foreign and too new orders."""
    return error.code == "15" and error.sub_code in {
        "isv.insufficient-permission",
        "isv.invalid-authorization",
    }


def read_error(error: GatewayError) -> OutsideError:
    """The exception for a gateway error of a call that changes nothing."""
    if error.code in TOKEN_CODES:
        return MerchantMustAct("token_dead", error.code, error.message)
    if error.code in LIMIT_CODES:
        return TryLater(error.code, error.message, retry_after=ban_seconds(error.message))
    if error.code in QUOTA_CODES:
        return TryLater(error.code, error.message, retry_after=ban_seconds(error.message) or LONGEST_BAN)
    if error.code in PASSING_CODES or error.sub_code.startswith("isp."):
        return TryLater(error.sub_code or error.code, error.words)
    if error.code in REFUSED_CODES or is_unreadable(error):
        return Refused(error.sub_code or error.code, error.message)
    return OutcomeUnknown(error.code or "no_code", error.words)


def write_error(error: GatewayError) -> OutsideError:
    """The exception for a gateway error of a token call.

    What may have been executed is unknown, not passing.
    """
    if error.code in (PASSING_CODES | QUOTA_CODES) - {"ServiceUnavailable"} or error.sub_code:
        return OutcomeUnknown(error.sub_code or error.code, error.words)
    return read_error(error)


def report_error(error: GatewayError) -> OutsideError:
    """The exception for a gateway error of a report. It is sent again once if its end is unclear."""
    if error.code in WITHDRAWN_CODES:
        return Withdrawn(error.code, error.message)
    if is_unreadable(error):
        return Refused(error.sub_code, error.message)
    if error.code in PASSING_CODES | QUOTA_CODES or error.sub_code:
        return OutcomeUnknown(error.sub_code or error.code, error.words)
    return read_error(error)


def transport_error(error: TransportError, *, changes: bool) -> OutsideError:
    """The exception for a call without a complete answer. `changes`: the call may have done something."""
    if changes and error.sent:
        return OutcomeUnknown(error.reason)
    return TryLater(error.reason)
