"""One good address that tests bend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.ports.storefront import Address

GOOD = {
    "US": {},
    "AR": {"phone": "+54 9 11 1234-5678", "identifiers": (("cuit", "20-12345678-6"),), "province": "Buenos Aires"},
    "AT": {"phone": "+43 664 1234567", "province": "Vienna", "postal_code": "1010"},
    "AU": {"phone": "0412 345 678", "province_code": "NSW", "postal_code": "2000"},
    "BR": {
        "phone": "(11) 9 8765-4321",
        "province_code": "MG",
        "postal_code": "30112-020",
        "identifiers": (("cpf", "529.982.247-25"), ("birthday", "1990-02-01")),
    },
    "CL": {"phone": "+56 9 8765 4321", "province_code": "RM", "identifiers": (("rut", "12.345.678-5"),)},
    "DE": {"phone": "0171 1234567", "province_code": "DE-NW", "postal_code": "50667", "city": "Köln"},
    "DZ": {"phone": "0551 23 45 67", "province": "Alger"},
    "ES": {"phone": "612 345 678", "province_code": "B", "postal_code": "08001"},
    "GB": {"phone": "020 7946 0018", "postal_code": "SW1A 1AA"},
    "IL": {"phone": "050-123-4567", "province": "Tel Aviv", "identifiers": (("israeli_id", "123456782"),)},
    "IT": {"phone": "06 1234 5678", "province_code": "MI", "postal_code": "20121"},
    "KR": {"phone": "010-1234-5678", "province": "Seoul", "identifiers": (("pccc", "P123456789012"),)},
    "MX": {
        "phone": "55 1234 5678",
        "province_code": "CMX",
        "postal_code": "06000",
        "identifiers": (("curp", "HEGG560427MVZRRL04"),),
    },
    "NZ": {"phone": "021 123 4567", "province_code": "AUK", "postal_code": "1010"},
    "SA": {
        "phone": "050 123 4567",
        "province": "Riyadh",
        "city": "Riyadh",
        "postal_code": "11564",
        "identifiers": (("nat_addr", "rrrd2929"),),
    },
    "ZA": {"phone": "082 123 4567", "province_code": "GP", "postal_code": "2000"},
}
_BASE = Address(
    name="Ada Lovelace",
    line1="1 Main Street",
    line2="",
    city="San Francisco",
    province="",
    province_code="CA",
    postal_code="94110",
    country="US",
    phone="+1 415 555 0100",
)
Make = Callable[..., Address]


@pytest.fixture
def make() -> Make:
    """`make("ES", phone=…)`: a good address of a country, with changes."""

    def bend(base: str = "US", /, **changes: object) -> Address:
        good = {"province_code": "", **GOOD[base]} if base != "US" else {}
        return replace(_BASE, **{"country": base, **good, **changes})  # type: ignore[arg-type]

    return bend
