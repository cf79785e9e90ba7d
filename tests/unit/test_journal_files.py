"""The journal's files while others rename, remove and make them; and whose they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import journal as journals
from app.journal import Journal
from app.journal_numbers import DONE, LIVE
from tests.unit.test_journal import entry, recorded

ABROAD = "other-1-1"
"""A file of a process of another host."""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """With one entry in it."""
    made = Journal(tmp_path)
    made.append(entry(1))
    return made


@pytest.fixture
def folder(tmp_path: Path, journal: Journal) -> Path:
    return tmp_path / "journal"


def dead(folder: Path, name: str) -> Path:
    """A copy of the only file, left by another process."""
    made = folder / f"{name}{LIVE}"
    made.write_bytes(next(folder.glob(f"*{LIVE}")).read_bytes())
    return made


def test_a_file_that_another_process_made_in_the_same_moment_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers over one folder, number 1 in both: listed before the other's file was there."""
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.append(entry(1))
    with monkeypatch.context() as before:
        before.setattr(Path, "glob", lambda *_: iter(()))
        second.append(entry(2))
    lines = [file.read_bytes().count(b"attempt_id") for file in (tmp_path / "journal").glob(f"*{LIVE}")]
    assert lines == [1, 1]
    assert sorted(one.attempt_id for one in first.entries()) == [1, 2]


def test_a_file_of_another_host_is_put_aside_after_a_week(journal: Journal, folder: Path) -> None:
    abroad = dead(folder, ABROAD)
    week = datetime.fromtimestamp(abroad.stat().st_mtime, UTC) + journals.RESTS
    journal.tidy(recorded(1), week - timedelta(minutes=1))
    assert abroad.exists()
    journal.tidy(recorded(1), week + timedelta(minutes=1))
    assert (abroad.exists(), abroad.with_suffix(DONE).exists()) == (False, True)


def test_a_file_that_is_gone_by_the_time_it_is_looked_at_was_not_written_lately(folder: Path) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    assert journals._lately(dead(folder, ABROAD), now, day)
    assert not journals._lately(folder / f"gone{LIVE}", now, day)


def test_a_process_of_another_user_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, sign: int) -> None:
        assert (pid, sign) == (1, 0), "asked, not ended"
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert journals._alive(1)


def test_what_is_no_file_of_a_journal_names_no_number(folder: Path, journal: Journal) -> None:
    other = dead(folder, ABROAD)
    other.write_bytes(other.read_bytes().replace(b'"1"', b'"7"'))
    assert journal.bought("7")
    other.rename(other.with_suffix(".tmp"))
    (folder / f"folder{LIVE}").mkdir()
    assert (bool(journal.bought("1")), bool(journal.bought("7"))) == (True, False)


@pytest.mark.parametrize("how", ["put aside", "removed"])
def test_a_file_that_goes_between_listing_and_reading(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    other = folder / f"{ABROAD}{LIVE}"
    other.write_bytes(next(folder.glob(f"*{LIVE}")).read_bytes().replace(b'"1"', b'"7"'))
    whole = Path.open

    def open_late(path: Path, *given: Any, **more: Any) -> Any:
        if path == other and other.exists():
            other.rename(other.with_suffix(DONE)) if how == "put aside" else other.unlink()
        return whole(path, *given, **more)

    monkeypatch.setattr(Path, "open", open_late)
    assert bool(journal.bought("7")) is (how == "put aside")
    assert journal.bought("1")


def test_what_is_appended_is_on_the_disk_before_anybody_goes_on(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = list[int](), os.fsync

    def note(file: int) -> None:
        synced.append(os.fstat(file).st_size)
        fsync(file)

    monkeypatch.setattr(os, "fsync", note)
    journal.append(entry(2))
    [file] = folder.glob(f"*{LIVE}")
    assert synced[-1] == file.stat().st_size
