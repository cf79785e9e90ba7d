"""A small budget of each target, the same cases each time. `python -m tests.fuzz` has more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fresh_databases import FreshDatabases
from tests.fuzz import oracle, run
from tests.fuzz.all import TARGETS
from tests.fuzz.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(
    fresh_databases: FreshDatabases, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One for all targets: each case finds it as it was."""
    with fresh_databases.migrated() as url, staged(url, valkey_url, tmp_path_factory.mktemp("fuzz")) as made:
        yield made


@pytest.mark.parametrize("name", list(TARGETS))
def test_nothing_from_outside_gets_through(stage: Stage, name: str) -> None:
    target = TARGETS[name]
    few = (
        target.curated() if not target.touches else list(target.curated())[:: max(len(list(target.curated())) // 8, 1)]
    )
    ran, failure = run.nasties(stage, target, few)
    assert failure is None, failure.told()
    drawn, failure = run.drawn(stage, target, seed=20, examples=target.smoke)
    assert failure is None, failure.told()
    assert ran > 5
    assert drawn >= target.smoke


@pytest.mark.parametrize(
    ("body", "refusal", "placing"),
    [
        (b'{"error_response":{"code":"InvalidSignature"}}', True, False),
        (b'{"error_response":{"code":"InvalidSignature"},"x":{"is_success":true}}', False, False),
        (b'{"result":{"is_success":true,"order_list":{"number":[1]}}}', False, True),
        (b'{"result":{"is_success":true,"order_list":{"number":[1]},"error_code":7}}', False, False),
        (b'{"result":{"is_success":false,"error_code":"USER_ACCOUNT_DISABLED"}}', True, False),
        (b"", False, False),
    ],
)
def test_the_oracle_knows_clean_answers(body: bytes, refusal: bool, placing: bool) -> None:
    assert oracle.clean_refusal(body) is refusal
    assert oracle.clean_placing(body) is placing
