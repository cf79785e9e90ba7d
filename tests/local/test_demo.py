"""The demo as a stranger runs it: it ends well, twice in the same folder, and leaves nothing running."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.local.demo", "--folder", str(folder), *more],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def left_over(folder: Path) -> list[str]:
    """Command lines of processes that belong to a demo in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words, settings = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        mine = str(folder) in " ".join(words) or settings.get("STATE_DIR", "").startswith(str(folder))
        if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(" ".join(words))
    return found


def wait_until_gone(folder: Path, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := left_over(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def test_a_killed_demo_leaves_nothing_running_and_the_next_one_ends_well(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    killed = start(folder)
    assert killed.stdout
    with killed.stdout:
        assert any("All processes run" in line for line in killed.stdout)
        assert len(left_over(folder)) > 5
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert wait_until_gone(folder, 30) == []

    process = start(folder)
    told, _ = process.communicate(timeout=180)
    assert process.returncode == 0, told
    assert "Everything is as it should be" in told
    assert "\033" not in told  # no colours into a file
    rows = re.findall(r"^#(\d+) .* (\d) +(\d) +(\d) +(\d)$", told, re.MULTILINE)
    # Created, paid, not to be paid, times ordered: one is held, one must not be paid, one is two orders.
    numbers = sorted(tuple(map(int, row[1:])) for row in rows)
    assert numbers == sorted([(1, 1, 0, 1)] * 7 + [(2, 2, 0, 1), (0, 0, 0, 0), (1, 0, 1, 1)]), told
    assert wait_until_gone(folder, 5) == []
