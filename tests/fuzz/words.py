"""What people type and set: addresses of shops, signed queries, session tokens, the environment."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jwt
from hypothesis import strategies as st

from app import container as containers
from app.errors import SettingsInvalid
from connectors.shopify import auth
from connectors.woocommerce import address
from tests.fuzz.changes import values
from tests.fuzz.nasties import MARKERS, TEXTS, VALUES
from tests.fuzz.stage import Stage
from tests.fuzz.target import Target

PARTS = (
    "https://", "http://", "HTTPS://", "shop", ".example", ".com", ".myshopify.com", "/", "//", "\\", "@", ":", ":443",
    ":99999", "?x=1", "#f", "..", "%2e%2e", "%00", "xn--", "xn--mnchen-3ya", "münchen", "ß", "K", "\u2024", "\u3002", "localhost",
    "127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[", "]", "user:pw@", " ", "\t", "\n", "\x00", "wp-admin", "wp-json/wc/v3",
    "a" * 64, "-", "_", ".", "javascript:", "admin.shopify.com/store/shop",
)  # fmt: skip
SECRET = b"simulated-secret"


def typed() -> st.SearchStrategy[Any]:
    built = st.lists(st.sampled_from(PARTS), max_size=7).map("".join)
    return st.one_of(built, built, st.sampled_from(TEXTS), st.text(max_size=30))


def shop_address(stage: Stage, text: Any) -> None:
    """Refused with a sentence, or one canonical form that is its own canonical form."""
    for name, storefront in stage.world.container.connectors.storefronts.items():
        try:
            found = storefront.canonical_address(text)
        except ValueError as error:
            assert type(error) is ValueError, (name, type(error))
            assert len(str(error)) > 20, (name, str(error))
            continue
        assert storefront.canonical_address(found) == found, (name, found)
        assert found.isascii(), (name, found)
        assert found.isprintable(), (name, found)
        assert "@" not in found, (name, found)
        assert len(found) <= 600, (name, found)
    try:
        public = urlsplit(address.canonical(text))
    except ValueError as error:
        assert type(error) is ValueError, type(error)
    else:
        assert public.scheme == "https", public
        assert public.port is None, public
        assert "." in (public.hostname or ""), public


def query(stage: Stage, case: Any) -> None:
    """A signed query, signed or not, and a session token: a shop of Shopify's, or refused."""
    now = stage.world.container.clock.now()
    pairs = [(str(name), str(value)) for name, value in case["pairs"]]
    if case["fresh"]:
        pairs += [("timestamp", str(int(now.timestamp()))), ("shop", "bottles.myshopify.com")]
    message = "&".join(f"{name}={value}" for name, value in sorted(dict(pairs).items()))
    signed = hmac.new(SECRET, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    try:
        assert auth.verify_query([*pairs, ("hmac", signed)], [SECRET], now).endswith(".myshopify.com")
    except auth.BadCredentialError as error:
        assert len(str(error)) < 60, error
    claims = {name: value for name, value in case["claims"] if name}
    try:
        token = jwt.encode(claims, SECRET.decode() * 4, algorithm="HS256")
    except (TypeError, ValueError):
        return
    try:
        auth.decode_session_token(token, "simulated-client", [SECRET * 4])
    except auth.BadCredentialError as error:
        assert len(str(error)) < 60, error


def queries() -> st.SearchStrategy[Any]:
    text = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))
    names = st.one_of(st.sampled_from(("shop", "timestamp", "host", "session", "hmac")), text)
    claim = st.tuples(st.sampled_from(("iss", "dest", "aud", "sub", "exp", "nbf", "iat", "jti")), values()).map(list)
    pairs = st.lists(st.tuples(names, text).map(list), max_size=4)
    return st.fixed_dictionaries({"pairs": pairs, "fresh": st.booleans(), "claims": st.lists(claim, max_size=8)})


def query_curated() -> Iterator[Any]:
    for text in TEXTS:
        for name in ("shop", "timestamp", "hmac"):
            yield {"pairs": [[name, text]], "fresh": False, "claims": [["exp", text], ["dest", text], ["iss", text]]}
    for value in VALUES:
        yield {"pairs": [], "fresh": True, "claims": [["exp", value], ["nbf", value], ["aud", value], ["sub", value]]}


