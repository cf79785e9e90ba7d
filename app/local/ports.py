"""Free ports on loopback."""

import random
import socket

LOOPBACK = "127.0.0.1"
_CHOICE = range(20_000, 32_000)
"""Below the ports that Linux and macOS give to connections: else one of these takes it before it is listened on."""


def free_port() -> int:
    """A TCP port that was free a moment ago; whoever uses it must be ready to ask for another."""
    draw = random.SystemRandom()
    return next(port for port in iter(lambda: draw.choice(_CHOICE), 0) if is_free(port))


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
