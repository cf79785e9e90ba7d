"""Every row of the rule table, by an address that keeps it and one that breaks it (or a field that it sets)."""

from __future__ import annotations

import pytest

from app.domain.address import AddressProblems, Policy, Prepared, prepare
from app.domain.address.rules import RULES
from app.ports.storefront import Address
from tests.domain.conftest import GOOD, Make

LONG = "Hubert Blaine Wolfeschlegelsteinhausenbergerdorff Senior"
X65 = "x" * 65
NO_ID = {"identifiers": ()}

BREAKS: dict[tuple[str, str, str], list[tuple[dict[str, object], str]]] = {
    ("*", "full_name", "required"): [({"name": " "}, "missing")],
    ("*", "full_name", "length"): [({"name": "A"}, "too_short"), ({"name": "x" * 129}, "too_long")],
    ("*", "address", "required"): [({"line1": "", "line2": ""}, "missing")],
    ("*", "address", "length"): [({"line1": "x" * 257}, "too_long")],
    ("*", "address2", "length"): [({"line2": "x" * 129}, "too_long")],
    ("*", "city", "required"): [({"city": "<br>"}, "missing")],
    ("*", "city", "length"): [({"city": X65}, "too_long")],
    ("*", "province", "length"): [({"province": X65}, "too_long")],
    ("*", "zip", "length"): [({"postal_code": "1" * 17}, "too_long")],
    ("*", "mobile_no", "required"): [({"phone": ""}, "missing")],
    ("*", "mobile_no", "digits"): [({"phone": "+49 30 1234"}, "phone_digits")],
    ("US", "full_name", "two_words"): [
        ({"name": "Madonna"}, "needs_two_words"),
        ({"name": "J Smith"}, "word_too_short"),
    ],
    ("US", "full_name", "length"): [({"name": LONG.replace(" Senior", "")}, "too_long")],
    ("US", "address", "length"): [({"line1": "1 St"}, "too_short"), ({"line1": "x" * 36}, "too_long")],
    ("US", "address2", "length"): [({"line2": "x" * 61}, "too_long")],
    ("US", "province", "fallback"): [({"province_code": ""}, "missing")],
    ("US", "province", "not_value"): [({"province_code": "", "province": "Other"}, "unknown_province")],
    ("BR", "cpf", "identifier"): [
        ({"identifiers": (("cpf", "529.982.247-26"), ("birthday", "1990-02-01"))}, "customs_invalid"),
        ({"identifiers": (("birthday", "1990-02-01"),)}, "customs_missing"),
    ],
    ("BR", "birthday", "identifier"): [({"identifiers": (("cpf", "52998224725"),)}, "customs_missing")],
    ("BR", "zip", "pattern"): [({"postal_code": "3011"}, "bad_format"), ({"postal_code": ""}, "missing")],
    ("BR", "province", "fallback"): [({"province_code": ""}, "missing")],
    ("BR", "city", "not_value"): [({"city": "other"}, "not_allowed")],
    ("MX", "passport_no", "identifier"): [
        (NO_ID, "customs_missing"),
        ({"identifiers": (("curp", "HEGG560427MVZRRL05"),)}, "customs_invalid"),
    ],
    ("MX", "address2", "length"): [({"line2": "x" * 61}, "too_long")],
    ("ES", "mobile_no", "local_phone"): [({"phone": "+49 171 1234567"}, "phone_wrong_country")],
    ("ES", "mobile_no", "digits"): [({"phone": "+34 61234567"}, "phone_impossible")],
    ("AU", "full_name", "letters"): [({"name": "山田 太郎"}, "letters_needed")],
    ("AU", "full_name", "two_words"): [({"name": "Madonna"}, "needs_two_words")],
    ("AU", "full_name", "length"): [({"name": "x" * 100 + " " + "y" * 40}, "too_long")],
    ("NZ", "full_name", "letters"): [({"name": "أحمد الصباح"}, "letters_needed")],
    ("NZ", "full_name", "two_words"): [({"name": "Madonna"}, "needs_two_words")],
    ("NZ", "full_name", "length"): [({"name": "x" * 100 + " " + "y" * 40}, "too_long")],
    ("DZ", "full_name", "two_words"): [({"name": "Madonna"}, "needs_two_words")],
    ("ZA", "full_name", "two_words"): [({"name": "Madonna"}, "needs_two_words")],
    ("AR", "mobile_no", "local_phone"): [({"phone": "+598 94 231 234"}, "phone_wrong_country")],
    ("AR", "mobile_no", "digits"): [({"phone": "+54 11 1234"}, "phone_digits")],
    ("AR", "passport_no", "identifier"): [({"identifiers": (("cuit", "20-12345678-5"),)}, "customs_invalid")],
    ("AR", "foreigner_passport_no", "identifier"): [(NO_ID, "customs_missing")],
    ("IL", "passport_no", "identifier"): [({"identifiers": (("israeli_id", "123456789"),)}, "customs_invalid")],
    ("IL", "foreigner_passport_no", "identifier"): [(NO_ID, "customs_missing")],
    ("SA", "full_name", "arabic_or_ascii"): [({"name": "山田 太郎"}, "script_needed")],
    ("SA", "full_name", "two_words"): [({"name": "Madonna"}, "needs_two_words")],
    ("SA", "full_name", "length"): [({"name": "x" * 100 + " " + "y" * 40}, "too_long")],
    ("SA", "mobile_no", "local_phone"): [({"phone": "+971 50 123 4567"}, "phone_wrong_country")],
    ("SA", "mobile_no", "digits"): [({"phone": "+966 11 123 4567"}, "phone_digits")],
    ("SA", "province", "length"): [({"province": X65}, "too_long")],
    ("SA", "city", "length"): [({"city": "R"}, "too_short")],
    ("SA", "zip", "length"): [({"postal_code": ""}, "missing"), ({"postal_code": "1" * 11}, "too_long")],
    ("SA", "address", "length"): [({"line1": "1 St"}, "too_short")],
    ("SA", "nat_addr", "identifier"): [
        (NO_ID, "customs_missing"),
        ({"identifiers": (("nat_addr", "ABC1234"),)}, "customs_invalid"),
    ],
    ("KR", "passport_no", "identifier"): [({"identifiers": (("pccc", "P12345"),)}, "customs_invalid")],
    ("KR", "foreigner_passport_no", "identifier"): [({"identifiers": (("passport", "!"),)}, "customs_invalid")],
    ("KR", "passport_no", "any_of"): [(NO_ID, "customs_missing")],
    ("CL", "rut_no", "identifier"): [({"identifiers": (("rut", "12345678-6"),)}, "customs_invalid")],
}
SETS: dict[tuple[str, str, str], tuple[dict[str, object], str]] = {
    ("*", "province", "fallback"): ({"country": "KW", "phone": "9999 1234", "province_code": ""}, "Other"),
    ("*", "locale", "constant"): ({}, "en_US"),
    ("AR", "mobile_no", "drop_prefix"): ({}, "1112345678"),
    ("AR", "is_foreigner", "constant"): ({}, "false"),
    ("IL", "is_foreigner", "constant"): ({}, "false"),
    ("SA", "phone_country", "length"): ({}, "+966"),
    ("AT", "city", "fallback"): ({"city": ""}, "Other"),
    ("IT", "province", "fallback"): ({"province_code": ""}, "Other"),
}


