"""A process that has loaded everything and forks the product's processes on demand: each starts in milliseconds.

It reads a JSON line for each process: `{"words", "environment", "log", "ends", "clock"}`. `words` is a command line:
`flask …` and `granian …` run that program's own entry point in the fork. It answers with a line that holds the
process id, which is that of a process group as well. `ends`: a file that gets the exit code. When its input ends, which
is when whoever started it is gone, however it went, it kills all that it started. Run by `tests.soak.fleet` only.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import flask.cli
import granian.cli

from tests.loaded import LOADED  # noqa: F401
from tests.soak import clock

_PARENT_DEATH = 1
"""PR_SET_PDEATHSIG: whoever kills this process kills those that it started."""


def main() -> None:
    """Until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
    started: list[int] = []
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(asked)
        started.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in started:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _become(asked: dict[str, Any]) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(asked["environment"])
    words = asked["words"]
    code = 1
    try:
        if asked.get("clock"):
            clock.install(Path(asked["clock"]))
        sys.argv = words
        code = _run({"flask": flask.cli.main, "granian": granian.cli.entrypoint}[words[0]])
    except BaseException:  # noqa: BLE001
        traceback.print_exc()  # the process ends below, without Python's own last words
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if asked.get("ends"):
            draft = Path(f"{asked['ends']}.new")
            draft.write_text(str(code))
            draft.rename(asked["ends"])
        os._exit(code)


def _run(program: Callable[[], object]) -> int:
    try:
        program()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    main()
