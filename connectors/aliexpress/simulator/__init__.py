"""AliExpress on one's own machine: strict, stateful, with a ledger and with faults on demand.

Source: reference, section 12. Ours: `/_control/*`, the options in `options.py`, the pages in `pages.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from flask import Flask, Response, request

from connectors.aliexpress.simulator import acts, control, gateway, pages
from connectors.aliexpress.simulator.options import read_options
from connectors.aliexpress.simulator.world import World

_TICK = 0.2


def build(options: Mapping[str, str]) -> Flask:
    """The WSGI application. Raises ValueError on a wrong option."""
    world = World(read_options(options))
    app = Flask("aliexpress-simulator", static_folder=None)
    app.config["WORLD"] = world

    @app.route("/sync", methods=["GET", "POST"])
    def sync() -> Response:
        return gateway.serve(world, request, "")

    @app.route("/rest", methods=["GET", "POST"])
    def rest_by_method() -> Response:
        return gateway.serve(world, request, "")

    @app.route("/rest/<path:name>", methods=["GET", "POST"])
    def rest(name: str) -> Response:
        return gateway.serve(world, request, f"/{name}")

    @app.get("/_health")
    def health() -> Response:
        return Response("ok", content_type="text/plain")

    app.register_blueprint(control.blueprint(world))
    app.register_blueprint(pages.blueprint(world))
    threading.Thread(target=_tick, args=(world,), name="aliexpress-clock", daemon=True).start()
    return app


def _tick(world: World) -> None:
    """Lets time bring what it brings when nobody calls (closing, automatic shipping)."""
    while True:
        time.sleep(_TICK)
        acts.run_due(world)
