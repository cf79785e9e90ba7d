"""How a connector presents itself: one `CONNECTOR` per folder, found by `app.registry`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from app.ports.http import HTTPClient
from app.ports.storefront import Storefront
from app.ports.supplier import Supplier


class Simulator(Protocol):
    """A WSGI application that plays the real service. Built only by `flask simulate` and by tests."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request, as WSGI has it."""


@dataclass(frozen=True, slots=True)
class CommandOption:
    """An option of a connector's own connect command. `secret`: never echoed or logged."""

    name: str
    help: str
    required: bool = True
    secret: bool = False


@dataclass(frozen=True, slots=True)
class ConnectCommand:
    """`flask shop <name>`: connects a shop by hand. `address_option` names the option that holds the shop's address.

    `secrets` maps our secret names (as found in `ShopAccess.secrets`) to option names.
    """

    name: str
    help: str
    options: tuple[CommandOption, ...]
    address_option: str
    secrets: Mapping[str, str]
    own_webhook_secret: bool = False


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """A connector. `kind` is `storefront` or `supplier`.

    `settings` is a pydantic model whose field names, upper-cased, are the environment variables it reads; secrets are
    `SecretStr`. `build(settings, http)` gives the port. `simulator(options)` gives a WSGI app; options are texts from
    the command line: `ledger` (file path), `scenario` (file path or ""), and the connector's own.
    `webhook_path` is the path below `/webhooks/`; `per_shop_url`: each shop has its own unguessable delivery URL.
    `max_body`: largest accepted webhook, in bytes. `content_types`: accepted types, empty for any.
    """

    name: str
    kind: str
    settings: type[BaseModel]
    build: Callable[[Any, HTTPClient], Storefront | Supplier]
    simulator: Callable[[Mapping[str, str]], Simulator]
    connect: ConnectCommand | None = None
    per_shop_url: bool = False
    max_body: int = 2_000_000
    content_types: tuple[str, ...] = ("application/json",)
