"""Consent codes and tokens: single use, rotation, a refresh window that never moves. Source.

Reference, section 4.
"""

from __future__ import annotations

import secrets
from typing import Any

from connectors.aliexpress.simulator.answers import GatewayFault, missing, trace
from connectors.aliexpress.simulator.records import Account, Token
from connectors.aliexpress.simulator.world import World

_CODE_LIFE = 180.0


def new_code(world: World, user_id: str) -> str:
    """A consent code for three minutes (never scaled: a person types)."""
    code = f"3_{world.options.app_key}_{secrets.token_urlsafe(18)}"
    world.codes[code] = Token(user_id, world.now() + _CODE_LIFE)
    return code


def grant(world: World, user_id: str, refresh_ends: float | None = None) -> dict[str, Any]:
    """New tokens for an account, as the gateway answers them."""
    access_life, refresh_life = world.options.lives
    now = world.now()
    ends = now + refresh_life if refresh_ends is None else refresh_ends
    access_ends = min(now + access_life, ends) if refresh_ends is not None else now + access_life
    access = "50000" + secrets.token_hex(28)
    refresh = "50001" + secrets.token_hex(28)
    world.remember(
        {
            "op": "token",
            "user_id": user_id,
            "access": access,
            "access_ends": access_ends,
            "refresh": refresh,
            "refresh_ends": ends,
        }
    )
    account = world.accounts[user_id]
    return {
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": int(access_ends - now),
        "expire_time": int(access_ends * 1000),
        "refresh_expires_in": max(0, int(ends - now)),
        "refresh_token_valid_time": int(ends * 1000),
        "user_id": user_id,
        "seller_id": user_id,
        "havana_id": "3" + user_id.zfill(12),
        "user_nick": f"us{user_id}ae",
        "account": account.login,
        "account_platform": "buyerApp",
        "locale": "zh_CN",
        "sp": "ae",
        "code": "0",
        **trace(),
    }


def create(world: World, params: dict[str, str]) -> dict[str, Any]:
    """`/auth/token/create`."""
    if "code" not in params:
        raise missing("code")
    with world.lock:
        code = world.codes.pop(params["code"], None)
        if code is None or code.ends < world.now():
            raise GatewayFault("InvalidCode")
        return grant(world, code.user_id)


def refresh(world: World, params: dict[str, str]) -> dict[str, Any]:
    """`/auth/token/refresh`."""
    if "refresh_token" not in params:
        raise missing("refresh_token")
    with world.lock:
        old = world.refresh.get(params["refresh_token"])
        if old is None or not old.alive or old.ends <= world.now():
            raise GatewayFault("IllegalRefreshToken")
        dead: dict[str, list[str]] = {"access": [], "refresh": []}
        if world.options.old_access == "dies":
            dead["access"] = [value for value, token in world.access.items() if _same(token, old.user_id)]
        if world.options.old_refresh == "dies":
            dead["refresh"] = [params["refresh_token"]]
        answer = grant(world, old.user_id, old.ends)
        world.remember({"op": "kill", **dead})
        return answer


def _same(token: Token, user_id: str) -> bool:
    return token.user_id == user_id and token.alive


def kill(world: World, user_id: str | None, *, with_refresh: bool) -> int:
    """Let an account's tokens (or everybody's) die at once. Gives the number of access tokens killed."""
    with world.lock:
        access = [v for v, token in world.access.items() if token.alive and user_id in {None, token.user_id}]
        refreshes = [v for v, token in world.refresh.items() if token.alive and user_id in {None, token.user_id}]
        world.remember({"op": "kill", "access": access, "refresh": refreshes if with_refresh else []})
        return len(access)


def holder(world: World, value: str) -> Account:
    """The account behind an access token. Raises `GatewayFault`."""
    token = world.access.get(value)
    if token is None or not token.alive or token.ends <= world.now():
        raise GatewayFault("IllegalAccessToken")
    return world.accounts[token.user_id]
