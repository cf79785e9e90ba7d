"""Reads a lock file as `make lock` writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+_-]+)(?:\s*;[^\\]*)?")


class Unlocked(ValueError):
    """A line that is no exact version with hashes."""


@dataclass(frozen=True, order=True)
class Pin:
    """One locked package. `name` in the normal form."""

    name: str
    version: str
    hashes: tuple[str, ...]


def normal(name: str) -> str:
    """A package's name in its one form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(path: Path) -> list[Pin]:
    """Every pin. Raises `Unlocked` naming the first line that is not pinned and hashed."""
    pins: list[Pin] = []
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    for line in text.splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if not words:
            continue
        hashes = tuple(_HASH.findall(words))
        rest = _HASH.sub("", words).strip()
        found = _PIN.fullmatch(rest)
        if found is None or not hashes:
            raise Unlocked(f"{path.name}: {rest[:80]!r} is not an exact version with sha256 hashes")
        pins.append(Pin(normal(found["name"]), found["version"], hashes))
    return pins
