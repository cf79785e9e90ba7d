"""A strict, stateful simulator of Shopify for development, tests and benchmarks.

Options (texts): `ledger`, `scenario`, `time_scale`, `client_id`, `client_secret`, `api_version`, `webhook_url`,
`service_handle`, `fo_delay`, `bucket`, `restore_rate`, `page_limit`, `refresh_race`, `own_location`, `webhook_workers`.
A scenario file is `{"faults": [], "shops": [], "products": [], "orders": []}` of what the control calls take.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.ports.connector import Simulator


def build(options: Mapping[str, str]) -> Simulator:
    """The WSGI application. Raises `ValueError` for an unknown option."""
    # Flask and graphql-core belong to the simulator alone and load with it.
    from connectors.shopify.simulator.control import Control  # noqa: PLC0415
    from connectors.shopify.simulator.engine import Engine  # noqa: PLC0415
    from connectors.shopify.simulator.faults import Faults  # noqa: PLC0415
    from connectors.shopify.simulator.fulfilling import WRITES  # noqa: PLC0415
    from connectors.shopify.simulator.graphql_api import GraphQLEndpoint  # noqa: PLC0415
    from connectors.shopify.simulator.options import read_options  # noqa: PLC0415
    from connectors.shopify.simulator.roots import READS  # noqa: PLC0415
    from connectors.shopify.simulator.web import Application  # noqa: PLC0415
    from connectors.shopify.simulator.webhooks import Sender  # noqa: PLC0415
    from connectors.shopify.simulator.world import World  # noqa: PLC0415

    read = read_options(options)
    faults = Faults(read.scenario.get("faults", []))
    world = World(read)
    sender = Sender(read, faults)
    control = Control(world, sender, faults)
    if not world.shops:
        for name in ("shops", "products", "orders"):
            for asked in read.scenario.get(name, []):
                control.act(name, asked)
    endpoint = GraphQLEndpoint(world, Engine({**READS, **WRITES}), faults)
    app = Application(world, endpoint, control, faults).flask
    app.extensions["close"] = sender.close
    return app
