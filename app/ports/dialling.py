"""Connections that know whether they sent anything, that a deadline can cut, and that dial checked addresses only."""

from __future__ import annotations

import heapq
import ipaddress
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress, filter_host
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.connection import create_connection
from urllib3.util.retry import Retry
from urllib3.util.ssl_ import create_urllib3_context

_PUBLIC_V6 = ipaddress.ip_network("2000::/3")


class ForbiddenAddress(requests.RequestException):
    """The host resolves to an address that we do not talk to."""


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """`allow_private`: development only, lets merchant-typed hosts be loopback.

    `ca_bundle`: path of extra CAs or "".
    """

    allow_private: bool = False
    ca_bundle: str = ""
    allow_http: bool = False


@dataclass(slots=True)
class Dial:
    """What the present call knows of its connection."""

    deadline: float
    sent: bool = False
    expired: bool = False
    forbidden: bool = False
    done: bool = False
    sock: socket.socket | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hang_up(self) -> None:
        """Shut the socket under the call down, from any thread.

        The socket itself is remembered, not the connection: http.client forgets its socket as soon as the
        headers of an answer without keep-alive are read, long before the body is. The base class's method is
        used because SSLSocket.shutdown drops the TLS state under the reader's feet.
        """
        with self.lock:
            if self.sock is not None and not self.done:
                with suppress(OSError):
                    socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


_current: ContextVar[Dial | None] = ContextVar("waybill_dial", default=None)


class _Reaper:
    """One thread that hangs up on calls whose total time is over."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Dial]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, dial: Dial) -> None:
        with self._wake:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="call-deadlines", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (dial.deadline, next(self._order), dial))
            if self._heap[0][2] is dial:
                self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while self._heap and self._heap[0][2].done:
                    heapq.heappop(self._heap)
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is None or wait > 0:
                    self._wake.wait(wait)
                    continue
                dial = heapq.heappop(self._heap)[2]
            if not dial.done:
                dial.expired = True
                dial.hang_up()


_reaper = _Reaper()


@contextmanager
def track(total: float) -> Iterator[Dial]:
    """A `Dial` for the call made inside; it is cut after `total` seconds."""
    dial = Dial(time.monotonic() + total)
    token = _current.set(dial)
    _reaper.add(dial)
    try:
        yield dial
    finally:
        with dial.lock:
            dial.done = True
        _current.reset(token)


def public_address(host: str, port: int) -> str:
    """The address to dial for `host`, resolved once. Raises `InvalidIPAddress` unless it is a public one.

    requests-hardened knows NAT64, 6to4, carrier-grade NAT and the like; of IPv6 only global unicast is left.
    """
    address: str = filter_host(host.strip("[]"), port, allow_loopback=False).strip("[]")
    ip = ipaddress.ip_address(address)
    if (
        ip.is_multicast
        or ip.is_reserved
        or not ip.is_global
        or (isinstance(ip, ipaddress.IPv6Address) and ip not in _PUBLIC_V6)
    ):
        raise InvalidIPAddress(address)
    return address


class _Tracked(HTTPConnection):
    """Reports itself to the present call and dials only what the policy allows."""

    policy: DialPolicy
    public_only: bool

    def _new_conn(self) -> socket.socket:
        dial = _current.get()
        host = self._dns_host
        if self.public_only and not self.policy.allow_private:
            try:
                host = public_address(host, self.port or 443)
            except InvalidIPAddress as error:
                if dial is not None:
                    dial.forbidden = True
                raise ForbiddenAddress("address not allowed") from error
            except (requests.RequestException, OSError, UnicodeError) as error:
                raise NewConnectionError(self, "cannot resolve the host") from error
        try:
            return create_connection((host, self.port), self.timeout, socket_options=self.socket_options)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"cannot connect: {type(error).__name__}") from error

    def connect(self) -> None:
        super().connect()
        dial = _current.get()
        if dial is not None and dial.expired:
            self.close()
            raise TimeoutError("total time is over")

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        dial = _current.get()
        if dial is not None:
            with dial.lock:
                if dial.expired:
                    raise TimeoutError("total time is over")
                dial.sock = self.sock
                dial.sent = True
        super().send(data)


class _TrackedTLS(_Tracked, HTTPSConnection):
    """The same over TLS; the certificate is checked against the name, not the dialled address."""


@lru_cache(maxsize=8)
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, the usual roots plus those of `ca_bundle`.

    Shared: reading the roots costs 20 ms a time.
    """
    context = create_urllib3_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(certifi.where())
    if ca_bundle:
        context.load_verify_locations(ca_bundle)
    return context


class CallAdapter(HTTPAdapter):
    """An adapter whose pools make tracked connections. No retries of its own."""

    def __init__(self, policy: DialPolicy, *, public_only: bool, connections: int) -> None:
        names = {"policy": policy, "public_only": public_only}
        plain = type("_Plain", (HTTPConnectionPool,), {"ConnectionCls": type("_PlainConnection", (_Tracked,), names)})
        tls = type("_TLS", (HTTPSConnectionPool,), {"ConnectionCls": type("_TLSConnection", (_TrackedTLS,), names)})
        self._classes = {"http": plain, "https": tls}
        self._context = tls_context(policy.ca_bundle)
        super().__init__(pool_connections=16, pool_maxsize=connections, max_retries=Retry(0, read=False))

    def init_poolmanager(  # the signature is requests' own
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> None:
        """Pools with our connection classes."""
        kwargs["ssl_context"] = self._context
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002  # requests' signature
        """Certificates are always checked, against the roots that the shared context has loaded already."""
        conn.cert_reqs = "CERT_REQUIRED"
