"""From a shop's address to the supplier's fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import pycountry

from app.domain.address.checks import CHECKS, rules_for
from app.domain.address.draft import Draft
from app.domain.address.outcome import ALWAYS_SENT, FIELD_ORDER, AddressProblems, Policy, Prepared, problem
from app.domain.address.phone import parse_phone
from app.domain.address.postal import looks_odd
from app.domain.address.provinces import province_name
from app.domain.address.rules import Rule
from app.domain.address.text import clean
from app.ports.storefront import Address

_NONE: Mapping[str, str] = MappingProxyType({})
_EXTRA_LIMIT = 64
_WRITTEN = ("full_name", "address", "address2", "city", "province")
_OUTSIDE_ISO = {"UK": "GB", "XK": "XK", "EL": "GR"}


def prepare(
    address: Address | None, *, overrides: Mapping[str, str] = _NONE, policy: Policy | None = None
) -> Prepared | AddressProblems:
    """The supplier's fields for this address, or everything that is wrong with it. Never raises.

    `overrides`: corrections by a person, by the supplier's field name (`Problem.field`); they pass the same checks.
    `policy`: what the reference leaves open. Rules: `rules.py`, from sections 7.1 to 7.1.3 of the reference.
    """
    if address is None:
        return AddressProblems((problem("address", "no_address"),))
    country = _country(overrides.get("country") or address.country)
    if country is None:
        code = "unknown_country" if clean(address.country) else "missing"
        return AddressProblems((problem("country", code),))
    draft = Draft(country, policy or Policy(), overrides, dict(address.identifiers))
    _fill(draft, address)
    _check(draft)
    _finish(draft, address)
    if draft.problems:
        return AddressProblems(tuple(draft.problems), tuple(draft.warnings))
    ready = tuple((name, draft.get(name)) for name in FIELD_ORDER if draft.get(name) or name in ALWAYS_SENT)
    return Prepared(ready, tuple(draft.warnings))


def _country(typed: str) -> str | None:
    """ISO 3166-1 alpha-2 from a code of two or three letters or an English name; None if there is none such."""
    text = clean(typed).upper()
    if text in _OUTSIDE_ISO:
        return _OUTSIDE_ISO[text]
    if re.fullmatch(r"[A-Z]{2}", text):
        found = pycountry.countries.get(alpha_2=text)
    elif re.fullmatch(r"[A-Z]{3}", text):
        found = pycountry.countries.get(alpha_3=text)
    else:
        found = pycountry.countries.get(name=clean(typed).title()) if text else None
    return str(found.alpha_2) if found else None


def _fill(draft: Draft, address: Address) -> None:
    def chosen(name: str, given: str) -> str:
        return clean(draft.overrides.get(name) or given)

    name = draft.overrides.get("full_name") or draft.overrides.get("contact_person") or address.name
    draft.fields.update(
        full_name=clean(name),
        address=chosen("address", address.line1),
        address2=chosen("address2", address.line2),
        city=chosen("city", address.city),
        zip=chosen("zip", address.postal_code).upper(),
        country=draft.country,
    )
    if not draft.fields["address"]:
        draft.fields.update(address=draft.fields["address2"], address2="")
    _fill_province(draft, address)
    _fill_phone(draft, address)


def _fill_province(draft: Draft, address: Address) -> None:
    if corrected := clean(draft.overrides.get("province", "")):
        draft.fields["province"] = corrected
        return
    name = province_name(draft.country, address.province, address.province_code)
    if name is None:
        draft.blame("province", "unknown_province")
    draft.fields["province"] = name or ""


def _fill_phone(draft: Draft, address: Address) -> None:
    typed = draft.overrides.get("mobile_no") or address.phone
    prefix = draft.overrides.get("phone_country", "").strip()
    if prefix.startswith("+") and not typed.lstrip().startswith(("+", "00")):
        typed = prefix + typed
    phone = parse_phone(typed, draft.country)
    if isinstance(phone, str):
        draft.blame("mobile_no", phone)
        return
    draft.fields.update(phone_country=phone.country_code, mobile_no=phone.national)
    if not phone.known:
        draft.warn("mobile_no", "phone_not_verified")


def _check(draft: Draft) -> None:
    rules = rules_for(draft.country)
    if {draft.country, "*"} & draft.policy.ascii_countries:
        rules = [Rule(draft.country, name, "ascii", "policy") for name in _WRITTEN] + rules
    for rule in rules:
        if rule.who == "all" or (rule.who == "foreigners") == draft.foreigner:
            CHECKS[rule.check](draft, rule)


def _finish(draft: Draft, address: Address) -> None:
    _add_company(draft, clean(address.company))
    draft.fields["contact_person"] = draft.get("full_name")
    if looks_odd(draft.get("zip"), draft.country):
        draft.warn("zip", "postal_code_odd")
    # What a person typed for a field that no rule speaks of is sent as typed: they know something the table does not.
    for name in FIELD_ORDER:
        if not draft.get(name) and (typed := clean(draft.overrides.get(name, ""))):
            draft.fields[name] = typed[:_EXTRA_LIMIT]


def _add_company(draft: Draft, company: str) -> None:
    """The supplier has no field for a company; offices are found by it, so it goes in front of the second line."""
    if not company or company.casefold() in draft.get("full_name").casefold() or draft.overrides.get("address2"):
        return
    limit = next(rule.high for rule in rules_for(draft.country) if (rule.field, rule.check) == ("address2", "length"))
    joined = ", ".join(filter(None, (company, draft.get("address2"))))
    if {draft.country, "*"} & draft.policy.ascii_countries and not joined.isascii():
        joined = ""
    if joined and len(joined) <= limit:
        draft.fields["address2"] = joined
    else:
        draft.warn("address2", "company_left_out")
