"""Headers on every answer, and hosts that we answer to."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

from app.boot import check_keys
from app.container import Container

HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


def install(app: Flask, container: Container) -> None:
    """Add the headers; refuse other hosts where TRUSTED_HOSTS or production says so."""
    settings = container.settings
    trusted = {host.strip().lower() for host in settings.trusted_hosts.split(",") if host.strip()}
    trusted.add((urlsplit(settings.public_url).hostname or "").lower())
    app.config["MAX_CONTENT_LENGTH"] = 3_000_000

    @app.after_request
    def _headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    keys = {"checked": False}

    @app.before_request
    def _keys() -> None:
        if not keys["checked"] and request.path != "/healthz":
            check_keys(container)  # once per process: with other keys nothing may be stored
            keys["checked"] = True

    @app.before_request
    def _host() -> None:
        if settings.production and request.host.rsplit(":", 1)[0].lower() not in trusted:
            if request.path in {"/healthz", "/readyz"}:
                return
            abort(400)
