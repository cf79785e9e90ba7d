"""Waybill: storefront orders, ordered at the supplier at most once, and a person is told where that is not clear."""

from __future__ import annotations

import sys

import click
from flask import Flask, current_app
from flask.cli import ScriptInfo

from app import cli, container, logs, web
from app.container import Container
from app.errors import SettingsInvalid


def create_app(parts: Container | None = None) -> Flask:
    """The application. Without settings it still knows its commands, which say what is missing."""
    app = Flask(__name__)
    cli.install(app)
    try:
        parts = parts or container.build()
    except SettingsInvalid as error:
        app.extensions["waybill_error"] = error
        return app
    logs.configure(parts.settings.log_level, json_lines=parts.settings.production)
    web.install(app, parts)
    return app


def refuse_unsettled(app: Flask) -> None:
    """End a web server's process with code 2 and the message that names all that is wrong with the settings.

    It would answer 404 to every webhook, which shops take for a lost delivery and switch the webhook off. The CLI
    goes on: its commands say it themselves, and some need no settings.
    """
    error = app.extensions.get("waybill_error")
    context = click.get_current_context(silent=True)  # granian has one too, so it is asked whose it is
    if error is None or (context is not None and context.find_object(ScriptInfo) is not None):
        return
    sys.stderr.write(f"{error}\n")
    sys.exit(2)


def container_of(app: Flask | None = None) -> Container:
    """The application's container. Raises `SettingsInvalid` if the settings did not allow to build it."""
    extensions = (app or current_app).extensions
    if "waybill" not in extensions:
        raise extensions["waybill_error"]
    found: Container = extensions["waybill"]
    return found
