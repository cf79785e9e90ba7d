"""Phones, provinces, identifiers, postal codes and texts by themselves, and what holds for any input at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.address import AddressProblems, Policy, Prepared, prepare
from app.domain.address import identifiers as ids
from app.domain.address.outcome import ALWAYS_SENT, FIELD_ORDER
from app.domain.address.phone import Phone, parse_phone
from app.domain.address.postal import looks_odd
from app.domain.address.provinces import province_name
from app.domain.address.text import clean, letters_only, spellable, split_line, to_ascii
from app.ports.storefront import Address

SHARED = Path(__file__).parents[2] / "../shared/reference/woocommerce-samples"


@pytest.mark.parametrize(
    ("typed", "country", "code", "national"),
    [
        ("(11) 9 8765-4321", "BR", "+55", "11987654321"),
        ("067 123 45 67", "UA", "+380", "671234567"),
        ("0049 (0)221 / 123 45-67", "DE", "+49", "2211234567"),
        ("٠٥٠١٢٣٤٥٦٧", "SA", "+966", "501234567"),
        ("\uff0b81 90 1234 5678", "JP", "+81", "9012345678"),
        ("+44 (0)20 7946 0018", "US", "+44", "2079460018"),
        ("Tel.: 612 345 678", "ES", "+34", "612345678"),
        ("06 1234 5678", "IT", "+39", "0612345678"),
        ("612345678 / +34 612 345 678", "ES", "+34", "612345678"),
        ("\u202a+1 415 555 0100\u202c", "US", "+1", "4155550100"),
    ],
)
def test_phone_is_split(typed: str, country: str, code: str, national: str) -> None:
    found = parse_phone(typed, country)
    assert isinstance(found, Phone)
    assert (found.country_code, found.national) == (code, national)


@pytest.mark.parametrize(
    ("typed", "country", "code"),
    [
        ("", "US", "missing"),
        ("call me", "US", "phone_unclear"),
        ("415 555 0100 ext 5", "US", "phone_unclear"),
        ("067 123 45 67 / 050 123 45 67", "UA", "phone_unclear"),
        ("+14155550100 +14155550101", "US", "phone_unclear"),
        ("1" * 61, "US", "phone_unclear"),
        ("123", "US", "phone_impossible"),
        ("+999 123456789", "US", "phone_impossible"),
    ],
)
def test_unsure_phone_stops(typed: str, country: str, code: str) -> None:
    assert parse_phone(typed, country) == code


@pytest.mark.parametrize(
    ("country", "name", "code", "expected"),
    [
        ("US", "", "CA", "California"),
        ("US", "california", "", "California"),
        ("US", "Kalifornien", "", None),
        ("US", "", "QQ", None),
        ("CA", "", "ON", "Ontario"),
        ("AU", "NSW", "NSW", "New South Wales"),
        ("BR", "São Paulo", "SP", "Sao Paulo"),
        ("MX", "Ciudad de México", "DF", "Ciudad de Mexico"),
        ("MX", "", "CMX", "Ciudad de Mexico"),
        ("MX", "", "MX", "Estado de Mexico"),
        ("ES", "", "B", "Barcelona"),
        ("ES", "Alacant", "", "Alacant"),
        ("IT", "Milano", "MI", "Lombardia"),
        ("AT", "", "9", "Vienna"),
        ("JP", "", "JP13", "Tokyo"),
        ("UA", "", "UA30", "Kyiv"),
        ("DE", "", "DE-NW", "Nordrhein-Westfalen"),
        ("DE", "DE-NW", "", "Nordrhein-Westfalen"),
        ("DE", "Bavaria", "BY", "Bavaria"),
        ("DE", "", "QQ", ""),
        ("PL", "", "", ""),
        ("GB", "", "ENG", ""),
        ("GB", "Kent", "", "Kent"),
    ],
)
def test_province(country: str, name: str, code: str, expected: str | None) -> None:
    assert province_name(country, name, code) == expected


@pytest.mark.parametrize(
    ("reader", "good", "sent", "bad"),
    [
        (ids.cpf, "529.982.247-25", "52998224725", ["52998224724", "11111111111", "5299822472", "", "²²²²²²²²²²²"]),
        (ids.cnpj, "11.222.333/0001-81", "11222333000181", ["11222333000182", "0" * 14, "12ABC34501DE36"]),
        (ids.cnpj, "12.ABC.345/01DE-35", "12ABC34501DE35", []),
        (ids.rut, "12.345.678-5", "12345678-5", ["12345678-6", "1-9", "K"]),
        (ids.rut, "20.347.878-k", "20347878-K", []),
        (ids.pccc, "p 1234 5678 9012", "P123456789012", ["P12345678901", "123456789012"]),
        (ids.israeli_id, "12345678-2", "123456782", ["123456789", "0", "000000000"]),
        (ids.israeli_id, "18", None, []),
        (ids.cuit, "20123456786", "20-12345678-6", ["20123456785", "0" * 11]),
        (ids.curp, "HEGG560427MVZRRL04", "HEGG560427MVZRRL04", ["HEGG560427MVZRRL05", "HEGG"]),
        (ids.rfc, "GODE 561231 GR8", "GODE561231GR8", ["GODE561231"]),
        (ids.rfc, "Ñ&A010101AAA", "Ñ&A010101AAA", []),
        (ids.mexican_number, "G12345678", "G12345678", ["HEGG560427MVZRRL05", "none", "n/a"]),
        (ids.brazilian_number, "11.222.333/0001-81", "11222333000181", ["123"]),
        (ids.national_address, "rrrd2929", "RRRD2929", ["RRRD292"]),
        (ids.birthday, "1990-02-28", "28021990", ["1990-02-30", "31/02/1990", "01/01/1899", "soon"]),
        (ids.birthday, "28/02/1990", "28021990", []),
        (ids.passport, "X 123-4567", "X1234567", ["ABCDEFG", "1234", "x" * 30]),
    ],
)
def test_identifier(reader: Any, good: str, sent: str | None, bad: list[str]) -> None:
    assert reader(good) == sent
    assert [reader(text) for text in bad] == [None] * len(bad)


def test_postal_codes_only_hint() -> None:
    assert looks_odd("ABC", "US")
    assert looks_odd("", "US")
    assert not looks_odd("94110-1234", "US")
    assert not looks_odd("sw1a 1aa", "GB")
    assert not looks_odd("", "KW")
    assert not looks_odd("x", "XK") or looks_odd("x", "XK")
    ready = prepare(_address("Ada Lovelace", "+14155550100", postal_code="QQ", country="US"))
    assert isinstance(ready, Prepared)
    assert [warning.code for warning in ready.warnings] == ["postal_code_odd"]


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("<b>Main</b>\r\nStreet\x00", "Main Street"),
        ("3 < 5 > 2", "3 5 2"),
        ("Casa 🏠 2\u200f", "Casa 2"),
        ("Jurgen\u0308", "Jurgen\u0308".replace("n\u0308", "n\u0308")),
        ("Mu\u0308ller & Co", "Müller & Co"),
        ("Avenida 1º, 2ª", "Avenida 1º, 2ª"),
        ("&lt;b&gt;", "&lt;b&gt;"),
    ],
)
def test_clean(typed: str, cleaned: str) -> None:
    assert clean(typed) == cleaned


def test_spelling() -> None:
    assert to_ascii("Jürgen Müßig Łódź Ægir") == "Jurgen Mussig Lodz Aegir"
    assert letters_only("Дем'яненко Олександр") == "Demyanenko Oleksandr"
    assert spellable("Γιώργος Дем'яненко Ö")
    assert not spellable("山田")
    assert not spellable("أحمد")


def test_split_line_never_cuts_a_word() -> None:
    assert split_line("x" * 36, "", 35, 60) is None
    assert split_line("aa bb cc", "dd", 5, 60) == ("aa bb", "cc, dd")
    assert split_line("aa bb cc", "d" * 60, 5, 60) is None


def _address(name: str, phone: str, **more: str) -> Address:
    texts = {"line1": "1 Main Street", "line2": "", "city": "Springfield", "province": "", "province_code": "CA"}
    return Address(name=name, phone=phone, **{**texts, "postal_code": "94110", "country": "US", **more})


SAMPLE = "US BR MX ES AU NZ DZ ZA AR IL SA KR CL AT IT GB DE JP XK USA zz"
COUNTRIES = st.sampled_from([*SAMPLE.split(), "", "\ud800"])
ANYTHING = st.text(alphabet=st.characters(), max_size=80) | st.sampled_from(
    ["Ada Lovelace", "1 Main Street", "+1 415 555 0100", "612345678", "DE-NW", "<script>", "\ud83d", "é" * 60]
)
KEYS = st.sampled_from([*FIELD_ORDER, "is_foreigner"])
NAMES = st.sampled_from(
    ["cpf", "cnpj", "rut", "pccc", "passport", "curp", "rfc", "cuit", "israeli_id", "tax_id", "birthday", "nat_addr"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ANYTHING, min_size=10, max_size=10),
    COUNTRIES,
    st.dictionaries(NAMES, ANYTHING, max_size=3),
    st.dictionaries(KEYS, ANYTHING, max_size=3),
    st.booleans(),
)
def test_never_raises_and_keeps_its_word(
    texts: list[str], country: str, numbers: dict[str, str], overrides: dict[str, str], ascii_only: bool
) -> None:
    name, line1, line2, city, province, code, postal, phone, company, email = texts
    address = Address(
        name, line1, line2, city, province, code, postal, country, phone, company, email, tuple(numbers.items())
    )
    policy = Policy(ascii_countries=frozenset({"*"}) if ascii_only else frozenset())
    found = prepare(address, overrides=overrides, policy=policy)
    if isinstance(found, AddressProblems):
        assert found.problems
        return
    ready = dict(found.fields)
    assert [key for key, _ in found.fields] == [key for key in FIELD_ORDER if key in ready]
    assert all(value or key in ALWAYS_SENT for key, value in ready.items())
    assert all(value == value.strip() and value.isprintable() for value in ready.values())
    written = [ready.get(key, "") for key in ("full_name", "address", "address2", "city", "province")]
    if ascii_only:
        assert "".join(written).isascii()
    if ready["country"] in {"AU", "NZ"}:
        assert ready["full_name"].replace(" ", "").isascii()
        assert ready["full_name"].replace(" ", "").isalpha()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=200))
def test_text_functions_take_anything(text: str) -> None:
    assert to_ascii(text).isascii()
    assert all(char == " " or ("A" <= char <= "Z") or ("a" <= char <= "z") for char in letters_only(text))
    assert clean(clean(text)) == clean(text)
    assert isinstance(parse_phone(text, "DE"), Phone | str)
    for reader in ids.READERS.values():
        assert reader(text) is None or reader(text)


def _shippings(value: Any) -> list[tuple[dict[str, str], dict[str, str]]]:
    if isinstance(value, str) and value.startswith("{"):
        try:
            return _shippings(json.loads(value))
        except ValueError:
            return []
    if isinstance(value, list):
        return [found for item in value for found in _shippings(item)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("shipping"), dict) and "address_1" in value["shipping"]:
        return [(value["shipping"], value.get("billing", {}))]
    return [found for item in value.values() for found in _shippings(item)]


@pytest.mark.skipif(not SHARED.is_dir(), reason="recorded WooCommerce deliveries are not beside this checkout")
def test_recorded_woocommerce_addresses() -> None:
    seen = set()
    for file in sorted(SHARED.glob("webhook-order.*.json")):
        for shipping, billing in _shippings(json.loads(file.read_text())):
            address = Address(
                name=f"{shipping['first_name']} {shipping['last_name']}".strip(),
                line1=shipping["address_1"],
                line2=shipping["address_2"],
                city=shipping["city"],
                province="",
                province_code=shipping["state"],
                postal_code=shipping["postcode"],
                country=shipping["country"],
                phone=shipping.get("phone") or billing.get("phone", ""),
                company=shipping.get("company", ""),
            )
            found = prepare(address)
            if isinstance(found, Prepared):
                seen.add((address.country, dict(found.fields)["province"]))
            elif address.country == "BR":
                assert {problem.field for problem in found.problems} <= {"cpf", "birthday"}
    assert {
        ("JP", "Tokyo"),
        ("UA", "Kyiv"),
        ("DE", "Nordrhein-Westfalen"),
        ("KW", "Other"),
        ("US", "California"),
    } <= seen
