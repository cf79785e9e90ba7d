"""How much of the shops' post is lost and how much comes twice."""

from __future__ import annotations

import random
from collections import Counter

from tests.soak.post import copies


def test_of_all_webhooks_a_fifth_never_comes_and_three_tenths_come_twice() -> None:
    drawn = random.Random(1)
    shares = Counter(copies(drawn.random(), drawn.random()) for _ in range(100_000))
    assert {times: round(count / 100_000, 2) for times, count in shares.items()} == {0: 0.2, 1: 0.5, 2: 0.3}
