"""Every act of support and operations: `flask GROUP COMMAND`, each with `--json`. One file a group."""

from __future__ import annotations

from flask import Flask

from app import registry
from app.cli import (
    accounts,
    inbox,
    links,
    mails,
    orders,
    orphans,
    outbox,
    placement,
    processes,
    purchases,
    reconcile,
    shops,
    simulate,
    vault,
)
from app.cli.output import root


def install(app: Flask) -> None:
    """The commands. Needs no settings: they are asked for when a command needs them."""
    shops.add_connect_commands(registry.find())
    for name, command in root.commands.items():
        app.cli.add_command(command, name)


__all__ = [
    "accounts",
    "inbox",
    "install",
    "links",
    "mails",
    "orders",
    "orphans",
    "outbox",
    "placement",
    "processes",
    "purchases",
    "reconcile",
    "shops",
    "simulate",
    "vault",
]
