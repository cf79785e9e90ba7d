"""The address while it is being checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.address.outcome import Policy, Problem, problem

_ONLY_THE_BUYER_KNOWS = frozenset(
    ("missing", "needs_two_words", "word_too_short", "letters_needed", "phone_wrong_country", "bad_check_digit",
     "customs_missing", "customs_invalid")
)  # fmt: skip


@dataclass(slots=True)
class Draft:
    """Fields so far, what is wrong, and what may be looked up."""

    country: str
    policy: Policy
    overrides: Mapping[str, str]
    identifiers: Mapping[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    @property
    def foreigner(self) -> bool:
        """A person has said that the recipient is not a citizen of the destination."""
        return self.overrides.get("is_foreigner", "").strip().lower() in {"true", "1", "yes"}

    def get(self, name: str) -> str:
        """A field's value, "" if it has none."""
        return self.fields.get(name, "")

    def blame(self, name: str, code: str, **facts: str) -> None:
        """Record a problem, the first of each field only: later ones are mostly its echoes."""
        if not any(known.field == name for known in self.problems):
            turn = "buyer" if code in _ONLY_THE_BUYER_KNOWS else "merchant"
            self.problems.append(problem(name, code, turn, **facts))

    def warn(self, name: str, code: str, **facts: str) -> None:
        """Record something that holds nothing up."""
        self.warnings.append(problem(name, code, "merchant", **facts))
