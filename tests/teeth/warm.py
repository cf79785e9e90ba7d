"""A process that has loaded all that others wrote, and forks one run of pytest after another: each starts at once.

Our own code is loaded anew in every fork, so a changed module is what its tests load. It reads JSON lines
`{"tests", "seconds"}` and answers `{"result", "by"}`. Run by `tests.teeth.mutation` in a copy of the tree, never by hand.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.teeth.modules import TESTS

KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
"""`BROKEN`: no verdict, as there is no test of this name."""
_UNKNOWN = re.compile(r"^ERROR: not found: .*", re.MULTILINE)
_OURS = frozenset(("app", "connectors", "tests", "conftest", "wsgi", "__main__", "__mp_main__"))
_OPTIONS = (
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "-x",
    "-q",
    "-n",
    "0",
    "--tb=no",
    "-p",
    "no:randomly",
    "-p",
    "no:cacheprovider",
)
_LIST = """
import json, sys, pytest
import tests.loaded, tests.flow.world
pytest.main(sys.argv[1:])
print(json.dumps(list(sys.modules)))
"""


class _First:
    """Which test failed first."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first."""
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot even be loaded."""
        if report.failed and not self.name:
            self.name = report.nodeid


def main() -> None:
    """Until standard input ends."""
    for name in _others():
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, S112 - what cannot be loaded early is loaded when it is asked for
            continue
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        result, by = _run(asked["tests"], asked["seconds"])
        sys.stdout.write(json.dumps({"result": result, "by": by}) + "\n")
        sys.stdout.flush()


def _others() -> list[str]:
    """Everything that the tests load and that is not ours. On the way, all tests are compiled once."""
    asked = ["--collect-only", "-q", "-q", "-n", "0", "-p", "no:cacheprovider", *TESTS]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", _LIST, *asked], capture_output=True, text=True, check=True, env=environment
    )
    names = json.loads(done.stdout.splitlines()[-1])
    return [name for name in names if name.split(".")[0] not in _OURS and not name.startswith("test_")]


def _run(tests: list[str], seconds: float) -> tuple[str, str]:
    """(result, the test that failed first) of these tests, which have so many seconds."""
    with tempfile.TemporaryDirectory(prefix="waybill-judged-") as folder:
        said = Path(folder) / "said"
        pid = os.fork()
        if pid == 0:
            _become(tests, Path(folder), said)
        code = _wait(pid, time.monotonic() + seconds)
        if code is None:
            return KILLED, "they hang"
        by = said.read_text() if said.exists() else ""
        unknown = _UNKNOWN.search((Path(folder) / "log").read_text(errors="replace"))
    if code == pytest.ExitCode.OK:
        return SURVIVED, ""
    return (BROKEN, unknown.group(0)) if unknown else (KILLED, by or "it cannot be loaded")


def _become(tests: list[str], folder: Path, said: Path) -> None:
    os.setsid()
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    first, code = _First(), -1
    try:
        code = int(pytest.main([*_OPTIONS, f"--basetemp={folder / 'tests'}", *tests], plugins=[first]))
    finally:
        said.write_text(first.name)
        os._exit(code & 255)


def _wait(pid: int, until: float) -> int | None:
    """Its exit code, negative if a signal ended it; None if it had to be killed. Nothing that it started is left."""
    status: int | None = None
    while status is None and time.monotonic() < until:
        ended, found = os.waitpid(pid, os.WNOHANG)
        status = found if ended else None
        if status is None:
            time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
        return None
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