def fields(address: Address, **more: object) -> dict[str, str]:
    prepared = prepare(address, **more)  # type: ignore[arg-type]
    assert isinstance(prepared, Prepared), prepared
    return dict(prepared.fields)


@pytest.mark.parametrize("country", GOOD)
def test_a_good_address_passes(make: Make, country: str) -> None:
    ready = fields(make(country))
    assert ready["country"] == country
    assert ready["contact_person"] == ready["full_name"] == "Ada Lovelace"


def test_every_rule_has_a_case() -> None:
    rows = {(rule.country, rule.field, rule.check) for rule in RULES}
    assert rows == BREAKS.keys() | SETS.keys()
    assert all(rule.source for rule in RULES)


@pytest.mark.parametrize("row", BREAKS, ids="-".join)
def test_rule_is_kept(make: Make, row: tuple[str, str, str]) -> None:
    country, field, _ = row
    foreign = {"is_foreigner": "true"} if field == "foreigner_passport_no" and country != "KR" else {}
    for changes, code in BREAKS[row]:
        found = prepare(make("DE" if country == "*" else country, **changes), overrides=foreign)
        assert isinstance(found, AddressProblems), changes
        assert (field, code) in [(problem.field, problem.code) for problem in found.problems]
        assert found.turn in {"merchant", "buyer"}
        assert all(problem.text_for_merchant.endswith(".") for problem in found.problems)


