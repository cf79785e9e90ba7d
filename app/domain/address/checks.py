"""What each check of the rule table does. A check changes the draft or blames a field; it never raises."""

from __future__ import annotations

import re
from collections.abc import Callable

from app.domain.address.draft import Draft
from app.domain.address.identifiers import READERS, cpf
from app.domain.address.phone import calling_code
from app.domain.address.rules import EVERYWHERE, RULES, Rule
from app.domain.address.text import is_arabic_or_ascii, letters_only, shorten_name, spellable, split_line, to_ascii


def _letters(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    spelled = letters_only(value) if spellable(value) else ""
    if value and not spelled:
        draft.blame(rule.field, "letters_needed")
    draft.fields[rule.field] = spelled


def _ascii(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    spelled = to_ascii(value) if spellable(value) else ""
    if value and not spelled:
        draft.blame(rule.field, "letters_needed")
    draft.fields[rule.field] = spelled


def _arabic_or_ascii(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    if is_arabic_or_ascii(value):
        return
    spelled = to_ascii(value) if spellable(value) else ""
    draft.fields[rule.field] = spelled
    if not spelled:
        draft.blame(rule.field, "script_needed")


def _required(draft: Draft, rule: Rule) -> None:
    if not draft.get(rule.field):
        draft.blame(rule.field, "missing")


def _fallback(draft: Draft, rule: Rule) -> None:
    """Countries with a row of their own and no value in it have no fallback, except Italy's general one."""
    if draft.get(rule.field):
        return
    general = rule.country in {EVERYWHERE, "IT"}
    value = rule.value or (draft.policy.province_fallback if general else "")
    if not value:
        draft.blame(rule.field, "missing")
        return
    draft.fields[rule.field] = value
    draft.warn(rule.field, "province_fallback", value=value)


def _length(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    low, high = str(rule.low), str(rule.high)
    if not value and rule.low:
        draft.blame(rule.field, "missing")
    elif len(value) < rule.low:
        draft.blame(rule.field, "too_short", low=low)
    elif len(value) > rule.high and not _made_to_fit(draft, rule):
        draft.blame(rule.field, "too_long", high=high)


def _made_to_fit(draft: Draft, rule: Rule) -> bool:
    """A street line may flow over into the second line; a name may lose its middle names. Nothing else is cut."""
    if rule.field == "address":
        second = next(row for row in rules_for(draft.country) if (row.field, row.check) == ("address2", "length"))
        parts = split_line(draft.get("address"), draft.get("address2"), rule.high, second.high)
        if parts and len(parts[0]) >= rule.low:
            draft.fields["address"], draft.fields["address2"] = parts
            return True
    if rule.field == "full_name" and (short := shorten_name(draft.get("full_name"), rule.high)):
        draft.fields["full_name"] = short
        draft.warn("full_name", "name_shortened", high=str(rule.high))
        return True
    return False


def _two_words(draft: Draft, rule: Rule) -> None:
    first, _, rest = draft.get(rule.field).partition(" ")
    if not rest:
        draft.blame(rule.field, "needs_two_words")
    elif min(len(first), len(rest)) < rule.low:
        draft.blame(rule.field, "word_too_short", low=str(rule.low))


def _not_value(draft: Draft, rule: Rule) -> None:
    if draft.get(rule.field).casefold() == rule.value.casefold():
        draft.blame(rule.field, "not_allowed", value=rule.value)


def _pattern(draft: Draft, rule: Rule) -> None:
    value = re.sub(r"[\s.\-]", "", draft.get(rule.field))
    if re.fullmatch(rule.value, value):
        draft.fields[rule.field] = value
    else:
        draft.blame(rule.field, "bad_format" if value else "missing", example=rule.example)


def _drop_prefix(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    if len(value) == rule.high + len(rule.value) and value.startswith(rule.value):
        draft.fields[rule.field] = value[len(rule.value) :]


def _local_phone(draft: Draft, rule: Rule) -> None:
    if draft.get("phone_country") and draft.get("phone_country") != calling_code(rule.country):
        draft.blame(rule.field, "phone_wrong_country")


def _digits(draft: Draft, rule: Rule) -> None:
    value = draft.get(rule.field)
    if value and not (rule.low <= len(value) <= rule.high and value.startswith(rule.value)):
        draft.blame(rule.field, "phone_digits", example=rule.example)


def _constant(draft: Draft, rule: Rule) -> None:
    draft.fields[rule.field] = rule.value


def _typed(draft: Draft, rule: Rule) -> list[str]:
    """What may be the number: a person's correction alone, else everything that the buyer gave under its names."""
    if draft.overrides.get(rule.field, "").strip():
        return [draft.overrides[rule.field]]
    return [value for name in rule.names if (value := draft.identifiers.get(name, "")).strip()]


def _needed(draft: Draft, rule: Rule) -> bool:
    if rule.value == "birthday":
        return draft.country in draft.policy.birthday_countries
    return rule.required or (rule.value == "rut" and draft.policy.rut_required)


def _identifier(draft: Draft, rule: Rule) -> None:
    typed = _typed(draft, rule)
    values = [value for text in typed if (value := READERS[rule.value](text)) is not None]
    if values:
        for name in (_target(draft, rule, values[0]), *rule.also):
            draft.fields[name] = values[0]
    elif typed:
        draft.blame(rule.field, "customs_invalid", number_name=rule.label, example=rule.example)
    elif _needed(draft, rule):
        draft.blame(rule.field, "customs_missing", number_name=rule.label)
    elif rule.country == "CL":
        draft.warn(rule.field, "customs_absent", number_name=rule.label)


def _target(draft: Draft, rule: Rule, value: str) -> str:
    if rule.value == "pccc":
        return draft.policy.pccc_field
    return draft.policy.cnpj_field if rule.value == "brazilian_number" and cpf(value) is None else rule.field


def _any_of(draft: Draft, rule: Rule) -> None:
    names = (rule.field, draft.policy.pccc_field, *rule.names)
    if not any(map(draft.get, names)) and not any(known.field in names for known in draft.problems):
        draft.blame(rule.field, "customs_missing", number_name=rule.label)


CHECKS: dict[str, Callable[[Draft, Rule], None]] = {
    "ascii": _ascii,
    "letters": _letters,
    "arabic_or_ascii": _arabic_or_ascii,
    "fallback": _fallback,
    "required": _required,
    "drop_prefix": _drop_prefix,
    "local_phone": _local_phone,
    "two_words": _two_words,
    "length": _length,
    "not_value": _not_value,
    "pattern": _pattern,
    "digits": _digits,
    "constant": _constant,
    "identifier": _identifier,
    "any_of": _any_of,
}
"""In the order in which they run: spelling first, because it changes lengths."""


def rules_for(country: str) -> list[Rule]:
    """The rows for a country, its own before the general ones, in the order in which they run."""
    own = [rule for rule in RULES if rule.country == country]
    taken = {(rule.field, rule.check) for rule in own}
    general = [rule for rule in RULES if rule.country == EVERYWHERE and (rule.field, rule.check) not in taken]
    order = list(CHECKS)
    return sorted(own + general, key=lambda rule: order.index(rule.check))
