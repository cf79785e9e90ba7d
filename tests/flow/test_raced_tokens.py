"""A renewal that outlives its lease, or whose shop leaves meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from app import shop_access
from app.errors import NotFound
from app.models import Credential
from app.ports.errors import MerchantMustAct
from tests.flow.test_mended_tokens import credential
from tests.flow.test_order_changes import shop
from tests.flow.world import World


def after_the_answer(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """What happens between the answer to the first renewal and its being stored."""
    whole, begun = shop_access._ask, list[int]()

    def ask(container: Any, opened: Any) -> Any:
        begun.append(opened.credential_id)
        first = len(begun) == 1
        grant = whole(container, opened)
        if first:
            happens()
        return grant

    monkeypatch.setattr(shop_access, "_ask", ask)


def test_a_refusal_of_a_pair_that_was_replaced_kills_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both asked with the old pair; the one that was refused goes on with the other's new one."""
    shop(world)
    opened = shop_access.open_account(world.container, 1)
    renewed = shop_access.renew(world.container, opened)

    def lease_taken(*_: object) -> bool:
        return True  # before the other had stored

    def refused(*_: object) -> None:
        raise MerchantMustAct("token_dead", "refused")

    monkeypatch.setattr(shop_access, "_take_lease", lease_taken)
    monkeypatch.setattr(shop_access, "_ask", refused)
    assert shop_access.renew(world.container, opened).version == renewed.version
    assert credential(world).state == "LIVE"


def test_a_shop_that_leaves_during_the_renewal_is_not_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(world)
    opened = shop_access.open_shop(world.container, 1)

    def leave() -> None:
        with world.container.database.transaction() as session:
            session.execute(sa.delete(Credential).where(Credential.shop_id == 1))

    after_the_answer(monkeypatch, leave)
    with pytest.raises(NotFound):
        shop_access.renew(world.container, opened)
