"""The Admin API endpoint: who asks, which version, what it costs, and the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.shopify.simulator import tokens
from connectors.shopify.simulator.bucket import Buckets
from connectors.shopify.simulator.engine import Engine, Plan, RefusalError, Run
from connectors.shopify.simulator.faults import Faults, Rule
from connectors.shopify.simulator.world import Record, World

SUPPORTED = ("2026-01", "2026-04", "2026-07", "2026-10")
_DEAREST = 1_000
_STATUS = {
    "frozen": (402, "Unavailable Shop"),
    "locked": (423, "Locked"),
    "gone": (404, "Not Found"),
    "non_expiring": (403, "Non-expiring access tokens are no longer accepted for this app."),
    "forbidden": (403, "This action requires merchant approval for a scope."),
}


@dataclass(slots=True)
class Reply:
    """An answer to be written, and what a fault wants done with the connection."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""


class GraphQLEndpoint:
    """Answers requests. Thread-safe."""

    def __init__(self, world: World, engine: Engine, faults: Faults) -> None:
        self._world = world
        self._engine = engine
        self._faults = faults
        self._buckets = Buckets(world.options.bucket, world.options.restore_rate)

    def answer(self, domain: str, version: str, headers: Mapping[str, str], body: bytes) -> tuple[Reply, list[Rule]]:
        """The reply, and the rules of faults that hit it (for the web layer)."""
        shop = self._world.shops.get(domain)
        refused = self._refused(shop, headers)
        if refused is not None or shop is None:
            return refused or Reply(404, {"errors": "Not Found"}), self._faults.take("graphql")
        served = version if version in SUPPORTED else SUPPORTED[0]
        if version > SUPPORTED[-1]:
            return Reply(404, {"errors": "Not Found"}), []
        asked = _read(headers, body)
        if asked is None:
            return Reply(400, {"errors": {"query": "Required parameter missing or invalid"}}), []
        text, operation, given = asked
        try:
            plan = self._engine.plan(text, operation)
            variables = self._engine.variables(plan, given)
        except RefusalError as refusal:
            return Reply(200, {"errors": refusal.errors}, {"X-Shopify-API-Version": served}), []
        rules = self._faults.take("graphql", plan.name, *plan.roots)
        reply = self._run(shop, plan, variables, rules)
        changed = next((rule for rule in rules if rule.kind == "version"), None)
        reply.headers["X-Shopify-API-Version"] = str(changed.params["version"]) if changed else served
        if any(rule.kind == "deprecated" for rule in rules):
            reply.headers["X-Shopify-API-Deprecated-Reason"] = "https://shopify.dev/api/usage/versioning"
        return reply, rules

    def _refused(self, shop: Record | None, headers: Mapping[str, str]) -> Reply | None:
        if shop is None:
            return Reply(404, {"errors": "Not Found"})
        if shop["status"] in _STATUS:
            status, message = _STATUS[shop["status"]]
            return Reply(status, {"errors": message})
        with self._world.lock:
            held = tokens.access_holds(self._world, shop, headers.get("X-Shopify-Access-Token", ""))
        if held:
            return None
        message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return Reply(401, {"errors": message})

    def _run(self, shop: Record, plan: Plan, variables: Any, rules: Sequence[Rule]) -> Reply:
        kinds = {rule.kind: rule for rule in rules}
        requested = self._engine.requested(plan, variables)
        if requested > _DEAREST:
            error = {"message": f"Query cost is {requested:g}", "extensions": {"code": "MAX_COST_EXCEEDED"}}
            return Reply(200, {"errors": [error]})
        domain, own = shop["domain"], shop["throttle"]
        if "throttled" in kinds or self._buckets.take(domain, own, requested) is None:
            return self._throttled(requested, domain, own)
        if "drop_before" in kinds:
            return Reply(200, {}, fault="drop")
        if "status" in kinds:
            params = kinds["status"].params
            return Reply(int(params.get("status", 503)), params.get("body", ""), dict(params.get("headers", {})))
        internal = kinds.get("internal")
        if internal is not None and not internal.params.get("after"):
            return Reply(200, {"errors": [_internal(internal)]})
        body, used = self._execute(shop, plan, variables, kinds.get("user_error"))
        actual = min(requested, used)
        status = self._buckets.settle(domain, own, requested - actual)
        if internal is not None:
            body["errors"] = [*body.get("errors", []), _internal(internal)]
            body["data"] = body.get("data") if internal.params.get("data", True) else None
        body["extensions"] = {"cost": _cost(requested, actual, status)}
        fault = {"drop_after": "drop", "cut": "cut"}.get(next((kind for kind in kinds if kind in _ENDINGS), ""), "")
        return Reply(200, body, fault=fault)

    def _execute(self, shop: Record, plan: Plan, variables: Any, refused: Rule | None) -> tuple[dict[str, Any], float]:
        if refused is not None and plan.kind == "mutation":
            message = str(refused.params.get("message", "refused on demand"))
            payload = {"userErrors": [{"field": ["base"], "message": message}]}
            return {"data": dict.fromkeys(plan.roots, payload)}, 10.0
        run = Run(self._world, shop)
        with self._world.lock:
            data = self._engine.execute(plan, variables, run)
        body: dict[str, Any] = {"data": data}
        if run.errors:
            body["errors"] = run.errors
        return body, (10.0 if plan.kind == "mutation" else 0.0) + 1 + run.objects / 5

    def _throttled(self, requested: float, domain: str, own: dict[str, float] | None) -> Reply:
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        status = self._buckets.status(domain, own)
        return Reply(200, {"errors": [error], "extensions": {"cost": _cost(requested, None, status)}})


def _internal(rule: Rule) -> dict[str, Any]:
    """An error in mid-air. `after`: only once all was executed; `data` false: nothing of that is shown; `code`."""
    code = rule.params.get("code", "INTERNAL_SERVER_ERROR")
    return {"message": "Internal error", **({"extensions": {"code": code}} if code else {})}


_ENDINGS = ("drop_after", "cut")


def _cost(requested: float, actual: float | None, status: dict[str, Any]) -> dict[str, Any]:
    shown = None if actual is None else round(actual)
    return {"requestedQueryCost": round(requested), "actualQueryCost": shown, "throttleStatus": status}


def _read(headers: Mapping[str, str], body: bytes) -> tuple[str, str | None, dict[str, Any]] | None:
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        asked = json.loads(body)
        text = asked["query"]
        given = asked.get("variables") or {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(text, str) or not isinstance(given, dict):
        return None
    return text, asked.get("operationName"), given
