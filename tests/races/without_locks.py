"""A control: the races must notice that rows are not locked any more. A plugin of pytest, for people.

pytest -p tests.races.without_locks tests/races/test_FILE.py::test_NAME

FILE: placement, people, not_there and imports. One race per run: what a failed one leaves behind disturbs the next one
in its world, which may fail for that alone.

Those that fail show that they can. Those that pass are safe by something else as well: by unique keys, by comparing before
setting, or because both actors write the same row.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.base import PGCompiler


def _nothing(*_given: Any, **_more: Any) -> str:
    return ""


PGCompiler.for_update_clause = _nothing  # type: ignore[method-assign]
