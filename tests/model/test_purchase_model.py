"""The purchase protocol over all interleavings of two workers, kills, duplicates and lost events.

`explore` proves what a thousand random runs only suggest; the mutants prove that it would notice (lifecycle 13).
"""

from __future__ import annotations

import pytest

from tests.model.search import explore
from tests.model.world import Design

AUTOPAY_STATES = 15_713
UNPAID_STATES = 126_085

DESIGNS = {
    "autopay, supplier does not de-duplicate": (Design(), AUTOPAY_STATES),
    "autopay, supplier replays": (Design(dedupe="replay"), AUTOPAY_STATES),
    "autopay, supplier rejects repeats": (Design(dedupe="reject"), AUTOPAY_STATES),
    "unpaid, supplier does not de-duplicate": (Design(autopay=False), UNPAID_STATES),
    "unpaid, supplier rejects repeats": (Design(autopay=False, dedupe="reject"), UNPAID_STATES),
    "same key sent again where the probe showed replay": (Design(dedupe="replay", same_key_resend=True), None),
}

MUTANTS = {
    "M1 retry on time-out": Design(cancellations=False, retry_on_timeout=True),
    "M1r the same with a fresh key against replay": Design(
        cancellations=False, retry_on_timeout=True, dedupe="replay", fresh_key_on_retry=True
    ),
    "M2 a look-up miss is proof": Design(cancellations=False, miss_is_proof=True),
    "M3 nothing written ahead": Design(cancellations=False, write_ahead=False),
    "M4 a lease or RQ retry runs SENDING again": Design(cancellations=False, lease_reruns_sending=True),
    "M5 no unique intent": Design(cancellations=False, unique_intent=False),
    "M6 claim without compare-and-set": Design(cancellations=False, compare_and_set=False),
    "M7 no deadline before the first byte": Design(cancellations=False, deadline=False, autopay=False),
    "M8 cancellation not read again": Design(reread_before_send=False),
    "M9 same key sent again, no de-duplication": Design(cancellations=False, same_key_resend=True),
    "M9u the same, unpaid": Design(cancellations=False, same_key_resend=True, autopay=False),
    "M10 stock error and silence is proof": Design(cancellations=False, silence_means_no_stock=True),
    "M10u the same, unpaid": Design(cancellations=False, silence_means_no_stock=True, autopay=False),
}
SHORTEST, LONGEST = 4, 10


@pytest.mark.parametrize("name", DESIGNS)
def test_design_holds_in_every_interleaving(name: str) -> None:
    design, states = DESIGNS[name]
    verdict = explore(design)
    assert verdict.broken == "", " > ".join(verdict.story)
    assert verdict.stuck == 0
    assert states is None or verdict.states == states


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(name: str) -> None:
    verdict = explore(MUTANTS[name])
    assert verdict.broken
    assert SHORTEST <= len(verdict.story) <= LONGEST, " > ".join(verdict.story)
