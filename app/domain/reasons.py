"""Why an order waits: each reason code with whose turn it is, what to tell them, and the act that helps.

Texts are English templates; a translation replaces the template under the same code. `[…{fact}…]` is left out where
the fact is not known, so that every text reads well without any. Facts never carry personal data: they are numbers,
codes, product names and times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain import reasons_of_course, reasons_of_goods

TURNS = ("us", "merchant", "buyer", "supplier")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
_FACT = re.compile(r"\{([a-z_]+)\}")
_MAX_FACT = 300


@dataclass(frozen=True, slots=True)
class Reason:
    """One row of the catalogue. `turn` is one of `TURNS`, `text` speaks to the merchant, `staff_text` to support.

    `remedy` names the act that helps (`renew_account`, `edit_address`, `pay` …, or `none`): the button of a page.
    """

    code: str
    turn: str
    text: str
    staff_text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason told for one order."""

    text: str
    turn: str
    remedy: str
    staff_text: str = ""


REASONS: dict[str, Reason] = {row[0]: Reason(*row) for row in (*reasons_of_goods.ROWS, *reasons_of_course.ROWS)}
GENERIC = Reason(
    "unknown",
    "us",
    "Something stopped this order for which we have no sentence yet. We have been told and are looking at it.",
    "Reason code without a sentence[: {reason}].",
    "none",
)
NOTHING = Explanation("", "us", "none")


def facts_of(text: str) -> set[str]:
    """The names of the facts that a template mentions."""
    return set(_FACT.findall(text))


def fill(text: str, facts: Mapping[str, str]) -> str:
    """The template with its facts. Facts are put in as they are: braces and brackets in them mean nothing."""

    def known(optional: re.Match[str]) -> str:
        inner = optional.group(1)
        return _FACT.sub(lambda fact: facts[fact.group(1)], inner) if facts_of(inner) <= facts.keys() else ""

    return _OPTIONAL.sub(known, text).strip()


def explain(code: str, /, **facts: object) -> Explanation:
    """The sentence for a reason code. "" gives nothing; an unknown code a safe general text, our turn. Never raises.

    `facts` may hold any names (`code` too: the supplier's own code); empty ones count as not known.
    """
    if not code:
        return NOTHING
    reason = REASONS.get(code, GENERIC)
    told = {name: str(value)[:_MAX_FACT] for name, value in facts.items() if value is not None and value != ""}
    told["reason"] = code
    return Explanation(fill(reason.text, told), reason.turn, reason.remedy, fill(reason.staff_text, told))
