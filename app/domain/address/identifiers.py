"""Numbers that customs want, with their check digits. Each function gives the form to send, or None if it is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date

from app.domain.address.text import to_ascii

_CURP_ALPHABET = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"
_CURP = re.compile(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d")
_ELEVEN = 11
_CURP_LENGTH = 18
_FEWEST_DIGITS = 3
_OLDEST_YEAR = 1900
_RFC = re.compile(r"[A-Z&\u00d1]{3,4}\d{6}[A-Z0-9]{3}")


def compact(text: str) -> str:
    """Upper case, digits and letters only: people type these numbers with dots, dashes and spaces."""
    kept = "".join(char for char in text.upper() if char.isalnum() or char == "&")
    return "".join(char if char == "\u00d1" else to_ascii(char) or char for char in kept)


def _weighted(values: Sequence[int], weights: Sequence[int]) -> int:
    return sum(value * weight for value, weight in zip(values, weights, strict=True))


def cpf(text: str) -> str | None:
    """Brazilian personal number: 11 digits, two check digits modulo 11."""
    number = compact(text)
    if not re.fullmatch(r"[0-9]{11}", number) or len(set(number)) == 1:
        return None
    digits = [int(char) for char in number]
    for length in (9, 10):
        rest = _weighted(digits[:length], range(length + 1, 1, -1)) * 10 % 11 % 10
        if rest != digits[length]:
            return None
    return number


def cnpj(text: str) -> str | None:
    """Brazilian company number: 14 places, two check digits; the first 12 may hold letters (since July 2026)."""
    number = compact(text)
    if not re.fullmatch(r"[0-9A-Z]{12}[0-9]{2}", number) or len(set(number)) == 1:
        return None
    values = [ord(char) - ord("0") for char in number]
    for length in (12, 13):
        weights = [(length - 1 - place) % 8 + 2 for place in range(length)]
        rest = _weighted(values[:length], weights) % 11
        if values[length] != -rest % _ELEVEN % 10:
            return None
    return number


def rut(text: str) -> str | None:
    """Chilean number `12345678-5`: 7 or 8 digits and a check place modulo 11 (0-9 or K)."""
    number = compact(text)
    if not re.fullmatch(r"[0-9]{7,8}[0-9K]", number):
        return None
    body, check = number[:-1], number[-1]
    total = sum(int(char) * (place % 6 + 2) for place, char in enumerate(reversed(body)))
    return f"{body}-{check}" if "0123456789K0"[(11 - total % 11)] == check else None


def pccc(text: str) -> str | None:
    """Korean personal customs clearance code: P and 12 digits."""
    number = compact(text)
    return number if re.fullmatch(r"P[0-9]{12}", number) else None


def israeli_id(text: str) -> str | None:
    """Israeli identity number: up to 9 digits (shorter ones get leading zeros), Luhn's check digit."""
    number = compact(text)
    if not re.fullmatch(r"[0-9]{5,9}", number):
        return None
    number = number.zfill(9)
    doubled = (int(char) * (1 + place % 2) for place, char in enumerate(number))
    return number if sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0 and int(number) else None


def cuit(text: str) -> str | None:
    """Argentine tax number, sent as `20-12345678-6`: 11 digits, check digit modulo 11."""
    number = compact(text)
    if not re.fullmatch(r"[0-9]{11}", number) or int(number) == 0:
        return None
    digits = [int(char) for char in number]
    check = (11 - _weighted(digits[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return f"{number[:2]}-{number[2:10]}-{number[10]}" if check == digits[10] else None


def curp(text: str) -> str | None:
    """Mexican population number: 18 places, check digit over the official alphabet."""
    number = compact(text)
    if not _CURP.fullmatch(number):
        return None
    total = sum(_CURP_ALPHABET.index(char) * (18 - place) for place, char in enumerate(number[:17]))
    return number if (10 - total % 10) % 10 == int(number[17]) else None


def rfc(text: str) -> str | None:
    """Mexican tax number: 12 places for companies, 13 for persons. Form only: old ones break the check digit."""
    number = compact(text)
    return number if _RFC.fullmatch(number) else None


def passport(text: str) -> str | None:
    """A passport or registration card number: 5 to 20 letters and digits, at least three of them digits."""
    number = compact(text)
    fits = re.fullmatch(r"[0-9A-Z]{5,20}", number) and sum(char.isdigit() for char in number) >= _FEWEST_DIGITS
    return number if fits else None


def mexican_number(text: str) -> str | None:
    """Whatever Mexico's customs take: CURP, RFC or passport. Something shaped like a CURP must be a right one."""
    number = compact(text)
    if len(number) == _CURP_LENGTH:
        return curp(number)
    return rfc(number) or passport(number)


def brazilian_number(text: str) -> str | None:
    """A CPF, or a CNPJ for a company."""
    return cpf(text) or cnpj(text)


def national_address(text: str) -> str | None:
    """Saudi short national address: four letters and four digits, sent in upper case."""
    number = compact(text)
    return number if re.fullmatch(r"[A-Z]{4}[0-9]{4}", number) else None


def birthday(text: str) -> str | None:
    """A date of birth as `ddMMyyyy`, from `yyyy-mm-dd`, `dd/mm/yyyy`, `dd.mm.yyyy` or `ddmmyyyy`; 1900 or later."""
    typed = to_ascii(text)
    if iso := re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", typed):
        year, month, day = iso.groups()
    elif local := re.fullmatch(r"([0-9]{2})[/. -]?([0-9]{2})[/. -]?([0-9]{4})", typed):
        day, month, year = local.groups()
    else:
        return None
    try:
        born = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return born.strftime("%d%m") + f"{born.year:04}" if born.year >= _OLDEST_YEAR else None


READERS: dict[str, Callable[[str], str | None]] = {
    "birthday": birthday,
    "brazilian_number": brazilian_number,
    "cuit": cuit,
    "israeli_id": israeli_id,
    "mexican_number": mexican_number,
    "national_address": national_address,
    "passport": passport,
    "pccc": pccc,
    "rut": rut,
}
"""By the name that rule rows use."""
