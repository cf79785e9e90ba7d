"""The journal survives crashes, is read back once, is kept for a while, and does not grow for ever."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import journal as journals
from app.journal import Entry, Journal

NOW = datetime.now(UTC)


def entry(number: int) -> Entry:
    """One answered send."""
    return Entry(number, number, str(number), {"outcome": "PLACED"})


def recorded(*numbers: int) -> set[tuple[int, str, float]]:
    """These entries, as `tidy` is told of them."""
    return {(number, str(number), 0.0) for number in numbers}


def test_entries_come_back_and_a_cut_line_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    file = next((tmp_path / "journal").glob("*.jsonl"))
    file.write_bytes(file.read_bytes() + b'{"attempt_id":2,"purch')
    assert [one.attempt_id for one in Journal(tmp_path).entries()] == [1]


def test_files_of_the_dead_are_put_aside_once_everything_is_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    live = next((tmp_path / "journal").glob("*.jsonl"))
    dead = live.with_name(f"{journals.HOST}-999999999-1.jsonl")
    dead.write_bytes(live.read_bytes())
    journal.tidy(set(), NOW)
    assert dead.exists()
    journal.tidy(recorded(1), NOW)
    assert (live.exists(), dead.exists()) == (True, False)


def test_full_files_are_put_aside_while_the_process_lives(tmp_path: Path, monkeypatch: object) -> None:
    journal = Journal(tmp_path)
    for number in range(journals.SEGMENT + 1):
        journal.append(entry(number))
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 2
    journal.tidy(recorded(*range(journals.SEGMENT + 1)), NOW)
    assert [one.attempt_id for one in journal.entries()] == [journals.SEGMENT]


def test_what_is_no_entry_stands_in_nobodys_way(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    good = next((tmp_path / "journal").glob("*.jsonl"))
    lines = [
        b"[" * 200_000,
        b'{"attempt_id":"x","purchase_id":1,"number":"1","result":{}}',
        b'{"attempt_id":99999999999999999999999,"purchase_id":1,"number":"1","result":{}}',
        b'{"attempt_id":[1],"purchase_id":1,"number":"1","result":{}}',
        b'{"attempt_id":true,"purchase_id":1,"number":"1","result":{}}',
        b'{"attempt_id":1,"purchase_id":1,"number":"1","result":[]}',
        b"\x00\xff",
        b"null",
    ]
    good.with_name(f"{journals.HOST}-999999999-1.jsonl").write_bytes(b"\n".join(lines))
    (tmp_path / "journal" / "folder.jsonl").mkdir()
    again = Journal(tmp_path)
    assert [one.attempt_id for one in again.entries()] == [1]
    again.tidy(recorded(1), NOW)


def test_an_entry_after_one_that_a_full_disk_cut_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    file = next((tmp_path / "journal").glob("*.jsonl"))
    with file.open("ab") as cut:
        cut.write(b'{"attempt_id":2,"purch')
    journal.append(entry(3))
    assert [one.attempt_id for one in Journal(tmp_path).entries()] == [1, 3]


def test_a_restarted_container_with_the_same_process_number_takes_a_file_of_its_own(tmp_path: Path) -> None:
    old = Journal(tmp_path)
    for number in range(1, journals.SEGMENT + 2):
        old.append(entry(number))
    old.tidy(recorded(*range(1, journals.SEGMENT + 2)), NOW)
    new = Journal(tmp_path)
    new.append(entry(600))
    new.tidy(recorded(*range(1, 601)), NOW)
    new.append(entry(601))
    assert 601 in {one.attempt_id for one in Journal(tmp_path).entries()}


def test_a_file_that_was_removed_under_a_running_process_is_made_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    shutil.rmtree(tmp_path / "journal")
    journal.append(entry(2))
    assert [one.attempt_id for one in Journal(tmp_path).entries()] == [2]


def test_a_new_file_comes_after_all_that_the_process_number_had(tmp_path: Path) -> None:
    """A file with a higher number beside it is taken for finished, and would be put aside while it is written."""
    folder = tmp_path / "journal"
    folder.mkdir()
    old = folder / f"{journals.HOST}-{os.getpid()}-2.jsonl"
    old.write_text("{}\n")
    journal = Journal(tmp_path)
    journal.append(entry(1))
    journal.tidy(recorded(1), NOW)
    assert [one.attempt_id for one in journal.entries()] == [1]


def test_the_last_file_of_another_host_goes_when_it_has_rested_for_a_week(tmp_path: Path) -> None:
    """Each deployment of containers has host names of its own: their files would be read for ever."""
    journal = Journal(tmp_path)
    journal.append(entry(1))
    mine = next((tmp_path / "journal").glob("*.jsonl"))
    other = mine.with_name("elsewhere-7-1.jsonl")
    other.write_bytes(mine.read_bytes())
    journal.tidy(recorded(1), NOW)
    assert other.exists()
    os.utime(other, (0, NOW.timestamp() - journals.RESTS.total_seconds() - 60))
    journal.tidy(set(), NOW)
    assert other.exists()
    journal.tidy(recorded(1), NOW)
    assert not other.exists()


def dead(tmp_path: Path, *numbers: int, segment: int = 1) -> Path:
    """A file of a process that is gone."""
    file = tmp_path / "journal" / f"{journals.HOST}-999999999-{segment}.jsonl"
    file.write_text("".join(json.dumps(asdict(entry(number))) + "\n" for number in numbers))
    return file


def test_what_is_recorded_is_kept_for_a_while_and_read_only_when_asked_for(tmp_path: Path) -> None:
    """A backup that is restored later does not have it: it is the proof of what was bought."""
    journal = Journal(tmp_path)
    file = dead(tmp_path, 1)
    journal.tidy(recorded(1), NOW, timedelta(days=14))
    assert list(journal.entries()) == []
    assert [one.attempt_id for one in journal.entries(kept=True)] == [1]
    [aside] = (tmp_path / "journal").iterdir()
    os.utime(aside, (0, (NOW - timedelta(days=13)).timestamp()))
    journal.tidy(set(), NOW, timedelta(days=14))
    assert aside.exists()
    os.utime(aside, (0, (NOW - timedelta(days=15)).timestamp()))
    journal.tidy(set(), NOW)
    assert aside.exists(), "nothing is removed while it may be needed"
    journal.tidy(set(), NOW, timedelta(days=14))
    assert not aside.exists()
    assert not file.exists()


def test_what_was_put_aside_is_never_written_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    dead(tmp_path, 1)
    journal.tidy(recorded(1), NOW)
    again = dead(tmp_path, 2)
    journal.tidy(recorded(2), NOW)
    assert again.exists()
    assert {one.attempt_id for one in journal.entries(kept=True)} == {1, 2}
    mine = tmp_path / "journal" / f"{journals.HOST}-{os.getpid()}-7.done"
    mine.touch()
    journal.append(entry(3))
    assert mine.with_name(f"{journals.HOST}-{os.getpid()}-8.jsonl").exists()


def test_a_file_that_was_put_aside_under_a_running_process_grows_no_more(tmp_path: Path) -> None:
    """Nobody would record what it wrote there."""
    journal = Journal(tmp_path)
    journal.append(entry(1))
    [mine] = (tmp_path / "journal").iterdir()
    mine.rename(mine.with_suffix(".done"))
    journal.append(entry(2))
    assert [one.attempt_id for one in journal.entries()] == [2]


def test_a_number_is_known_from_whichever_process_wrote_it_until_its_file_is_removed(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path), Journal(tmp_path)
    assert journal.bought("1") == []
    other.append(entry(1))
    assert [one.attempt_id for one in journal.bought("1")] == [1]
    other.append(entry(2))
    assert [one.attempt_id for one in journal.bought("2")] == [2], "the file had been read once already"
    other.append(Entry(3, 3, "3", {"outcome": "NOT_EXECUTED"}))
    assert journal.bought("3") == []
    [file] = (tmp_path / "journal").iterdir()
    with file.open("ab") as cut:
        cut.write(b'\n{"attempt_id":4,"purchase_id":4,"number":"4",')
    assert journal.bought("4") == []
    with file.open("ab") as rest:
        rest.write(b'"result":{"outcome":"UNKNOWN"}}\n')
    assert [one.attempt_id for one in journal.bought("4")] == [4]
    file.rename(file.with_suffix(".done"))
    assert [one.attempt_id for one in journal.bought("1")] == [1]
    assert [one.attempt_id for one in Journal(tmp_path).bought("4")] == [4]
    file.with_suffix(".done").unlink()
    assert journal.bought("1") == []


def test_a_disk_that_takes_only_a_part_of_an_entry_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A nearly full one says nothing: it only writes fewer bytes."""
    journal = Journal(tmp_path)
    journal.append(entry(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:20]))
    with pytest.raises(OSError, match="only 20 of") as raised:
        journal.append(entry(2))
    assert raised.value.errno == errno.ENOSPC
    monkeypatch.undo()
    journal.append(entry(3))
    assert [one.attempt_id for one in Journal(tmp_path).entries()] == [1, 3]


def test_an_entry_that_lost_only_its_end_of_line_is_known_by_its_number_too(tmp_path: Path) -> None:
    """What is replayed is what counts before a send, also while the file grows on."""
    journal = Journal(tmp_path)
    file = dead(tmp_path, 1, 2)
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    for _ in range(2):
        assert [one.attempt_id for one in journal.entries()] == [1, 2]
        assert [one.attempt_id for one in journal.bought("2")] == [2]
    with file.open("ab") as more:
        more.write(b"\n" + json.dumps(asdict(entry(3))).encode())
    assert [one.attempt_id for one in journal.bought("3")] == [3]
    file.rename(file.with_suffix(".done"))
    assert [one.attempt_id for one in Journal(tmp_path).bought("3")] == [3]
