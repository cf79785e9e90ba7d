"""The journal survives crashes, is read back once, and does not grow for ever."""

from __future__ import annotations

from pathlib import Path

from app import journal as journals
from app.journal import Entry, Journal


def entry(number: int) -> Entry:
    """One answered send."""
    return Entry(number, number, str(number), {"outcome": "PLACED"})


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
    journal.tidy(set())
    assert dead.exists()
    journal.tidy({1})
    assert (live.exists(), dead.exists()) == (True, False)


def test_full_files_are_removed_while_the_process_lives(tmp_path: Path, monkeypatch: object) -> None:
    journal = Journal(tmp_path)
    for number in range(journals.SEGMENT + 1):
        journal.append(entry(number))
    assert len(list((tmp_path / "journal").glob("*.jsonl"))) == 2
    journal.tidy(set(range(journals.SEGMENT + 1)))
    assert [one.attempt_id for one in journal.entries()] == [journals.SEGMENT]
