"""What the simulator is told at its start. Unconfirmed behaviour of the real service is a mode here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.shopify.addresses import is_shop_domain


@dataclass(slots=True)
class Options:
    """Times are in seconds of the real service; `time_scale` divides them.

    `fo_delay`: fulfilment orders come into being that long after their order. `bucket`, `restore_rate`: points (0: no
    throttling). `page_limit`: objects after which a list of orders cannot be paged further. `refresh_race` `keep`:
    every replacement of a used refresh token stays good until one of them is used; `last`: only the newest.
    `own_location` `request`: at our location only an accepted request can be fulfilled; `open`: any open fulfilment
    order can.
    """

    ledger: str = ""
    scenario: dict[str, Any] = field(default_factory=dict)
    time_scale: float = 1.0
    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"  # noqa: S105 - a default of a simulator
    api_version: str = "2026-10"
    webhook_url: str = ""
    service_handle: str = "waybill"
    fo_delay: float = 0.0
    bucket: float = 2000.0
    restore_rate: float = 100.0
    page_limit: float = 25_000.0
    refresh_race: str = "keep"
    own_location: str = "request"
    webhook_workers: int = 4


_NUMBERS = ("time_scale", "fo_delay", "bucket", "restore_rate", "page_limit")
_TEXTS = (
    "ledger",
    "client_id",
    "client_secret",
    "api_version",
    "webhook_url",
    "service_handle",
    "refresh_race",
    "own_location",
)


def read_options(given: Mapping[str, str]) -> Options:
    """Options from texts. Raises `ValueError` for an unknown or malformed one."""
    options = Options()
    for name, text in given.items():
        if name in _NUMBERS:
            setattr(options, name, float(text or getattr(options, name)))
        elif name == "webhook_workers":
            options.webhook_workers = int(text)
        elif name == "scenario":
            options.scenario = json.loads(Path(text).read_text(encoding="utf-8")) if text else {}
        elif name in _TEXTS:
            setattr(options, name, text or getattr(options, name))
        elif name not in ("host", "port"):
            raise ValueError(f"unknown option of the Shopify simulator: {name}")
    if options.time_scale <= 0:
        raise ValueError("time_scale must be above zero")
    return options


def shop_domain(text: str) -> str:
    """The text if it is a shop's domain, else "" (`name` alone is completed)."""
    domain = text.lower()
    if domain and "." not in domain:
        domain += ".myshopify.com"
    return domain if is_shop_domain(domain) else ""
