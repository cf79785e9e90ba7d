"""Keys at boot (S53), the audit chain (S50) and spending limits under parallel lines (S66)."""

from __future__ import annotations

import base64
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import audit_chain
from app import container as containers
from app.boot import prepare
from app.errors import SettingsInvalid
from app.jobs.drain import KINDS, Drain
from app.models import Audit, AuditHead, Shop, Spend
from tests.flow.world import BOTTLE, World
from tests.security.real_server import ROOT

SHOP = "bottles.myshopify.com"


def placed(world: World, count: int = 1) -> None:
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    for _ in range(count):
        world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})


@pytest.mark.security("S50")
def test_s50_every_step_is_one_row_and_the_chain_names_what_was_touched(world: World) -> None:
    placed(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    while audit_chain.seal(world.container):
        pass
    whole = audit_chain.verify(world.container)
    assert whole.intact
    with world.container.database.transaction() as session:
        steps = session.scalars(sa.select(Audit).where(Audit.entity == "purchase").order_by(Audit.id)).all()
        ids = list(session.scalars(sa.select(Audit.id).order_by(Audit.seq)))
    states = [(one.from_state, one.to_state) for one in steps if one.to_state]
    assert [one for _, one in states][-1] == "PLACED_UNPAID"
    for before, after in itertools.pairwise(states):
        assert before[1] == after[0]
    assert whole.rows == len(ids)
    middle = ids[len(ids) // 2]
    for act, named in (
        (sa.update(Audit).where(Audit.id == middle).values(actor="nobody"), middle),
        (sa.delete(Audit).where(Audit.id == middle), ids[len(ids) // 2 + 1]),
    ):
        broken = touched(world, act)
        assert not broken.intact
        assert broken.broken_at == named
    assert not touched(world, sa.delete(Audit).where(Audit.id == ids[-1])).intact
    assert not touched(world, sa.update(AuditHead).values(signature=b"\0" * 32)).intact
    assert not touched(world, sa.delete(AuditHead)).intact


def touched(world: World, act: sa.Update | sa.Delete) -> audit_chain.Verdict:
    """What `verify` says after `act`, which is then taken back: the tables as they are, in copies."""
    tables = ("audit", "audit_head")
    with world.container.database.transaction() as session:
        for name in tables:
            session.execute(sa.text("DROP TABLE IF EXISTS kept_" + name))
            session.execute(sa.text(f"CREATE TABLE kept_{name} AS SELECT * FROM {name}"))
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))  # past whatever forbids it
        session.execute(act)
    verdict = audit_chain.verify(world.container)
    with world.container.database.transaction() as session:
        session.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for name in tables:
            session.execute(sa.text(f"DELETE FROM {name}"))
            session.execute(sa.text(f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{name}"))
    return verdict


KEY = base64.b64encode(b"k" * 32).decode()


@pytest.mark.security("S53")
@pytest.mark.parametrize(
    "keys",
    ["", "k1:", "k1:c2hvcnQ=", "k1:" + "A" * 42, "nokey", f"k1:{KEY},k1:{KEY}", f":{KEY}"],
    ids=["none", "empty", "short", "odd", "no-colon", "twice", "nameless"],
)
def test_s53_without_proper_keys_nothing_starts(world: World, keys: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        containers.build({**world.environment, "VAULT_KEYS": keys})
    assert "VAULT_KEYS" in str(refusal.value)
    assert KEY not in str(refusal.value)
    done = subprocess.run(
        [Path(sys.executable).parent / "flask", "--app", "wsgi", "worker"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **world.environment, "VAULT_KEYS": keys},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert b"VAULT_KEYS" in done.stderr


@pytest.mark.security("S53")
def test_s53_an_instance_with_other_keys_refuses_to_work(world: World) -> None:
    other = f"k1:{base64.b64encode(os.urandom(32)).decode()}"
    second = containers.build({**world.environment, "VAULT_KEYS": other})
    try:
        with pytest.raises(SettingsInvalid, match="VAULT_KEYS"):
            prepare(second)
    finally:
        second.close()
    more = containers.build({**world.environment, "VAULT_KEYS": f"k2:{KEY},{world.environment['VAULT_KEYS']}"})
    try:
        prepare(more)  # a new key in front of the known one is how keys are changed
    finally:
        more.close()


@pytest.mark.security("S66")
@pytest.mark.parametrize("over", [0, 1])
def test_s66_fifty_parallel_lines_never_pass_the_day_cap_by_a_cent(world: World, over: int) -> None:
    placed(world)
    world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
    with world.container.database.transaction() as session:
        price = session.scalars(sa.select(Spend.quoted)).one()
        cap = price * 5 - over  # five in all, or four and a cent too little for the fifth
        session.execute(sa.update(Shop).values(day_cap=cap))
    variant = world.variant_ids["BOTTLE"]
    wide = Drain(world.container, threads=30, kinds=[kind for kind in KINDS if kind.name in {"buy", "inbox"}])
    try:
        for _ in range(50):
            world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
        world.settle(seconds=60, until=lambda: wide.until_idle() == 0 and settled(world))
    finally:
        wide.close()
    with world.container.database.transaction() as session:
        spent = session.scalar(sa.select(sa.func.sum(Spend.quoted)).where(Spend.state != "RELEASED"))
    assert spent == price * (5 - over)
    assert spent <= cap
    assert len(world.created()) == 5 - over
    assert world.reasons().count("cap_day") == 51 - (5 - over)


def settled(world: World) -> bool:
    states = world.states()
    return len(states) == 51 and not set(states) & {"DRAFT", "READY", "CLAIMED", "SENDING"}
