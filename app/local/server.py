"""One server process under our supervision: start, stop, kill, restart, and no orphan left behind."""

import abc
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

import psutil

from app.local import watchdog
from app.local.ports import free_port, is_free
from app.local.system_user import Identity

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ATTEMPTS = 5
_POLL_SECONDS = 0.01


class ServerError(RuntimeError):
    """A server did not start or did not stop; the message ends with the tail of its log."""


class Server(abc.ABC):
    """A server with a data folder of its own. Subclasses say what to run and when it is ready.

    The port is chosen at the first start and kept over `restart()` and `kill()`, so that a URL handed out
    stays good.
    """

    name: str
    stop_signal: signal.Signals

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """Claim nothing yet: `start()` does. `durable=False` trades safety in a power cut for speed."""
        self.data_dir = data_dir.resolve()
        self.durable = durable
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def port(self) -> int:
        """The loopback port; known once the server was started."""
        if self._port is None:
            message = f"{self.name} was never started"
            raise ServerError(message)
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            message = f"{self.name} is not running"
            raise ServerError(message)
        return self._process.pid

    @property
    def log_path(self) -> Path:
        """Everything the server printed, over all its runs in this data folder."""
        return self.data_dir / f"{self.name}.log"

    def start(self) -> Self:
        """Start the server and wait until it answers. Starting one that runs is an error."""
        if self._process is not None:
            message = f"{self.name} already runs as process {self._process.pid}"
            raise ServerError(message)
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._claim_folder()
        try:
            self._end_orphan()
            self.prepare()
            self._start_until_it_stays()
        except BaseException:
            self.kill()
            self._release_folder()
            raise
        return self

    def stop(self) -> None:
        """Shut down cleanly; harmless when the server is not running."""
        self._end(self.stop_signal)
        self._release_folder()

    def kill(self) -> None:
        """End it the hard way (SIGKILL), as a crash would. `start()` brings it back on the same port."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop, then start on the same port."""
        self._end(self.stop_signal)
        self._release_folder()
        self.start()

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        """Start, unless it runs."""
        return self if self.is_running() else self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    # what a subclass says

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make what must exist before the server starts."""

    @abc.abstractmethod
    def command(self, port: int) -> list[str]:
        """The command that runs the server in the foreground."""

    @abc.abstractmethod
    def is_ready(self, port: int) -> bool:
        """Whether the server that we started answers."""

    @abc.abstractmethod
    def orphan_pid(self) -> int | None:
        """The process id that an earlier server of this folder left in its pid file."""

    def identity(self) -> Identity:
        """Whom the server runs as."""
        return Identity()

    # how it is done

    def _start_until_it_stays(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            if self._port is None or (attempt > 1 and not self._waited_for(self._port)):
                self._port = free_port()
            self._spawn(self._port)
            if self._wait_until_ready(self._port):
                return
            self._end(signal.SIGKILL)
            # A crashed PostgreSQL's backends hold its shared memory until they notice.
            time.sleep(0.1 * attempt)
        message = f"{self.name} did not start; the end of {self.log_path}:\n{self._log_tail()}"
        raise ServerError(message)

    @staticmethod
    def _waited_for(port: int, seconds: float = 2.0) -> bool:
        """Whether a port that was taken became free: a killed server's own children may still hold it."""
        deadline = time.monotonic() + seconds
        while not is_free(port):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _spawn(self, port: int) -> None:
        identity = self.identity()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*identity.prefix, *self.command(port)],
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                # A Ctrl-C in the terminal is for the application; it stops the servers last.
                start_new_session=True,
                **identity.popen_options(),  # type: ignore[call-overload]  # typeshed: one overload per keyword
            )
        arguments = (os.getpid(), self._process.pid, int(self.stop_signal))
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_until_ready(self, port: int) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self.is_running() and time.monotonic() < deadline:
            if self.is_ready(port):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _end(self, signal_number: signal.Signals) -> None:
        process, self._process = self._process, None
        watching, self._watchdog = self._watchdog, None
        if process is not None:
            children = _children(process.pid)
            process.send_signal(signal_number)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # PostgreSQL's backends see their postmaster's death by themselves, a moment later.
            psutil.wait_procs(children, timeout=5)
        if watching is not None:
            watching.kill()
            watching.wait()

    def _claim_folder(self) -> None:
        """Take the folder for this process; the kernel gives it back when the process dies."""
        if self._lock is not None:
            return
        lock = (self.data_dir / f"{self.name}.lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            message = f"{self.data_dir} is in use by process {owner}: stop that or use another"
            raise ServerError(message) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_folder(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_orphan(self) -> None:
        """End the server that a killed run left whose watchdog was killed too. We hold the folder's lock."""
        pid = self.orphan_pid()
        if not pid:
            return
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(pid)
            if self._is_ours(process):
                process.send_signal(self.stop_signal)
                try:
                    process.wait(_STOP_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(_STOP_SECONDS)

    def _is_ours(self, process: psutil.Process) -> bool:
        """Process ids are used again: only one that works inside our folder is our server."""
        return Path(process.cwd()).is_relative_to(self.data_dir)

    def _log_tail(self) -> str:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-20:])


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
