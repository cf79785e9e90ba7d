"""The one way out: requests with checked addresses, total deadlines, size limits and a record of each call.

No redirects, no proxies or .netrc from the environment, no cookies kept (S31-S34). The address that is
dialled is the address that was checked (S28-S30). A call knows whether any byte of the request left this
process, which is the only sound reason to say "not sent" (lifecycle, section 7).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from app.ports.dialling import CallAdapter, Dial, DialPolicy, ForbiddenAddress, track
from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater

__all__ = [
    "CallRecord",
    "DialPolicy",
    "ForbiddenAddress",
    "HTTPAnswer",
    "HTTPClient",
    "Limits",
    "OutboundCall",
    "TransportError",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes a call may take. `connect` covers TCP and TLS, `total` everything."""

    connect: float = 3.0
    total: float = 15.0
    max_bytes: int = 5_000_000


@dataclass(frozen=True, slots=True)
class HTTPAnswer:
    """What came back. `headers` ignore case. `seconds` is the time the call took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class TransportError(Exception):
    """No complete answer. `sent` False proves that no byte of the request left this process.

    `reason`: `connect_failed`, `timeout`, `cut`, `too_large`, `forbidden_address`, `bad_url`.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(f"{reason} ({'sent' if sent else 'not sent'})")
        self.reason = reason
        self.sent = sent


@dataclass(slots=True)
class CallRecord:
    """One finished outside call: what the metrics count and what an order's story shows.

    No secrets, no addresses.
    """

    vendor: str
    operation: str
    outcome: str
    seconds: float
    status: int | None = None
    request: str = ""
    answer: str = ""
    request_id: str = ""


Observer = Callable[[CallRecord], None]


def _ignore(_record: CallRecord) -> None:
    return


OTHER_VERSION, DEPRECATED = "other_version", "deprecated"
"""Outcomes that a connector may give a call instead of the usual ones: the interface answers by another version than
was asked for, or says that what was asked for will go. Staff are alerted; what the call noted as `answer` is told."""


@dataclass(slots=True)
class OutboundCall:
    """One call being made. The connector sends through it and notes what a person may see of it.

    `outcome`: only where it is another one than what the call's end says.
    """

    client: HTTPClient
    vendor: str
    operation: str
    outcome: str = ""
    request: str = ""
    answer: str = ""
    request_id: str = ""
    status: int | None = None
    started: float = field(default_factory=time.monotonic)

    def send(  # one call, said in one place
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: bytes | Mapping[str, str] | None = None,
        limits: Limits | None = None,
        public_only: bool = False,
        fresh: bool = False,
    ) -> HTTPAnswer:
        """Send once and read the whole answer. Raises `TransportError`.

        `public_only`: the host was typed by a merchant; private and loopback addresses are refused (unless
        the development setting allows them). `fresh`: a connection of its own, closed afterwards.
        """
        answer = self.client.send_once(
            method,
            url,
            headers=headers or {},
            params=params,
            data=data,
            limits=limits or Limits(),
            public_only=public_only,
            fresh=fresh,
        )
        self.status = answer.status
        return answer

    def note(self, *, request: str = "", answer: str = "", request_id: str = "") -> None:
        """Remember a redacted account of the call for the order's story (at most 2,000 characters each)."""
        self.request = request[:2000] or self.request
        self.answer = answer[:2000] or self.answer
        self.request_id = request_id[:100] or self.request_id


def outcome_of(error: BaseException | None) -> str:
    """The label under which a call is counted."""
    if error is None:
        return "ok"
    for kind, label in (
        (TryLater, "try_later"),
        (MerchantMustAct, "merchant_must_act"),
        (Refused, "refused"),
        (OutcomeUnknown, "unknown"),
    ):
        if isinstance(error, kind):
            return label
    # A connector's own exception may say what it stands for; anything else is a fault of the program.
    return str(getattr(error, "counted_as", "crash"))


