"""What AliExpress refuses in an address. Source: reference, sections 7.1.2 and 7.1.3."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

VALIDATE = "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL"
CPF_INVALID = "B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID"
INVALID_COUNTRY = "A005_INVALID_COUNTRIES"

_CITY = "Please enter a City"
_PROVINCE = "Please select a State/Province/County"
_NAME = "Please enter between 2 - 32 characters"
_MOBILE = "Please enter mobile phone number"
_PHONE_TEXT = "Please enter the country code and phone number without any spaces or special characters"
_PHONE_DIGITS = "Phone Number should contain 7-13 digits"
_NATIONAL = "Please enter a 8-digit national address in right format, eg. ABCD1234"
_ISO_ONLY = frozenset(["GB", "RS", "ME", "XK", "CD", "TL", "AX", "GG", "JE", "BL", "MF", "GS"])
_NEEDS_ZIP = frozenset(["US", "BR", "UK", "DE", "FR", "ES", "IT", "CA", "AU"])

Fields = Mapping[str, str]
Refusal = tuple[str, str]
Rule = Callable[[Fields], str]


def refusal(address: Fields, extra: Fields, *, accept_gb: bool) -> Refusal | None:
    """Code and message of the first rule that the address breaks; None if it is accepted."""
    country = address.get("country", "")
    if country in _ISO_ONLY and not (country == "GB" and accept_gb):
        return INVALID_COUNTRY, INVALID_COUNTRY
    message = _general(address)
    if not message and country in _BY_COUNTRY:
        message = _BY_COUNTRY[country]({**address, **{f"extra.{key}": value for key, value in extra.items()}})
    if message:
        return VALIDATE, message
    if country == "BR" and not cpf_holds(address.get("cpf", "")):
        return CPF_INVALID, "CPF is invalid"
    return None


def _general(address: Fields) -> str:
    mobile = address.get("mobile_no", "")
    checks = (
        (bool(re.fullmatch("[A-Z]{2,3}", address.get("country", ""))), "Please select a country"),
        (bool(address.get("address", "").strip()), "Please enter an address"),
        (bool(address.get("city", "").strip()), _CITY),
        (bool(address.get("province", "").strip()), _PROVINCE),
        (bool(address.get("full_name") or address.get("contact_person")), _NAME),
        (bool(mobile), _MOBILE),
        (bool(re.fullmatch(r"\+?[0-9]*", address.get("phone_country", ""))), _PHONE_TEXT),
        (bool(re.fullmatch(r"[0-9]*", mobile)), _PHONE_TEXT),
        (bool(re.fullmatch(r"[0-9]{7,13}", mobile)), _PHONE_DIGITS),
        (
            address.get("country") not in _NEEDS_ZIP or bool(address.get("zip")),
            "Please enter a ZIP/Postal Code",
        ),
    )
    return next((message for holds, message in checks if not holds), "")


def _names(address: Fields) -> list[str]:
    return [address[key] for key in ("contact_person", "full_name") if address.get(key)]


def _us(address: Fields) -> str:
    for name in _names(address):
        parts = name.split(" ", 1)
        if len(parts) < 2 or not all(2 <= len(part.strip()) <= 32 for part in parts):
            return _NAME
    if not 5 <= len(address["address"]) <= 35:
        return "Please enter between 5 - 35 characters in address"
    return _PROVINCE if address["province"] == "Other" else ""


def _br(address: Fields) -> str:
    if address["city"] == "Other":
        return _CITY
    if not re.fullmatch(r"[0-9]{5}-?[0-9]{3}", address.get("zip", "")):
        return "Please enter a ZIP/Postal Code"
    return "" if re.fullmatch(r"[0-9]{8}", address.get("extra.birthday", "")) else "Please enter birthday"


def _mx(address: Fields) -> str:
    if not address.get("passport_no"):
        return "Please enter passport number / tax ID"
    return "Please enter up to 60 characters in address2" if len(address.get("address2", "")) > 60 else ""


def _latin(address: Fields) -> str:
    fits = all(re.fullmatch(r"[A-Za-z ]{2,128}", name) and " " in name for name in _names(address))
    return "" if fits else "Please enter between 2 - 128 characters, A-Z only"


def _spaced(address: Fields) -> str:
    return "" if " " in address.get("full_name", "").strip() else _NAME


def _ids(pattern: str) -> Rule:
    def check(address: Fields) -> str:
        numbers = (address.get("passport_no", ""), address.get("foreigner_passport_no", ""))
        if str(address.get("is_foreigner", "")).lower() != "false" or not all(
            re.fullmatch(pattern, n) for n in numbers
        ):
            return "Please enter a valid tax ID / passport number"
        return ""

    return check


def _ar(address: Fields) -> str:
    return _PHONE_DIGITS if len(address["mobile_no"]) != 10 else _ids(r"[0-9]{2}-[0-9]{8}-[0-9]")(address)


def _sa(address: Fields) -> str:
    if not re.fullmatch(r"5[0-9]{8}", address["mobile_no"]):
        return _PHONE_DIGITS
    if not all(2 <= len(name) <= 128 and " " in name for name in _names(address)):
        return _NAME
    fits = re.fullmatch(r"[A-Za-z]{4}[0-9]{4}", address.get("extra.nat_addr", ""))
    return "" if fits and 1 <= len(address.get("zip", "")) <= 10 else _NATIONAL


def _es(address: Fields) -> str:
    return "" if len(address["mobile_no"]) == 9 else _PHONE_DIGITS


def _kr(address: Fields) -> str:
    given = address.get("passport_no") or address.get("foreigner_passport_no")
    return "" if given else "Please enter passport number / customs number"


_BY_COUNTRY: dict[str, Rule] = {
    "US": _us,
    "BR": _br,
    "MX": _mx,
    "ES": _es,
    "AU": _latin,
    "NZ": _latin,
    "DZ": _spaced,
    "ZA": _spaced,
    "AR": _ar,
    "IL": _ids(r"[0-9]{9}"),
    "SA": _sa,
    "KR": _kr,
}


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
