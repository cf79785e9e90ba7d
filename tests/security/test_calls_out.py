"""Group C on the whole app: where a merchant's words could send us, and what comes back (the ports' own tests go deeper)."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
import sqlalchemy as sa

from app import container as containers
from app import create_app
from app.container import Container
from app.errors import SettingsInvalid, WaybillError
from app.models import Shop
from app.ports.errors import OutsideError
from app.services import shops
from connectors.aliexpress.products import read_product
from tests.connectors.woocommerce.test_woo_ssrf import FORMS, LITERAL
from tests.flow.world import BOTTLE, Served, World

PRODUCTION = {
    "APP_ENV": "production",
    "PUBLIC_URL": "https://waybill.example",
    "TIME_SCALE": "1",
    "OUTBOUND_ALLOW_PRIVATE": "",
    "WOOCOMMERCE_ALLOW_HTTP": "",
}
KEYS = {"consumer_key": "ck_" + "1" * 40, "consumer_secret": "cs_" + "1" * 40}


@pytest.fixture
def strict(world: World) -> Any:
    made = containers.build({**world.environment, **PRODUCTION})
    yield made
    made.close()


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that a socket was about to be opened to, beside the database's."""
    seen: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        seen.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return seen


def connected(container: Container, typed: str) -> bool:
    try:
        shops.connect(container, "woocommerce", typed, dict(KEYS), actor="test")
    except (WaybillError, OutsideError, ValueError):
        return False
    return True


@pytest.mark.security("S28")
def test_s28_no_form_of_a_private_address_becomes_a_shop(strict: Container, dialled: list[Any]) -> None:
    assert [typed for typed in FORMS if connected(strict, typed)] == []
    assert dialled == []
    with strict.database.transaction() as session:
        assert session.scalars(sa.select(Shop)).all() == []


@pytest.mark.security("S28")
def test_s28_the_command_says_so_in_one_line(strict: Container) -> None:
    runner = create_app(strict).test_cli_runner()
    words = ["shop", "connect-woocommerce", "--key", KEYS["consumer_key"], "--secret", KEYS["consumer_secret"], "--url"]
    for typed in ("https://169.254.169.254", "http://127.0.0.1:6379", "file:///etc/passwd"):
        told = runner.invoke(args=[*words, typed])
        assert told.exit_code == 1
        assert "Traceback" not in told.output
        assert KEYS["consumer_secret"] not in told.output


@pytest.mark.security("S29")
@pytest.mark.security("S30")
@pytest.mark.parametrize(
    "answers",
    [[["93.184.216.34"], ["127.0.0.1"]], [["127.0.0.1"]], [["10.0.0.7", "169.254.169.254"]], [["::1"]]],
    ids=["moves", "loopback", "private", "v6"],
)
def test_s29_s30_a_name_never_leads_inside(
    strict: Container, dialled: list[Any], monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]
) -> None:
    rounds = list(answers)
    resolve = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host != "shop.example":
            return resolve(host, port, *rest, **more)
        found = rounds.pop(0) if len(rounds) > 1 else rounds[0]
        kind = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kind[":" in one], socket.SOCK_STREAM, 6, "", (one, int(port or 0))) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    connect = socket.socket.connect

    def only_noted(self: socket.socket, address: Any) -> None:
        if address[0] == "93.184.216.34":
            dialled.append(address)
            raise ConnectionRefusedError
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_noted)
    assert not connected(strict, "https://shop.example")
    inside = [address for address in dialled if isinstance(address, tuple) and address[0] != "93.184.216.34"]
    assert inside == []


@pytest.mark.security("S31")
def test_s31_keys_do_not_follow_a_shop_that_redirects(world: World) -> None:
    heard: list[str] = []

    def elsewhere(environ: Any, start: Any) -> Any:
        heard.append(environ["PATH_INFO"])
        start("200 OK", [("Content-Length", "2"), ("Content-Type", "application/json")])
        return [b"{}"]

    target = Served(elsewhere)

    def moved(environ: Any, start: Any) -> Any:
        start("302 Found", [("Location", f"{target.url}{environ['PATH_INFO']}"), ("Content-Length", "0")])
        return [b""]

    shop = Served(moved)
    try:
        with pytest.raises((WaybillError, OutsideError)):
            shops.connect(world.container, "woocommerce", shop.url, dict(KEYS), actor="test")
    finally:
        shop.stop()
        target.stop()
    assert heard == []


