"""The one way out: what it refuses, where it stops, and what it knows of a call that failed (S29 to S34)."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused, TryLater
from app.ports.http import CallRecord, DialPolicy, HTTPAnswer, HTTPClient, Limits, TransportError, outcome_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
QUICK = Limits(connect=2.0, total=0.6, max_bytes=200_000)
Script = Callable[[socket.socket, bytes], None]


@dataclass
class Server:
    """A server on loopback that answers as its script says; keeps what it was sent."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/x"


def head_of(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65_536)
        if not part:
            return b""
        data += part
    return data


def encrypted(raw: socket.socket, context: ssl.SSLContext) -> socket.socket:
    """A TLS socket of its own on this connection: wrapping takes a socket over, and `raw` must stay to be shut down."""
    return context.wrap_socket(raw.dup(), server_side=True)


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    found = Server(listener.getsockname()[1])
    talks: list[tuple[socket.socket, threading.Thread]] = []

    def talk(raw: socket.socket) -> None:
        with raw, contextlib.suppress(OSError), encrypted(raw, context) if context else raw as sock:
            while head := head_of(sock):
                found.heads.append(head)
                script(sock, head)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = listener.accept()
                found.connections += 1
                talking = threading.Thread(target=talk, args=(raw,), daemon=True)
                talks.append((raw, talking))
                talking.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield found
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for raw, talking in talks:
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)  # wakes the talk, in the middle of a handshake too
            talking.join(5)


def always(answer: bytes) -> Script:
    return lambda sock, _head: sock.sendall(answer)


def client(**policy: Any) -> HTTPClient:
    return HTTPClient(DialPolicy(allow_private=True, **policy))


def send(url: str, http: HTTPClient | None = None, method: str = "GET", **more: Any) -> HTTPAnswer:
    with (http or client()).call("vendor", "operation") as call:
        return call.send(method, url, **{"limits": QUICK, **more})


