"""Every missing or malformed setting is named in one message; production has rules of its own."""

from __future__ import annotations

import base64

import pytest

from app.container import read_settings
from app.errors import SettingsInvalid

KEY = "k1:" + base64.b64encode(bytes(32)).decode()
GOOD = {
    "APP_ENV": "test",
    "DATABASE_URL": "postgresql://u:p@localhost/waybill",
    "REDIS_URL": "redis://localhost",
    "PUBLIC_URL": "https://waybill.example",
    "SECRET_KEY": "x" * 40,
    "VAULT_KEYS": KEY,
    "ALIEXPRESS_APP_KEY": "500001",
    "ALIEXPRESS_APP_SECRET": "secret",
    "SHOPIFY_CLIENT_ID": "id",
    "SHOPIFY_CLIENT_SECRET": "secret",
}


def faults(**changes: str) -> str:
    """The message for these settings."""
    with pytest.raises(SettingsInvalid) as caught:
        read_settings({**GOOD, **changes})
    return str(caught.value)


def test_all_missing_names_are_told_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read_settings({})
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY", "VAULT_KEYS", "ALIEXPRESS_APP_KEY"):
        assert name in str(caught.value)
    assert "SHOPIFY_CLIENT_SECRET" in str(caught.value)


def test_good_settings_are_read() -> None:
    settings, parts = read_settings(GOOD)
    assert settings.database_url.get_secret_value().startswith("postgresql+psycopg://")
    assert set(parts) == {"aliexpress", "shopify", "woocommerce"}


@pytest.mark.security
@pytest.mark.parametrize("keys", ["", "k1", "k1:short", "k1:" + base64.b64encode(b"x").decode(), f"{KEY},{KEY}"])
def test_s53_missing_short_or_double_keys_are_refused_without_telling_them(keys: str) -> None:
    told = faults(VAULT_KEYS=keys)
    assert "VAULT_KEYS" in told
    assert not keys or keys.partition(":")[2] not in told or ":" not in keys


@pytest.mark.parametrize("name", ["OUTBOUND_ALLOW_PRIVATE", "WOOCOMMERCE_ALLOW_HTTP", "TIME_SCALE"])
def test_development_switches_are_refused_in_production(name: str) -> None:
    assert name in faults(
        APP_ENV="production", STATE_DIR="/var/lib/waybill", **{name: "60" if "SCALE" in name else "1"}
    )


def test_production_needs_a_state_folder_and_https() -> None:
    told = faults(APP_ENV="production", PUBLIC_URL="http://waybill.example")
    assert "STATE_DIR" in told
    assert "https" in told


def test_secrets_do_not_show() -> None:
    settings, _ = read_settings(GOOD)
    assert "x" * 40 not in repr(settings)
    assert "u:p@" not in repr(settings)
