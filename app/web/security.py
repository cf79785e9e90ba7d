"""Headers on every answer, and hosts that we answer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, abort, request

from app.boot import check_keys
from app.container import Container

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class _Headers:
    """Adds those that an answer lacks. Around the application, where it costs a twentieth of what Flask's hook does."""

    def __init__(self, inner: WSGIApplication) -> None:
        self._inner = inner

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Callable[[bytes], object]:
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in HEADERS.items() if pair[0].lower() not in given]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        return self._inner(environ, begin)


def install(app: Flask, container: Container) -> None:
    """Add the headers; refuse other hosts where TRUSTED_HOSTS or production says so."""
    settings = container.settings
    trusted = {host.strip().lower() for host in settings.trusted_hosts.split(",") if host.strip()}
    trusted.add((urlsplit(settings.public_url).hostname or "").lower())
    app.config["MAX_CONTENT_LENGTH"] = 3_000_000

    app.wsgi_app = _Headers(app.wsgi_app)  # type: ignore[method-assign]
    keys = {"checked": False}

    @app.before_request
    def _keys() -> None:
        if not keys["checked"] and request.path != "/healthz":
            check_keys(container)  # once per process: with other keys nothing may be stored
            keys["checked"] = True

    @app.before_request
    def _host() -> None:
        host: str = request.environ.get("HTTP_HOST", "")
        if settings.production and host.rsplit(":", 1)[0].lower() not in trusted:
            if request.path in {"/healthz", "/readyz"}:
                return
            abort(400)
