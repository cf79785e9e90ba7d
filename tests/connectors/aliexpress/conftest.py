from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.aliexpress.harness import Running, running


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Running]:
    """A simulator with a ledger file."""
    with running({"ledger": str(tmp_path / "ledger.jsonl")}) as world:
        yield world
