"""AliExpress Dropshipping. `CONNECTOR` is all that the app sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from app.ports.connector import ConnectorSpec, Simulator
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.supplier import build

_PUSH_LIMIT = 65_536


def _simulator(options: Mapping[str, str]) -> Simulator:
    """Imported only when asked for: the simulator needs Flask, the connector does not."""
    return cast("Simulator", import_module("connectors.aliexpress.simulator").build(options))


CONNECTOR = ConnectorSpec(
    name="aliexpress",
    kind="supplier",
    settings=AliExpressSettings,
    build=build,
    simulator=_simulator,
    max_body=_PUSH_LIMIT,
    content_types=(),
)
