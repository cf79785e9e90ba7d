"""AliExpress's country codes where they differ from ISO 3166-1. Source: reference, section 7.1.3.

Appendix.
"""

from __future__ import annotations

_FROM_ISO = {
    "GB": "UK",
    "RS": "SRB",
    "ME": "MNE",
    "XK": "KS",
    "CD": "ZR",
    "TL": "TLS",
    "AX": "ALA",
    "GG": "GGY",
    "JE": "JEY",
    "BL": "BLM",
    "MF": "MAF",
    "GS": "SGS",
}
_LOCALES = {
    "en": "en_US",
    "pt": "pt_BR",
    "ja": "ja_JP",
    "ko": "ko_KR",
    "uk": "uk_UA",
    "he": "iw_IL",
    "": "en_US",
}


def country_code(iso: str) -> str:
    """AliExpress's code for an ISO code; their own codes pass unchanged."""
    code = iso.strip().upper()
    return _FROM_ISO.get(code, code)


def locale(language: str) -> str:
    """`en_US` style from `en`, `en-GB` or `en_US`."""
    text = language.strip().replace("-", "_")
    return text if "_" in text else _LOCALES.get(text.lower(), f"{text.lower()}_{text.upper()}")
