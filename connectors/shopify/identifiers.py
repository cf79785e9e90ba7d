"""Numbers that customs ask for, found in an order's localized fields and custom attributes.

Source: `LocalizedFieldKey` of the Admin schema 2026-10. Attribute names are whatever a shop's theme calls them, so the
usual spellings are listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_LOCALIZED = {
    "SHIPPING_CREDENTIAL_CL": "rut",
    "TAX_CREDENTIAL_CL": "rut",
    "SHIPPING_CREDENTIAL_KR": "pccc",
    "SHIPPING_CREDENTIAL_CN": "id_card",
    "SHIPPING_CREDENTIAL_TW": "id_card",
    "SHIPPING_CREDENTIAL_MX": "curp",
    "TAX_CREDENTIAL_MX": "rfc",
    "SHIPPING_CREDENTIAL_TR": "tckn",
    "TAX_CREDENTIAL_TR": "tckn",
}
_NO_CREDENTIAL = ("TAX_CREDENTIAL_TYPE_", "SHIPPING_CREDENTIAL_TYPE_", "TAX_CREDENTIAL_USE_", "TAX_EMAIL_")
_ATTRIBUTES = {
    "cpf": ("cpf", "cpfnumber", "cpfcnpj", "cpfdocliente"),
    "cnpj": ("cnpj",),
    "rut": ("rut", "rutnumber", "rutchile"),
    "pccc": ("pccc", "personalcustomsclearancecode", "customsclearancecode", "개인통관고유부호"),
    "passport": ("passport", "passportnumber", "passportno"),
    "id_card": ("idcard", "idcardnumber", "nationalid"),
    "curp": ("curp",),
    "rfc": ("rfc",),
    "tckn": ("tckn", "tcno", "tckimlikno"),
    "nat_addr": (
        "nataddr", "nationaladdress", "shortnationaladdress", "nationalshortaddress", "shortaddress",
        "saudinationaladdress", "العنوانالوطني", "العنوانالوطنيالمختصر", "العنوانالمختصر",
    ),
    "birthday": ("birthday", "birthdate", "dateofbirth", "dob", "datadenascimento", "nascimento"),
    "tax_id": ("taxid", "taxnumber", "vatnumber", "vatid", "ioss"),
}  # fmt: skip
_BY_SPELLING = {spelling: name for name, spellings in _ATTRIBUTES.items() for spelling in spellings}
_CNPJ_DIGITS = 14


def identifiers(
    localized: Iterable[Mapping[str, Any]], attributes: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Our names and the buyer's numbers. Shopify's own fields come before a theme's; the first of a name counts."""
    found: dict[str, str] = {}
    for field in localized:
        value = str(field.get("value") or "").strip()
        key = str(field.get("key") or "")
        if value and not key.startswith(_NO_CREDENTIAL):
            found.setdefault(_name(key, value), value)
    for key, text in attributes:
        name = _BY_SPELLING.get(re.sub(r"[\W_]+", "", key.lower()))
        if name and text.strip():
            found.setdefault(_brazilian(text) if name == "cpf" else name, text.strip())
    return tuple(found.items())


def _name(key: str, value: str) -> str:
    if key in ("SHIPPING_CREDENTIAL_BR", "TAX_CREDENTIAL_BR"):
        return _brazilian(value)
    return _LOCALIZED.get(key, "tax_id")


def _brazilian(value: str) -> str:
    digits = sum(character.isdigit() for character in value)
    return "cnpj" if digits == _CNPJ_DIGITS else "cpf"
