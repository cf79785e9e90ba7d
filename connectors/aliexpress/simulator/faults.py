"""Faults on demand: rules that say which call goes wrong, how, and how often."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    {
        "latency", "slow", "drop_before", "drop_after", "cut", "status", "outage", "html", "empty", "body",
        "error", "gateway", "call_limit", "success_without_ids", "partial_ids", "ids_with_error",
        "autopay_fail", "price_change", "split", "twice",
    }
)  # fmt: skip


@dataclass(slots=True)
class Rule:
    """`op`: the end of an API name (`order.create`, `token.refresh`) or `*`. `times` -1: until cleared.

    Its parameter `about` limits it to calls in one of whose parameters that text stands, as a product's id.
    """

    op: str
    kind: str
    times: int = 1
    params: dict[str, Any] = field(default_factory=dict)

    def matches(self, api: str, given: Iterable[str]) -> bool:
        """Whether the rule is about a call of that API; `given`: the values of its parameters."""
        name, about = api.replace("/", "."), str(self.params.get("about", ""))
        named = self.op in {"*", name} or name.endswith("." + self.op)
        return named and (not about or any(about in value for value in given))

    def executes(self, *, default: bool) -> bool:
        """Whether the call is carried out in spite of the faulty answer."""
        return bool(self.params.get("execute", default))


class Faults:
    """The rules in force, in order; the first that matches a call is used up by it."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def replace(self, rules: list[dict[str, Any]]) -> None:
        """Put these rules in place of the present ones. Raises ValueError on an unknown kind."""
        read = [_rule(data) for data in rules]
        with self._lock:
            self._rules = read

    def add(self, rules: list[dict[str, Any]]) -> None:
        """Append rules. Raises ValueError on an unknown kind."""
        read = [_rule(data) for data in rules]
        with self._lock:
            self._rules += read

    def take(self, api: str, given: Mapping[str, str]) -> Rule | None:
        """The rule for this call with these parameters, counted down; None if all is well."""
        with self._lock:
            for rule in self._rules:
                if rule.times != 0 and rule.matches(api, given.values()):
                    rule.times -= 1 if rule.times > 0 else 0
                    self._rules = [kept for kept in self._rules if kept.times != 0]
                    return rule
        return None

    def shown(self) -> list[dict[str, Any]]:
        """The rules in force."""
        with self._lock:
            return [{"op": r.op, "kind": r.kind, "times": r.times, **r.params} for r in self._rules]


def _rule(data: dict[str, Any]) -> Rule:
    kind = str(data.get("kind", ""))
    if kind not in KINDS:
        raise ValueError(f"unknown kind of fault: {kind}")
    params = {key: value for key, value in data.items() if key not in {"op", "kind", "times"}}
    times = -1 if kind == "outage" and "times" not in data else int(data.get("times", 1))
    return Rule(str(data.get("op", "*")), kind, times, params)
