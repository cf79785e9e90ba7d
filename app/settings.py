"""Settings: read once from the environment, checked as a whole, frozen. Nothing else reads the environment."""

from __future__ import annotations

import base64
import binascii
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from email.utils import getaddresses
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from redis.connection import parse_url

from app.errors import SettingsInvalid

Fragment = TypeVar("Fragment", bound=BaseModel)


class Settings(BaseModel):
    """Waybill's own settings; field names in upper case are the environment variables."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    app_env: Literal["production", "development", "test"] = "production"
    database_url: SecretStr
    redis_url: SecretStr
    public_url: str
    secret_key: SecretStr
    vault_keys: SecretStr
    state_dir: Path | None = None
    journal_days: float = Field(default=14, ge=1, le=3650)
    outbound_allow_private: bool = False
    outbound_ca_bundle: str = ""
    woocommerce_allow_http: bool = False
    time_scale: float = Field(default=1.0, gt=0, le=10_000)
    sweep_seconds: float = Field(default=30, gt=0, le=300)
    poll_seconds: float = Field(default=300, gt=0, le=900)
    tracking_poll_seconds: float = Field(default=6 * 3600, gt=0, le=86_400)
    payment_poll_seconds: float = Field(default=600, gt=0, le=86_400)
    recheck_held_seconds: float = Field(default=900, gt=0, le=86_400)
    send_seconds: float = Field(default=30, ge=5, le=90)
    kill_limit_seconds: float = Field(default=60, gt=0, le=600)
    quarantine_seconds: float = Field(default=1800, gt=0, le=86_400)
    alert_after_seconds: float = Field(default=300, gt=0, le=300)
    human_after_seconds: float = Field(default=3600, gt=0, le=86_400)
    escalate_after_seconds: float = Field(default=4 * 3600, gt=0, le=7 * 86_400)
    trusted_hosts: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    database_pool: int = Field(default=40, ge=2, le=200)
    worker_processes: int = Field(default=1, ge=1, le=64)
    worker_threads: int = Field(default=16, ge=1, le=128)
    creates_per_second: float = Field(default=5.0, gt=0, le=10_000)
    creates_in_flight: int = Field(default=4, ge=1, le=4096)
    metrics_token: SecretStr = SecretStr("")
    mail_server: str = ""
    mail_port: int = Field(default=25, ge=1, le=65_535)
    mail_use_tls: bool = False
    mail_use_ssl: bool = False
    mail_username: str = ""
    mail_password: SecretStr = SecretStr("")
    mail_suppress_send: bool = False
    mail_default_sender: str = "Waybill <no-reply@localhost>"
    staff_email: str = ""

    @property
    def production(self) -> bool:
        """Whether the rules for production apply."""
        return self.app_env == "production"

    @property
    def staff(self) -> tuple[str, ...]:
        """Addresses to which alerts are mailed."""
        return tuple(filter(None, (part.strip() for part in self.staff_email.split(","))))

    @property
    def folder(self) -> Path:
        """Where the journal and the epoch of this instance live."""
        return self.state_dir or Path("var/state")

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        scheme, rest = url.split("://", 1) if "://" in url else ("", url)
        if scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
            raise ValueError("must be a PostgreSQL address: postgresql://user:password@host/database")
        try:
            told = conninfo_to_dict(f"postgresql://{rest}")
        except psycopg.ProgrammingError as error:
            raise ValueError("is no PostgreSQL address: host, port or an option after ? is malformed") from error
        ports = str(told.get("port") or "5432").split(",")
        if not all(port.isdecimal() and 0 < int(port) < _PORTS for port in ports):
            raise ValueError("names a port that is no number from 1 to 65535")
        return SecretStr(f"postgresql+psycopg://{rest}")

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            told, path = parse_url(url), urlsplit(url).path  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise ValueError("must be a Redis address: redis://:password@host:6379/0") from error
        if not url.startswith("unix:") and not re.fullmatch(r"/?\d{0,5}", path):
            raise ValueError("must end with the number of the database, like redis://host:6379/0")
        if not 0 < int(told.get("port") or 6379) < _PORTS:
            raise ValueError("names a port that is no number from 1 to 65535")
        return value

    @field_validator("state_dir")
    @classmethod
    def _writable(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                there = next(place for place in (value, *value.absolute().parents) if place.exists())
            except OSError as error:
                raise ValueError("must be a folder that this user may look at and write into") from error
            if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
                raise ValueError(f"must be a folder that this user may write into; {there} is not")
        return value

    @field_validator("outbound_ca_bundle")
    @classmethod
    def _certificates(cls, value: str) -> str:
        if value:
            try:
                ssl.create_default_context().load_verify_locations(value)
            except (OSError, ssl.SSLError) as error:
                raise ValueError("must be a readable file of certificates in PEM form") from error
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d*)?", parts.netloc)
        try:
            fits = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
        extra = parts.query or parts.fragment or "@" in parts.netloc or any(each.isspace() for each in value)
        if parts.scheme not in {"http", "https"} or not fits or extra or not plain:
            raise ValueError(
                "must be the address under which shops reach Waybill, like https://waybill.example, and nothing more"
            )
        return value.rstrip("/")

    @field_validator("secret_key")
    @classmethod
    def _long_key(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters of randomness")
        return value

    @field_validator("staff_email")
    @classmethod
    def _staff(cls, value: str) -> str:
        for place, part in enumerate(filter(None, (part.strip() for part in value.split(","))), start=1):
            try:
                mail_address(part)
            except ValueError:
                # Not its value: what stands in the wrong variable may be a secret.
                raise ValueError(f"part number {place} is not one e-mail address, like owner@example.com") from None
        return value

    @field_validator("mail_default_sender")
    @classmethod
    def _sender(cls, value: str) -> str:
        named = getaddresses([value])
        name, address = named[0] if len(named) == 1 else ("", "")
        strange = any(ord(each) < 32 for each in name + value) or not address.isascii()
        if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", address) or strange:
            raise ValueError("must be an address, like Waybill <waybill@example.com>")
        return value

    @field_validator("vault_keys")
    @classmethod
    def _vault_keys(cls, value: SecretStr) -> SecretStr:
        parse_vault_keys(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _rules(self) -> Settings:
        problems = self._production_rules() if self.production else []
        if self.mail_use_tls and self.mail_use_ssl:
            problems.append("MAIL_USE_TLS and MAIL_USE_SSL exclude each other: TLS begins in the clear, SSL does not")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _production_rules(self) -> list[str]:
        problems = []
        if self.outbound_allow_private:
            problems.append("OUTBOUND_ALLOW_PRIVATE must not be set in production")
        if self.woocommerce_allow_http:
            problems.append("WOOCOMMERCE_ALLOW_HTTP must not be set in production")
        if self.state_dir is None:
            problems.append("STATE_DIR is required in production: a folder that outlives the process")
        if self.time_scale != 1.0:
            problems.append("TIME_SCALE must be 1 in production")
        if not self.public_url.startswith("https://"):
            problems.append("PUBLIC_URL must be https in production")
        return problems


_PORTS = 65_536
_STAND_INS = {
    "database_url": "postgresql://stand-in/stand-in",
    "redis_url": "redis://stand-in",
    "public_url": "https://stand-in.example",
    "secret_key": "stand-in " * 5,
    "vault_keys": "stand-in:" + base64.b64encode(bytes(32)).decode(),
}
"""In the place of what is missing or malformed, so that rules between the others are judged all the same."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


