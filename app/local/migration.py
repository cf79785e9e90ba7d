"""`make migration NAME="add a table"`: a migration from the models, compared with an embedded database at the head."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

from app.db_migrate import MIGRATIONS, config, upgrade
from app.local.embedded import start_postgres


def main(name: str) -> int:
    """Write the draft of a migration; the developer reads and mends it."""
    number = f"{len(list((MIGRATIONS / 'versions').glob('[0-9]*.py'))) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder, start_postgres(Path(folder), durable=False) as server:
        upgrade(server.url)
        command.revision(config(server.url), message=name, autogenerate=True, rev_id=number)
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
