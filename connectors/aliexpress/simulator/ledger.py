"""What was really executed.

One JSON line each, on disk before anybody is answered, read again after a kill -9.
"""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any


class Ledger:
    """Append-only lines, in memory and (if a path is given) in a file."""

    def __init__(self, path: str) -> None:
        self.lines: list[dict[str, Any]] = _read(Path(path)) if path else []
        self._file = Path(path).open("a", encoding="utf-8") if path else None  # noqa: SIM115 - open as long as we live
        if self._file is not None:
            weakref.finalize(self, self._file.close)

    def append(self, line: dict[str, Any]) -> None:
        """Write one line. The caller holds the world's lock."""
        self.lines.append(line)
        if self._file is not None:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._file.flush()


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines so far. A last line that a kill cut short was never answered, so it is cut off."""
    if not path.exists():
        return []
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, "utf-8")
    return [json.loads(line) for line in whole.splitlines() if line]
