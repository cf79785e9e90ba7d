"""The journal survives crashes, is read back once, and does not grow for ever."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from app import journal as journals
from app.journal import Entry, Journal

NOW = datetime.now(UTC)


def entry(number: int) -> Entry:
    """One answered send."""
    return Entry(number, number, str(number), {"outcome": "PLACED"})


def recorded(*numbers: int) -> set[tuple[int, str]]:
    """These entries, as `tidy` is told of them."""
    return {(number, str(number)) for number in numbers}


def test_entries_come_back_and_a_cut_line_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    file = next((tmp_path / "journal").glob("*.jsonl"))
    file.write_bytes(file.read_bytes() + b'{"attempt_id":2,"purch')
    assert [one.attempt_id for one in Journal(tmp_path).entries()] == [1]


def test_files_of_the_dead_go_once_everything_is_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(entry(1))
    live = next((tmp_path / "journal").glob("*.jsonl"))
    dead = live.with_name(f"{journals.HOST}-999999999-1.jsonl")
    dead.write_bytes(live.read_bytes())
    journal.tidy(set(), NOW)
    assert dead.exists()
    journal.tidy(recorded(1), NOW)
    assert (live.exists(), dead.exists()) == (True, False)


def test_full_files_are_removed_while_the_process_lives(tmp_path: Path, monkeypatch: object) -> None:
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
    """A file with a higher number beside it is taken for finished, and would be removed while it is written."""
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
    os.utime(other, (0, NOW.timestamp() - journals.RESTS - 60))
    journal.tidy(set(), NOW)
    assert other.exists()
    journal.tidy(recorded(1), NOW)
    assert not other.exists()
