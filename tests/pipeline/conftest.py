"""The stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import container as containers
from app.boot import prepare
from tests.pipeline.stage import Stage

NOWHERE = "http://127.0.0.1:9"
"""No test here calls anybody."""


@pytest.fixture
def stage(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A container on a clean database, and a transaction."""
    container = containers.build(
        {
            "APP_ENV": "test",
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": NOWHERE,
            "SECRET_KEY": "for tests only, for tests only, for tests only",
            "VAULT_KEYS": "k1:" + "A" * 43 + "=",
            "STATE_DIR": str(tmp_path / "state"),
            "OUTBOUND_ALLOW_PRIVATE": "1",
            "WOOCOMMERCE_ALLOW_HTTP": "1",
            "ALIEXPRESS_APP_KEY": "500001",
            "ALIEXPRESS_APP_SECRET": "simulated-app-secret",
            "ALIEXPRESS_API_URL": NOWHERE,
            "SHOPIFY_CLIENT_ID": "simulated-client",
            "SHOPIFY_CLIENT_SECRET": "simulated-secret",
            "SHOPIFY_SHOP_URL_TEMPLATE": NOWHERE + "/{shop}",
            "LOG_LEVEL": "ERROR",
        }
    )
    try:
        prepare(container)
        made = Stage(container)
        yield made
        made.end()
    finally:
        container.close()
