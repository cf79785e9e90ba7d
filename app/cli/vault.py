"""`flask vault …`."""

from __future__ import annotations

from dataclasses import asdict

import click

from app.cli.output import Answer, by_option, command, group, table
from app.container import Container
from app.services import vault_keys

vault = group("vault", "The keys that seal secrets.")


@command(vault, "status")
def status(container: Container) -> Answer:
    """What is sealed with which key."""
    found = vault_keys.standing(container)
    rows = [
        {"what": one.what, "key": kid, "many": many, "current": "yes" if kid == container.vault.current else "no"}
        for one in found
        for kid, many in [*one.by_key.items(), *([("not in VAULT_KEYS", one.unknown)] if one.unknown else [])]
    ]
    data = {"current": container.vault.current, "sealed": [asdict(one) for one in found]}
    return Answer(data, table(rows, "what", "key", "current", "many=how many", empty="Nothing is sealed yet."))


@command(vault, "rotate")
@by_option
def rotate(container: Container, by: str) -> Answer:
    """Seal everything with the first key of VAULT_KEYS. May be ended and begun again; everything may run meanwhile."""

    def told(what: str, many: int) -> None:
        click.echo(f"{what}: {many}", err=True)

    done = vault_keys.rotate(container, actor=by, told=told)
    left = sum(one.left for one in done)
    text = table([asdict(one) for one in done], "what", "resealed=sealed anew", "left=still to do")
    key = container.vault.current
    done_text = f"Everything is sealed with {key}. Older keys may leave VAULT_KEYS when no backup needs them any more."
    end = f"{left} are held by somebody: rotate again." if left else done_text
    data = {"key": key, "places": [asdict(one) for one in done], "left": left}
    return Answer(data, f"{text}\n{end}")
