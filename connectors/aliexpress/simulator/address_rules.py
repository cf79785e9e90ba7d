"""What AliExpress refuses in an address: the first demand of `address_table` that it does not meet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from connectors.aliexpress.simulator.address_table import DEMANDS, EVERYWHERE, NAMES

VALIDATE = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
CPF_INVALID = "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID"
CPF_NOT_MATCH = "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_NOT_MATCH"
INVALID_COUNTRY = "A005_INVALID_COUNTRIES"
_ISO_ONLY = frozenset(["GB", "RS", "ME", "XK", "CD", "TL", "AX", "GG", "JE", "BL", "MF", "GS"])

Fields = Mapping[str, str]
Refusal = tuple[str, str]


def refusal(address: Fields, extra: Fields, *, accept_gb: bool, register: Fields) -> Refusal | None:
    """Code and message of the first rule that the address breaks; None if it is accepted.

    `register`: the federal register of Brazil, digits of a CPF to the person's name; who is not in it, passes.
    """
    country = address.get("country", "")
    if country in _ISO_ONLY and not (country == "GB" and accept_gb):
        return INVALID_COUNTRY, INVALID_COUNTRY
    fields = {**address, **{f"extra.{key}": value for key, value in extra.items()}}
    for demand in DEMANDS:
        concerned = demand.country in {EVERYWHERE, country}
        if concerned and not all(demand.check(value) for value in _values(fields, demand.field)):
            return VALIDATE, demand.message
    return _cpf(address, register) if country == "BR" else None


def _values(fields: Fields, name: str) -> Iterator[str]:
    if name == NAMES:
        yield from [fields[key] for key in ("contact_person", "full_name") if fields.get(key)] or [""]
    else:
        yield next((fields[key] for key in name.split("|") if fields.get(key)), "")


def _cpf(address: Fields, register: Fields) -> Refusal | None:
    """The name that is looked up is `contact_person`'s (reference 7.1)."""
    number = re.sub(r"[.\-]", "", address.get("cpf", ""))
    if not cpf_holds(number):
        return CPF_INVALID, "CPF is invalid"
    name = address.get("contact_person") or address.get("full_name", "")
    if register.get(number, name).casefold() != name.casefold():
        return CPF_NOT_MATCH, "CPF does not match the name"
    return None


def cpf_holds(text: str) -> bool:
    """Whether the two check digits of a Brazilian CPF hold."""
    digits = [int(character) for character in re.sub(r"[.\-]", "", text) if character.isdigit()]
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for size in (9, 10):
        total = sum(digit * weight for digit, weight in zip(digits, range(size + 1, 1, -1), strict=False))
        if digits[size] != total * 10 % 11 % 10:
            return False
    return True