@pytest.mark.parametrize("row", SETS, ids="-".join)
def test_rule_sets_its_field(make: Make, row: tuple[str, str, str]) -> None:
    country, field, _ = row
    changes, value = SETS[row]
    assert fields(make("DE" if country == "*" else country, **changes))[field] == value


def test_identifiers_are_sent_as_the_supplier_wants_them(make: Make) -> None:
    brazil = fields(make("BR"))
    assert (brazil["cpf"], brazil["birthday"], brazil["zip"]) == ("52998224725", "01021990", "30112020")
    argentina = fields(make("AR"))
    assert argentina["passport_no"] == argentina["foreigner_passport_no"] == "20-12345678-6"
    assert fields(make("IL"))["foreigner_passport_no"] == "123456782"
    assert fields(make("SA"))["nat_addr"] == "RRRD2929"
    assert fields(make("KR"))["passport_no"] == "P123456789012"
    assert fields(make("CL"))["rut_no"] == "12345678-5"
    assert fields(make("MX"))["passport_no"] == "HEGG560427MVZRRL04"


def test_foreigners_give_a_passport(make: Make) -> None:
    person = make("IL", identifiers=(("passport", "X1234567"),))
    assert isinstance(prepare(person), AddressProblems)
    ready = fields(person, overrides={"is_foreigner": "true"})
    assert (ready["passport_no"], ready["foreigner_passport_no"], ready["is_foreigner"]) == (
        "X1234567",
        "X1234567",
        "true",
    )
    korea = fields(make("KR", identifiers=(("passport", "M12345678"),)))
    assert korea["foreigner_passport_no"] == "M12345678"
    assert "passport_no" not in korea


def test_policy_covers_what_is_unconfirmed(make: Make) -> None:
    company = make("BR", identifiers=(("cnpj", "11.222.333/0001-81"),))
    assert fields(company, policy=Policy(birthday_countries=frozenset()))["cpf"] == "11222333000181"
    other = fields(company, policy=Policy(birthday_countries=frozenset(), cnpj_field="tax_number"))
    assert other["tax_number"] == "11222333000181"
    assert "cpf" not in other
    korea = fields(make("KR"), policy=Policy(pccc_field="tax_number"))
    assert korea["tax_number"] == "P123456789012"
    assert isinstance(prepare(make("CL", identifiers=()), policy=Policy(rut_required=True)), AddressProblems)
    assert isinstance(prepare(make("GB"), policy=Policy(province_fallback="")), AddressProblems)
    spelled = fields(make("DE", name="Jürgen Müßig"), policy=Policy(ascii_countries=frozenset({"*"})))
    assert (spelled["full_name"], spelled["city"]) == ("Jurgen Mussig", "Koln")


def test_missing_chilean_number_only_warns(make: Make) -> None:
    ready = prepare(make("CL", identifiers=()))
    assert isinstance(ready, Prepared)
    assert "customs_absent" in [warning.code for warning in ready.warnings]


def test_letters_where_the_country_demands_them(make: Make) -> None:
    assert fields(make("AU", name="Jürgen Müßig"))["full_name"] == "Jurgen Mussig"
    assert fields(make("NZ", name="Aoife O\u2019Brien-Smith"))["full_name"] == "Aoife OBrien Smith"
    assert fields(make("DE", name="Jürgen Müßig"))["full_name"] == "Jürgen Müßig"
    assert fields(make("SA", name="أحمد الصباح"))["full_name"] == "أحمد الصباح"
    assert fields(make("SA", name="Jürgen Müßig"))["full_name"] == "Jurgen Mussig"


