"""Options of the simulator: texts from the command line or from tests, read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

TEST_LIVES = (86_400, 172_800)
ONLINE_LIVES = (2_592_000, 5_184_000)


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds of the real service; `time_scale` divides them, `token_scale` divides token lives."""

    ledger: str = ""
    app_key: str = "500001"
    app_secret: str = field(default="simulated-app-secret", repr=False)
    app_state: Literal["test", "online"] = "test"
    dedupe: Literal["none", "replay", "reject"] = "none"
    push_url: str = ""
    push_signed: bool = True
    public_url: str = ""
    callback_url: str = ""
    auto_consent: bool = False
    time_scale: float = 1.0
    token_scale: float = 1.0
    readable_after: float = 10.0
    pay_timeout: float = 1_036_800.0
    dedupe_window: float = 86_400.0
    auto_ship_after: float = 0.0
    auto_deliver_after: float = 0.0
    not_joined: Literal["gateway", "remote", "autopay"] = "gateway"
    old_access: Literal["dies", "lives"] = "dies"
    old_refresh: Literal["dies", "lives"] = "dies"
    accept_gb: bool = False
    registered: bool = False
    withdrawn: tuple[str, ...] = ()
    """Methods that the platform has taken away: a call finds none."""
    gmt_zone: str = "America/Los_Angeles"
    id_digits: int = 16
    scenario: Mapping[str, Any] = field(default_factory=dict)

    def scaled(self, seconds: float) -> float:
        """Real seconds of a simulated delay."""
        return seconds / self.time_scale

    @property
    def lives(self) -> tuple[float, float]:
        """Life of an access token and of a refresh window, in seconds."""
        access, refresh = TEST_LIVES if self.app_state == "test" else ONLINE_LIVES
        return access / self.token_scale, refresh / self.token_scale


def _choice(given: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> Any:
    value = given.get(name) or allowed[0]
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}")
    return value


def _flag(given: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    value = given.get(name, "").lower()
    return value in {"1", "true", "yes", "on"} if value else default


def _scenario(path: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", json.loads(Path(path).read_text("utf-8"))) if path else {}


def read_options(given: Mapping[str, str]) -> Options:
    """Options from texts. Raises ValueError on an unknown choice or a malformed number."""
    plain = Options()
    strange = set(given) - {one.name for one in fields(Options)} - {"host", "port"}
    if strange:
        raise ValueError(f"unknown option of the AliExpress simulator: {', '.join(sorted(strange))}")
    numbers: dict[str, Any] = {
        name: float(given.get(name) or getattr(plain, name))
        for name in (
            "time_scale",
            "token_scale",
            "readable_after",
            "pay_timeout",
            "dedupe_window",
            "auto_ship_after",
            "auto_deliver_after",
        )
    }
    if numbers["time_scale"] <= 0 or numbers["token_scale"] <= 0:
        raise ValueError("time_scale and token_scale must be above zero")
    texts: dict[str, Any] = {
        name: given.get(name) or getattr(plain, name)
        for name in ("ledger", "app_key", "app_secret", "push_url", "callback_url", "gmt_zone")
    }
    return Options(
        **texts,
        **numbers,
        public_url=given.get("public_url", "").rstrip("/"),
        app_state=_choice(given, "app_state", ("test", "online")),
        dedupe=_choice(given, "dedupe", ("none", "replay", "reject")),
        not_joined=_choice(given, "not_joined", ("gateway", "remote", "autopay")),
        old_access=_choice(given, "old_access", ("dies", "lives")),
        old_refresh=_choice(given, "old_refresh", ("dies", "lives")),
        push_signed=_flag(given, "push_signed", default=True),
        auto_consent=_flag(given, "auto_consent"),
        accept_gb=_flag(given, "accept_gb"),
        registered=_flag(given, "registered"),
        withdrawn=tuple(given.get("withdrawn", "").split()),
        id_digits=int(given.get("id_digits") or plain.id_digits),
        scenario=_scenario(given.get("scenario", "")),
    )
