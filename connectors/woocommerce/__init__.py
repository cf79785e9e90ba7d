"""WooCommerce: shops on WordPress. Protocol facts: woocommerce reference; deliveries are hints, orders are re-read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from app.ports.connector import CommandOption, ConnectCommand, ConnectorSpec, Simulator
from app.ports.http import HTTPClient
from connectors.woocommerce.settings import WooCommerceSettings
from connectors.woocommerce.storefront import WooCommerce


def _build(settings: Any, http: HTTPClient) -> WooCommerce:
    return WooCommerce(settings, http)


def _simulator(options: Mapping[str, str]) -> Simulator:
    # By name: Flask is for the simulator alone, and the connector must load without it.
    simulator: Simulator = import_module("connectors.woocommerce.simulator").build(options)
    return simulator


CONNECTOR = ConnectorSpec(
    name="woocommerce",
    kind="storefront",
    settings=WooCommerceSettings,
    build=_build,
    simulator=_simulator,
    connect=ConnectCommand(
        name="connect-woocommerce",
        help="Connect a WooCommerce shop with a REST key of its own (WooCommerce > Settings > Advanced > REST API).",
        options=(
            CommandOption("url", "Address of the shop's front page, for instance https://shop.example/store."),
            CommandOption("key", "Consumer key (ck_…) with read and write permission.", secret=True),
            CommandOption("secret", "Consumer secret (cs_…).", secret=True),
        ),
        address_option="url",
        secrets={"consumer_key": "key", "consumer_secret": "secret"},
        own_webhook_secret=True,
    ),
    per_shop_url=True,
    content_types=("application/json", "application/x-www-form-urlencoded"),
)
