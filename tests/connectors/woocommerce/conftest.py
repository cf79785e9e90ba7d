from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.woocommerce.harness import Receiver, Shop, Simulated, receiving, running


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    with running() as found:
        yield found


@pytest.fixture
def shop(simulated: Simulated) -> Shop:
    return simulated.shop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found
