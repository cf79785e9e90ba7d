"""Faults on demand: rules that match an operation and are used up."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    (
        "latency",
        "drop_before",
        "drop_after",
        "cut",
        "status",
        "throttled",
        "internal",
        "user_error",
        "version",
        "deprecated",
        "duplicate",
        "reorder",
        "lose",
        "delay",
        "wrong_secret",
    )
)


@dataclass(slots=True)
class Rule:
    """What to do to which calls.

    `op`: an operation's or root field's name, `token`, `webhook`, `webhook:<topic>` or `*`. `times` -1: for ever.
    `skip`: hits let by before.
    """

    op: str
    kind: str
    times: int = 1
    skip: int = 0
    params: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The rules in force. Thread-safe."""

    def __init__(self, rules: Iterable[Mapping[str, Any]] = ()) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self.replace(rules)

    def replace(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Drop all rules and take these. Raises `ValueError`."""
        fresh = [_rule(rule) for rule in rules]
        with self._lock:
            self._rules = fresh

    def add(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Take these as well. Raises `ValueError`."""
        fresh = [_rule(rule) for rule in rules]
        with self._lock:
            self._rules += fresh

    def take(self, *names: str) -> list[Rule]:
        """The rules that hit an operation with these names; each is used up by one."""
        if not self._rules:
            return []
        wild = not any(name.startswith("webhook") for name in names)
        with self._lock:
            met = [rule for rule in self._rules if rule.op in names or (wild and rule.op == "*")]
            hit = [rule for rule in met if not rule.skip]
            for rule in met:
                rule.skip -= rule.skip > 0
            for rule in hit:
                rule.times -= rule.times > 0
            self._rules = [rule for rule in self._rules if rule.times != 0]
        return hit

    def show(self) -> list[dict[str, Any]]:
        """The rules in force."""
        with self._lock:
            return [{"op": rule.op, "kind": rule.kind, "times": rule.times, **rule.params} for rule in self._rules]


def _rule(given: Mapping[str, Any]) -> Rule:
    rest = {key: value for key, value in given.items() if key not in ("op", "kind", "times", "skip", "params")}
    rule = Rule(
        op=str(given.get("op", "*")),
        kind=str(given.get("kind", "")),
        times=int(given.get("times", 1)),
        skip=int(given.get("skip", 0)),
        params={**rest, **(given.get("params") or {})},
    )
    if rule.kind not in KINDS:
        raise ValueError(f"unknown kind of fault {rule.kind!r}; known: {', '.join(sorted(KINDS))}")
    return rule
