"""The Admin API of one shop: GraphQL over our HTTP client, aware of cost, with typed errors.

Source: Shopify reference 3.1-3.3 and 6.4. Variables are never noted: they may hold personal data.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from app.ports.errors import OutcomeUnknown, TryLater
from app.ports.http import DEPRECATED, OTHER_VERSION, HTTPAnswer, HTTPClient, Limits, OutboundCall, TransportError
from connectors.shopify import faults
from connectors.shopify.documents import Document, document
from connectors.shopify.throttle import Status, Throttle

VENDOR = "shopify"
LONGEST_WAIT = 3.0
"""Seconds that a call may sleep for points; a longer wait is the caller's, as `TryLater`."""
_TRIES = 3
_DEPRECATED_REASON = "X-Shopify-API-Deprecated-Reason"
_LIMITS = Limits(connect=3.0, total=15.0)


@dataclass(frozen=True, slots=True)
class Result:
    """Data of an answer. `denied`: dotted paths that came back null for lack of permission (protected data)."""

    data: dict[str, Any]
    denied: tuple[str, ...] = ()
    api_version: str = ""


class _ThrottledError(Exception):
    def __init__(self, wait: float) -> None:
        super().__init__("throttled")
        self.wait = wait


@dataclass(slots=True)
class GraphQLClient:
    """Sends documents to one shop with one token. `url` is the whole endpoint; holds no connection."""

    http: HTTPClient
    shop: str
    url: str
    token: str = field(repr=False)
    version: str
    throttle: Throttle
    sleep: Callable[[float], None] = time.sleep

    def run(self, file: str, **variables: Any) -> Result:
        """Send `graphql/<file>.graphql`. Raises the errors of `app.ports.errors`.

        A mutation is sent again only when the shop said that it was throttled, which means not executed.
        """
        asked = document(file)
        for attempt in range(1, _TRIES + 1):
            self._wait_for_points(asked)
            try:
                return self._once(asked, variables)
            except _ThrottledError as throttled:
                if throttled.wait > LONGEST_WAIT or attempt == _TRIES:
                    break
                wait = throttled.wait
            self.sleep(wait)
        raise TryLater("THROTTLED", vendor=VENDOR, operation=asked.name, retry_after=max(1.0, self._gap(asked)))

    def _gap(self, asked: Document) -> float:
        wait = self.throttle.reserve(self.shop, self.throttle.cost(asked.name))
        if not wait:
            self.throttle.settle(self.shop, asked.name, self.throttle.cost(asked.name), asked=None, status=None)
        return wait

    def _wait_for_points(self, asked: Document) -> None:
        """Reserve the points; sleep a little for them, or leave the wait to the caller."""
        slept = 0.0
        while wait := self.throttle.reserve(self.shop, self.throttle.cost(asked.name)):
            wait = max(0.05, wait) * random.uniform(1.0, 1.2)  # noqa: S311 - jitter, not a secret
            if slept + wait > LONGEST_WAIT:
                raise TryLater("points_short", vendor=VENDOR, operation=asked.name, retry_after=max(1.0, wait))
            self.sleep(wait)
            slept += wait

    def _once(self, asked: Document, variables: Mapping[str, Any]) -> Result:
        reserved = self.throttle.cost(asked.name)
        requested: float | None = None
        status: Status | None = None
        try:
            with self.http.call(VENDOR, asked.name) as call:
                answer = self._send(call, asked, variables)
                body = _body(answer, effect=asked.effect)
                requested, status = _cost(body)
                call.note(request_id=answer.headers.get("X-Request-Id", ""), answer=self._story(answer, body))
                other, deprecated = self._other_version(answer), bool(answer.headers.get(_DEPRECATED_REASON))
                # Whatever comes of it: an older version may not know our documents.
                call.outcome = OTHER_VERSION if other else ""
                try:
                    result = _result(body, answer, effect=asked.effect, requested=requested, status=status)
                except _ThrottledError:
                    call.outcome = "try_later"
                    raise
                call.outcome = call.outcome or (DEPRECATED if deprecated else "")
                return result
        finally:
            self.throttle.settle(self.shop, asked.name, reserved, asked=requested, status=status)

    def _send(self, call: OutboundCall, asked: Document, variables: Mapping[str, Any]) -> HTTPAnswer:
        call.note(request=f"{asked.name} at {self.shop}, version {self.version}")
        payload = {"query": asked.text, "operationName": asked.name, "variables": dict(variables)}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "X-Shopify-Access-Token": self.token,
        }
        try:
            answer = call.send("POST", self.url, headers=headers, data=json.dumps(payload).encode(), limits=_LIMITS)
        except TransportError as error:
            raise faults.of_transport(error, effect=asked.effect) from error
        if answer.status != HTTPStatus.OK:
            raise faults.of_status(
                answer.status, answer.body[:2000], answer.headers.get("Retry-After"), effect=asked.effect
            )
        return answer

    def _other_version(self, answer: HTTPAnswer) -> str:
        """The version that answered if it is not ours: an unsupported one becomes the oldest, without an error."""
        served = str(answer.headers.get("X-Shopify-API-Version", ""))[:20]
        return "" if served == self.version else served

    def _story(self, answer: HTTPAnswer, body: Mapping[str, Any]) -> str:
        """What a person may see of the answer: the version and the cost, not the data."""
        parts = [f"HTTP {answer.status}"]
        if other := self._other_version(answer):
            parts.append(f"answered by version {other} instead of {self.version}")
        if reason := answer.headers.get(_DEPRECATED_REASON):
            parts.append(f"deprecated: {reason[:200]}")
        requested, status = _cost(body)
        if requested is not None and status is not None:
            parts.append(f"cost {requested:g} of {status.available:g}")
        if body.get("errors"):
            parts.append(f"errors: {', '.join(sorted(faults.codes_of(body['errors']))) or 'yes'}")
        return "; ".join(parts)


