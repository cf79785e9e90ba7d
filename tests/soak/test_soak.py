"""The short soak: two minutes of trade under the nemesis, in real processes, and peace until all is accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.run import Plan, Soak
from tests.soak.table import table

SECONDS = 120.0


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_nothing_is_bought_twice_or_lost_or_given_to_somebody_else(tmp_path: Path) -> None:
    with Soak(tmp_path / "world", Plan(SECONDS, seed=7, orders_a_minute=24), print) as soak:
        verdict, figures = soak.run()
    told = table(verdict, figures)
    print(told)
    # Being late is told only: here other tests may have the machine.
    assert verdict.failures(timed=False) == [], told
    assert verdict.lines >= 200, told  # about half of what two busy cores give
    assert figures["kills"] >= 14, told
