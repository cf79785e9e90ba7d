"""`flask simulate`: a connector's simulator on a port of this machine. Needs no settings and no database."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from app import registry
from app.cli.output import FAILED, json_option, root
from app.errors import WaybillError

HOST = "127.0.0.1"


class _Handler(WSGIRequestHandler):
    """Keeps connections open, as the real services do, and says nothing of single requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet; what matters is in the ledger."""


@click.command("simulate")
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes a free one.")
@click.option("--option", "pairs", multiple=True, metavar="K=V", help="An option of the simulator; may be repeated.")
@click.option("--ledger", default="", help="File of what was really executed; its state is taken up again.")
@click.option("--scenario", default="", help="File with products, shops and faults to begin with.")
@json_option
def simulate(*, name: str, port: int, pairs: tuple[str, ...], ledger: str, scenario: str, as_json: bool) -> None:
    """Play the real service NAME on 127.0.0.1 until SIGTERM."""
    try:
        server = serve(name, port, _options(pairs, ledger, scenario))
    except WaybillError as error:
        told = json.dumps({"error": error.code, "message": error.text}) if as_json else f"Error: {error.text}"
        click.echo(told, err=not as_json)
        click.get_current_context().exit(FAILED)
    url = f"http://{HOST}:{server.server_port}"
    ready = {"simulator": name, "url": url, "port": server.server_port}
    click.echo(json.dumps(ready) if as_json else f"The {name} simulator is ready on {url}")
    _until_stopped(server)


root.add_command(simulate)


def _options(pairs: Sequence[str], ledger: str, scenario: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise WaybillError("bad_option", f"Write options as name=value, not {pair!r}.")
        options[key.strip().replace("-", "_")] = value
    if ledger:
        Path(ledger).parent.mkdir(parents=True, exist_ok=True)
    return options | {key: value for key, value in (("ledger", ledger), ("scenario", scenario)) if value}


def serve(name: str, port: int, options: Mapping[str, str]) -> BaseWSGIServer:
    """The simulator, listening; call `serve_forever`. Raises `WaybillError`."""
    spec = registry.find().get(name)
    if spec is None:
        raise WaybillError("no_simulator", f"There is no simulator {name!r}. There are: {', '.join(registry.find())}.")
    try:
        app = spec.simulator(options)
    except (ValueError, OSError) as error:
        raise WaybillError("bad_option", f"The {name} simulator does not start: {error}") from error
    try:
        server = make_server(HOST, port, app, threaded=True, request_handler=_Handler)
    except (OSError, SystemExit) as error:  # werkzeug leaves the program when the port is taken
        raise WaybillError("port_taken", f"Port {port} cannot be used. Choose another one with --port.") from error
    server.daemon_threads = True  # type: ignore[attr-defined]  # of the threaded server
    return server


def _until_stopped(server: BaseWSGIServer) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # Shutting down waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
