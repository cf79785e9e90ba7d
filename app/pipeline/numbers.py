"""Our own order numbers as the supplier sees them: stable, opaque, unique over all merchants."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from app.container import Container
from app.errors import WaybillError
from app.models import Instance, SourceLine

PLACE = "instance:out_order_key"
_KEYS: WeakKeyDictionary[Container, bytes] = WeakKeyDictionary()
"""It never changes, so each process opens it once."""


def out_order_id(
    container: Container,
    session: Session,
    shop_id: int,
    external_order_id: str,
    lines: Sequence[SourceLine],
    part: int,
    generation: int,
) -> str:
    """18 digits: HMAC of shop, order, smallest line id, part and generation under the instance's key."""
    key = instance_key(container, session)
    smallest = min(lines, key=lambda line: line.id).external_id
    seed = "\x1f".join((str(shop_id), external_order_id, smallest, str(part), str(generation)))
    number = int.from_bytes(hmac.digest(key, seed.encode(), "sha256")[:16], "big") % 9 * 10**17 + int.from_bytes(
        hmac.digest(key, seed.encode() + b"\x00tail", "sha256")[:16], "big"
    ) % (10**17)
    return str(number + 10**17)


def known_key(container: Container) -> bytes | None:
    """The key if this process opened it already."""
    return _KEYS.get(container)


def instance_key(container: Container, session: Session) -> bytes:
    """The secret that all instances share and that no key rotation changes. Raises `VaultError` under other keys."""
    known = _KEYS.get(container)
    if known is None:
        instance = session.get(Instance, 1)
        if instance is None:
            raise WaybillError("not_initialised", "This database has no instance key yet: start a worker once.")
        known = _KEYS[container] = container.vault.open(bytes(instance.out_key_sealed), PLACE)
    return known
