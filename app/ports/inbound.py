"""Requests that come in, as a connector sees them: no Flask, raw bytes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """One HTTP request. `headers` and `query` keep duplicates and order; `body` is exactly what was received."""

    method: str
    headers: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]
    body: bytes
    _by_name: dict[str, list[str]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for key, value in self.headers:
            self._by_name.setdefault(key.lower(), []).append(value)

    def header(self, name: str) -> str | None:
        """The header's value, None if absent. A repeated header gives its values joined by a comma."""
        values = self._by_name.get(name.lower())
        return ", ".join(values) if values else None

    def values(self, name: str) -> list[str]:
        """Every value that came under this name, in order."""
        return self._by_name.get(name.lower(), [])


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook whose signature holds. The body has not been parsed.

    `shop_key`: the shop's address as named by the (unsigned) headers, None where the URL token names the shop.
    `topic`: the other side's topic, unsigned. `event_key`: the unique id of the delivery if the other side has one
    that is really unique, else None (the body's hash then takes its place). `effect` False: nothing to store (a ping).
    """

    topic: str
    shop_key: str | None = None
    event_key: str | None = None
    triggered_at: str | None = None
    effect: bool = True
    verified: bool = True


class HintKind(StrEnum):
    """What a stored event asks us to look at."""

    ORDER = "order"
    ORDER_GONE = "order_gone"
    PRODUCT = "product"
    UNINSTALLED = "uninstalled"
    SCOPES = "scopes"
    PRIVACY = "privacy"
    SUPPLIER_ORDER = "supplier_order"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Hint:
    """What an event means once its body is read: "thing `ref` may have changed". Never trusted for more than that.

    `account_ref`: supplier pushes name a buyer; `status` is their word for the new state. `detail` says why NOTHING.
    `odd`: the body was none that this sender writes, so somebody may want to look at it. Characters that no database
    text can hold (NUL, lone surrogates) are taken out.
    """

    kind: HintKind
    ref: str | None = None
    account_ref: str | None = None
    status: str | None = None
    detail: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    odd: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("ref", "account_ref", "status", "detail"):
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, storable(text))
        object.__setattr__(self, "extra", {storable(key): storable(text) for key, text in self.extra.items()})


def storable(text: str) -> str:
    """Without what no database text can hold: NUL and half characters. Shops, and their plugins, send both."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
