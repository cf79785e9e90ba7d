"""Finds the connectors and checks each against its port. `app` reaches a connector only through here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel

from app.ports.connector import ConnectorSpec
from app.ports.http import HTTPClient
from app.ports.storefront import Storefront
from app.ports.supplier import Supplier

PACKAGE = "connectors"
_PORTS: dict[str, type] = {"storefront": Storefront, "supplier": Supplier}


class ConnectorIncomplete(Exception):
    """A connector does not do what its port asks for."""


def find() -> dict[str, ConnectorSpec]:
    """The spec of each folder under `connectors/`, by name. Raises `ConnectorIncomplete`."""
    package = importlib.import_module(PACKAGE)
    specs: dict[str, ConnectorSpec] = {}
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            continue
        spec = getattr(importlib.import_module(f"{PACKAGE}.{module.name}"), "CONNECTOR", None)
        if not isinstance(spec, ConnectorSpec):
            raise ConnectorIncomplete(f"{PACKAGE}/{module.name}/__init__.py defines no CONNECTOR")
        if spec.name != module.name or spec.kind not in _PORTS:
            raise ConnectorIncomplete(f"{PACKAGE}/{module.name}: name or kind of CONNECTOR is wrong")
        specs[spec.name] = spec
    return specs


def missing_methods(part: object, port: type) -> list[str]:
    """Names that the port has and the part lacks."""
    wanted = {name for name in vars(port) if not name.startswith("_")} | set(getattr(port, "__annotations__", {}))
    return sorted(name for name in wanted if not hasattr(part, name))


@dataclass(frozen=True, eq=False)
class Connectors:
    """All connectors of this process, built."""

    specs: Mapping[str, ConnectorSpec]
    storefronts: Mapping[str, Storefront]
    suppliers: Mapping[str, Supplier]

    @property
    def supplier(self) -> Supplier:
        """The only supplier there is so far; a purchase names its own."""
        return next(iter(self.suppliers.values()))


def build(specs: Mapping[str, ConnectorSpec], settings: Mapping[str, BaseModel], http: HTTPClient) -> Connectors:
    """Build every connector. Raises `ConnectorIncomplete` naming what is missing."""
    storefronts: dict[str, Storefront] = {}
    suppliers: dict[str, Supplier] = {}
    for name, spec in specs.items():
        part = spec.build(settings[name], http)
        missing = missing_methods(part, _PORTS[spec.kind])
        if missing:
            raise ConnectorIncomplete(f"connectors/{name} lacks {', '.join(missing)}")
        if spec.kind == "storefront":
            storefronts[name] = part  # type: ignore[assignment]  # checked against the port just above
        else:
            suppliers[name] = part  # type: ignore[assignment]  # likewise
    return Connectors(MappingProxyType(dict(specs)), MappingProxyType(storefronts), MappingProxyType(suppliers))
