"""Expiring offline tokens and their rotation. Source: Shopify reference 1.6."""

from __future__ import annotations

import secrets as random_source
from collections.abc import Mapping
from typing import Any

from connectors.shopify.simulator.world import Record, World

_ACCESS = 3_600
_REFRESH = 90 * 86_400
_RETRY = 30 * 86_400
_SUBJECT_TYPE = "urn:ietf:params:oauth:token-type:id_token"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

Answer = tuple[int, dict[str, Any]]


def issue(world: World, shop: Record, *, replaces: Record | None = None) -> dict[str, Any]:
    """A new pair, in the shape of the token endpoint's answer. The caller commits."""
    now = world.now()
    access = {"token": f"shpat_{random_source.token_hex(16)}", "expires_at": now + world.scaled(_ACCESS)}
    refresh = {
        "token": f"shprt_{random_source.token_hex(16)}",
        "expires_at": now + world.scaled(_REFRESH),
        "used_at": None,
        "dead": False,
        "parent": replaces["token"] if replaces else None,
    }
    shop["access_tokens"] = [*shop["access_tokens"][-20:], access]
    shop["refresh_tokens"] = [*shop["refresh_tokens"][-20:], refresh]
    return {
        "access_token": access["token"],
        "scope": ",".join(shop["scopes"]),
        "expires_in": max(1, round(world.scaled(_ACCESS))),
        "refresh_token": refresh["token"],
        "refresh_token_expires_in": max(1, round(world.scaled(_REFRESH))),
    }


def access_holds(world: World, shop: Record, token: str) -> bool:
    """Whether the access token is this shop's and not expired."""
    now = world.now()
    return shop["installed"] and any(
        random_source.compare_digest(held["token"].encode(), token.encode()) and held["expires_at"] > now
        for held in shop["access_tokens"]
    )


def token_request(world: World, shop: Record | None, form: Mapping[str, str]) -> Answer:
    """The token endpoint: refresh and token exchange."""
    known = [secret for secret in (world.app["client_secret"], world.app["previous_secret"]) if secret]
    if form.get("client_id") != world.options.client_id or not any(
        random_source.compare_digest(form.get("client_secret", "").encode(), secret.encode()) for secret in known
    ):
        return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}
    if form.get("grant_type") == "refresh_token":
        return _refresh(world, shop, form.get("refresh_token", ""))
    if form.get("grant_type") == _EXCHANGE:
        return _exchange(world, shop, form)
    return 400, {"error": "unsupported_grant_type"}


def _dead() -> Answer:
    return 401, {
        "error": "invalid_request",
        "error_description": "This request requires an active refresh_token",
    }


def _refresh(world: World, shop: Record | None, token: str) -> Answer:
    held = next((item for item in (shop or {}).get("refresh_tokens", []) if item["token"] == token), None)
    now = world.now()
    if shop is None or held is None or not shop["installed"] or held["dead"] or held["expires_at"] <= now:
        return _dead()
    if held["used_at"] is not None and now > held["used_at"] + world.scaled(_RETRY):
        return _dead()
    # Using a replacement for the first time ends the token that it replaced, and its siblings.
    for other in shop["refresh_tokens"]:
        sibling = held["parent"] is not None and other["parent"] == held["parent"] and other is not held
        retried = other["parent"] == token and world.options.refresh_race == "last"
        if other["token"] == held["parent"] or sibling or retried:
            other["dead"] = True
    held["used_at"] = held["used_at"] or now
    grant = issue(world, shop, replaces=held)
    world.commit("token_refreshed", shop=shop, shop_domain=shop["domain"])
    return 200, grant


def _exchange(world: World, shop: Record | None, form: Mapping[str, str]) -> Answer:
    if shop is None or form.get("subject_token_type") != _SUBJECT_TYPE or not form.get("subject_token"):
        return 400, {"error": "invalid_subject_token"}
    if form.get("expiring") != "1":
        return 400, {"error": "invalid_request", "error_description": "expiring is required"}
    for other in shop["refresh_tokens"]:
        other["dead"] = True
    shop["installed"] = True
    grant = issue(world, shop)
    world.commit("token_exchanged", shop=shop, shop_domain=shop["domain"])
    return 200, grant
