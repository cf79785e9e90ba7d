"""S32 and S33 by their figures: what calls of every connector may take, what a bomb costs, old TLS on the wire."""

from __future__ import annotations

import gzip
import importlib
import pkgutil
import socket
import ssl
import tracemalloc

import pytest

import connectors
from app.ports.http import HTTPClient, Limits
from tests.ports.test_http import OK, Authority, always, authority, client, failure, send, serving

__all__ = ["authority"]
PLACE = "connectors.aliexpress.client.PLACE_LIMITS"


def limits() -> dict[str, Limits]:
    """Every set of limits that a connector names."""
    found: dict[str, Limits] = {"the usual ones": Limits()}
    for module in pkgutil.walk_packages(connectors.__path__, "connectors."):
        if ".simulator" not in module.name:
            names = vars(importlib.import_module(module.name))
            found |= {f"{module.name}.{name}": value for name, value in names.items() if isinstance(value, Limits)}
    return found


@pytest.mark.security("S32")
def test_s32_five_megabytes_and_fifteen_seconds_and_thirty_for_an_order() -> None:
    told = {name: (one.max_bytes, one.total) for name, one in limits().items() if not name.endswith("PLACE_LIMITS")}
    assert len(told) >= 4
    assert [name for name, (size, total) in told.items() if size > 5_000_000 or total > 15] == []
    place = limits()[PLACE]
    assert (place.max_bytes, place.total) == (5_000_000, 30.0)


@pytest.mark.security("S32")
def test_s32_a_bomb_is_never_unpacked_as_a_whole() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    assert len(bomb) * 1000 < 110_000_000
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with serving(always(head + bomb)) as server:
        http: HTTPClient = client()
        tracemalloc.start()
        try:
            assert failure(server.url, http, limits=Limits()).reason == "too_large"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 15_000_000


@pytest.mark.security("S33")
@pytest.mark.parametrize(
    ("version", "spoken"),
    [(ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
def test_s33_a_server_of_old_tls_is_sent_nothing(
    authority: Authority, version: ssl.TLSVersion, *, spoken: bool
) -> None:
    context = authority.context("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    with serving(always(OK), context) as server:
        url, http = server.url.replace("http:", "https:"), client(ca_bundle=authority.bundle)
        if spoken:
            assert send(url, http).status == 200
        else:
            error = failure(url, http, method="POST", data=b"secret")
            assert (error.reason, error.sent) == ("connect_failed", False)
            assert server.heads == []
        assert spoken_by_an_old_client(server.port, version)


def spoken_by_an_old_client(port: int, version: ssl.TLSVersion) -> bool:
    """Whether the server really speaks that version to those who take it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as spoken:
        return spoken.version() is not None