def failure(url: str, http: HTTPClient | None = None, **more: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        send(url, http, **more)
    return caught.value


def test_an_answer_and_its_record() -> None:
    records: list[CallRecord] = []
    with serving(always(OK)) as server:
        http = HTTPClient(DialPolicy(), records.append)
        answer = send(server.url, http, method="POST", data=b"{}", params={"a": "b c"})
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", "application/json")
    assert server.heads[0].startswith(b"POST /x?a=b+c HTTP/1.1\r\n")
    (record,) = records
    assert (record.vendor, record.operation, record.outcome, record.status) == ("vendor", "operation", "ok", 200)


def test_reads_reuse_their_connection_and_fresh_calls_do_not() -> None:
    with serving(always(OK)) as server:
        http = client()
        for _ in range(3):
            send(server.url, http)
        assert server.connections == 1
        for _ in range(2):
            send(server.url, http, fresh=True)
        assert server.connections == 3
        assert b"Connection: close" in server.heads[-1]


def test_no_cookie_is_kept() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b; Path=/\r\n\r\n"
    with serving(always(answer)) as server:
        http = client()
        send(server.url, http)
        send(server.url, http)
    assert b"Cookie:" not in server.heads[1]


@pytest.mark.security("S31")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://169.254.169.254/", "https://other.example/", "/y", "http://[bad", "//"])
def test_s31_no_redirect_is_followed(status: int, target: str) -> None:
    answer = f"HTTP/1.1 {status} Moved\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n".encode()
    with serving(always(answer)) as server:
        found = send(server.url, method="POST", data=b"secret")
        assert (found.status, found.headers["Location"]) == (status, target)
        assert server.connections == len(server.heads) == 1


def flood(sock: socket.socket, _head: bytes) -> None:
    """Ten gigabytes, as far as the other side lets us."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
    for _ in range(160_000):
        sock.sendall(b"x" * 65_536)


def flooding_redirect(sock: socket.socket, _head: bytes) -> None:
    sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 10000000000\r\n\r\n")
    for _ in range(160_000):
        sock.sendall(b"x" * 65_536)


@pytest.mark.security("S32")
@pytest.mark.parametrize("script", [flood, flooding_redirect])
def test_s32_a_huge_answer_is_cut_at_the_limit(script: Script) -> None:
    with serving(script) as server:
        error = failure(server.url, limits=Limits(total=30.0, max_bytes=200_000))
    assert (error.reason, error.sent) == ("too_large", True)


@pytest.mark.security("S32")
def test_s32_a_gzip_bomb_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with serving(always(head + bomb)) as server:
        assert failure(server.url, limits=Limits(total=30.0, max_bytes=200_000)).reason == "too_large"


@pytest.mark.security("S32")
@pytest.mark.parametrize("line", [b"X-%d: y\r\n", b"X-%d: " + b"y" * 70_000 + b"\r\n"])
def test_s32_a_hundred_thousand_headers_are_not_read(line: bytes) -> None:
    def script(sock: socket.socket, _head: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            sock.sendall(line % number)

    with serving(script) as server:
        error = failure(server.url, limits=Limits(total=30.0))
    assert (error.reason, error.sent) == ("cut", True)


@pytest.mark.security("S32")
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"",
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_s32_a_dripping_answer_ends_with_the_total_time(head: bytes, fresh: bool) -> None:
    stop = threading.Event()

    def script(sock: socket.socket, _head: bytes) -> None:
        sock.sendall(head)
        while not stop.wait(0.05):
            sock.sendall(b"1" if b"chunked" not in head else b"1\r\nx\r\n")

    with serving(script) as server:
        error = failure(server.url, fresh=fresh)
        stop.set()
    assert (error.reason, error.sent) == ("timeout", True)


def test_a_request_that_nobody_reads_ends_with_the_total_time() -> None:
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        error = failure(url, method="POST", data=b"x" * 30_000_000)
    finally:
        done.set()
        listener.close()
    assert error.sent


@dataclass(frozen=True)
class Authority:
    """A throw-away CA and what it can sign."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def bundle(self) -> str:
        path = self.folder / "ca.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def context(self, name: str, *, days: int = 1, signed: bool = True) -> ssl.SSLContext:
        """A server context for `name` (an address or a host)."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, signer = (self.certificate.subject, self.key) if signed else (_name(name), key)
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name)
        certificate = (
            _builder(_name(name), issuer, key, days)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        path = self.folder / f"{name}-{days}-{signed}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=3))
        .not_valid_after(now + dt.timedelta(days=days))
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("throw-away")
    certificate = (
        _builder(name, name, key, 2)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(tmp_path_factory.mktemp("ca"), key, certificate)


def test_an_extra_authority_is_trusted_where_configured(authority: Authority) -> None:
    with serving(always(OK), authority.context("127.0.0.1")) as server:
        url = server.url.replace("http:", "https:")
        http = client(ca_bundle=authority.bundle)
        assert send(url, http).status == send(url, http).status == 200
        assert server.connections == 1


@pytest.mark.security("S33")
@pytest.mark.parametrize(
    ("name", "days", "signed", "trusted"),
    [
        ("127.0.0.1", 1, True, False),
        ("127.0.0.1", 1, False, True),
        ("127.0.0.1", -1, True, True),
        ("other.example", 1, True, True),
    ],
    ids=["unknown authority", "self-signed", "expired", "wrong host"],
)
def test_s33_bad_certificates_are_refused_before_anything_is_sent(
    authority: Authority, name: str, days: int, signed: bool, trusted: bool
) -> None:
    with serving(always(OK), authority.context(name, days=days, signed=signed)) as server:
        http = client(ca_bundle=authority.bundle if trusted else "")
        error = failure(server.url.replace("http:", "https:"), http, method="POST", data=b"secret")
        assert (error.reason, error.sent) == ("connect_failed", False)
        assert server.heads == []


@pytest.mark.security("S33")
def test_s33_a_dripping_tls_answer_ends_with_the_total_time(authority: Authority) -> None:
    stop = threading.Event()

    def script(sock: socket.socket, _head: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n")
        while not stop.wait(0.05):
            sock.sendall(b"x")

    with serving(script, authority.context("127.0.0.1")) as server:
        error = failure(server.url.replace("http:", "https:"), client(ca_bundle=authority.bundle))
        stop.set()
    assert (error.reason, error.sent) == ("timeout", True)


@pytest.mark.security("S34")
def test_s34_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login mallory password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(always(OK)) as proxy, serving(always(OK)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send(server.url).status == 200
        assert proxy.connections == 0
        assert b"Authorization" not in server.heads[0]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_nothing_was_sent_when_nobody_listens() -> None:
    error = failure(f"http://127.0.0.1:{closed_port()}/", method="POST", data=b"x")
    assert (error.reason, error.sent) == ("connect_failed", False)


@pytest.mark.parametrize("public_only", [False, True])
def test_nothing_was_sent_when_the_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch, public_only: bool) -> None:
    def resolve(*_args: Any, **_more: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = failure("https://shop.example/", HTTPClient(DialPolicy()), public_only=public_only)
    assert (error.reason, error.sent) == ("connect_failed", False)


def test_nothing_was_sent_when_tls_fails() -> None:
    with serving(always(b"this is not TLS\r\n\r\n")) as server:
        error = failure(server.url.replace("http:", "https:"), method="POST", data=b"x")
    assert (error.reason, error.sent) == ("connect_failed", False)


def test_nothing_was_sent_when_the_handshake_never_ends() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        error = failure(url, limits=Limits(connect=0.3, total=5.0))
    finally:
        listener.close()
    assert (error.reason, error.sent) == ("connect_failed", False)


@pytest.mark.parametrize(
    "url", ["", "shop", "http://", "http://[bad/", "http://a b/", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"]
)
def test_nothing_was_sent_to_what_is_no_url(url: str) -> None:
    assert not failure(url).sent


def test_nothing_was_sent_with_a_header_that_smuggles_another() -> None:
    with serving(always(OK)) as server:
        error = failure(server.url, headers={"X-A": "b\r\nX-C: d"})
        assert not error.sent
        assert server.heads == []


def reset(sock: socket.socket, _head: bytes) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


def hang_up(sock: socket.socket, _head: bytes) -> None:
    sock.shutdown(socket.SHUT_RDWR)


def halve(sock: socket.socket, _head: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("script", [reset, hang_up, halve, always(b"SMTP ready\r\n\r\n")])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_broke_after_the_request_was_sent_says_so(script: Script, fresh: bool) -> None:
    with serving(script) as server:
        error = failure(server.url, method="POST", data=b"{}", fresh=fresh)
    assert (error.reason, error.sent) == ("cut", True)


def test_silence_after_the_request_is_a_timeout_that_was_sent() -> None:
    with serving(lambda _sock, _head: None) as server:
        error = failure(server.url, method="POST", data=b"{}")
    assert (error.reason, error.sent) == ("timeout", True)


def test_a_call_is_tried_once() -> None:
    with serving(hang_up) as server:
        failure(server.url)
        assert server.connections == 1


def test_private_addresses_are_for_hosts_of_our_own_choice_only() -> None:
    with serving(always(OK)) as server:
        strict = HTTPClient(DialPolicy())
        assert failure(server.url, strict, public_only=True).reason == "forbidden_address"
        assert server.connections == 0
        assert send(server.url, strict).status == 200


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (None, "ok"),
        (TryLater("x"), "try_later"),
        (MerchantMustAct("r", "x"), "merchant_must_act"),
        (Refused("x"), "refused"),
        (OutcomeUnknown("x"), "unknown"),
        (KeyError("x"), "crash"),
    ],
)
def test_every_end_of_a_call_is_counted(error: Exception | None, label: str) -> None:
    records: list[CallRecord] = []
    http = HTTPClient(DialPolicy(), records.append)
    with contextlib.suppress(Exception), http.call("v", "o"):
        if error is not None:
            raise error
    assert [record.outcome for record in records] == [label] == [outcome_of(error)]


def test_many_threads_do_not_share_a_deadline() -> None:
    with serving(always(OK)) as server, serving(lambda _sock, _head: None) as silent:
        http = client()
        results: list[object] = []

        def one(number: int) -> None:
            if number % 2:
                results.append(send(server.url, http, limits=Limits(total=20.0)).status)
            else:
                results.append(failure(silent.url, http).reason)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["200"] * 6 + ["timeout"] * 6
