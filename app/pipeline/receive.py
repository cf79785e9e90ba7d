"""A verified delivery becomes an inbox row. The one hot path: a single prepared statement, then the answer.

No parsing, no queue, nothing else in the request. A duplicate raises `seen` and is looked at again only if the first
one was dealt with already: every event means no more than "look again" (decision 4).
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from dataclasses import dataclass

from app.container import Container
from app.models import Credential
from app.ports.inbound import Delivery

_INSERT = """
INSERT INTO inbox (shop_id, source, topic, dedupe, body, verified)
VALUES (%s, %s, %s, %b, %b, %s)
ON CONFLICT (source, shop_id, topic, dedupe) DO UPDATE SET
    seen = inbox.seen + 1,
    run_at = CASE WHEN inbox.state = 'DUE' THEN inbox.run_at ELSE now() END,
    attempts = CASE WHEN inbox.state = 'DUE' THEN inbox.attempts ELSE 0 END,
    lease_until = CASE WHEN inbox.state = 'DUE' THEN inbox.lease_until ELSE NULL END,
    body = COALESCE(inbox.body, EXCLUDED.body),
    state = 'DUE'
RETURNING id
"""


_SHOP = (
    "SELECT s.id, s.state, c.sealed FROM shop s LEFT JOIN credential c ON c.shop_id = s.id WHERE s.connector = %s AND "
)
_BY_ADDRESS = _SHOP + "s.address = %s"
_BY_TOKEN = _SHOP + "s.delivery_token_hash = %b"


@dataclass(frozen=True, slots=True)
class KnownShop:
    """What the receiver must know of a shop."""

    id: int
    state: str
    webhook_secrets: tuple[str, ...]


class ShopDirectory:
    """Finds a shop by what a delivery names. Looks are remembered for a few seconds per process."""

    def __init__(self, container: Container, *, remember: float = 5.0) -> None:
        self._container = container
        self._remember = remember
        self._seen: dict[tuple[str, str], tuple[float, KnownShop]] = {}
        self._lock = threading.Lock()

    def by_address(self, connector: str, address: str) -> KnownShop | None:
        """The shop with this canonical address."""
        return self._find((connector, f"address:{address}"), _BY_ADDRESS, address)

    def by_token(self, connector: str, token: str) -> KnownShop | None:
        """The shop whose delivery URL holds this token."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        return self._find((connector, f"token:{digest.hex()}"), _BY_TOKEN, digest)

    def _find(self, key: tuple[str, str], statement: str, name: str | bytes) -> KnownShop | None:
        now = self._container.clock.monotonic()
        remembered = self._seen.get(key)
        if remembered is not None and remembered[0] > now:
            return remembered[1]
        found = self._container.database.direct(statement, (key[0], name))
        if found is None:
            return None
        shop_id, state, sealed = found
        place = Credential(shop_id=shop_id).place
        secrets = self._container.vault.open_json(sealed, place) if sealed is not None else {}
        known = KnownShop(
            shop_id,
            state,
            tuple(secrets[name] for name in ("webhook_secret", "webhook_secret_previous") if secrets.get(name)),
        )
        with self._lock:
            if len(self._seen) > 10_000:
                self._seen.clear()
            self._seen[key] = (now + self._remember, known)
        return known


def dedupe_key(delivery: Delivery, body: bytes) -> bytes:
    """What makes two deliveries the same: the sender's own event id if it is really unique, with the body's hash."""
    seed = (delivery.event_key or "").encode() + b"\x00" + body
    return hashlib.sha256(seed).digest()


def receive(container: Container, source: str, shop_id: int | None, delivery: Delivery, body: bytes) -> int:
    """Store a delivery and commit; gives the inbox row's id. The bell is the caller's business, after the answer."""
    sealed = seal_body(container, source, shop_id, body)
    values = (shop_id, source, delivery.topic[:100], dedupe_key(delivery, body), sealed, delivery.verified)
    row = container.database.direct(_INSERT, values)
    return row[0] if row else 0


def seal_body(container: Container, source: str, shop_id: int | None, body: bytes) -> bytes:
    """A body as the inbox keeps it: packed, because sealed bytes cannot be packed any more, then sealed."""
    return container.vault.seal(zlib.compress(body, 1), body_place(source, shop_id))


def open_body(container: Container, source: str, shop_id: int | None, sealed: bytes) -> bytes:
    """The body that was received."""
    return zlib.decompress(container.vault.open(sealed, body_place(source, shop_id)))


def body_place(source: str, shop_id: int | None) -> str:
    """Where the sealed body of an event belongs."""
    return f"inbox:{source}:{shop_id or 0}"
