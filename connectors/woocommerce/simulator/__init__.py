"""A WooCommerce shop (or many) for development, tests and benchmarks. Never imported by the connector itself.

Each shop lives in a sub-directory: `http://127.0.0.1:PORT/<slug>/`, REST below `/<slug>/wp-json/wc/v3/`.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask

from connectors.woocommerce.simulator import control, site
from connectors.woocommerce.simulator.deliveries import Courier
from connectors.woocommerce.simulator.world import World


def build(options: Mapping[str, str]) -> Flask:
    """A WSGI application. All options are texts and optional.

    `ledger`: path of the ledger file, state is taken up from it. `scenario`: JSON file
    `{"faults": [...], "shops": [{slug, …}]}` (its shops need `public_url`). `time_scale`: divides all delays.
    `queue_delay`: seconds from an event to its delivery (0.1). `currency`, `decimals`, `country`, `timezone`,
    `fulfilments` (`yes`): what new shops get. `public_url`: the root that shops know themselves by (else that of the
    request that made them). `trust_http` (`yes`): a proxy ends TLS and says so, so Basic is accepted on plain http.
    """
    world = World(options)
    courier = Courier()
    world.ring = courier.ring
    scenario = world.scenario()
    for rule in scenario.get("faults", []):
        world.faults.add(rule)
    for wish in scenario.get("shops", []):
        world.create_shop(wish, options.get("public_url") or "http://127.0.0.1")
    app = Flask("woocommerce-simulator")
    app.register_blueprint(control.blueprint(world))
    app.register_blueprint(site.blueprint(world))
    for shop in world.shops.values():
        if shop["queue"]:
            courier.ring(shop)
    app.extensions["close"] = courier.close
    return app
