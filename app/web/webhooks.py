"""Deliveries of any connector: size, type, signature, one insert, 200. Nothing else happens in the request."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from io import BufferedIOBase, BytesIO

from flask import Blueprint, request

from app.container import Container
from app.logs import logger
from app.pipeline.receive import KnownShop, ShopDirectory, receive
from app.ports.connector import ConnectorSpec
from app.ports.errors import BadDelivery
from app.ports.inbound import Delivery, InboundRequest
from app.web.limits import BodyBudget, UnsignedLimit

log = logger(__name__)
_OK = ("", 200)
_LONGEST_TOKEN = 128


class Refusals:
    """How many deliveries were refused, by connector and reason, in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, source: str, code: str) -> None:
        """Count one."""
        with self._lock:
            self.counts[source, code] += 1


refusals = Refusals()


def blueprint(container: Container) -> Blueprint:
    """The routes under `/webhooks/`, one per connector that the registry found."""
    routes = Blueprint("webhooks", __name__, url_prefix="/webhooks")
    receiver = _Receiver(container)

    @routes.post("/<source>")
    @routes.post("/<source>/<token>")
    def deliver(source: str, token: str | None = None) -> tuple[str, int]:
        spec = container.connectors.specs.get(source)
        if spec is None or spec.per_shop_url is not (token is not None):
            return "", 404
        try:
            return receiver.take(spec, token)
        except BadDelivery as error:
            refusals.add(source, error.code)
            return error.code, error.status

    return routes


class _Receiver:
    """Takes deliveries of every connector. An unknown URL is refused before a byte of the body is read."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._directory = ShopDirectory(container)
        self._unsigned = UnsignedLimit(container.settings.redis_url.get_secret_value(), container.clock)
        self._budget = BodyBudget()

    def take(self, spec: ConnectorSpec, token: str | None) -> tuple[str, int]:
        """Check and store the present request. Raises `BadDelivery`."""
        shop = None if token is None else self._by_token(spec, token)
        declared = _check_head(spec)
        with self._budget.body() as grow:
            return self._store(spec, shop, _read_body(spec, declared, grow))

    def _store(self, spec: ConnectorSpec, shop: KnownShop | None, body: bytes) -> tuple[str, int]:
        container = self._container
        headers, query = (
            tuple(request.headers.items()),
            tuple(request.args.items(multi=True)) if request.query_string else (),
        )
        inbound = InboundRequest("POST", headers, query, body)
        if spec.kind == "supplier":
            delivery = container.connectors.suppliers[spec.name].verify_push(inbound)
        else:
            secrets = shop.webhook_secrets if shop is not None else ()
            delivery = container.connectors.storefronts[spec.name].verify(inbound, secrets)
            shop = shop if spec.per_shop_url else _by_header(container, self._directory, spec, delivery)
        if not delivery.effect:
            return _OK
        if not delivery.verified:
            self._unsigned.take(spec.name)
        if spec.kind == "storefront" and shop is None:
            log.info("delivery_for_unknown_shop", source=spec.name, topic=delivery.topic)
            refusals.add(spec.name, "unknown_shop")
            return _OK
        receive(container, spec.name, shop.id if shop else None, delivery, body)
        container.bell.ring()
        return _OK

    def _by_token(self, spec: ConnectorSpec, token: str) -> KnownShop:
        known = token.isascii() and len(token) <= _LONGEST_TOKEN
        shop = self._directory.by_token(spec.name, token) if known else None
        if shop is None:
            raise BadDelivery(404, "unknown_delivery_url")
        return shop


def _by_header(
    container: Container, directory: ShopDirectory, spec: ConnectorSpec, delivery: Delivery
) -> KnownShop | None:
    try:
        address = container.connectors.storefronts[spec.name].canonical_address(delivery.shop_key or "")
    except ValueError:
        return None
    return directory.by_address(spec.name, address)


def _check_head(spec: ConnectorSpec) -> int | None:
    """The declared length, None for a body that ends by itself. Raises `BadDelivery` for what need not be read."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise BadDelivery(415, "compressed_body")
    kind = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if spec.content_types and kind not in spec.content_types:
        raise BadDelivery(415, "content_type")
    declared = request.content_length
    if declared is not None and declared > spec.max_body:
        raise BadDelivery(413, "body_too_large")
    if declared is None and not request.environ.get("wsgi.input_terminated"):
        raise BadDelivery(411, "length_required")
    return declared


def _read_body(spec: ConnectorSpec, declared: int | None, grow: Callable[[int], None]) -> bytes:
    """The raw body, at most `max_body` bytes; a length that lies or a body without one is cut off, not believed."""
    stream: BufferedIOBase = request.environ["wsgi.input"]
    wanted = spec.max_body + 1 if declared is None else declared
    parts = BytesIO()  # gives its bytes out without a second copy
    while wanted > 0:
        try:
            part = stream.read(min(wanted, 65_536))
        except OSError as error:
            raise BadDelivery(400, "body_cut_short") from error
        if not part:
            break
        grow(parts.tell() + len(part))
        parts.write(part)
        wanted -= len(part)
    body = parts.getvalue()
    if declared is None and len(body) > spec.max_body:
        raise BadDelivery(413, "body_too_large")
    if declared is not None and len(body) != declared:
        raise BadDelivery(400, "body_cut_short")
    return body