def _body(answer: HTTPAnswer, *, effect: bool) -> dict[str, Any]:
    try:
        body = json.loads(answer.body, parse_float=Decimal)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    raise OutcomeUnknown("bad_answer") if effect else TryLater("bad_answer")


def _result(
    body: Mapping[str, Any], answer: HTTPAnswer, *, effect: bool, requested: float | None, status: Status | None
) -> Result:
    errors = body.get("errors")
    data = body.get("data")
    version = str(answer.headers.get("X-Shopify-API-Version", ""))[:20]
    if not errors:
        if isinstance(data, dict):
            return Result(data, api_version=version)
        raise OutcomeUnknown("no_data") if effect else TryLater("no_data")
    values = list(data.values()) if isinstance(data, dict) else []
    executed = any(value is not None for value in values)
    if "THROTTLED" in faults.codes_of(errors) and not (effect and (executed or not faults.before_execution(errors))):
        raise _ThrottledError(_wait(requested, status))
    if not effect and faults.scopes_of(errors):
        # What is null for lack of a scope must not be taken for something that is not there.
        raise faults.of_errors(errors, effect=effect)
    # Protected fields come back null beside the rest: the reader decides field by field.
    if isinstance(data, dict) and values and None not in values and faults.only_denied(errors):
        return Result(data, denied=faults.fields_of(errors), api_version=version)
    if effect and executed:
        raise OutcomeUnknown(min(faults.codes_of(errors), default="graphql_errors"), faults.messages_of(errors))
    raise faults.of_errors(errors, effect=effect)


def _wait(requested: float | None, status: Status | None) -> float:
    if requested is None or status is None:
        return 1.0
    wait = max(1.0, (requested - status.available) / max(status.restore_rate, 0.1))
    return wait * random.uniform(1.0, 1.1)  # noqa: S311 - jitter, not a secret


def _cost(body: Mapping[str, Any]) -> tuple[float | None, Status | None]:
    extensions = body.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    if not isinstance(cost, dict):
        return None, None
    status = cost.get("throttleStatus")
    try:
        requested = float(cost["requestedQueryCost"])
        if not isinstance(status, dict):
            return requested, None
        figures = (status["maximumAvailable"], status["currentlyAvailable"], status["restoreRate"])
        return requested, Status(*(float(figure) for figure in figures))
    except (KeyError, TypeError, ValueError):
        return None, None
