"""Where HTTP ends: below this package there is no request. Unknown faults become a page with an id, never a trace."""

from __future__ import annotations

import uuid

from flask import Flask, Response, jsonify
from flask.helpers import get_debug_flag
from werkzeug.exceptions import HTTPException

from app.container import Container
from app.errors import SettingsInvalid, WaybillError
from app.logs import logger
from app.outage import outage
from app.web import connect, ops, security, webhooks

log = logger(__name__)


def install(app: Flask, container: Container) -> None:
    """Hang the routes and the error pages on the application.

    Raises `SettingsInvalid` where a debugger would be open in production (S57).
    """
    if container.settings.production and get_debug_flag():
        raise SettingsInvalid(["FLASK_DEBUG must not be set in production"])
    app.extensions["waybill"] = container
    app.register_blueprint(webhooks.blueprint(container))
    app.register_blueprint(ops.blueprint(container))
    app.register_blueprint(connect.blueprint(container))
    security.install(app, container)
    app.register_error_handler(WaybillError, _ours)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unknown)


def _ours(error: WaybillError) -> tuple[Response, int]:
    return jsonify(error=error.code, message=error.text), error.status


def _http(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=(error.name or "error").lower().replace(" ", "_")), error.code or 500


def _unknown(error: Exception) -> tuple[Response, int] | tuple[Response, int, dict[str, str]]:
    if outage.note(error):
        # Shops and people try again: a delivery that is not stored must not be answered with anything good.
        away = jsonify(error="database_down", message="The database does not answer. Try again in a moment.")
        return away, 503, {"Retry-After": "5"}
    number = uuid.uuid4().hex[:12]
    log.error("unexpected_fault", error_id=number, kind=type(error).__name__, exc_info=error)
    return jsonify(error="internal", message=f"Something went wrong on our side. Quote {number} to support."), 500
