"""Our rules and those of the simulator agree: what we call ready is accepted, and every demand refuses something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.address import Prepared, prepare
from app.ports.storefront import Address
from app.ports.supplier import PlaceOrder
from connectors.aliexpress.address import compose_address
from connectors.aliexpress.simulator.address_rules import CPF_INVALID, CPF_NOT_MATCH, VALIDATE, refusal
from connectors.aliexpress.simulator.address_table import DEMANDS, Demand
from connectors.shopify.identifiers import identifiers
from tests.connectors.aliexpress.harness import place_order
from tests.domain.conftest import GOOD, Make, make

__all__ = ["make"]
BREAKS = {
    "country": ["b"],
    "address": [" "],
    "city": [" ", "Other"],
    "province": [" ", "Other"],
    "names": [""],
    "mobile_no": ["", "12a4567"],
    "phone_country": ["+ 9", ""],
    "zip": [""],
    "address2": ["x" * 61],
    "passport_no": [""],
    "foreigner_passport_no": [""],
    "is_foreigner": ["true"],
    "full_name": ["Madonna"],
    "extra.birthday": ["19900201"],
    "extra.nat_addr": ["RRR2929"],
    "passport_no|foreigner_passport_no": [""],
}
SPELLINGS = {
    "BR": {"CPF": "529.982.247-25", "Data de nascimento": "01/02/1990"},
    "SA": {"Short National Address": "rrrd2929"},
}
COUNTRIES = sorted({demand.country for demand in DEMANDS if demand.country in GOOD})


def sent(address: Address) -> tuple[dict[str, str], dict[str, str]]:
    """The fields that go out for this address."""
    ready = prepare(address)
    assert isinstance(ready, Prepared), ready
    order: PlaceOrder = place_order(address=address, address_fields=ready.fields)
    return compose_address(order)


def judged(fields: dict[str, str], extra: dict[str, str]) -> tuple[str, str] | None:
    return refusal(fields, extra, accept_gb=False, register={})


@pytest.mark.parametrize("country", COUNTRIES)
def test_what_we_call_ready_is_accepted(make: Make, country: str) -> None:
    assert judged(*sent(make(country))) is None


@pytest.mark.parametrize("demand", DEMANDS, ids=lambda demand: f"{demand.country}-{demand.field}")
def test_every_demand_refuses_something(make: Make, demand: Demand) -> None:
    country, name = demand.country, demand.field
    bad = next(value for value in BREAKS[name] if not demand.check(value))
    if country not in GOOD:
        return
    fields, extra = sent(make(country))
    for key in ["contact_person", "full_name"] if name == "names" else name.split("|"):
        (extra if key.startswith("extra.") else fields)[key.removeprefix("extra.")] = bad
    found = judged(fields, extra)
    assert found is not None
    assert found[0] == VALIDATE


@pytest.mark.parametrize("country", SPELLINGS)
def test_numbers_that_a_buyer_types_in_the_shop_are_sent(make: Make, country: str) -> None:
    typed = identifiers((), tuple(SPELLINGS[country].items()))
    assert judged(*sent(make(country, identifiers=typed))) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cpf": "52998224726"}, CPF_INVALID),
        ({"cpf": ""}, CPF_INVALID),
        ({"contact_person": "Ada King"}, CPF_NOT_MATCH),
    ],
)
def test_a_cpf_must_hold_and_belong_to_the_name(make: Make, changes: dict[str, str], code: str) -> None:
    fields, extra = sent(make("BR"))
    register = {"52998224725": "ada lovelace"}
    assert refusal(fields, extra, accept_gb=False, register=register) is None
    found = refusal({**fields, **changes}, extra, accept_gb=False, register=register)
    assert found is not None
    assert found[0] == code


@pytest.mark.parametrize("name", ["أحمد الصباح", "Ada Lovelace"])
def test_saudi_names_in_arabic_or_ascii(make: Make, name: str) -> None:
    fields, extra = sent(make("SA", name=name))
    assert (fields["full_name"], fields["contact_person"], judged(fields, extra)) == (name, name, None)
    assert judged({**fields, "contact_person": "Jürgen Müßig"}, extra) is not None


def test_a_state_of_brazil_by_any_spelling(make: Make) -> None:
    address = make("BR")
    for code, name in (("SP", ""), ("", "São Paulo"), ("BR-SP", "sao paulo")):
        fields, extra = sent(replace(address, province_code=code, province=name))
        assert judged(fields, extra) is None
