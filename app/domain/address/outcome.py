"""What an address check gives back, and the sentences in which it speaks to a merchant."""

from __future__ import annotations

from dataclasses import dataclass, field

FIELD_ORDER = (
    "contact_person",
    "full_name",
    "address",
    "address2",
    "city",
    "province",
    "country",
    "zip",
    "phone_country",
    "mobile_no",
    "locale",
    "cpf",
    "passport_no",
    "passport_no_date",
    "passport_organization",
    "foreigner_passport_no",
    "is_foreigner",
    "rut_no",
    "tax_number",
    "vat_no",
    "tax_company",
    "location_tree_address_id",
    "nat_addr",
    "birthday",
)
"""Every field name that a prepared address may carry, in sending order.

`nat_addr` and `birthday` travel in `ds_extend_request.trade_extra_param`, the others in `logistics_address`
(reference section 7.1). Sorting them there is the connector's work, as is the supplier's own country code.
"""

ALWAYS_SENT = frozenset(("address2", "zip"))
"""There even if empty, so that a connector which starts from the raw address lets nothing of it show through."""

LABELS = {
    "full_name": "the recipient's name",
    "address": "the street line",
    "address2": "the second address line",
    "city": "the city",
    "province": "the state or province",
    "country": "the country",
    "zip": "the postal code",
    "mobile_no": "the phone number",
    "cpf": "the CPF or CNPJ",
    "passport_no": "the customs number",
    "rut_no": "the RUT",
    "nat_addr": "the Saudi national address",
    "birthday": "the recipient's date of birth",
}

TEXTS = {
    "no_address": "The shop gave no delivery address. Add one to the order, or allow Waybill to read addresses.",
    "missing": "Enter {label}: it is empty.",
    "too_short": "{Label} must have at least {low} characters. Complete it.",
    "too_long": "{Label} must have at most {high} characters. Shorten it.",
    "needs_two_words": "{Label} needs a first and a last name with a space between them. Add the missing one.",
    "word_too_short": "First and last name must have at least {low} characters each. Write {label} out in full.",
    "letters_needed": "{Label} must be written in the letters A to Z. Ask the buyer how to spell it.",
    "script_needed": "{Label} must be written in Arabic or Latin letters. Correct it.",
    "not_allowed": "{Label} cannot be “{value}” for this country. Choose the real one.",
    "unknown_country": "The country is not one we know. Choose it from the list.",
    "unknown_province": "The state or province code is not one we know for this country. Enter its name.",
    "bad_format": "{Label} does not have the right form ({example}). Correct it.",
    "bad_check_digit": "{Label} contains a typing error (its check digit is wrong). Ask the buyer for the right one.",
    "customs_missing": "Customs in this country want {number_name}. Ask the buyer for it and enter it.",
    "customs_invalid": "{Number_name} is not valid ({example}). Ask the buyer for the right one.",
    "phone_unclear": "The phone number is not clear (letters, or more than one number). Enter one number, digits only.",
    "phone_impossible": "The phone number cannot be right for its country. Enter it with its country code.",
    "phone_wrong_country": "This country's deliveries need a local phone number. Ask the buyer for one.",
    "phone_digits": "The phone number must have {example} digits for this country. Correct it.",
    "postal_code_odd": "The postal code does not look like one of this country. Check it.",
    "name_shortened": "Middle names were left out, because the supplier takes at most {high} characters.",
    "company_left_out": "The company name did not fit into the address lines and is not sent.",
    "province_fallback": "The shop gave no state or province; “{value}” is sent instead.",
    "phone_not_verified": "The phone number has a possible length but is not one that is known to be in use.",
    "customs_absent": "{Number_name} was not given. It is usually not needed; customs may ask the buyer for it.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `field` is the supplier's field name and the key of the override that mends it.

    `code` is a key of `TEXTS`, `turn` is `merchant` or `buyer` (only the buyer can know it). The text never repeats
    what the buyer typed, so that it may be logged.
    """

    field: str
    code: str
    text_for_merchant: str
    turn: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The fields ready to send, in `FIELD_ORDER`; only those of `ALWAYS_SENT` may be empty. `country` is ISO alpha-2.

    `warnings` hold nothing up.
    """

    fields: tuple[tuple[str, str], ...] = field(repr=False)
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressProblems:
    """Why the address cannot be sent. `turn` is `buyer` if any answer must come from the buyer."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def turn(self) -> str:
        """Whose turn it is, over all problems."""
        return "buyer" if any(problem.turn == "buyer" for problem in self.problems) else "merchant"

    @property
    def code(self) -> str:
        """The reason code of `app.domain.reasons` for the held order."""
        codes = {problem.code for problem in self.problems}
        if "no_address" in codes:
            return "address_missing"
        return "customs_id" if codes <= {"customs_missing", "customs_invalid"} else "address_invalid"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the reference leaves unconfirmed, as switches (sections 7.1.3 and 13).

    `province_fallback` is sent where neither shop nor table names a province ("" makes that a problem).
    `birthday_countries` must give a date of birth. `pccc_field` takes Korea's customs number, `cnpj_field` Brazil's
    company number. `rut_required` makes Chile's RUT compulsory. `ascii_countries` get every text in ASCII.
    """

    province_fallback: str = "Other"
    birthday_countries: frozenset[str] = frozenset({"BR"})
    pccc_field: str = "passport_no"
    cnpj_field: str = "cpf"
    rut_required: bool = False
    ascii_countries: frozenset[str] = frozenset()


def problem(name: str, code: str, turn: str = "merchant", **facts: str) -> Problem:
    """A problem with its sentence. `name` is the supplier's field, `facts` fill the sentence."""
    label = LABELS.get(name, name.replace("_", " "))
    number = facts.setdefault("number_name", label)
    text = TEXTS[code].format(label=label, Label=_capital(label), Number_name=_capital(number), **facts)
    return Problem(name, code, text, turn)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