FIELDS: tuple[str, ...] = (
    "APP_ENV", "DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY", "VAULT_KEYS", "STATE_DIR", "OUTBOUND_ALLOW_PRIVATE",
    "OUTBOUND_CA_BUNDLE", "TIME_SCALE", "SWEEP_SECONDS", "SEND_SECONDS", "TRUSTED_HOSTS", "LOG_LEVEL", "DATABASE_POOL",
    "METRICS_TOKEN", "MAIL_SERVER", "MAIL_PORT", "MAIL_USE_TLS", "MAIL_USERNAME", "MAIL_PASSWORD", "MAIL_DEFAULT_SENDER",
    "STAFF_EMAIL", "ALIEXPRESS_APP_KEY", "ALIEXPRESS_APP_SECRET", "ALIEXPRESS_API_URL", "ALIEXPRESS_GMT_CREATE_ZONE",
    "ALIEXPRESS_DEDUPE", "ALIEXPRESS_QUOTE_CURRENCY", "ALIEXPRESS_PAY_URL", "ALIEXPRESS_SITE_URL", "SHOPIFY_CLIENT_ID",
    "SHOPIFY_CLIENT_SECRET", "SHOPIFY_CLIENT_SECRET_PREVIOUS", "SHOPIFY_CLIENT_SECRET_PREVIOUS_UNTIL", "SHOPIFY_API_VERSION",
    "SHOPIFY_SHOP_URL_TEMPLATE", "WOOCOMMERCE_PAID_STATUSES", "WOOCOMMERCE_IDENTIFIER_META", "WOOCOMMERCE_ALLOW_COD",
)  # fmt: skip
SECRET_FIELDS = (
    "SECRET_KEY", "VAULT_KEYS", "MAIL_PASSWORD", "METRICS_TOKEN", "ALIEXPRESS_APP_SECRET", "SHOPIFY_CLIENT_SECRET",
)  # fmt: skip
FORMS = (
    "{}", "{}:", ":{}", "postgresql://u:{}@", "postgresql://u:{}@h:port/db", "mysql://u:{}@h/d", "redis://:{}@h:x/0", "redis://:{}@h:1/y",
    "https://u:{}@h.example", "https://h.example/?key={}", "http://{}@10.0.0.1", "k1:{}", "k1:{},k1:{}", "{}@", "{} <x>", "{},{}",
    "{}=", " {} ", "/nowhere/{}", "{}\x1b[0m", "America/{}", "{{shop}}{}", "https://{{shop}}/{}/ x", "1e{}", "[{}", "postgresql://h/d?{}",
    "postgresql://h/d?password={}&port=x", "redis://h/0?password={}&x=",
)  # fmt: skip


def environment(stage: Stage, case: Any) -> None:
    """Settings, or a list of faults that repeats no value; a value may be a secret in the wrong place."""
    secret = MARKERS["key"]
    values_set = {
        name: form.replace("{{", "{").replace("}}", "}").replace("{}", secret)
        for name, form in case
        if "\x00" not in form
    }
    given = {name: value.encode("utf-8", "replace").decode() for name, value in values_set.items()}
    try:
        settings, parts = containers.read_settings({**stage.world.environment, **given})
    except SettingsInvalid as error:
        told = f"{error} {error!r} {error.args}"
        assert len(told) < 20_000, len(told)
        assert secret not in told, f"a setting's value is repeated: {json.dumps(sorted(given))}"
        assert secret[4:] not in told, "a part of a value is repeated"
        assert error.__cause__ is None or secret not in str(error.__cause__)
    else:
        shown = repr((settings, *parts.values()))
        plain = " ".join(value for name, value in given.items() if name not in SECRET_FIELDS)
        told = [name for name in SECRET_FIELDS if len(given.get(name, "")) > 7 and given[name] in shown]
        assert not told or secret in plain or any(given[name] in plain for name in told), told


def environments() -> st.SearchStrategy[Any]:
    form = st.one_of(st.sampled_from(FORMS), st.sampled_from(FORMS), st.sampled_from(TEXTS), st.text(max_size=15))
    return st.lists(st.tuples(st.sampled_from(FIELDS), form).map(list), min_size=1, max_size=4)


def environment_curated() -> Iterator[Any]:
    for name in FIELDS:
        for form in FORMS:
            yield [[name, form]]
    for number, text in enumerate(TEXTS):
        yield [[FIELDS[number % len(FIELDS)], text]]


ADDRESS = Target("shop-addresses", typed(), lambda: (*TEXTS, *PARTS), shop_address, smoke=250, touches=False)
QUERY = Target("signed-queries", queries(), query_curated, query, smoke=150, touches=False)
SETTINGS = Target(
    "settings", environments(), lambda: list(environment_curated())[::7], environment, smoke=120, touches=False
)