class _Session(requests.Session):
    """A session that never looks at redirects: requests reads a redirect's whole body even when told not to follow."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """No redirect is ever followed (S31)."""
        del resp
        return None


class HTTPClient:
    """Pooled sessions (one per thread) behind the rules above. Shared by all connectors of a process."""

    def __init__(
        self,
        policy: DialPolicy,
        observer: Observer = _ignore,
        guard: Callable[[], None] = lambda: None,
        pace: float = 1.0,
    ) -> None:
        """`guard` is called before every send and raises if an outside call is not allowed right now.

        `pace` divides the total time of calls with a connection of their own, in a world that runs faster
        (tests).
        """
        self._pace = pace
        self._policy = policy
        self._observer = observer
        self._guard = guard
        self._local = threading.local()

    @property
    def policy(self) -> DialPolicy:
        """What may be dialled."""
        return self._policy

    @contextmanager
    def call(self, vendor: str, operation: str) -> Iterator[OutboundCall]:
        """A call whose end is recorded whatever happens; typed errors get vendor and operation filled in."""
        call = OutboundCall(self, vendor, operation)
        failure: BaseException | None = None
        try:
            yield call
        except OutsideError as error:
            error.vendor, error.operation = error.vendor or vendor, error.operation or operation
            failure = error
            raise
        except BaseException as error:
            failure = error
            raise
        finally:
            self._observer(
                CallRecord(
                    vendor,
                    operation,
                    call.outcome or outcome_of(failure),
                    time.monotonic() - call.started,
                    call.status,
                    call.request,
                    call.answer or (str(failure)[:2000] if isinstance(failure, OutsideError) else ""),
                    call.request_id,
                )
            )

    def _new_session(self, *, public_only: bool, keep: bool) -> requests.Session:
        session = _Session()
        session.trust_env = False
        adapter = CallAdapter(self._policy, public_only=public_only, connections=4 if keep else 1)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _session(self, *, public_only: bool) -> requests.Session:
        name = "public" if public_only else "any"
        session: requests.Session | None = getattr(self._local, name, None)
        if session is None:
            session = self._new_session(public_only=public_only, keep=True)
            setattr(self._local, name, session)
        return session

    def send_once(  # as `OutboundCall.send`
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        limits: Limits,
        public_only: bool,
        fresh: bool,
    ) -> HTTPAnswer:
        """One try. See `OutboundCall.send`."""
        self._guard()
        session = (
            self._new_session(public_only=public_only, keep=False) if fresh else self._session(public_only=public_only)
        )
        started = time.monotonic()
        with track(limits.total / self._pace if fresh else limits.total) as dial:
            try:
                response = session.request(
                    method,
                    url,
                    headers={**headers, **({"Connection": "close"} if fresh else {})},
                    params=params,
                    data=data,
                    timeout=(limits.connect, limits.total),
                    allow_redirects=False,
                    stream=True,
                )
                try:
                    body = _read(response, limits.max_bytes, dial)
                finally:
                    response.close()
            except ForbiddenAddress as error:
                raise TransportError("forbidden_address", sent=False) from error
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                raise TransportError(_reason(error, dial), sent=dial.sent) from error
            finally:
                session.cookies.clear()
                if fresh:
                    session.close()
        return HTTPAnswer(response.status_code, CaseInsensitiveDict(response.headers), body, time.monotonic() - started)


def _read(response: requests.Response, limit: int, dial: Dial) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in response.raw.stream(65_536, decode_content=True):
        size += len(chunk)
        if size > limit:
            dial.hang_up()
            raise TransportError("too_large", sent=True)
        chunks.append(chunk)
    if dial.expired:
        raise TransportError("timeout", sent=True)
    return b"".join(chunks)


def _reason(error: Exception, dial: Dial) -> str:
    if dial.forbidden:
        return "forbidden_address"
    if dial.expired or isinstance(error, requests.Timeout):
        return "timeout" if dial.sent else "connect_failed"
    # requests' own complaints about URLs and headers are ValueErrors too, and so are those of urllib3 and
    # idna.
    if isinstance(error, ValueError) and not dial.sent:
        return "bad_url"
    return "cut" if dial.sent else "connect_failed"
