"""Ends one server when the process that started it is gone, however that process went.

Run as a program of its own: `python watchdog.py PARENT_PID SERVER_PID SIGNAL`. It asks for its parent
again and again instead of waiting on a pipe, because a pipe stays open in every fork of the parent
(RQ forks), and because Linux's parent-death signal does not exist on macOS and follows threads.
"""

import os
import sys
import time

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 15.0


def watch(parent: int, server: int, stop_signal: int) -> None:
    """Wait until `parent` is no longer our parent, then stop `server`: first politely, then with SIGKILL."""
    while os.getppid() == parent:
        if not _alive(server):
            return
        time.sleep(_POLL_SECONDS)
    _send(server, stop_signal)
    deadline = time.monotonic() + _GRACE_SECONDS
    while _alive(server) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _send(server, 9)


def _alive(pid: int) -> bool:
    return _send(pid, 0)


def _send(pid: int, signal_number: int) -> bool:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch(*(int(argument) for argument in sys.argv[1:4]))
