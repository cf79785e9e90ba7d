"""Lines of the report, and what the operating system says of processes."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil


@dataclass
class Line:
    """One figure. `met` None: not measured, or nothing to meet; `why` says so."""

    number: str
    what: str
    figure: float | None
    unit: str
    goal: str
    met: bool | None
    why: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        figure = "not measured" if self.figure is None else f"{self.figure:.4g} {self.unit}".strip()
        verdict = {True: "met", False: "SHORT", None: "-"}[self.met]
        tail = f"  ({self.why})" if self.why else ""
        return f"{self.number:<4} {self.what:<58} {figure:>18}   goal {self.goal:<22} {verdict}{tail}"


class Report:
    """Prints lines as they come and keeps them."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(self, line: Line) -> None:
        self.lines.append(line)
        print(line.text(), flush=True)

    def at_most(self, number: str, what: str, figure: float, most: float, unit: str = "", **raw: Any) -> None:
        self.add(Line(number, what, figure, unit, f"<= {most:g} {unit}".strip(), figure <= most, raw=raw))

    def at_least(self, number: str, what: str, figure: float, least: float, unit: str = "", **raw: Any) -> None:
        self.add(Line(number, what, figure, unit, f">= {least:g} {unit}".strip(), figure >= least, raw=raw))

    def told(self, number: str, what: str, figure: float, unit: str = "", why: str = "", **raw: Any) -> None:
        self.add(Line(number, what, figure, unit, "-", None, why, raw))

    def missing(self, number: str, what: str, why: str) -> None:
        self.add(Line(number, what, None, "", "-", None, why))

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(line) for line in self.lines]


def median(numbers: Iterable[float]) -> float:
    return statistics.median(list(numbers))


def percentile(numbers: Sequence[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu(pids: Iterable[int]) -> float:
    """CPU seconds that these processes, all below them and their ended children have used so far."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in family(pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    total += times.user + times.system + times.children_user + times.children_system
    return total


def pss(pids: Iterable[int]) -> float:
    """Megabytes of memory, shared pages divided among those that share them."""
    total = 0
    for pid in pids:
        for process in family(pid):
            for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    return {
        "processor": model,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": [round(each, 2) for each in psutil.getloadavg()],
    }
