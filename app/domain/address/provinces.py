"""The province's name from what the shop gave: a name, an ISO code, or the shop's own spelling of a code.

WooCommerce sends `CA`, `JP13`, `UA30`, `DE-NW` or nothing (reference `woocommerce.md`, "Addresses as they come").
"""

from __future__ import annotations

import re
from functools import cache

import pycountry

from app.domain.address.province_tables import CLOSED, NAMES, WITHOUT
from app.domain.address.text import clean, to_ascii

_LONGEST_CODE = 3
_NOTES = re.compile(r"\s*[\[(].*?[\])]|\*")


@cache
def _codes(country: str) -> dict[str, str]:
    """Code without the country prefix → name in ASCII, of our own tables or ISO 3166-2."""
    if country in NAMES:
        return NAMES[country]
    found = pycountry.subdivisions.get(country_code=country) or ()  # type: ignore[no-untyped-call]
    return {entry.code.partition("-")[2]: to_ascii(_NOTES.sub("", entry.name)) for entry in found}


@cache
def _names(country: str) -> dict[str, str]:
    return {name.casefold(): name for name in _codes(country).values()}


def _bare(code: str, country: str) -> str:
    """The code without the country's prefix: `JP13`, `DE-NW`, `de_nw` and `13`, `NW` mean the same."""
    text = clean(code).upper()
    found = re.fullmatch(rf"{re.escape(country)}[-_ ]?([A-Z0-9]{{1,5}})", text)
    return found.group(1) if found else text


def _by_code(country: str, code: str) -> str | None:
    codes = _codes(country)
    # `MX` in Mexico is a state, not a prefix: the whole text is tried first.
    return codes.get(clean(code).upper()) or codes.get(_bare(code, country))


def _is_code(text: str, country: str) -> bool:
    return len(text) <= _LONGEST_CODE or bool(
        re.fullmatch(rf"{re.escape(country)}[-_ ]?[A-Za-z0-9]{{1,4}}", text, re.IGNORECASE)
    )


def province_name(country: str, name: str, code: str) -> str | None:
    """The name to send: "" if the shop gave none, None if it gave something that cannot be right.

    A code that nobody knows is never sent on as it is.
    """
    text = clean(name)
    if country in WITHOUT:
        return "" if _is_code(text, country) else text
    known = _by_code(country, code) if code else None
    if country in CLOSED or country in NAMES:
        known = known or (_by_code(country, text) if text else None) or _names(country).get(to_ascii(text).casefold())
        if known:
            return known
        return (None if text or code else "") if country in CLOSED or _is_code(text, country) else text
    if text and not _is_code(text, country):
        return text
    return known or (_by_code(country, text) if text else None) or _names(country).get(to_ascii(text).casefold(), "")
