"""S28 to S31: a shop's address is checked when it is saved and again when it is dialled."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from app.ports.dialling import tls_context
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.http import DialPolicy, HTTPClient, TransportError
from app.ports.storefront import ShopAccess
from connectors.woocommerce.address import canonical
from connectors.woocommerce.discovery import discover
from tests.connectors.woocommerce.harness import Receiver, Shop, storefront, strict_storefront

HOSTS = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",  # noqa: S104  # refused, not bound
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "10.0.0.1",
    "10.255.1.2",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.1.254",
    "169.254.169.254",
    "169.254.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "198.18.0.1",
    "198.19.255.254",
    "192.0.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[100::1]",
    "[2001::1]",
    "localhost",
    "localhost.",
    "LOCALHOST",
]
FORMS = (
    *(f"https://{host}" for host in HOSTS),
    "https://user@127.0.0.1", "https://user:pass@shop.example", "https://shop.example:22", "https://shop.example:8443",
    "https://shop.example:65536", "https://shop.example:-1", "ftp://shop.example", "file:///etc/passwd",
    "gopher://shop.example:70/x", "https://shop.example\\@127.0.0.1", "https://shop.internal", "https://printer.local",
    "https://127.0.0.1%2eshop.example", "https://\uff11\uff12\uff17.\uff10.0.1", "https://\u2460\u2461\u2466.0.0.1",
    "javascript:alert(1)", "https://\u246027.1",
)  # fmt: skip
#: Those that name a host which a resolver turns into an address without asking anybody.
LITERAL = [host for host in HOSTS if host.lower().rstrip(".") != "localhost"]

STRICT = HTTPClient(DialPolicy())


@pytest.mark.security("S28")
def test_s28_there_are_sixty_forms() -> None:
    assert len(FORMS) >= 60


@pytest.mark.security("S28")
@pytest.mark.parametrize("typed", FORMS)
def test_s28_refused_at_save(typed: str) -> None:
    with pytest.raises(ValueError, match="shop"):
        canonical(typed, allow_http=False)
    with pytest.raises(ValueError, match="shop"):
        strict_storefront().canonical_address(typed)


@pytest.mark.security("S28")
@pytest.mark.parametrize("host", LITERAL)
def test_s28_refused_at_connect(host: str) -> None:
    with STRICT.call("test", "connect") as call, pytest.raises(TransportError) as caught:
        call.send("GET", f"https://{host}/", public_only=True)
    assert not caught.value.sent
    assert caught.value.reason in {"forbidden_address", "bad_url"}


def resolving(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """Make every name resolve to these addresses, one list after another; gives the names asked for."""
    asked: list[str] = []

    def resolve(host: Any, port: Any, *_args: Any, **_more: Any) -> list[Any]:
        addresses = rounds[min(len(asked), len(rounds) - 1)] if host == "shop.example" else [host]
        asked.append(host)
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Addresses that a socket was asked to connect to; none is reached."""
    seen: list[tuple[str, int]] = []

    def connect(_self: socket.socket, address: Any) -> None:
        seen.append(address[:2])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return seen


def failure() -> TransportError:
    with STRICT.call("test", "connect") as call, pytest.raises(TransportError) as caught:
        call.send("GET", "https://shop.example/", public_only=True, fresh=True)
    return caught.value


@pytest.mark.security("S29")
def test_s29_the_address_that_was_checked_is_the_one_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    seen = dialled(monkeypatch)
    assert not failure().sent
    assert {host for host, _ in seen} <= {"93.184.215.14"}
    assert seen


@pytest.mark.security("S29")
def test_s29_a_name_that_moves_to_loopback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    seen = dialled(monkeypatch)
    assert failure().reason == "forbidden_address"
    assert seen == []


@pytest.mark.security("S30")
@pytest.mark.parametrize("addresses", [["93.184.215.14", "10.0.0.1"], ["10.0.0.1", "93.184.215.14"]])
def test_s30_of_a_public_and_a_private_address_the_private_is_never_dialled(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolving(monkeypatch, addresses)
    seen = dialled(monkeypatch)
    failure()
    assert ("10.0.0.1", 443) not in seen


@pytest.mark.security("S31")
@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/", "https://127.0.0.1/", "http://elsewhere.example/"]
)
def test_s31_a_redirect_elsewhere_is_not_followed_and_said(receiver: Receiver, target: str) -> None:
    receiver.status, receiver.location = 302, target
    with pytest.raises(MerchantMustAct) as caught:
        discover(HTTPClient(DialPolicy(allow_private=True)), receiver.url)
    assert len(receiver.requests) == 1
    assert "browser" in caught.value.detail


@pytest.mark.security("S31")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_s31_keys_never_follow_a_redirect(shop: Shop, receiver: Receiver, status: int) -> None:
    receiver.status, receiver.location = status, shop.url
    access = ShopAccess(receiver.url, shop.secrets, {"rest_base": receiver.url})
    with pytest.raises(OutsideError):
        storefront().session(access).order("5")
    assert len(receiver.requests) == 1


@pytest.mark.security("S33")
def test_s33_old_tls_is_not_spoken() -> None:
    context = tls_context("")
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_private_addresses_are_refused_to_a_session_too() -> None:
    access = ShopAccess("https://10.0.0.1", {"consumer_key": "ck", "consumer_secret": "cs"}, {})
    with pytest.raises(MerchantMustAct) as caught:
        strict_storefront().session(access).order("5")
    assert caught.value.code == "forbidden_address"