@pytest.mark.security("S32")
def test_s32_a_shop_that_answers_without_end_is_cut(world: World) -> None:
    sent = [0]

    def endless(_environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(10**10))])

        def parts() -> Any:
            while True:
                sent[0] += 65_536
                yield b"x" * 65_536

        return parts()

    shop = Served(endless)
    try:
        with pytest.raises((WaybillError, OutsideError)):
            shops.connect(world.container, "woocommerce", shop.url, dict(KEYS), actor="test")
    finally:
        shop.stop()
    assert sent[0] < 60_000_000  # a few tries at most, each cut at five million and what was under way


@pytest.mark.security("S32")
@pytest.mark.parametrize(
    "page", [b"<link " * 160_000, b"<link rel='https://api.w.org/' " * 30_000], ids=["open-tags", "half-tags"]
)
def test_s32_a_page_written_to_be_slow_to_read_is_read_fast(world: World, page: bytes) -> None:
    def slow(_environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
        return [page]

    shop = Served(slow)
    begun = time.monotonic()
    try:
        with pytest.raises((WaybillError, OutsideError)):
            shops.connect(world.container, "woocommerce", shop.url, dict(KEYS), actor="test")
    finally:
        shop.stop()
    assert time.monotonic() - begun < 40  # a pattern that goes back and forth takes minutes


@pytest.mark.security("S33")
def test_s33_no_setting_switches_certificates_off(strict: Container) -> None:
    names = {*type(strict.settings).model_fields}
    for spec in strict.connectors.specs.values():
        names |= set(spec.settings.model_fields)
    assert [name for name in names if any(word in name for word in ("verify", "insecure", "tls_", "ssl_"))] == []


@pytest.mark.security("S33")
def test_s33_production_takes_no_switch_for_private_or_plain(world: World) -> None:
    for name in ("OUTBOUND_ALLOW_PRIVATE", "WOOCOMMERCE_ALLOW_HTTP"):
        with pytest.raises(SettingsInvalid, match=name):
            containers.build({**world.environment, **PRODUCTION, name: "1"})


@pytest.mark.security("S34")
def test_s34_proxies_of_the_environment_see_no_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.setblocking(False)
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        shop = world.shopify_shop("bottles.myshopify.com")
        variant = world.shopify_variant("bottles.myshopify.com", "BOTTLE")
        world.link(shop, variant, BOTTLE)
        world.shopify.control(
            "orders", {"shop": "bottles.myshopify.com", "lines": [{"variant_id": variant, "quantity": 1}]}
        )
        world.settle(until=lambda: world.states() == ["PLACED_UNPAID"])
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.security("S34")
def test_s34_the_hosts_of_supplier_and_shopify_are_constants(world: World) -> None:
    plain = {
        name: value
        for name, value in world.environment.items()
        if name not in {"ALIEXPRESS_API_URL", "SHOPIFY_SHOP_URL_TEMPLATE"}
    }
    _, parts = containers.read_settings({**plain, **PRODUCTION})
    assert parts["shopify"].shopify_shop_url_template == "https://{shop}"  # type: ignore[attr-defined]
    assert parts["aliexpress"].aliexpress_api_url.startswith("https://api-sg.aliexpress.com")  # type: ignore[attr-defined]


@pytest.mark.security("S35")
def test_s35_of_a_products_page_only_plain_fields_are_kept() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>"
    found = read_product(
        "1005006000000008",
        {
            "ae_item_base_info_dto": {"subject": evil, "detail": evil, "mobile_detail": evil},
            "ae_multimedia_info_dto": {"image_urls": "http://169.254.169.254/latest;javascript:alert(1)"},
            "ae_item_sku_info_dtos": [],
        },
        country="DE",
        with_charges=False,
    )
    kept = {name: getattr(found, name) for name in found.__slots__}
    assert evil not in str({name: value for name, value in kept.items() if name != "title"})
    assert "169.254" not in str(kept)


@pytest.mark.security("S28")
def test_s28_the_strict_fixture_is_what_production_runs(strict: Container) -> None:
    assert strict.settings.production
    assert len(LITERAL) > 40
