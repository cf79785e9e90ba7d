"""A process that has loaded everything and forks the product's processes on demand: each starts in milliseconds.

It reads a JSON line for each process to start, `{"role", "environment", "folder", "plan", "together", "chain", "log",
"port"}`, and answers with a line that holds its process id. The role `cli` is one `flask` command: `arguments`, and
`answer`, a file for what it prints, beside which `answer.code` is written when it came to an end, however it ended.
Run by `tests.faults.roles` and `tests.faults.commands`, never by hand.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import flask.cli
from sqlalchemy.orm import configure_mappers
from werkzeug.serving import make_server

from app import create_app
from app.jobs import scheduler, supervisor
from tests.faults.chain import Chain
from tests.faults.points import Points, Shot, install, read_source
from tests.loaded import LOADED  # noqa: F401


def main() -> None:
    """Until standard input ends; then everything that was started is killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ends is gone at once
    started: list[int] = []
    read_source()
    configure_mappers()
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
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _become(asked: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    answer = os.open(asked["answer"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if "answer" in asked else log
    for target, source in ((0, nothing), (1, answer), (2, log)):
        os.dup2(source, target)
    os.environ.update(asked["environment"])
    where = Path(asked["folder"]), asked["role"]
    shots = [Shot(**shot) for shot in asked["plan"]]
    together = asked["together"]
    install(Chain(*where, asked["chain"]) if asked["chain"] else Points(*where, shots, together=together))
    try:
        if asked["role"] == "cli":
            _command(asked["arguments"], Path(asked["answer"] + ".code"))
        elif asked["role"] == "web":
            make_server("127.0.0.1", asked["port"], create_app(), threaded=True).serve_forever(0.05)
        else:
            {"worker": supervisor, "scheduler": scheduler}[asked["role"]].main()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _command(arguments: list[str], code: Path) -> None:
    """What `flask` does, the loading of the application included. A command that dies leaves no code."""
    sys.argv = ["flask", *arguments]
    try:
        flask.cli.main()
    except SystemExit as end:
        sys.stdout.flush()
        # In one step: the bell's thread may still die, and an empty code would be no code.
        half = code.with_suffix(".half")
        half.write_text(str(end.code or 0))
        half.replace(code)


if __name__ == "__main__":
    main()
