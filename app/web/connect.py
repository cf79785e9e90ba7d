"""A merchant's browser connects a supplier account: asked whose shop it is, to the consent page, and back (S17-S23)."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from app.container import Container
from app.errors import NotFound, WaybillError
from app.logs import logger
from app.services import consent

log = logger(__name__)
_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action"
"""Of pages: a style sheet and pictures of our own, and forms to the places that follow."""


def blueprint(container: Container) -> Blueprint:
    """`/connect/<supplier>/start`, `…/callback` and `…/done`."""
    routes = Blueprint("connect", __name__, url_prefix="/connect")
    secure = container.settings.public_url.startswith("https://")
    cookie = "__Host-waybill-consent" if secure else "waybill-consent"

    @routes.get("/<supplier>/start")
    def ask(supplier: str) -> Response:
        _refuse_unknown(container, supplier)
        token = _single("link")
        asked = consent.asked(container, supplier, token)
        port = container.connectors.suppliers[supplier]
        elsewhere = urlsplit(port.authorize_url("", "https://x"))
        # A form's target counts wherever it is redirected to.
        return _page(
            "connect/ask.html",
            f"'self' {elsewhere.scheme}://{elsewhere.netloc}",
            asked=asked,
            link=token,
            title=port.title,
        )

    @routes.post("/<supplier>/start")
    def start(supplier: str) -> WerkzeugResponse:
        _refuse_unknown(container, supplier)
        begun = consent.begin(container, supplier, request.form.get("link", ""), request.cookies.get(cookie, ""))
        answer = redirect(begun.url, 303)
        answer.set_cookie(
            cookie, begun.browser, max_age=consent.KNOWN_FOR, httponly=True, secure=secure, samesite="Lax", path="/"
        )
        return answer

    @routes.get("/<supplier>/callback")
    def callback(supplier: str) -> WerkzeugResponse:
        _refuse_unknown(container, supplier)
        browser = request.cookies.get(cookie, "")
        consent.finish(container, supplier, state=_single("state"), code=_single("code"), browser=browser)
        return redirect(url_for("connect.done", supplier=supplier), 303)  # neither code nor state stays in the address

    @routes.get("/<supplier>/done")
    def done(supplier: str) -> Response:
        _refuse_unknown(container, supplier)
        connected = consent.connected(container, request.cookies.get(cookie, ""))
        return _page("connect/done.html", connected=connected)

    @routes.errorhandler(WaybillError)
    def failed(error: WaybillError) -> tuple[Response, int]:
        log.info("connect_failed", code=error.code, words=error.staff_text if error.staff_text != error.text else "")
        return _page("connect/failed.html", error=error), error.status

    return routes


def _refuse_unknown(container: Container, supplier: str) -> None:
    if supplier not in container.connectors.suppliers:
        raise NotFound("no_such_address", "There is no such page. Open the link once more, in one piece.")


def _single(name: str) -> str:
    """A parameter of the address. One that is there twice may mean two things, so it means none."""
    given = request.args.getlist(name)
    return given[0] if len(given) == 1 and len(given[0]) <= 2_000 else ""


def _page(template: str, forms: str = "'none'", **values: object) -> Response:
    answer = make_response(render_template(template, **values))
    answer.headers["Content-Security-Policy"] = f"{_POLICY} {forms}"
    return answer
