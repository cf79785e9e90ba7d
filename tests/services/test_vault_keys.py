"""Keys are changed while everything runs, and a change that was cut off goes on (S52)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app import models
from app.container import Container
from app.db import Base
from app.errors import Conflict
from app.models import Audit, Credential, Inbox, ProductLink, StoreOrder, SupplierAccount
from app.services import vault_keys
from app.vault import VaultError
from tests.flow.test_order_changes import order, shop
from tests.flow.world import VAULT, World, running

NEW = "k2:" + "B" * 43 + "="  # pragma: allowlist secret - for tests


@pytest.fixture
def lived(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    """Everything that is sealed has been sealed with the old key; then the new one was put before it."""
    with running(database_url, redis_url, tmp_path) as world:
        _, variant = shop(world)
        world.woocommerce_shop("socks")
        order(world, variant)
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"], seconds=20)
        with world.container.database.transaction() as session:
            bought = session.scalars(sa.select(StoreOrder)).one()
            bought.address_override_sealed = world.container.vault.seal_json({"zip": "1"}, bought.address_place)
            account = session.scalars(sa.select(SupplierAccount)).one()
            account.login_sealed = world.container.vault.seal(b"me", f"account:{account.id}:login")
        world.shut()
        world.reopen(VAULT_KEYS=f"{NEW},{VAULT}")
        yield world


def linked(world: World) -> str:
    """The shop's variant that is bought."""
    with world.container.database.reading() as session:
        return session.scalars(sa.select(ProductLink.variant_id)).one()


def rotate(world: World) -> dict[str, int]:
    """How many of each were sealed anew."""
    done = vault_keys.rotate(world.container, actor="ann", told=lambda *_: None)
    assert [one.left for one in done] == [0] * len(done)
    return {one.what: one.resealed for one in done}


def keys(world: World) -> set[str]:
    """Names of the keys that something is sealed with."""
    return {kid for one in vault_keys.standing(world.container) for kid in one.by_key}


def read_all(container: Container) -> int:
    """Opens every sealed value; gives how many there are."""
    count = 0
    with container.database.reading() as session:
        for place in vault_keys.PLACES:
            for row in session.scalars(sa.select(place.model).where(place.column.is_not(None))):
                value = bytes(getattr(row, place.column.key))
                if value:
                    container.vault.open(value, place.of(row))
                    count += 1
    return count


def test_every_sealed_column_is_known() -> None:
    """A column of bytes is sealed, or a digest or signature of which this list knows."""
    others = {
        "inbox.dedupe", "audit.link", "audit_head.link", "audit_head.signature", "shop.delivery_token_hash",
        "consent.state_digest", "consent.browser_digest",
    }  # fmt: skip
    assert models
    blobs = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary)
    }
    assert blobs - others == {f"{place.model.__tablename__}.{place.column.key}" for place in vault_keys.PLACES}


@pytest.mark.security("S52")
def test_after_a_rotation_the_old_key_can_go(lived: World) -> None:
    many = read_all(lived.container)
    assert keys(lived) == {"k1"}
    assert all(rotate(lived).values()), "of each kind there is something"
    assert (keys(lived), read_all(lived.container)) == ({"k2"}, many)
    assert rotate(lived) == {place.name: 0 for place in vault_keys.PLACES}
    lived.shut()
    lived.reopen(VAULT_KEYS=NEW)
    assert read_all(lived.container) == many
    order(lived, linked(lived))
    lived.settle(until=lambda: lived.states() == ["PLACED_UNPAID"] * 2, seconds=20)
    with lived.container.database.reading() as session:
        assert session.scalars(sa.select(Audit.actor).where(Audit.action == "rotated")).all() == ["ann", "ann"]


@pytest.mark.security("S52")
def test_a_rotation_that_was_cut_off_goes_on(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    many, whole = read_all(lived.container), vault_keys._reseal
    monkeypatch.setattr(vault_keys, "BATCH", 1)
    left = [many // 2]

    def cut(*given: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return whole(*given)

    monkeypatch.setattr(vault_keys, "_reseal", cut)
    with pytest.raises(KeyboardInterrupt):
        rotate(lived)
    assert (keys(lived), read_all(lived.container)) == ({"k1", "k2"}, many)
    monkeypatch.setattr(vault_keys, "_reseal", whole)
    rotate(lived)
    assert (keys(lived), read_all(lived.container)) == ({"k2"}, many)


@pytest.mark.security("S52")
def test_everything_runs_meanwhile(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_keys, "BATCH", 1)
    for _ in range(3):
        order(lived, linked(lived))
    turning = threading.Thread(target=rotate, args=(lived,))
    turning.start()
    lived.settle(until=lambda: lived.states() == ["PLACED_UNPAID"] * 4, seconds=30)
    turning.join()
    rotate(lived)
    assert keys(lived) == {"k2"}
    assert read_all(lived.container)


def test_a_row_that_somebody_holds_is_waited_for(lived: World) -> None:
    engine = lived.container.database.engine
    with engine.connect() as holder:
        holder.execute(sa.select(Credential.id).with_for_update())
        waiting = threading.Timer(1.0, holder.rollback)
        waiting.start()
        assert rotate(lived)["tokens"] == 3
        waiting.join()


def test_what_no_key_opens_is_left_and_told(lived: World) -> None:
    """Nothing else waits for it, and it is not thrown away."""
    with lived.container.database.transaction() as session:
        row = session.scalars(sa.select(Inbox).where(Inbox.body.is_not(None)).limit(1)).one()
        lost = row.body = b"\x02k0" + bytes(40)
        number = row.id
    [bodies] = [one for one in vault_keys.standing(lived.container) if one.what == "event bodies"]
    assert bodies.unknown == 1
    with pytest.raises(Conflict, match="1 event bodies"):
        rotate(lived)
    with lived.container.database.reading() as session:
        assert session.get_one(Inbox, number).body == lost
    with pytest.raises(VaultError):
        read_all(lived.container)
    assert keys(lived) == {"k2"}
