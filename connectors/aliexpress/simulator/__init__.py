"""AliExpress on one's own machine: strict, stateful, with a ledger and with faults on demand.

Source: reference, section 12. Ours: `/_control/*`, the options in `options.py`, the pages in `pages.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from flask import Flask, Response, request

from connectors.aliexpress.simulator import acts, control, gateway, pages
from connectors.aliexpress.simulator.options import read_options
from connectors.aliexpress.simulator.world import World

_TICK = 0.2


def build(options: Mapping[str, str]) -> Flask:
    """The WSGI application; `extensions["close"]` ends its threads. Raises ValueError on a wrong option."""
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
    over = threading.Event()
    threading.Thread(target=_tick, args=(world, over), name="aliexpress-clock", daemon=True).start()

    def close() -> None:
        over.set()
        world.pushes.close()

    app.extensions["close"] = close
    return app


def _tick(world: World, over: threading.Event) -> None:
    """Lets time bring what it brings when nobody calls (closing, automatic shipping)."""
    while not over.wait(_TICK):
        acts.run_due(world)
