"""What every process checks before it works: same keys as the other instances, same database as last time."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.errors import SettingsInvalid
from app.journal import sync_folder
from app.logs import logger
from app.models import Instance, PlacementFreeze
from app.pipeline import breaker, server
from app.pipeline.numbers import PLACE, instance_key, known_key
from app.pipeline.record import alert, audit
from app.vault import VaultError

log = logger(__name__)


def prepare(container: Container) -> None:
    """Check keys and epoch; freeze placement if the database looks older than what this instance remembers.

    Raises `SettingsInvalid` if the vault keys are not those of the other instances (S53).
    """
    with container.database.transaction() as session:
        instance = _instance(container, session)
        _check_keys(container, session)
        facts = _count_on(container, session, instance)
    # A freeze is in the database now; it stays until a person releases it, and is not made anew at the next start.
    _remember(container, facts)


def _count_on(container: Container, session: Session, instance: Instance) -> dict[str, Any]:
    """Freeze if the database is not the one that was left; else or after that, count on. Gives what to remember.

    The count goes on above all that is remembered: once the freeze is released, no worker takes the database for older.
    """
    seen, remembered = _database(session), _remembered(container)
    known = max(int(remembered.get("epoch", 0)), breaker.epoch_seen(container))
    noted = {"system": instance.system, "timeline": instance.timeline} if instance.system else {}
    reasons = _elsewhere(noted, seen) + _elsewhere(remembered, seen)
    if known > instance.epoch:
        reasons.append("the database is older than what this instance remembers: was a backup restored?")
    for reason in dict.fromkeys(reasons):
        _freeze(session, reason)
    instance.epoch = max(instance.epoch, known) + 1
    instance.system, instance.timeline = seen["system"], seen["timeline"]
    return {**seen, "epoch": instance.epoch}


def _freeze(session: Session, reason: str) -> None:
    row = insert(PlacementFreeze).values(reason=reason, frozen_by="boot", released_by="", second="")
    # One that is open already came with the backup: what it asks to be read since then was read before the backup.
    session.execute(
        row.on_conflict_do_update(
            index_elements=["reason"],
            index_where=PlacementFreeze.released_at.is_(None),
            set_={"frozen_at": sa.func.now(), "frozen_by": "boot", "account_id": None},
        )
    )
    text = f"Buying is frozen: {reason}. Check, then `flask placement release`."
    alert(session, f"frozen:{reason}", "placement_frozen", text)
    audit(session, "placement", 0, "frozen", actor="boot", detail={"reason": reason})
    log.error("placement_frozen", reason=reason)


def check_keys(container: Container) -> None:
    """Refuse to work with keys other than those of this database: what we sealed nobody could open (S53)."""
    with container.database.transaction() as session:
        if session.get(Instance, 1) is not None:
            _check_keys(container, session)


def _check_keys(container: Container, session: Session) -> None:
    try:
        instance_key(container, session)
    except VaultError as error:
        raise SettingsInvalid(["VAULT_KEYS lacks the key that this database was set up with"]) from error


def advance(container: Container) -> None:
    """Count on, in the database and in `STATE_DIR`: a backup restored later is then older than what is remembered.

    Compared first: the database may have been exchanged under running workers.
    """
    with container.database.transaction() as session:
        instance = _instance(container, session)  # its row may have been lost with the rest of what was restored
        facts = _count_on(container, session, instance)
    _remember(container, facts)


def _instance(container: Container, session: Session) -> Instance:
    found = session.get(Instance, 1, with_for_update=ROW)
    if found is not None:
        return found
    # Numbers of orders hang on the key: a row that was lost gets the one back that this process still knows.
    sealed = container.vault.seal(known_key(container) or os.urandom(32), PLACE)
    session.execute(insert(Instance).values(id=1, epoch=0, out_key_sealed=sealed).on_conflict_do_nothing())
    return session.get_one(Instance, 1, with_for_update=ROW)


def _database(session: Session) -> dict[str, Any]:
    row = session.execute(sa.select(server.SYSTEM.label("id"), server.TIMELINE.label("timeline"))).one()
    return {"system": row.id, "timeline": row.timeline}


def _remembered(container: Container) -> dict[str, Any]:
    path = container.settings.folder / "epoch.json"
    try:
        loaded: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return loaded


def _remember(container: Container, facts: dict[str, Any]) -> None:
    folder = container.settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    # A name of its own: processes of several containers, each number 1 there, may share the folder.
    handle, draft = tempfile.mkstemp(prefix="epoch.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(facts))
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(folder / "epoch.json")
        sync_folder(folder)
    except OSError as error:
        Path(draft).unlink(missing_ok=True)  # a full disk must not be filled with drafts
        log.warning("state_not_remembered", error=type(error).__name__, folder=str(folder))


def _elsewhere(before: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    """Whether this is another server than at the last start, as remembered by this host or noted in the database.

    A new host without memory is no reason by itself.
    """
    if not before:
        return []
    if before.get("system") != seen["system"]:
        return ["another database than at the last start"]
    if before.get("timeline") != seen["timeline"]:
        return ["the database was recovered to another timeline"]
    return []
