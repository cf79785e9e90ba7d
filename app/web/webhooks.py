"""Deliveries of any connector: size, type, signature, one insert, 200. Nothing else happens in the request."""

from __future__ import annotations

import threading
from collections import Counter
from io import BufferedIOBase

from flask import Blueprint, Response, request

from app.container import Container
from app.logs import logger
from app.pipeline.receive import KnownShop, ShopDirectory, receive
from app.ports.connector import ConnectorSpec
from app.ports.errors import BadDelivery
from app.ports.inbound import Delivery, InboundRequest

log = logger(__name__)
_OK = ("", 200)


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
    directory = ShopDirectory(container)

    @routes.post("/<source>")
    @routes.post("/<source>/<token>")
    def deliver(source: str, token: str | None = None) -> Response | tuple[str, int]:
        spec = container.connectors.specs.get(source)
        if spec is None or spec.per_shop_url is not (token is not None):
            return "", 404
        try:
            return _take(container, directory, spec, token)
        except BadDelivery as error:
            refusals.add(source, error.code)
            return error.code, error.status

    return routes


def _take(
    container: Container, directory: ShopDirectory, spec: ConnectorSpec, token: str | None
) -> Response | tuple[str, int]:
    inbound = InboundRequest(
        "POST", tuple(request.headers.items()), tuple(request.args.items(multi=True)), _read_body(spec)
    )
    shop: KnownShop | None = None
    if spec.kind == "supplier":
        delivery = container.connectors.suppliers[spec.name].verify_push(inbound)
    elif token is not None:
        shop = directory.by_token(spec.name, token)
        if shop is None:
            raise BadDelivery(404, "unknown_delivery_url")
        delivery = container.connectors.storefronts[spec.name].verify(inbound, shop.webhook_secrets)
    else:
        delivery = container.connectors.storefronts[spec.name].verify(inbound, ())
        shop = _by_header(container, directory, spec, delivery)
    if not delivery.effect:
        return _OK
    if spec.kind == "storefront" and shop is None:
        log.info("delivery_for_unknown_shop", source=spec.name, topic=delivery.topic)
        refusals.add(spec.name, "unknown_shop")
        return _OK
    receive(container, spec.name, shop.id if shop else None, delivery, inbound.body)
    container.bell.ring()
    return _OK


def _by_header(
    container: Container, directory: ShopDirectory, spec: ConnectorSpec, delivery: Delivery
) -> KnownShop | None:
    try:
        address = container.connectors.storefronts[spec.name].canonical_address(delivery.shop_key or "")
    except ValueError:
        return None
    return directory.by_address(spec.name, address)


def _read_body(spec: ConnectorSpec) -> bytes:
    """The raw body, at most `max_body` bytes; a length that lies or a body without one is cut off, not believed."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise BadDelivery(415, "compressed_body")
    kind = (request.mimetype or "").lower()
    if spec.content_types and kind not in spec.content_types:
        raise BadDelivery(415, "content_type")
    declared = request.content_length
    if declared is not None and declared > spec.max_body:
        raise BadDelivery(413, "body_too_large")
    stream: BufferedIOBase = request.environ["wsgi.input"]
    if declared is None and not request.environ.get("wsgi.input_terminated"):
        raise BadDelivery(411, "length_required")
    wanted = spec.max_body + 1 if declared is None else declared
    parts: list[bytes] = []
    while wanted > 0:
        part = stream.read(min(wanted, 65_536))
        if not part:
            break
        parts.append(part)
        wanted -= len(part)
    body = b"".join(parts)
    if declared is None and len(body) > spec.max_body:
        raise BadDelivery(413, "body_too_large")
    if declared is not None and len(body) != declared:
        raise BadDelivery(400, "body_cut_short")
    return body
