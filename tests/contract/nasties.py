"""Bodies that a parser must survive: S13's list."""

from __future__ import annotations

NASTY_BODIES = (
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"id":' + b"9" * 5_000 + b"}",
    b'{"id":1e999}',
    b'{"id":NaN,"data":Infinity}',
    b'{"id":1,"id":2}',
    b'{"id":"\\ud800"}',
    b'{"id":12.5,"data":{"orderId":12.5}}',
    b'{"data":[],"id":{}}',
    b'{"data":{"orderId":null,"buyerId":[]}}',
    "\ufeff{}".encode(),
)
