"""Three ways in which people back up and restore PostgreSQL, with its own programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from app.local.binaries import postgres_bin
from app.local.embedded import start_postgres
from app.local.postgres_server import PostgresServer


class Backup(Protocol):
    """A server with a database that is backed up once and restored once."""

    url: str

    def take(self) -> None:
        """Back up. Nobody is connected."""

    def restore(self) -> str:
        """Put the backup in the database's place; gives where it lives now. Nobody is connected."""


def _run(program: str, *words: str) -> None:
    done = subprocess.run([str(postgres_bin() / program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


class Dump:
    """`pg_dump`, restored into an empty database; `elsewhere`: on another server, as when the old one is lost."""

    def __init__(self, folder: Path, stack: ExitStack, *, elsewhere: bool) -> None:
        self._folder, self._stack, self._elsewhere = folder, stack, elsewhere
        self._server = stack.enter_context(start_postgres(folder / "first", durable=False))
        self.url = self._server.url
        self._file = folder / "backup.dump"

    def take(self) -> None:
        _run("pg_dump", "--format=custom", f"--file={self._file}", f"--dbname={_plain(self.url)}")

    def restore(self) -> str:
        if self._elsewhere:
            target = self._stack.enter_context(start_postgres(self._folder / "second", durable=False)).url
        else:
            _run("createdb", f"--maintenance-db={_plain(self.url)}", "restored")
            target = self._server.url_of("restored")
        _run("pg_restore", "--exit-on-error", f"--dbname={_plain(target)}", str(self._file))
        return target


class Copy:
    """A copy of the server's whole data folder, made while it was stopped, and put back in its place."""

    def __init__(self, folder: Path) -> None:
        self._data, self._kept = folder / "server" / "cluster", folder / "kept"
        self._server = PostgresServer(folder / "server", durable=False)
        self.url = self._server.start().url

    def take(self) -> None:
        self._server.stop()
        self._clone(self._data, self._kept)
        self._server.start()

    def restore(self) -> str:
        self._server.stop()
        shutil.rmtree(self._data)
        self._clone(self._kept, self._data)
        return self._server.start().url

    @staticmethod
    def _clone(source: Path, target: Path) -> None:
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)  # owner and rights as they are

    def close(self) -> None:
        self._server.stop()


@contextmanager
def backup(how: str, folder: Path) -> Iterator[Backup]:
    """`dump`, `dump_elsewhere` or `copy`."""
    with ExitStack() as stack:
        if how == "copy":
            made = Copy(folder)
            stack.callback(made.close)
            yield made
        else:
            yield Dump(folder, stack, elsewhere=how == "dump_elsewhere")
