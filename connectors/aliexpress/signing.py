"""Signatures of calls and of push messages. Source: reference, sections 2 and 9.

All of its vectors are tests.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def string_to_sign(api: str, params: Mapping[str, str]) -> str:
    """What is signed: names and values joined in byte order of the names.

    System APIs (their name is a path) put the path in front; business APIs put nothing.
    """
    ordered = sorted(
        ((key, value) for key, value in params.items() if key != "sign"), key=lambda item: item[0].encode()
    )
    prefix = api if "/" in api else ""
    return prefix + "".join(key + value for key, value in ordered)


def sign(secret: str, api: str, params: Mapping[str, str]) -> str:
    """HMAC-SHA256 of `string_to_sign`, upper-case hex. `params` are raw values, without binary ones."""
    message = string_to_sign(api, params).encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest().upper()


def signature_holds(expected: str, given: str) -> bool:
    """Compare two hex digests in constant time, ignoring case."""
    text = given.strip().lower().encode("utf-8", "surrogatepass")
    return hmac.compare_digest(expected.lower().encode(), text)


def sign_push(app_key: str, secret: str, body: bytes) -> str:
    """The `Authorization` value of a push: HMAC-SHA256 over app key and raw body, lower-case hex."""
    return hmac.new(secret.encode(), app_key.encode() + body, hashlib.sha256).hexdigest()
