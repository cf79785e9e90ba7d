"""Seals and opens secrets: AES-256-GCM with key ids, bound to where the secret belongs (S51-S53)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class VaultError(Exception):
    """A sealed value cannot be opened: another key, another place, or damaged."""


class Vault:
    """Keys by id; the first one seals. `place` is bound as associated data: a value moved elsewhere does not open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        self.current = next(iter(keys))

    def seal(self, plain: bytes, place: str) -> bytes:
        """`plain` sealed for `place`, for instance `shop:12:body`."""
        nonce = os.urandom(12)
        head = self.current.encode()
        sealed = self._ciphers[self.current].encrypt(nonce, plain, place.encode())
        return bytes([len(head)]) + head + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """What `seal` was given. Raises `VaultError`."""
        size = sealed[0] if sealed else 0
        kid = sealed[1 : 1 + size].decode("ascii", "replace")
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise VaultError(f"sealed with key {kid!r}, which VAULT_KEYS does not hold")
        try:
            return cipher.decrypt(sealed[1 + size : 13 + size], sealed[13 + size :], place.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: cut off before its nonce ends
            raise VaultError("sealed for another place, or damaged") from error

    def seal_json(self, value: object, place: str) -> bytes:
        """`value` as JSON, sealed."""
        return self.seal(json.dumps(value, separators=(",", ":")).encode(), place)

    def open_json(self, sealed: bytes, place: str) -> dict[str, str]:
        """The mapping that `seal_json` was given."""
        opened: dict[str, str] = json.loads(self.open(sealed, place))
        return opened

    def knows(self, kid: str) -> bool:
        """Whether it holds the key of this name."""
        return kid in self._ciphers
