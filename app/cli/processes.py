"""`flask worker`, `flask scheduler`, `flask db upgrade`."""

from __future__ import annotations

from importlib import import_module

import click

from app import db_migrate
from app.cli.output import Answer, command, group, json_option, respond, root
from app.container import Container

db = group("db", "The database's schema.")


def _process(name: str, module: str, text: str) -> None:
    """A command that runs until it is told to stop. It builds its own container: the parent must hold no connection."""

    @click.command(name, help=text)
    @json_option
    def run(*, as_json: bool) -> None:
        def main() -> Answer:
            import_module(module).main()
            return Answer({"process": name, "stopped": True}, f"The {name} has stopped.")

        respond(main, as_json=as_json)

    root.add_command(run)


_process("worker", "app.jobs.supervisor", "Work off what is due, until SIGTERM.")
_process("scheduler", "app.jobs.scheduler", "Make periodic jobs due, until SIGTERM.")


@command(db, "upgrade")
def upgrade(container: Container) -> Answer:
    """Bring the database to the newest schema."""
    url = container.settings.database_url.get_secret_value()
    before = db_migrate.current(container.database.engine)
    db_migrate.upgrade(url)
    after = db_migrate.current(container.database.engine)
    text = (
        f"The schema is at {after}." if before == after else f"The schema went from {before or 'nothing'} to {after}."
    )
    return Answer({"before": before, "after": after}, text)
