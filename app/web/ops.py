"""What operations look at: alive, ready, numbers."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, jsonify, request

from app.container import Container
from app.services import health, metrics
from app.web.webhooks import refusals


def blueprint(container: Container) -> Blueprint:
    """`/healthz`, `/readyz`, `/metrics`."""
    routes = Blueprint("ops", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        report = health.readiness(container)
        return jsonify(report.as_dict()), 200 if report.ready else 503

    @routes.get("/metrics")
    def numbers() -> Response:
        wanted = container.settings.metrics_token.get_secret_value()
        given = request.headers.get("Authorization", "")
        if wanted and not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
            return Response("", 401)
        return Response(metrics.render(container, refusals.counts), mimetype="text/plain; version=0.0.4")

    return routes
