"""The table of REST routes and what a handler gets and gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.woocommerce.simulator.refusal import invalid_param, no_route
from connectors.woocommerce.simulator.world import Shop


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated REST call."""

    shop: Shop
    params: Mapping[str, str]
    body: Mapping[str, Any]
    ids: tuple[str, ...]

    def page(self) -> tuple[int, int]:
        """(page, per_page), checked as the real one does."""
        per_page = self._number("per_page", 10)
        if not 1 <= per_page <= _LONGEST_PAGE:
            raise invalid_param(per_page="per_page must be between 1 (inclusive) and 100 (inclusive)")
        return max(1, self._number("page", 1)), per_page

    def _number(self, name: str, default: int) -> int:
        text = self.params.get(name, "") or str(default)
        if not text.isdigit():
            raise invalid_param(**{name: f"{name} is not of type integer."})
        return int(text)

    def truth(self, name: str) -> bool:
        """A boolean parameter of the query."""
        return self.params.get(name, "").lower() in {"1", "true"}


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def listing(call: Call, rows: list[Any], show: Callable[[Any], Any]) -> Reply:
    """One page of a list, with its totals. A page past the end is empty with a total of 0."""
    page, per_page = call.page()
    part = rows[(page - 1) * per_page : page * per_page]
    total = len(rows) if part or page == 1 else 0
    headers = {"X-WP-Total": str(total), "X-WP-TotalPages": str(-(-total // per_page))}
    return Reply([show(row) for row in part], 200, headers)


Handler = Callable[[Call], Reply]
_ROUTES: list[tuple[frozenset[str], re.Pattern[str], str, Handler]] = []
_LONGEST_PAGE = 100
_WRITES = ("PUT", "POST", "PATCH")


def route(methods: str, pattern: str, op: str) -> Callable[[Handler], Handler]:
    """Register a handler; `N` in the pattern is an id, `edit` means PUT, POST and PATCH, `op` is the faults' name."""
    compiled = re.compile(pattern.replace("N", r"(\d+)"))
    names = frozenset(_WRITES if methods == "edit" else methods.split())

    def register(handler: Handler) -> Handler:
        _ROUTES.append((names, compiled, op, handler))
        return handler

    return register


def find(method: str, path: str) -> tuple[str, Handler, tuple[str, ...]]:
    """The operation, its handler and the ids in the path. Raises the real one's 404."""
    wanted = "GET" if method == "HEAD" else method
    for names, pattern, op, handler in _ROUTES:
        match = pattern.fullmatch(path) if wanted in names else None
        if match:
            return op, handler, match.groups()
    raise no_route()
