"""What the AliExpress connector reads from the environment. Field names, upper-cased, are the variables."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AliExpressSettings(BaseModel):
    """The app's keys, and one setting for each thing that the reference marks unconfirmed."""

    model_config = ConfigDict(frozen=True)

    aliexpress_app_key: str = Field(min_length=1)
    aliexpress_app_secret: SecretStr = Field(min_length=1)
    aliexpress_api_url: str = "https://api-sg.aliexpress.com"
    aliexpress_developer_type: Literal["commercial", "self"] = "commercial"
    aliexpress_dedupe: Literal["none", "replay", "reject"] = "none"
    aliexpress_site_url: str = "https://www.aliexpress.com"
    aliexpress_gmt_create_zone: str = "America/Los_Angeles"
    aliexpress_push_signature: Literal["verify", "off"] = "verify"
    aliexpress_quote_currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    aliexpress_free_shipping_rule: Literal["conservative", "official"] = "conservative"
    aliexpress_import_charges: Literal["add", "ignore"] = "add"
    aliexpress_paid_orders: Literal["off", "on"] = "off"
    aliexpress_provisional_prefixes: str = "AP,LP"
    aliexpress_definite_codes: str = ""
    """Further gateway codes (comma separated) that prove "not executed".

    Unconfirmed ones stay unclear by default.
    """
    aliexpress_pay_url: str = "{site}/p/order/index.html"
    aliexpress_order_url: str = "{site}/p/order/detail.html?orderId={order_id}"

    @field_validator("aliexpress_api_url", "aliexpress_site_url")
    @classmethod
    def _https_or_loopback(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("not an http(s) address")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("http is for a simulator on loopback only; use https")
        return value.rstrip("/")

    @field_validator("aliexpress_gmt_create_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("not a time zone name") from error
        return value

    def listed(self, text: str) -> frozenset[str]:
        """The items of a comma-separated setting."""
        return frozenset(part.strip() for part in text.split(",") if part.strip())
