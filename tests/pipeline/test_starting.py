"""What a process does at its start: keys that are not this database's, what it remembers, and whose database it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app import boot
from app.errors import SettingsInvalid, WaybillError
from app.models import Instance, PlacementFreeze
from app.pipeline import numbers
from app.vault import Vault
from tests.pipeline.stage import Stage


def reasons(stage: Stage) -> list[str]:
    """Why buying is frozen."""
    open_ones = sa.select(PlacementFreeze.reason).where(PlacementFreeze.released_at.is_(None))
    return list(stage.session.scalars(open_ones.order_by(PlacementFreeze.id)))


def test_another_key_than_the_database_s_is_refused_in_words(stage: Stage) -> None:
    other = replace(stage.container, vault=Vault({"k2": b"another key than that, of 32 bytes"[:32]}))
    with stage.outside(), pytest.raises(SettingsInvalid, match="VAULT_KEYS lacks the key"):
        boot.check_keys(other)


def test_before_anybody_started_no_number_can_be_made(stage: Stage) -> None:
    numbers._KEYS.pop(stage.container)
    stage.session.execute(sa.delete(Instance))
    with pytest.raises(WaybillError, match="start a worker once") as refused:
        numbers.instance_key(stage.container, stage.session)
    assert refused.value.code == "not_initialised"


def test_a_database_that_was_recovered_to_another_timeline_freezes(stage: Stage) -> None:
    remembered = stage.container.settings.folder / "epoch.json"
    before = json.loads(remembered.read_text())
    remembered.write_text(json.dumps({**before, "timeline": before["timeline"] + 1}))
    with stage.outside():
        boot.prepare(stage.container)
    assert reasons(stage) == ["the database was recovered to another timeline"]
    with stage.outside():
        boot.prepare(stage.container)
    assert len(reasons(stage)) == 1
    assert json.loads(remembered.read_text()) == {**before, "epoch": before["epoch"] + 2}


def test_a_full_disk_is_told_and_leaves_no_drafts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stage.container.settings.folder
    before = (folder / "epoch.json").read_text()

    def full(path: Path, target: Path) -> None:
        assert (path.exists(), target) == (True, folder / "epoch.json")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    told: list[str] = []
    monkeypatch.setattr(boot.log, "warning", lambda event, **_: told.append(event))
    with stage.outside():
        boot.advance(stage.container)
    assert told == ["state_not_remembered"]
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["epoch.json"]
    assert (folder / "epoch.json").read_text() == before
    assert stage.session.scalars(sa.select(Instance.epoch)).one() == json.loads(before)["epoch"] + 1
