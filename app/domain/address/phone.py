"""A phone number as typed, split into country code and national number; unsure readings stop for a person."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber

_BETWEEN = re.compile(r"\s*[/;|,\n]\s*|\s+(?=\+)")
_PREFIX = re.compile(r"^(?:tel|phone|mobile|mob|tlf|fon)\b[.:]*\s*", re.IGNORECASE)
_MAX_TYPED = 60


@dataclass(frozen=True, slots=True)
class Phone:
    """`country_code` like `+49`, `national` digits without trunk prefix. `known`: in the published numbering plan."""

    country_code: str
    national: str
    known: bool


def parse_phone(typed: str, country: str) -> Phone | str:  # noqa: PLR0911 - a return for each reading
    """The number, or a problem code: `missing`, `phone_unclear`, `phone_impossible`.

    `country` (ISO) is assumed for numbers typed without a country code.
    """
    text = _PREFIX.sub("", _plain(typed))
    if not text:
        return "missing"
    if len(text) > _MAX_TYPED or any(char.isalpha() for char in text):
        return "phone_unclear"
    pieces = [piece for piece in _BETWEEN.split(text) if piece]
    # `0221 / 123 45-67` is one German number, `067 … / 050 …` are two Ukrainian ones: what counts is whether the
    # pieces are numbers by themselves.
    whole = [found for piece in pieces if (found := _read(piece, country)) is not None and _known(found)]
    if len(pieces) > 1 and len({found.national_number for found in whole}) > 1:
        return "phone_unclear"
    if len(pieces) > 1 and len(whole) == len(pieces):
        return _phone(whole[0])
    if text.count("+") > 1:
        return "phone_unclear"
    number = _read(text, country)
    if number is None or not phonenumbers.is_possible_number(number):
        return "phone_impossible"
    return _phone(number)


def _plain(typed: str) -> str:
    """ASCII digits for Arabic, full-width and other digits; direction marks gone."""
    folded = unicodedata.normalize("NFKC", typed[:200])
    digits = (str(unicodedata.decimal(char)) if char.isdecimal() else char for char in folded)
    return "".join(char for char in digits if unicodedata.category(char) not in {"Cf", "Cc", "Cs", "So"}).strip()


def _read(text: str, country: str) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(re.sub(r"[^0-9+() .\-]", "", text), country or None)
    except NumberParseException:
        return None
    return None if number.extension else number


def _known(number: PhoneNumber) -> bool:
    return bool(phonenumbers.is_valid_number(number))


def _phone(number: PhoneNumber) -> Phone:
    national = str(phonenumbers.national_significant_number(number))
    return Phone(f"+{number.country_code}", national, _known(number))


def calling_code(country: str) -> str:
    """The country's calling code with a plus sign, "" if it has none."""
    code = phonenumbers.country_code_for_region(country)
    return f"+{code}" if code else ""
