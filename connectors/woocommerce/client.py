"""REST calls to one shop: Basic over https, OAuth 1.0a over plain http; no redirects, no retries."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.ports.errors import MerchantMustAct
from app.ports.http import HTTPClient, Limits, TransportError
from app.ports.storefront import ShopAccess
from connectors.woocommerce import oauth, payload, verdict
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.verdict import Answer

VENDOR = "woocommerce"
PAGE = 100
_MAX_PAGES = 200
#: Shops are slow: a page of a hundred orders may take ten seconds on a cheap host.
_LIMITS = Limits(connect=5.0, total=15.0)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now; only OAuth timestamps need it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ShopClient:
    """Calls for one shop. `base` is the REST base (`https://shop.example/wp-json`), without a slash at its end."""

    http: HTTPClient
    settings: WooCommerceSettings
    access: ShopAccess
    base: str
    clock: Clock = utc_now

    def get(self, operation: str, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """Read `wc/v3/{path}`. Raises `Missing` or an outcome."""
        return self._call(operation, "GET", path, params or {}, None)

    def write(
        self,
        operation: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST, PUT or DELETE. An unclear end is `OutcomeUnknown`."""
        return self._call(operation, method, path, params or {}, body)

    def pages(self, operation: str, path: str, params: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """All rows of a list that does not move while it is read."""
        for page in range(1, _MAX_PAGES + 1):
            found = payload.rows(self.get(operation, path, {**params, "per_page": str(PAGE), "page": str(page)}).value)
            yield from found
            if len(found) < PAGE:
                return

    def _call(
        self,
        operation: str,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> Answer:
        write = method != "GET"
        with self.http.call(VENDOR, operation) as call:
            url = f"{self.base}/wc/v3/{path}"
            call.note(request=f"{method} /wc/v3/{path} {sorted(body) if body else ''}".strip())
            headers = {"Accept": "application/json", "User-Agent": "Waybill"}
            data = None
            if body is not None:
                headers["Content-Type"] = "application/json"
                data = json.dumps(body).encode()
            target, query = self._authorise(method, url, params, headers)
            try:
                got = call.send(
                    method, target, headers=headers, params=query, data=data, limits=_LIMITS, public_only=True
                )
            except TransportError as error:
                raise verdict.transport_failure(error, write=write) from error
            answer = verdict.judge(got, write=write)
            call.note(answer=f"{got.status}")
            return answer

    def _authorise(
        self, method: str, url: str, params: Mapping[str, str], headers: dict[str, str]
    ) -> tuple[str, Mapping[str, str] | None]:
        key, secret = (
            self.access.secrets.get("consumer_key", ""),
            self.access.secrets.get("consumer_secret", ""),
        )
        if not key or not secret:
            raise MerchantMustAct(verdict.TOKEN_DEAD, "no_keys")
        if url.startswith("https://"):
            headers["Authorization"] = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
            return url, params or None
        if not self.settings.woocommerce_allow_http:
            raise MerchantMustAct(verdict.ADDRESS, "plain_http")
        return oauth.signed_url(method, url, params, key, secret, now=self.clock()), None
