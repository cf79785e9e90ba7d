"""A shop's own address: one form, checked from end to end (S19), and the URLs made of it."""

from __future__ import annotations

import re

_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]{0,99}\.myshopify\.com")
_GID = re.compile(r"gid://shopify/([A-Za-z]{1,60})/(\d{1,30})")
_NUMBER = re.compile(r"\d{1,30}")


def is_shop_domain(text: str) -> bool:
    """Whether the text is a lower-case `name.myshopify.com` and nothing more."""
    return _DOMAIN.fullmatch(text) is not None


def canonical_address(typed: str) -> str:
    """The `name.myshopify.com` that we store and compare. Raises `ValueError` with a text for the merchant.

    Letters of either case are accepted, and a plain `https://` before or `/` behind, as copied from a browser. Nothing
    else is repaired: a text that needs guessing is refused.
    """
    text = typed
    for scheme in ("https://", "HTTPS://"):
        text = text.removeprefix(scheme)
    text = text.removesuffix("/") if text != typed else text
    # str.lower() maps some foreign letters (the Kelvin sign) to ASCII, so ASCII is required before it.
    if not text.isascii() or not is_shop_domain(text.lower()):
        raise ValueError("Enter the shop's own address in the form your-shop.myshopify.com.")
    return text.lower()


def base_url(template: str, shop: str) -> str:
    """The shop's base URL, without a slash at the end. `shop` must be canonical."""
    if not is_shop_domain(shop):
        raise ValueError("not a shop domain")
    return template.replace("{shop}", shop).rstrip("/")


def order_url(address: str, order_id: str) -> str:
    """The order's page in the shop's admin."""
    store = address.removesuffix(".myshopify.com")
    return f"https://admin.shopify.com/store/{store}/orders/{number_of(order_id)}"


def gid(kind: str, ref: str) -> str:
    """The global id of a number or of a global id of that kind. Raises `ValueError` on anything else."""
    if _NUMBER.fullmatch(ref):
        return f"gid://shopify/{kind}/{ref}"
    match = _GID.fullmatch(ref)
    if match is None or match[1] != kind:
        raise ValueError(f"not an id of a Shopify {kind}")
    return ref


def number_of(ref: str) -> str:
    """The number in a global id, or the number itself. Ids stay texts: they exceed 2^53. Raises `ValueError`."""
    if _NUMBER.fullmatch(ref):
        return ref
    match = _GID.fullmatch(ref)
    if match is None:
        raise ValueError("not a Shopify id")
    return match[2]
