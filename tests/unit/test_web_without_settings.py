"""A web server whose settings are incomplete ends with one message; it does not answer 404 to every webhook."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.local.processes import ROOT, production_command

GOOD = {
    "DATABASE_URL": "postgresql+psycopg://waybill@127.0.0.1:1/waybill",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "PUBLIC_URL": "https://waybill.example",
    "SECRET_KEY": "for tests only, for tests only, for tests only",
    "VAULT_KEYS": "k1:" + "A" * 43 + "=",  # pragma: allowlist secret - thirty-two zero bytes, for tests
}


def ended(command: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    """What a process with these settings alone left behind."""
    environment = {"PATH": os.environ["PATH"], "APP_ENV": "test", **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("settings", [{}, {**GOOD, "SECRET_KEY": "short"}])
def test_importing_the_application_ends_with_2_and_names_everything(settings: dict[str, str]) -> None:
    done = ended([sys.executable, "-c", "import wsgi"], **settings)
    assert done.returncode == 2
    assert "SECRET_KEY" in done.stderr
    assert all(name in done.stderr for name in ("DATABASE_URL", "VAULT_KEYS", "PUBLIC_URL") if not settings)


def test_the_web_server_of_the_procfile_ends_and_says_why() -> None:
    """granian ends with a code of its own, but it ends: nothing listens and answers 404."""
    done = ended(production_command("web", {"PORT": "0"}))
    assert done.returncode != 0
    assert "DATABASE_URL" in done.stderr
