"""Shopify: public app, GraphQL Admin API, app-specific webhooks, expiring offline tokens."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from app.ports.connector import CommandOption, ConnectCommand, ConnectorSpec, Simulator
from connectors.shopify.settings import ShopifySettings
from connectors.shopify.storefront import ShopifyStorefront


def _simulator(options: Mapping[str, str]) -> Simulator:
    # By name: Flask and graphql-core belong to the simulator alone, and nothing of the connector depends on it.
    simulator: Simulator = import_module("connectors.shopify.simulator").build(options)
    return simulator


CONNECTOR = ConnectorSpec(
    name="shopify",
    kind="storefront",
    settings=ShopifySettings,
    build=ShopifyStorefront,
    simulator=_simulator,
    connect=ConnectCommand(
        name="connect-shopify",
        help="Connect a Shopify shop by its address and tokens.",
        options=(
            CommandOption("shop", "The shop's address: your-shop.myshopify.com."),
            CommandOption("access-token", "The shop's access token.", secret=True),
            CommandOption("refresh-token", "The shop's refresh token.", required=False, secret=True),
        ),
        address_option="shop",
        secrets={"access_token": "access-token", "refresh_token": "refresh-token"},
    ),
)
