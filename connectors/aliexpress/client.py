"""Signed calls to the gateway. Business methods go to `/sync`, system ones to `/rest` plus their path."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

from app.ports.errors import OutcomeUnknown, OutsideError, TryLater
from app.ports.http import HTTPAnswer, HTTPClient, Limits, OutboundCall, TransportError
from connectors.aliexpress import envelope, errors, wire
from connectors.aliexpress.envelope import Answer
from connectors.aliexpress.settings import AliExpressSettings
from connectors.aliexpress.signing import sign

VENDOR = "aliexpress"
READ_LIMITS = Limits(connect=3.0, total=15.0)
PLACE_LIMITS = Limits(connect=3.0, total=30.0)
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "Accept": "application/json"}
_FIRST_SERVER_FAULT = 500
_OK = 200

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, UTC. Only for the timestamp that the protocol asks for."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Client:
    """Composes, signs and sends. It does not judge answers to `order.create`; `orders` does."""

    settings: AliExpressSettings
    http: HTTPClient
    clock: Clock = utc_now

    def secrets(self, *more: str) -> tuple[str, ...]:
        """What may not stand in any text that is kept: the app's secret and these."""
        return (self.settings.aliexpress_app_secret.get_secret_value(), *more)

    def signed(self, api: str, params: Mapping[str, str], token: str = "") -> bytes:
        """The form body of a call. Blank values are left out: SDKs disagree on whether they are signed."""
        full = {key: value for key, value in params.items() if value.strip()}
        full |= {
            "app_key": self.settings.aliexpress_app_key,
            "timestamp": str(int(self.clock().timestamp() * 1000)),
            "sign_method": "sha256",
        }
        if "/" not in api:
            full |= {"method": api, "format": "json"}
        if token:
            full["session"] = token
        full["sign"] = sign(self.settings.aliexpress_app_secret.get_secret_value(), api, full)
        return urlencode(full).encode("ascii")

    def url(self, api: str) -> str:
        """Where an API is called."""
        return self.settings.aliexpress_api_url + (f"/rest{api}" if "/" in api else "/sync")

    def post(self, call: OutboundCall, api: str, body: bytes, limits: Limits, *, fresh: bool = False) -> HTTPAnswer:
        """Send a signed body once. Raises `TransportError`."""
        return call.send("POST", self.url(api), headers=_HEADERS, data=body, limits=limits, fresh=fresh)

    def read(
        self, method: str, params: Mapping[str, str], token: str, *, about: str, missing_ok: bool = False
    ) -> Answer:
        """Call a method that changes nothing.

        With `missing_ok`, "not readable" comes back as the answer's `error`.
        """
        with self.http.call(VENDOR, method) as call:
            call.note(request=about)
            try:
                reply = self.post(call, method, self.signed(method, params, token), READ_LIMITS)
            except TransportError as error:
                raise errors.transport_error(error, changes=False) from error
            check_status(reply, changes=False)
            try:
                answer = envelope.open_sync(method, reply.body).without(self.secrets(token))
            except wire.Malformed as error:
                raise TryLater("malformed_answer", str(error)) from error
            call.note(answer=answer.error.words if answer.error else "answered", request_id=answer.request_id)
            if answer.error is not None:
                if not (missing_ok and errors.is_unreadable(answer.error)):
                    raise errors.read_error(answer.error)
                call.outcome = "refused"
        return answer

    def report(self, method: str, params: Mapping[str, str], token: str, *, about: str) -> Answer:
        """Call a method that tells AliExpress something, once. An unclear end raises `OutcomeUnknown`."""
        with self.http.call(VENDOR, method) as call:
            call.note(request=about)
            try:
                reply = self.post(call, method, self.signed(method, params, token), READ_LIMITS)
            except TransportError as error:
                raise errors.transport_error(error, changes=True) from error
            check_status(reply, changes=True)
            try:
                answer = envelope.open_sync(method, reply.body).without(self.secrets(token))
            except wire.Malformed as error:
                raise OutcomeUnknown("malformed_answer", str(error)) from error
            call.note(answer=answer.error.words if answer.error else "answered", request_id=answer.request_id)
            if answer.error is not None:
                raise errors.report_error(answer.error)
        return answer

    def system(self, path: str, params: Mapping[str, str]) -> Answer:
        """Call a system API, which may change tokens: an unclear end is `OutcomeUnknown`."""
        with self.http.call(VENDOR, path.strip("/").replace("/", ".")) as call:
            try:
                reply = self.post(call, path, self.signed(path, params), READ_LIMITS)
            except TransportError as error:
                raise errors.transport_error(error, changes=True) from error
            check_status(reply, changes=True)
            try:
                answer = envelope.open_rest(path, reply.body).without(self.secrets(*params.values()))
            except wire.Malformed as error:
                raise OutcomeUnknown("malformed_answer", str(error)) from error
            call.note(answer=answer.error.words if answer.error else "answered", request_id=answer.request_id)
            if answer.error is not None:
                raise errors.write_error(answer.error)
        return answer

    def resolve_host(self) -> None:
        """Look the host's name up. Raises `TryLater` when there is no such name at present."""
        parts = urlsplit(self.settings.aliexpress_api_url)
        try:
            socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise TryLater("dns", vendor=VENDOR, operation="resolve_host") from error


def check_status(reply: HTTPAnswer, *, changes: bool) -> None:
    """Raise unless the HTTP status is the one that the gateway uses for every answer of its own, 200."""
    if reply.status == _OK:
        return
    code = f"http_{reply.status}"
    kind: type[OutsideError] = OutcomeUnknown if changes or reply.status < _FIRST_SERVER_FAULT else TryLater
    raise kind(code)
