"""The embedded default: a real PostgreSQL and a real Valkey, nothing to install.

    with EmbeddedServices(Path("var/local")) as services:
        ...services.database_url, services.redis_url...

From a shell: `python -m app.local.embedded -- flask shop list` runs a command with both addresses set.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Self

from app.local.postgres_server import PostgresServer
from app.local.valkey_server import ValkeyServer

DEFAULT_DATA_DIR = Path("var/local")


def start_postgres(data_dir: Path, *, durable: bool = True) -> PostgresServer:
    """A running PostgreSQL with its data in `data_dir`; `durable=False` for tests, three times as fast."""
    return PostgresServer(data_dir, durable=durable).start()


def start_valkey(data_dir: Path, *, durable: bool = True) -> ValkeyServer:
    """A running Valkey with its data in `data_dir`."""
    return ValkeyServer(data_dir, durable=durable).start()


class EmbeddedServices:
    """Both servers in one folder. One running instance a folder; any number of folders side by side.

    `postgres` and `valkey` have `start`, `stop`, `kill` and `restart`; their URLs outlive all four.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """Nothing runs before `start()`, or before the `with` block is entered."""
        self.postgres = PostgresServer(data_dir / "postgres", durable=durable)
        self.valkey = ValkeyServer(data_dir / "valkey", durable=durable)

    @property
    def database_url(self) -> str:
        """`postgresql+psycopg://…`, for SQLAlchemy."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """`redis://…`, with its password."""
        return self.valkey.url

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find both."""
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}

    def start(self) -> Self:
        """Start both, or neither."""
        self.postgres.start()
        try:
            self.valkey.start()
        except BaseException:
            self.postgres.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both; harmless when they do not run."""
        try:
            self.valkey.stop()
        finally:
            self.postgres.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def main(arguments: list[str]) -> int:
    """Run a command beside embedded servers and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.local.embedded", description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=DEFAULT_DATA_DIR, help="default: %(default)s")
    parser.add_argument("--fast", action="store_true", help="skip what protects the data in a power cut")
    parser.add_argument("command", nargs="+", help="the command, after --")
    options = parser.parse_args(arguments)
    with EmbeddedServices(options.data_dir, durable=not options.fast) as services:
        process = subprocess.Popen(options.command, env={**os.environ, **services.environment})

        def pass_on(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        # Ctrl-C reaches the command from the terminal itself; we only have to outlive it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, pass_on)
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