def test_long_american_line_flows_over(make: Make) -> None:
    ready = fields(make(line1="Suite 1234 Building Nine, 98765 Very Long Boulevard", line2="Floor 3"))
    assert ready["address"] == "Suite 1234 Building Nine, 98765"
    assert ready["address2"] == "Very Long Boulevard, Floor 3"


def test_middle_names_are_dropped_with_a_warning(make: Make) -> None:
    ready = prepare(make(name="Ada Augusta Byron Countess King Lovelace"))
    assert isinstance(ready, Prepared)
    assert dict(ready.fields)["full_name"] == "Ada Lovelace"
    assert [warning.code for warning in ready.warnings] == ["name_shortened"]


def test_company_goes_before_the_second_line(make: Make) -> None:
    assert fields(make("DE", company="Weiß GmbH", line2="3. Etage"))["address2"] == "Weiß GmbH, 3. Etage"
    ready = prepare(make(company="x" * 61))
    assert isinstance(ready, Prepared)
    assert [warning.code for warning in ready.warnings] == ["company_left_out"]


def test_street_in_the_second_line_only(make: Make) -> None:
    ready = fields(make(line1="", line2="1 Main Street"))
    assert ready["address"] == "1 Main Street"
    assert ready["address2"] == ""  # said on purpose: the raw line must not show through


def test_overrides_pass_the_same_checks(make: Make) -> None:
    broken = make(name="Madonna", phone="call me", province_code="QQ")
    mended = {"full_name": "Madonna Ciccone", "mobile_no": "415 555 0100", "province": "California"}
    assert fields(broken, overrides=mended)["mobile_no"] == "4155550100"
    assert isinstance(prepare(broken, overrides={**mended, "full_name": "M"}), AddressProblems)
    assert isinstance(prepare(broken, overrides={**mended, "province": "Other"}), AddressProblems)
    assert fields(make("DE"), overrides={"vat_no": "DE123"})["vat_no"] == "DE123"
    assert fields(make("BR"), overrides={"cpf": "111.444.777-35"})["cpf"] == "11144477735"


def test_no_address_is_not_an_empty_one() -> None:
    found = prepare(None)
    assert isinstance(found, AddressProblems)
    assert (found.code, found.turn) == ("address_missing", "merchant")


@pytest.mark.parametrize(
    ("typed", "iso"),
    [("usa", "US"), ("United States", "US"), ("UK", "GB"), ("GBR", "GB"), ("Germany", "DE"), ("xk", "XK")],
)
def test_country_as_typed(make: Make, typed: str, iso: str) -> None:
    found = prepare(make("DE", country=typed, province="California"))
    if isinstance(found, Prepared):
        assert dict(found.fields)["country"] == iso
    else:
        assert "country" not in {problem.field for problem in found.problems}


@pytest.mark.parametrize("typed", ["", "Atlantis", "QQ", "QQQ", "🙃"])
def test_unknown_country_is_a_problem(make: Make, typed: str) -> None:
    found = prepare(make("DE", country=typed))
    assert isinstance(found, AddressProblems)
    assert [problem.field for problem in found.problems] == ["country"]


def test_reason_of_a_held_order(make: Make) -> None:
    only_number = prepare(make("MX", identifiers=()))
    assert isinstance(only_number, AddressProblems)
    assert (only_number.code, only_number.turn) == ("customs_id", "buyer")
    both = prepare(make("MX", identifiers=(), city=""))
    assert isinstance(both, AddressProblems)
    assert both.code == "address_invalid"


def test_texts_never_repeat_what_the_buyer_typed(make: Make) -> None:
    secret = "Xyzzyplugh"
    found = prepare(make("AU", name=secret, phone=secret, city="", line1="", identifiers=(("cpf", secret),)))
    assert isinstance(found, AddressProblems)
    assert secret not in repr(found)
    ready = prepare(make(name=f"Ada {secret}"))
    assert secret not in repr(ready)
