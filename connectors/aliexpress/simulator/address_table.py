"""What AliExpress demands of an address, country by country. Data only. Source: reference, sections 7.1 to 7.1.3.

Only the messages of 7.1.2 were seen; the others are ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

CITY = "Please enter a City"
PROVINCE = "Please select a State/Province/County"
NAME = "Please enter between 2 - 32 characters"
LONG_NAME = "Please enter between 2 - 128 characters"
MOBILE = "Please enter mobile phone number"
PHONE_TEXT = "Please enter the country code and phone number without any spaces or special characters"
PHONE_DIGITS = "Phone Number should contain 7-13 digits"
NATIONAL = "Please enter a 8-digit national address in right format, eg. ABCD1234"
ZIP = "Please enter a ZIP/Postal Code"
STREET = "Please enter an address"
TAX_ID = "Please enter a valid tax ID / passport number"

EVERYWHERE = "*"
NAMES = "names"
"""Stands for whichever of `contact_person` and `full_name` is filled; one of them must be."""


@dataclass(frozen=True, slots=True)
class Demand:
    """`field` must pass `check`, else `message`. A field that is not sent is an empty text.

    Fields of `trade_extra_param` begin with `extra.`; `a|b` is the first of them that is filled.
    """

    country: str
    field: str
    check: Callable[[str], bool]
    message: str


def like(pattern: str) -> Callable[[str], bool]:
    """The whole text matches."""
    return lambda text: re.fullmatch(pattern, text, re.DOTALL) is not None


def one_of(names: str) -> Callable[[str], bool]:
    """One of these names, parted by `|`, whatever its capitals and accents."""
    known = {_plain(name) for name in names.split("|")}
    return lambda text: _plain(text) in known


def _plain(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold()


_FILLED = like(r".*\S.*")
_SPACE_INSIDE = like(r"\S+ .*\S")
_STATES_OF_BRAZIL = (
    "Acre|Alagoas|Amapa|Amazonas|Bahia|Ceara|Distrito Federal|Espirito Santo|Goias|Maranhao|Mato Grosso|"
    "Mato Grosso do Sul|Minas Gerais|Para|Paraiba|Parana|Pernambuco|Piaui|Rio de Janeiro|Rio Grande do Norte|"
    "Rio Grande do Sul|Rondonia|Roraima|Santa Catarina|Sao Paulo|Sergipe|Tocantins"
)
_WITH_ZIP = ("US", "BR", "UK", "DE", "FR", "ES", "IT", "CA", "AU")

DEMANDS: tuple[Demand, ...] = (
    Demand("*", "country", like("[A-Z]{2,3}"), "Please select a country"),
    Demand("*", "address", _FILLED, STREET),
    Demand("*", "city", _FILLED, CITY),
    Demand("*", "province", _FILLED, PROVINCE),
    Demand("*", NAMES, _FILLED, NAME),
    Demand("*", "mobile_no", _FILLED, MOBILE),
    Demand("*", "phone_country", like(r"\+?[0-9]*"), PHONE_TEXT),
    Demand("*", "mobile_no", like("[0-9]*"), PHONE_TEXT),
    Demand("*", "mobile_no", like("[0-9]{7,13}"), PHONE_DIGITS),
    *(Demand(country, "zip", _FILLED, ZIP) for country in _WITH_ZIP),
    Demand("US", NAMES, like(r"[^ ]{2,32} +\S.{0,30}\S"), NAME),
    Demand("US", "address", like(".{5,35}"), "Please enter between 5 - 35 characters in address"),
    Demand("US", "province", like("(?!Other$).*"), PROVINCE),
    Demand("BR", "province", one_of(_STATES_OF_BRAZIL), PROVINCE),
    Demand("BR", "city", like("(?!Other$).*"), CITY),
    Demand("BR", "zip", like("[0-9]{5}-?[0-9]{3}"), ZIP),
    Demand(
        "BR", "extra.birthday", like("(0[1-9]|[12][0-9]|3[01])(0[1-9]|1[0-2])(19|20)[0-9]{2}"), "Please enter birthday"
    ),
    Demand("MX", "passport_no", _FILLED, "Please enter passport number / tax ID"),
    Demand("MX", "address2", like(".{0,60}"), "Please enter up to 60 characters in address2"),
    Demand("ES", "mobile_no", like("[0-9]{9}"), PHONE_DIGITS),
    Demand("AU", "full_name", like("(?=.* )[A-Za-z ]{2,128}"), f"{LONG_NAME}, A-Z only"),
    Demand("NZ", "full_name", like("(?=.* )[A-Za-z ]{2,128}"), f"{LONG_NAME}, A-Z only"),
    Demand("DZ", "full_name", _SPACE_INSIDE, NAME),
    Demand("ZA", "full_name", _SPACE_INSIDE, NAME),
    Demand("AR", "mobile_no", like("[0-9]{10}"), PHONE_DIGITS),
    *(
        Demand(country, field, check, TAX_ID)
        for country, number in (("AR", like("[0-9]{2}-[0-9]{8}-[0-9]")), ("IL", like("[0-9]{9}")))
        for field, check in (
            ("is_foreigner", like("false")),
            ("passport_no", number),
            ("foreigner_passport_no", number),
        )
    ),
    Demand("SA", NAMES, like("(?=.* )[\x20-\x7e\u0600-\u06ff\u0750-\u077f]{2,128}"), LONG_NAME),
    Demand("SA", "phone_country", like(".{1,8}"), PHONE_TEXT),
    Demand("SA", "mobile_no", like("5[0-9]{8}"), PHONE_DIGITS),
    Demand("SA", "province", like(".{2,64}"), PROVINCE),
    Demand("SA", "city", like(".{2,64}"), CITY),
    Demand("SA", "zip", like(".{1,10}"), ZIP),
    Demand("SA", "address", like(".{5,256}"), STREET),
    Demand("SA", "extra.nat_addr", like("[A-Za-z]{4}[0-9]{4}"), NATIONAL),
    Demand("KR", "passport_no|foreigner_passport_no", _FILLED, "Please enter passport number / customs number"),
)
"""In the order in which they are made; a country's own come after those of everywhere."""
