"""Everything a step needs, wired in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from pydantic import BaseModel

from app import held, registry
from app.calls import CallLog
from app.clock import Clock, SystemClock
from app.db import Database
from app.domain.timing import PHYSICAL_MOST, SETTINGS, Timers
from app.journal import Journal
from app.mailer import Mailer
from app.pace import Pace
from app.ports.connector import ConnectorSpec
from app.ports.http import DialPolicy, HTTPClient
from app.queue import Bell
from app.registry import Connectors
from app.settings import Settings, load, parse_vault_keys
from app.vault import Vault


@dataclass(frozen=True, eq=False)
class Container:
    """The parts of a process. Built once; handed down as the first argument."""

    settings: Settings
    database: Database
    connectors: Connectors
    vault: Vault
    bell: Bell
    calls: CallLog
    clock: Clock
    timers: Timers
    journal: Journal
    pace: Pace
    mailer: Mailer
    turns: dict[str, int] = field(default_factory=dict)
    """Numbers that a process remembers: where each queue's round over the shops goes on (`app.pipeline.due`), and how
    far the database had counted (`app.pipeline.breaker`)."""

    def close(self) -> None:
        """Give back connections and threads."""
        self.bell.close()
        self.database.dispose()


def read_settings(environment: Mapping[str, str] | None = None) -> tuple[Settings, dict[str, BaseModel]]:
    """Our settings and the connectors'. Raises `SettingsInvalid` naming every fault."""
    fragments = {name: spec.settings for name, spec in registry.find().items()}
    return load(fragments, environment, check=lambda settings: _chosen(settings).problems())


def timers_of(settings: Settings) -> Timers:
    """The timers that these settings choose, at their time scale; unchecked."""
    return _chosen(settings).scaled(settings.time_scale)


def _chosen(settings: Settings) -> Timers:
    return Timers().chosen({name: getattr(settings, name) for name in SETTINGS})


def build(
    environment: Mapping[str, str] | None = None, *, clock: Clock | None = None, name: str = "waybill"
) -> Container:
    """The container from the environment. Raises `SettingsInvalid` naming every fault. Opens no connection."""
    settings, parts = read_settings(environment)
    return assemble(settings, registry.find(), parts, clock=clock or SystemClock(), name=name)


def _may_call(database: Database) -> None:
    """Asked before each call to the outside."""
    database.forbid_open_transaction()
    held.check()


def assemble(
    settings: Settings,
    specs: Mapping[str, ConnectorSpec],
    parts: Mapping[str, BaseModel],
    *,
    clock: Clock,
    name: str = "waybill",
) -> Container:
    """The container from settings that were checked already."""
    database = Database(
        settings.database_url.get_secret_value(), pool_size=settings.database_pool, application_name=name
    )
    calls = CallLog(clock)
    policy = DialPolicy(
        allow_private=settings.outbound_allow_private,
        ca_bundle=settings.outbound_ca_bundle,
        allow_http=settings.woocommerce_allow_http,
    )
    http = HTTPClient(
        policy,
        observer=calls,
        guard=partial(_may_call, database),
        pace=min(settings.time_scale, PHYSICAL_MOST),
    )
    timers = timers_of(settings).validate()
    return Container(
        settings=settings,
        database=database,
        connectors=registry.build(specs, parts, http),
        vault=Vault(parse_vault_keys(settings.vault_keys.get_secret_value())),
        bell=Bell(settings.redis_url.get_secret_value()),
        calls=calls,
        clock=clock,
        timers=timers,
        journal=Journal(settings.folder),
        mailer=Mailer(settings),
        pace=Pace(
            settings.redis_url.get_secret_value(),
            per_second=settings.creates_per_second,
            in_flight=settings.creates_in_flight,
        ),
    )
