"""Waybill: storefront orders, ordered at the supplier exactly once."""

from __future__ import annotations

from flask import Flask, current_app

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


def container_of(app: Flask | None = None) -> Container:
    """The application's container. Raises `SettingsInvalid` if the settings did not allow to build it."""
    extensions = (app or current_app).extensions
    if "waybill" not in extensions:
        raise extensions["waybill_error"]
    found: Container = extensions["waybill"]
    return found
