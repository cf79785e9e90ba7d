"""Faults on demand: rules that name an operation, a kind and how often.

`{"op": "notes.create", "kind": "drop_after", "times": 1}`; `times` -1 is for ever; `op` `*` is any. Optional
`shop`. Kinds of REST operations: latency (`seconds`), drop_before, drop_after, cut, status (`status`, `code`,
`message`, `retry_after`), status_after (executed, then that answer), html (`status`, 200 if not given). Kinds
of `delivery` and `delivery:<topic>`: lose, duplicate, reorder, envelope (`code`, `status`), latency, status, disable
(it fails, and the webhook is switched off at once).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    [
        "latency",
        "drop_before",
        "drop_after",
        "cut",
        "status",
        "status_after",
        "html",
        "lose",
        "duplicate",
        "reorder",
        "envelope",
        "disable",
    ]
)


@dataclass(slots=True)
class Rule:
    """One fault. `left` is how often it will still strike, negative for ever."""

    op: str
    kind: str
    left: int
    shop: str
    params: dict[str, Any] = field(default_factory=dict)

    def fits(self, op: str, shop: str) -> bool:
        """Whether it strikes this operation now."""
        general = op.partition(":")[0]
        return self.left != 0 and self.op in {"*", op, general} and self.shop in {"", shop}


class Faults:
    """The rules in force, oldest first."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, raw: dict[str, Any]) -> None:
        """Add a rule. Raises ValueError on an unknown kind."""
        kind = str(raw.get("kind", ""))
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind[:40]!r}")
        known = {"op", "kind", "times", "shop"}
        rule = Rule(
            str(raw.get("op", "*")),
            kind,
            int(raw.get("times", 1)),
            str(raw.get("shop", "")),
            {key: value for key, value in raw.items() if key not in known},
        )
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self._rules.clear()

    def take(self, op: str, shop: str) -> Rule | None:
        """The rule that strikes now, counted down."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if rule.fits(op, shop):
                    rule.left -= 1 if rule.left > 0 else 0
                    return rule
        return None

    def list(self) -> list[dict[str, Any]]:
        """The rules with what is left of them."""
        with self._lock:
            return [
                {"op": rule.op, "kind": rule.kind, "left": rule.left, "shop": rule.shop, **rule.params}
                for rule in self._rules
            ]
