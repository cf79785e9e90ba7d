"""A merchant's browser connects a supplier account: to the consent page, and back (S17-S23)."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as WerkzeugResponse

from app.container import Container
from app.errors import WaybillError
from app.logs import logger
from app.services import consent

log = logger(__name__)
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Of pages: a style sheet and pictures of our own, and nothing else."""


def blueprint(container: Container) -> Blueprint:
    """`/connect/<supplier>/start` and `/connect/<supplier>/callback`."""
    routes = Blueprint("connect", __name__, url_prefix="/connect")
    secure = container.settings.public_url.startswith("https://")
    cookie = "__Host-waybill-consent" if secure else "waybill-consent"

    def known(supplier: str) -> None:
        if supplier not in container.connectors.suppliers:
            raise WaybillError(
                "no_such_supplier", "There is no such address here. Open the link once more, in one piece."
            )

    @routes.get("/<supplier>/start")
    def start(supplier: str) -> WerkzeugResponse:
        try:
            known(supplier)
            begun = consent.begin(container, supplier, _only("link"), request.cookies.get(cookie, ""))
        except WaybillError as error:
            return _failed(error)
        answer = redirect(begun.url, 303)
        answer.set_cookie(
            cookie, begun.browser, max_age=consent.LIFE, httponly=True, secure=secure, samesite="Lax", path="/"
        )
        return answer

    @routes.get("/<supplier>/callback")
    def callback(supplier: str) -> WerkzeugResponse:
        try:
            known(supplier)
            connected = consent.finish(
                container,
                supplier,
                state=_only("state"),
                code=_only("code"),
                browser=request.cookies.get(cookie, ""),
            )
        except WaybillError as error:
            return _failed(error)
        return _page("connect/done.html", 200, connected=connected)

    return routes


def _only(name: str) -> str:
    """A parameter of the address. One that is there twice may mean two things, so it means none."""
    given = request.args.getlist(name)
    return given[0] if len(given) == 1 and len(given[0]) <= 2_000 else ""


def _failed(error: WaybillError) -> Response:
    log.info("connect_failed", code=error.code)
    return _page("connect/failed.html", error.status, error=error)


def _page(template: str, status: int, **values: object) -> Response:
    answer = make_response(render_template(template, **values), status)
    answer.headers["Content-Security-Policy"] = _POLICY
    return answer
