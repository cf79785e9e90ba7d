"""The whole of Waybill on one machine, each part in a process of its own, against simulators.

Everything lies in one folder: `postgres`, `valkey`, `state`, `ledgers`, `mails`, `logs`, `env` (for a shell) and
`world.json` (ports and made-up keys, kept so that a world can be started again).
"""

from __future__ import annotations

import base64
import json
import secrets
import shlex
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self

from app import db_migrate
from app.local import mailbox
from app.local.control import Control, answers
from app.local.embedded import EmbeddedServices
from app.local.ports import LOOPBACK, free_port, is_free
from app.local.processes import LocalProcess, flask, production_command

SIMULATORS = ("aliexpress", "shopify", "woocommerce")
_READABLE_AFTER = "2"


class PortTakenError(RuntimeError):
    """A port that this world must have is in use."""


class World:
    """Start it with `with`. `web_port` 0 takes a free one. Leaves nothing running, however it ends."""

    def __init__(
        self, folder: Path, *, time_scale: float, web_port: int = 0, web_host: str = LOOPBACK, ships_after: float = 0.0
    ) -> None:
        """Nothing runs yet. `ships_after`: seconds from payment until sellers ship by themselves, 0 for never."""
        self.folder = folder.resolve()
        self.time_scale = time_scale
        self._ships_after = ships_after
        self._kept = self._remembered()
        self._port("web", web_port)
        for name in SIMULATORS:
            self._port(name)
        self._port("mailbox")
        self.url = f"http://{web_host}:{self._kept['ports']['web']}"
        self.services = EmbeddedServices(self.folder, durable=False)
        self.processes: dict[str, LocalProcess] = {}
        self.controls = {name: Control(self.simulator_url(name)) for name in SIMULATORS}

    def simulator_url(self, name: str) -> str:
        """A simulator's root."""
        return f"http://{LOOPBACK}:{self._kept['ports'][name]}"

    def ledger(self, name: str) -> Path:
        """The file in which a simulator writes down what it really did."""
        return self.folder / "ledgers" / f"{name}.jsonl"

    @property
    def mails(self) -> Path:
        """Where the mails of this world end, a file each."""
        return self.folder / "mails"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of every process of this world. All keys are made up."""
        return {
            **self.services.environment,
            "APP_ENV": "development",
            "PUBLIC_URL": self.url,
            "SECRET_KEY": self._kept["secret_key"],
            "VAULT_KEYS": self._kept["vault_keys"],
            "STATE_DIR": str(self.folder / "state"),
            "TIME_SCALE": f"{self.time_scale:g}",
            "OUTBOUND_ALLOW_PRIVATE": "1",
            "WOOCOMMERCE_ALLOW_HTTP": "1",
            "MAIL_SERVER": LOOPBACK,
            "MAIL_PORT": str(self._kept["ports"]["mailbox"]),
            "STAFF_EMAIL": mailbox.STAFF,
            "WORKER_THREADS": "8",
            "DATABASE_POOL": "20",
            "ALIEXPRESS_APP_KEY": self._kept["app_key"],
            "ALIEXPRESS_APP_SECRET": self._kept["app_secret"],
            "ALIEXPRESS_API_URL": self.simulator_url("aliexpress"),
            "ALIEXPRESS_SITE_URL": self.simulator_url("aliexpress"),
            "SHOPIFY_CLIENT_ID": self._kept["client_id"],
            "SHOPIFY_CLIENT_SECRET": self._kept["client_secret"],
            "SHOPIFY_SHOP_URL_TEMPLATE": f"{self.simulator_url('shopify')}/{{shop}}",
        }

    @property
    def worker(self) -> LocalProcess:
        """`flask worker`."""
        return self.processes["worker"]

    def start(self) -> Self:
        """Start everything, or nothing."""
        try:
            for name in SIMULATORS:
                self._run(f"simulator-{name}", flask("simulate", name, *self._simulator_options(name)))
            words = ("--port", str(self._kept["ports"]["mailbox"]), "--folder", str(self.mails))
            self._run("mailbox", [sys.executable, "-m", "app.local.mailbox", *words])
            self.services.start()
            db_migrate.upgrade(self.services.database_url)
            self._write_files()
            ports = {"PORT": str(self._kept["ports"]["web"]), "WEB_WORKERS": "1"}
            self._run("web", production_command("web", ports))
            self._run("worker", production_command("worker", {}))
            self._run("scheduler", production_command("scheduler", {}))
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything: first those that write, last what they write to."""
        for process in self.processes.values():
            process.ask_to_stop()
        for process in reversed(list(self.processes.values())):
            process.stop()
        self.services.stop()

    def __enter__(self) -> Self:
        """Start; SIGTERM then ends us in order, like Ctrl-C."""
        signal.signal(signal.SIGTERM, _leave)
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop. A second Ctrl-C does not leave half of it running."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self) -> None:
        for name in SIMULATORS:
            ready = partial(answers, self.simulator_url(name), "/_control/state")
            self.processes[f"simulator-{name}"].wait_ready(ready)
        self.processes["web"].wait_ready(lambda: answers(self.url, "/healthz"))
        self.worker.wait_ready(lambda: self.worker.said("worker_started"))
        self.processes["web"].wait_ready(lambda: answers(self.url, "/readyz"))

    def _run(self, name: str, command: list[str]) -> None:
        logs = self.folder / "logs"
        # Simulators and the mailbox need no settings, and start before the database is there.
        environment = {} if name.startswith(("simulator-", "mailbox")) else self.environment
        process = LocalProcess(name, command, {"PYTHONUNBUFFERED": "1", **environment}, logs / f"{name}.log")
        process.log.unlink(missing_ok=True)
        self.processes[name] = process
        process.start()

    def _simulator_options(self, name: str) -> list[str]:
        self.ledger(name).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, str] = {
            "aliexpress": {
                "time_scale": f"{self.time_scale:g}",
                "readable_after": _READABLE_AFTER,
                "app_key": self._kept["app_key"],
                "app_secret": self._kept["app_secret"],
                "push_url": f"{self.url}/webhooks/aliexpress",
                "auto_ship_after": f"{self._ships_after * self.time_scale:g}",
            },
            "shopify": {
                "time_scale": f"{self.time_scale:g}",
                "client_id": self._kept["client_id"],
                "client_secret": self._kept["client_secret"],
                "webhook_url": f"{self.url}/webhooks/shopify",
            },
            "woocommerce": {"time_scale": f"{self.time_scale:g}", "queue_delay": "1", "trust_http": "yes"},
        }[name]
        words = ["--port", str(self._kept["ports"][name]), "--ledger", str(self.ledger(name))]
        return words + [word for key, value in options.items() for word in ("--option", f"{key}={value}")]

    def _port(self, name: str, wanted: int = 0) -> None:
        """The port of a part: the wanted one, the one of the last time (shops know it), or a free one."""
        known = wanted or self._kept["ports"].get(name, 0)
        if known and not is_free(known):
            raise PortTakenError(_taken(known, name, self.folder))
        self._kept["ports"][name] = known or free_port()

    def _remembered(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads((self.folder / "world.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _invented()
        return kept

    def _write_files(self) -> None:
        _write_private(self.folder / "world.json", json.dumps(self._kept, indent=1) + "\n")
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        head = "# Settings of this local world; every key in it is made up. Use: . " + shlex.quote(str(self.env_file))
        _write_private(self.env_file, "\n".join([head, *lines, ""]))

    @property
    def env_file(self) -> Path:
        """Source it in a shell to use `flask …` on this world."""
        return self.folder / "env"


def _invented() -> dict[str, Any]:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "ports": {},
        "secret_key": secrets.token_urlsafe(48),
        "vault_keys": f"local:{key}",
        "app_key": "500001",
        "app_secret": secrets.token_hex(16),
        "client_id": secrets.token_hex(16),
        "client_secret": secrets.token_hex(16),
    }


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(143)


def quiet(environment: Mapping[str, str]) -> dict[str, str]:
    """The same settings for a process whose output people read."""
    return {**environment, "LOG_LEVEL": "ERROR"}


def _taken(port: int, name: str, folder: Path) -> str:
    if name == "web":
        return f'Port {port} is in use. End what uses it, or take another one: make run ARGS="--port {port + 1}".'
    return f"Port {port} ({name}) is in use. End what uses it, or delete {folder}."
