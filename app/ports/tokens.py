"""What a token call gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """New tokens. Times are absolute, UTC, taken from the answer and not from constants.

    `refresh_token` None: the answer carried none, keep the old one. `refresh_expires_at` None: unknown or no end.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime | None
    refresh_expires_at: datetime | None
    scopes: tuple[str, ...] = ()
    user_id: str = ""
    login: str = field(default="", repr=False)
