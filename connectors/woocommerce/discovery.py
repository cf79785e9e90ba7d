"""Finding the REST base of the address that a merchant typed.

Source: woocommerce reference, "Finding the REST base".
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from app.ports.errors import MerchantMustAct, TryLater
from app.ports.http import HTTPAnswer, HTTPClient, Limits, TransportError
from connectors.woocommerce import address, payload, verdict
from connectors.woocommerce.client import VENDOR

_LINK = re.compile(r'<([^<>]*)>\s*;[^,<]*?\brel="?https://api\.w\.org/"?')
# The page is a stranger's: a tag is found first, in one pass, and only then looked into.
_TAG = re.compile(rb"<link\s([^<>]{1,2000})>", re.IGNORECASE)
_API = re.compile(rb"""\brel=['"]https://api\.w\.org/['"]""", re.IGNORECASE)
_HREF = re.compile(rb"""\bhref=['"]([^'"]+)['"]""", re.IGNORECASE)
_HOPS = 3
_LIMITS = Limits(connect=5.0, total=15.0)

PERMALINKS = (
    "Your shop uses plain permalinks, with which WooCommerce does not accept our keys. Please choose any other "
    "structure under Settings > Permalinks, save, and connect again."
)
NO_WORDPRESS = "We found no WordPress at this address. Please enter the address of your shop's front page."
NO_WOOCOMMERCE = "WordPress answers at this address, but WooCommerce does not. Is the plugin switched on?"
ELSEWHERE = "This address leads to another one. Please enter the address that your browser shows on the front page."


@dataclass(frozen=True, slots=True)
class Site:
    """What the shop tells of itself without keys.

    `base` has no slash at its end; `home` is the shop's own address.
    """

    base: str
    home: str
    name: str
    timezone: str


def discover(http: HTTPClient, shop: str) -> Site:
    """Find the REST base and read its index. Raises `MerchantMustAct` with a text, `TryLater`."""
    front, answer = _front_page(http, shop)
    link = _api_link(answer)
    if link is None and answer.body == b"":
        front, answer = _front_page(http, shop, method="GET")
        link = _api_link(answer)
    if link is None:
        raise MerchantMustAct(verdict.ADDRESS, "no_wordpress", NO_WORDPRESS)
    base = urljoin(front, link)
    if "rest_route" in base or urlsplit(base).query:
        raise MerchantMustAct(verdict.ADDRESS, "plain_permalinks", PERMALINKS)
    # The link is the shop's claim; keys go to no other host and on no other scheme than the merchant's.
    if not address.same_host(base, shop):
        raise MerchantMustAct(verdict.ADDRESS, "api_elsewhere", ELSEWHERE)
    return _index(http, base.rstrip("/"))


def _front_page(http: HTTPClient, shop: str, method: str = "HEAD") -> tuple[str, HTTPAnswer]:
    """The front page, over at most three redirects that stay on the same scheme, host and port (S31)."""
    url = f"{shop}/"
    for _ in range(_HOPS + 1):
        answer = _send(http, "discover", method, url)
        if "Location" not in answer.headers:
            if verdict.is_trouble(answer.status):
                raise TryLater(f"http_{answer.status}", vendor=VENDOR, operation="discover")
            return url, answer
        target = urljoin(url, answer.headers.get("Location", ""))
        if not address.same_host(target, shop):
            break
        url = target
    raise MerchantMustAct(verdict.ADDRESS, "redirected", ELSEWHERE, vendor=VENDOR, operation="discover")


def _send(http: HTTPClient, operation: str, method: str, url: str) -> HTTPAnswer:
    with http.call(VENDOR, operation) as call:
        try:
            return call.send(method, url, headers={"User-Agent": "Waybill"}, limits=_LIMITS, public_only=True)
        except TransportError as error:
            raise verdict.transport_failure(error, write=False) from error


def _api_link(answer: HTTPAnswer) -> str | None:
    found = _LINK.search(answer.headers.get("Link", ""))
    if found:
        return found.group(1)
    tags = (tag.group(1) for tag in _TAG.finditer(answer.body[:1_000_000]))
    links = (link for tag in tags if _API.search(tag) and (link := _HREF.search(tag)))
    first = next(links, None)
    return html.unescape(first.group(1).decode("utf-8", "replace")) if first else None


def _index(http: HTTPClient, base: str) -> Site:
    answer = _send(http, "index", "GET", f"{base}/?_fields=name,url,home,gmt_offset,timezone_string,namespaces")
    found = payload.mapping(verdict.judge(answer, write=False).value)
    namespaces = found.get("namespaces")
    if not isinstance(namespaces, list) or "wc/v3" not in namespaces:
        raise MerchantMustAct(verdict.ADDRESS, "no_woocommerce", NO_WOOCOMMERCE, vendor=VENDOR, operation="index")
    return Site(
        base=base,
        home=base.removesuffix("/wp-json"),
        name=html.unescape(payload.text(found.get("name")))[:200],
        timezone=payload.text(found.get("timezone_string")),
    )