def mail_address(text: str) -> str:
    """One plain e-mail address. Raises ValueError for anything else: names, lists, line breaks, other letters."""
    address = text.strip(" ")
    if not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError(f"{text[:60]!r} is not one e-mail address, like owner@example.com")
    return address


def parse_vault_keys(text: str) -> dict[str, bytes]:
    """`kid:base64key,…` as an ordered map, current key first. Raises ValueError naming the fault, never the key."""
    keys: dict[str, bytes] = {}
    for place, part in enumerate(filter(None, (item.strip() for item in text.split(","))), start=1):
        kid, _, encoded = part.partition(":")
        if not kid or not kid.isascii() or len(kid) > 32 or kid in keys:
            raise ValueError(f"key number {place} needs a name of its own before the colon")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"key number {place} is not base64") from None
        if len(key) != 32:
            raise ValueError(f"key number {place} must be 32 bytes, it has {len(key)}")
        keys[kid] = key
    if not keys:
        raise ValueError("must hold at least one key, as kid:base64key")
    return keys


def read_fragment(model: type[Fragment], environment: Mapping[str, str], problems: list[str]) -> Fragment | None:
    """One settings model from the environment; faults are appended to `problems`. Empty values count as missing."""
    values = {
        name: environment[name.upper()] for name in model.model_fields if environment.get(name.upper(), "").strip()
    }
    try:
        return model(**values)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            name = str(fault["loc"][0]).upper() if fault["loc"] else ""
            text = "is missing" if fault["type"] == "missing" else str(fault["msg"]).removeprefix("Value error, ")
            problems.append(f"{name} {text}".strip())
        return None


def _with_stand_ins(environment: Mapping[str, str], problems: list[str]) -> Settings | None:
    """The settings with stand-ins for those that `problems` name; faults between the others are appended."""
    named = {problem.partition(" ")[0] for problem in problems}
    rest = {name: value for name, value in environment.items() if name not in named}
    more: list[str] = []
    settings = read_fragment(Settings, {key.upper(): value for key, value in _STAND_INS.items()} | rest, more)
    problems += more
    return settings


def load(
    fragments: Mapping[str, type[BaseModel]],
    environment: Mapping[str, str] | None = None,
    *,
    check: Callable[[Settings], Sequence[str]] | None = None,
) -> tuple[Settings, dict[str, BaseModel]]:
    """Our settings and each connector's, all checked. Raises `SettingsInvalid` naming every fault at once.

    `check` finds faults between settings that only a higher layer can judge.
    """
    values = os.environ if environment is None else environment
    problems: list[str] = []
    settings = read_fragment(Settings, values, problems)
    judged = settings or _with_stand_ins(values, problems)
    if judged is not None and check is not None:
        problems += check(judged)
    parts = {name: read_fragment(model, values, problems) for name, model in fragments.items()}
    if problems or settings is None:
        raise SettingsInvalid(problems)
    return settings, {name: part for name, part in parts.items() if part is not None}
