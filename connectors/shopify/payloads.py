"""JSON from outside, read without surprises: bounded depth, no floats for numbers, no NaN, no repeated keys (S13)."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

_MAX_DEPTH = 60
_MAX_DIGITS = 40
# A string that nothing ends is taken to the end of the body: looked for anew at each quote, it would cost O(n²).
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)


class OddPayloadError(ValueError):
    """A body that we do not take for JSON. The text is a constant without any of the body in it."""


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in the body. Whole numbers are int, others Decimal. Raises `OddPayloadError`.

    A lone surrogate in an escape is refused as well: no database takes it.
    """
    _check_depth(body)
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        found = json.loads(
            text, parse_int=_whole, parse_float=_fraction, parse_constant=_constant, object_pairs_hook=_pairs
        )
        # Encoding once finds every lone surrogate that an escape may have made.
        json.dumps(found, ensure_ascii=False, default=str).encode("utf-8")
    except OddPayloadError:
        raise
    except (ValueError, RecursionError) as error:
        raise OddPayloadError("malformed") from error
    if not isinstance(found, dict):
        raise OddPayloadError("not_an_object")
    return found


def _check_depth(body: bytes) -> None:
    # Python's parser recurses: the depth is counted before it is let near the body.
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(body):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > _MAX_DEPTH:
                raise OddPayloadError("too_deep")
        elif token in (b"]", b"}"):
            depth -= 1


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise OddPayloadError("number_too_long")
    return int(text)


def _fraction(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise OddPayloadError("number_too_long")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise OddPayloadError("malformed") from error


def _constant(_text: str) -> NoReturn:
    raise OddPayloadError("not_a_number")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OddPayloadError("repeated_key")
    return found
