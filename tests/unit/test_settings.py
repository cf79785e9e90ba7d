"""Every missing or malformed setting is named in one message; production has rules of its own."""

from __future__ import annotations

import base64

import pytest

from app.container import read_settings, timers_of
from app.domain.timing import SETTINGS
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


def test_timers_are_chosen_by_settings_and_scale_together() -> None:
    chosen = {name.upper(): str(30 + 5 * place) for place, name in enumerate(SETTINGS)}
    chosen |= {"SEND_SECONDS": "20", "KILL_LIMIT_SECONDS": "40", "QUARANTINE_SECONDS": "2400", "POLL_SECONDS": "60"}
    plain = timers_of(read_settings({**GOOD, **chosen})[0]).validate()
    for setting, timer in SETTINGS.items():
        assert getattr(plain, timer).total_seconds() == float(chosen[setting.upper()])
    fast = timers_of(read_settings({**GOOD, **chosen, "TIME_SCALE": "10"})[0]).validate()
    for timer in SETTINGS.values():
        assert getattr(fast, timer) < getattr(plain, timer) / 2, timer


def test_timers_that_break_a_promise_are_refused_by_name_with_all_other_faults() -> None:
    told = faults(KILL_LIMIT_SECONDS="200", SEND_SECONDS="100", POLL_SECONDS="nonsense", SHOPIFY_CLIENT_SECRET="")
    assert "POLL_SECONDS" in told
    assert "SHOPIFY_CLIENT_SECRET" in told
    told = faults(KILL_LIMIT_SECONDS="200", SHOPIFY_CLIENT_SECRET="")
    assert "QUARANTINE_SECONDS must be at least 10 x KILL_LIMIT_SECONDS" in told
    assert "SHOPIFY_CLIENT_SECRET" in told
    assert "a send must end before its worker is killed" in faults(SEND_SECONDS="60")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:p@host:notaport/db"),
        ("DATABASE_URL", "postgresql://u:p@host:99999999/db"),
        ("DATABASE_URL", "postgresql://u:p@[::1/db"),
        ("DATABASE_URL", "postgresql://u:p@host/db?foo=bar"),
        ("REDIS_URL", "foo"),
        ("REDIS_URL", "http://host:1"),
        ("REDIS_URL", "redis://host:notaport/0"),
        ("REDIS_URL", "redis://host:999999/0"),
        ("REDIS_URL", "redis://host:1/zz"),
        ("REDIS_URL", "redis://host:1/0?socket_timeout=abc"),
        ("STATE_DIR", "/etc/passwd"),
        ("STATE_DIR", "/etc/passwd/state"),
        ("STATE_DIR", "/tmp/" + "x" * 300),  # noqa: S108 - never made
        ("PUBLIC_URL", "https://way bill.example"),
        ("PUBLIC_URL", "https://waybill.example:99999"),
        ("PUBLIC_URL", "https://u:p@waybill.example"),
        ("PUBLIC_URL", "https://waybill.example/?x=1"),
        ("PUBLIC_URL", "https://waybill.example/#frag"),
        ("MAIL_PORT", "0"),
        ("MAIL_PORT", "99999"),
        ("MAIL_DEFAULT_SENDER", "a@\u00fc.example"),
        ("OUTBOUND_CA_BUNDLE", "/nonexistent"),
        ("OUTBOUND_CA_BUNDLE", "/etc/passwd"),
        ("SHOPIFY_SHOP_URL_TEMPLATE", "http://{shop}"),
        ("SHOPIFY_SHOP_URL_TEMPLATE", "https://[{shop}"),
    ],
)
def test_malformed_values_are_named_and_not_repeated(name: str, value: str) -> None:
    told = faults(**{name: value})
    assert name in told
    assert "u:p@" not in told


@pytest.mark.parametrize(
    "url", ["redis://:secret@host:6379/0", "rediss://host", "unix:///run/valkey.sock", "redis://h/"]
)
def test_addresses_of_redis(url: str) -> None:
    settings, _ = read_settings({**GOOD, "REDIS_URL": url})
    assert settings.redis_url.get_secret_value() == url


@pytest.mark.parametrize("url", ["http://[::1]", "http://[::1]:8000", "https://waybill.example:8443/"])
def test_addresses_of_our_own(url: str) -> None:
    settings, _ = read_settings({**GOOD, "PUBLIC_URL": url})
    assert settings.public_url == url.rstrip("/")


def test_rules_between_settings_are_told_beside_missing_ones() -> None:
    told = faults(APP_ENV="production", REDIS_URL="", TIME_SCALE="2", OUTBOUND_ALLOW_PRIVATE="1", SECRET_KEY="short")
    for name in ("REDIS_URL", "TIME_SCALE", "OUTBOUND_ALLOW_PRIVATE", "SECRET_KEY", "STATE_DIR"):
        assert name in told
    assert told.count("SECRET_KEY") == 1


def test_both_kinds_of_tls_for_mail_exclude_each_other() -> None:
    assert "MAIL_USE_SSL" in faults(MAIL_USE_TLS="1", MAIL_USE_SSL="1")


@pytest.mark.parametrize("name", ["VAULT_KEYS", "STAFF_EMAIL", "REDIS_URL", "DATABASE_URL", "PUBLIC_URL", "MAIL_PORT"])
@pytest.mark.parametrize("form", ["{}", "{}:x", "k1:{}", "{},{}", "https://u:{}@h.example"])
def test_a_secret_in_the_wrong_variable_is_not_repeated(name: str, form: str) -> None:
    secret = "ocelot-basalt-5d20c8"
    told = faults(**{name: form.replace("{}", secret)})
    assert name in told
    assert secret not in told
