"""What the Shopify connector reads from the environment."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class ShopifySettings(BaseModel):
    """Credentials of the app in the partner dashboard, and where a shop is reached.

    `shopify_client_secret_previous` is accepted while a secret is being rotated, only until
    `shopify_client_secret_previous_until` if that is given (an ISO date means the end of that day, UTC).
    `shopify_partially_refunded_is_paid`: buy what is left of an order of which a part was refunded.
    """

    model_config = ConfigDict(frozen=True)

    shopify_client_id: str = Field(min_length=1)
    shopify_client_secret: SecretStr = Field(min_length=1)
    shopify_client_secret_previous: SecretStr | None = None
    shopify_client_secret_previous_until: datetime | None = None
    shopify_api_version: str = Field(default="2026-10", pattern=r"^\d{4}-(01|04|07|10)$")
    shopify_shop_url_template: str = Field(default="https://{shop}", pattern=r"^https?://[^\s]*\{shop\}[^\s]*$")
    shopify_fulfillment_service_handle: str = Field(default="waybill", min_length=1)
    shopify_partially_refunded_is_paid: bool = True

    @field_validator("shopify_client_secret_previous", "shopify_client_secret_previous_until", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("shopify_shop_url_template")
    @classmethod
    def _https_or_loopback(cls, value: str) -> str:
        parts = urlsplit(value.replace("{shop}", "shop.myshopify.com"))
        try:
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise ValueError("not an address") from error
        if parts.scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("http is for a simulator on loopback only; use https")
        return value

    @field_validator("shopify_client_secret_previous_until", mode="before")
    @classmethod
    def _end_of_day(cls, value: Any) -> Any:
        if isinstance(value, str) and len(value.strip()) == len("2026-01-01"):
            value = date.fromisoformat(value.strip())
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime.combine(value, time.max, UTC)
        return value

    @field_validator("shopify_client_secret_previous_until")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    def secrets(self, now: datetime) -> tuple[bytes, ...]:
        """The client secrets whose signatures hold at `now`, the current one first (S05)."""
        current = self.shopify_client_secret.get_secret_value().encode()
        until = self.shopify_client_secret_previous_until
        if self.shopify_client_secret_previous is None or (until is not None and now >= until):
            return (current,)
        return (current, self.shopify_client_secret_previous.get_secret_value().encode())
