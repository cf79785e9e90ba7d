"""Runs `flask …` commands in this process, one at a time: the same commands, without the start of a new Python."""

from __future__ import annotations

import json
import shlex
import threading
from typing import Any

from app import create_app
from app.container import Container

_SECRET = ("--access-token", "--refresh-token", "--key", "--secret")


class CommandError(RuntimeError):
    """A command failed; `code` is its error code if it gave one."""

    def __init__(self, command: str, code: str, text: str) -> None:
        super().__init__(f"`{command}` failed: {text}")
        self.code = code
        self.text = text


class Commands:
    """The command line of one world."""

    def __init__(self, container: Container) -> None:
        self._runner = create_app(container).test_cli_runner()
        # Click's runner takes over stdout while it runs.
        self._lock = threading.Lock()

    def run(self, *words: object) -> Any:
        """The command's JSON. Raises `CommandError`."""
        arguments = [str(word) for word in words]
        with self._lock:
            result = self._runner.invoke(args=[*arguments, "--json"])
        try:
            answer = json.loads(result.stdout) if result.stdout.strip() else None
        except ValueError:
            answer = None
        if result.exit_code != 0:
            told = answer if isinstance(answer, dict) else {}
            text = str(told.get("message") or result.output.strip() or repr(result.exception))
            raise CommandError(shown(*words), str(told.get("error", "")), text)
        return answer


def shown(*words: object) -> str:
    """A command line for people: secrets left out."""
    texts = ["flask", *map(str, words)]
    return " ".join(
        "…" if place and texts[place - 1] in _SECRET else shlex.quote(text) for place, text in enumerate(texts)
    )
