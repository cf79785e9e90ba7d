"""Gives real `flask` commands, which may die like every other process. Whoever gives one gives it again when it died."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.roles import Zygote, kill

LONGEST = 60.0
"""Seconds for one command; none of them waits for anything."""
MOST = 30
"""Deaths of one command; no plan has as many shots for one."""


@dataclass(frozen=True)
class Answer:
    """What a command said. `fault`: the code of its refusal, "" if it did what it was told."""

    data: Any
    fault: str = ""


class Commands:
    """The commands of one run."""

    def __init__(self, zygote: Zygote, asked: Mapping[str, object], folder: Path) -> None:
        self._zygote = zygote
        self._asked = {**asked, "role": "cli", "log": str(folder / "cli.log")}
        self._folder = folder
        self._numbers = itertools.count(1)
        self.died = 0

    def give(self, *arguments: object) -> Answer:
        """Until it came to an end. Raises AssertionError if it never does."""
        for _ in range(MOST):
            answer = self._once([*map(str, arguments), "--json"])
            if answer is not None:
                return answer
            self.died += 1
        raise AssertionError(f"flask {arguments[:2]} died {MOST} times")

    def _once(self, arguments: list[str]) -> Answer | None:
        """None: it died."""
        said = self._folder / f"command-{next(self._numbers)}"
        pid = self._zygote.start({**self._asked, "arguments": arguments, "answer": str(said)})
        deadline = time.monotonic() + LONGEST
        while _alive(pid):
            if time.monotonic() > deadline:
                kill(pid)
                raise AssertionError(f"flask {arguments[:2]} does not end")
            time.sleep(0.01)
        code = Path(f"{said}.code")
        try:
            return _read(said.read_text(), code.read_text()) if code.exists() else None
        finally:
            for path in (said, code):
                path.unlink(missing_ok=True)


def _read(said: str, code: str) -> Answer:
    with suppress(ValueError):
        data = json.loads(said)
        return Answer(data, str(data["error"]) if code != "0" else "")
    raise AssertionError(f"a command ended with {code} and said {said[:300]!r}")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
