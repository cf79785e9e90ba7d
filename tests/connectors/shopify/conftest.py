from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.shopify.harness import Receiver, Simulated, receiving, running


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    with running() as found:
        found.shop()
        yield found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found
