"""What is sealed with an older key is sealed anew with the current one, while everything runs (S52).

Row by row, a batch to a transaction: it may be ended anywhere and goes on where it was. Whoever stores a new secret
meanwhile seals it with the current key anyway; whoever holds a row is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from app.container import Container
from app.errors import Conflict
from app.models import Credential, Inbox, Instance, Shop, StoreOrder, SupplierAccount
from app.pipeline.hooks import token_place
from app.pipeline.numbers import PLACE
from app.pipeline.receive import body_place
from app.pipeline.record import audit
from app.vault import VaultError

BATCH = 50
"""Rows at a time: an event's body may have three megabytes."""
WAITS = 0.2
"""Seconds before rows that somebody else holds are looked at again."""
ROUNDS = 50
"""Times for which they are waited for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A column that holds sealed values. `of`: where a row's value belongs (`Vault.seal`)."""

    name: str
    model: Any
    column: InstrumentedAttribute[Any]
    of: Callable[[Any], str]


PLACES = (
    Place("instance key", Instance, Instance.out_key_sealed, lambda _: PLACE),
    Place("tokens", Credential, Credential.sealed, lambda row: row.place),
    Place("webhook addresses", Shop, Shop.delivery_token_sealed, lambda row: token_place(row.id)),
    Place("account log-ins", SupplierAccount, SupplierAccount.login_sealed, lambda row: f"account:{row.id}:login"),
    Place("addresses", StoreOrder, StoreOrder.address_sealed, lambda row: row.address_place),
    Place("corrected addresses", StoreOrder, StoreOrder.address_override_sealed, lambda row: row.address_place),
    Place("event bodies", Inbox, Inbox.body, lambda row: body_place(row.source, row.shop_id)),
)
"""Every column that is sealed (`test_vault_keys` compares them with the tables)."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """How many values of one place are sealed with which key. `unknown`: with keys that `VAULT_KEYS` does not hold."""

    what: str
    by_key: dict[str, int]
    unknown: int


@dataclass(frozen=True, slots=True)
class Rotated:
    """One place after a rotation. `unreadable`: ids of rows that no key opens; they are left as they are."""

    what: str
    resealed: int
    left: int
    unreadable: tuple[int, ...]


def standing(container: Container) -> list[Sealed]:
    """What is sealed with which key."""
    return [_standing(container, place) for place in PLACES]


def _standing(container: Container, place: Place) -> Sealed:
    key = sa.func.encode(sa.func.substring(place.column, 2, sa.func.get_byte(place.column, 0)), "escape")
    query = sa.select(key, sa.func.count()).where(sa.func.length(place.column) > 1).group_by(key).order_by(key)
    with container.database.reading() as session:
        found = {str(kid): int(many) for kid, many in session.execute(query)}
    known = {kid: many for kid, many in found.items() if container.vault.knows(kid)}
    return Sealed(place.name, known, sum(found.values()) - sum(known.values()))


def rotate(
    container: Container, *, actor: str, told: Callable[[str, int], None] = lambda _what, _many: None
) -> list[Rotated]:
    """Seal everything that an older key sealed with the current one. `told`: after each batch, how many of it so far.

    Raises `Conflict` if an older release still holds rows that no key of `VAULT_KEYS` opens: its keys are missing.
    """
    done = []
    for place in PLACES:
        many, unreadable = 0, set[int]()
        for batch, odd in _batches(container, place):
            many += batch
            unreadable |= odd
            told(place.name, many)
        left = _count(container, place) - len(unreadable)
        done.append(Rotated(place.name, many, left, tuple(sorted(unreadable))))
    with container.database.transaction() as session:
        detail = {"key": container.vault.current, "resealed": sum(one.resealed for one in done)}
        audit(session, "vault", 0, "rotated", actor=actor, detail=detail)
    missing = [f"{len(one.unreadable)} {one.what}" for one in done if one.unreadable]
    if missing:
        raise Conflict(
            "unreadable",
            f"No key in VAULT_KEYS opens {', '.join(missing)}: they were left as they are. Put the key that sealed "
            "them back behind the current one, and rotate again.",
        )
    return done


def _batches(container: Container, place: Place) -> Iterator[tuple[int, set[int]]]:
    """(Sealed anew, ids that no key opens) of each batch. Rows that somebody holds come at the end."""
    odd, waited = set[int](), 0
    while True:
        after, found = 0, 0
        while True:
            batch, after, unreadable = _reseal(container, place, after, odd)
            odd |= unreadable
            found += batch
            if batch or unreadable:
                yield batch, unreadable
            if not after:
                break
        if not found and (waited >= ROUNDS or _count(container, place) <= len(odd)):
            return
        if not found:
            waited += 1
            time.sleep(WAITS)


def _older(container: Container, place: Place) -> sa.ColumnElement[bool]:
    """Sealed with another key than the current one: each value begins with its key's name and that one's length."""
    head = bytes([len(container.vault.current)]) + container.vault.current.encode()
    return sa.and_(sa.func.length(place.column) > 1, sa.func.substring(place.column, 1, len(head)) != head)


def _count(container: Container, place: Place) -> int:
    query = sa.select(sa.func.count()).select_from(place.model).where(_older(container, place))
    with container.database.reading() as session:
        return session.scalar(query) or 0


def _reseal(container: Container, place: Place, after: int, odd: set[int]) -> tuple[int, int, set[int]]:
    """One batch of rows above this id: (how many, the highest id or 0 if there are no more, those nobody can open)."""
    query = (
        sa.select(place.model)
        .where(place.model.id > after, _older(container, place), place.model.id.not_in(odd))
        .order_by(place.model.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True)
    )
    unreadable = set[int]()
    with container.database.transaction() as session:
        rows = session.scalars(query).all()
        for row in rows:
            where = place.of(row)
            try:
                plain = container.vault.open(bytes(getattr(row, place.column.key)), where)
            except VaultError:
                unreadable.add(row.id)
                continue
            setattr(row, place.column.key, container.vault.seal(plain, where))
    return len(rows) - len(unreadable), rows[-1].id if len(rows) == BATCH else 0, unreadable
