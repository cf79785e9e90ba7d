"""OAuth 1.0a for shops on plain http, with the signer of the `woocommerce` package. Development only.

The package's signer leaves `/` unescaped, decodes `%` twice, drops empty values and draws its nonces from 10^8 numbers
(woocommerce reference, section 5): those three are put right here.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from woocommerce.oauth import OAuth

VERSION = "wc/v3"


class _Signer(OAuth):  # type: ignore[misc]  # the package has no types
    """The package's signer with RFC 3986 escaping and unguessable nonces."""

    @staticmethod
    def normalize_parameters(params: Mapping[str, Any]) -> OrderedDict[str, str]:
        """Names and values escaped, and escaped once more for the base string."""
        return OrderedDict((_twice(str(key)), _twice(str(value))) for key, value in params.items())

    @staticmethod
    def generate_nonce() -> str:
        """A nonce that no other call of this key has used."""
        return secrets.token_hex(20)


def _twice(plain: str) -> str:
    return quote(plain, safe="~").replace("%", "%25")


def signed_url(method: str, url: str, params: Mapping[str, str], key: str, secret: str, *, now: datetime) -> str:
    """The URL with its query and signature. `url` carries no query of its own."""
    signer = _Signer(url, key, secret, version=VERSION, method=method)
    # Empty values make the shop's own check fail.
    signed: dict[str, Any] = {name: value for name, value in params.items() if value}
    signed |= {
        "oauth_consumer_key": key,
        "oauth_timestamp": str(int(now.timestamp())),
        "oauth_nonce": signer.generate_nonce(),
        "oauth_signature_method": "HMAC-SHA256",
    }
    ordered = OrderedDict(sorted(signed.items()))
    signed["oauth_signature"] = signer.generate_oauth_signature(ordered, url)
    return f"{url}?{urlencode(signed, quote_via=quote)}"
