"""A second PostgreSQL that follows the first, lags behind it, and takes its place: what a failover does."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from app.local.binaries import postgres_bin
from app.local.postgres_server import PostgresServer


def ask(server: PostgresServer, statement: str) -> Any:
    """The first value of a statement's first row."""
    with psycopg.connect(server.url.replace("+psycopg", "", 1), autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


class Standby(PostgresServer):
    """An asynchronous one, made by `pg_basebackup`."""

    def __init__(self, folder: Path, primary: PostgresServer) -> None:
        super().__init__(folder)
        self._primary = primary

    def prepare(self) -> None:
        """Copy the primary at the first start."""
        if not self._cluster.exists():
            identity = self.identity()
            identity.own(self.data_dir)
            source = self._primary.url.replace("+psycopg", "", 1)
            program = str(postgres_bin() / "pg_basebackup")
            words = (f"--dbname={source}", f"--pgdata={self._cluster}", "--write-recovery-conf", "--checkpoint=fast")
            done = subprocess.run(
                [*identity.prefix, program, *words],
                cwd=self.data_dir,
                capture_output=True,
                text=True,
                check=False,
                **identity.popen_options(),  # type: ignore[call-overload]  # typeshed: one overload per keyword
            )
            assert done.returncode == 0, done.stderr
            shutil.copy(self._primary.data_dir / "password", self.data_dir / "password")
        super().prepare()

    def is_ready(self, port: int) -> bool:
        """It answers reads."""
        lines = self._pid_file_lines()
        return super().is_ready(port) or (len(lines) > 7 and lines[0] == str(self.pid) and "standby" in lines[7])

    def catch_up(self) -> None:
        """Wait until it has all that the primary has written."""
        written = ask(self._primary, "SELECT pg_current_wal_lsn()")
        deadline = time.monotonic() + 60
        while not ask(self, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"):
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.05)

    def take_over(self) -> None:
        """Answer where the primary answered, which has died. Still in recovery: it refuses writes."""
        with (self._cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write("primary_conninfo = ''\n")
        self._port = self._primary.port
        self.start()

    def promote(self) -> None:
        """Make it the primary."""
        assert ask(self, "SELECT pg_promote()")
