"""JSON as it comes from the gateway: exact, and refusing whatever two parsers could read in two ways.

S13, S65.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from app.ports.inbound import storable

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONGEST_INT = 40


class Malformed(ValueError):
    """Not a JSON text that has one meaning."""


def _integer(text: str) -> int:
    if len(text) > _LONGEST_INT:
        raise Malformed("integer too long")
    return int(text)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise Malformed("number out of range") from error


def _constant(_text: str) -> Any:
    raise Malformed("NaN or Infinity")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("duplicate key")
    return found


def parse(body: bytes | str) -> Any:
    """The value of a JSON text; integers exact, fractions as Decimal. Raises `Malformed`."""
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    try:
        value = json.loads(
            raw.decode("utf-8"),
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
            object_pairs_hook=_unique,
        )
        if _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(type(error).__name__) from error
    return value


def compose(value: Any) -> str:
    """A JSON text for a single parameter: serialised once, because the exact text is signed."""
    return json.dumps(value, separators=(",", ":"))


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """A list in any of the gateway's dresses.

    Plain, inside an object with one key, or a lone object there.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        return []
    inner = next(iter(value.values()))
    if isinstance(inner, list):
        return inner
    return [inner] if isinstance(inner, dict) else []


def text(value: Any) -> str:
    """A scalar as text; ids stay exact. Empty for null, objects, booleans and fractions.

    Without what no database text can hold: one NUL in a parcel's news would stop its tracking for ever.
    """
    if isinstance(value, str):
        return storable(value).strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


def says(value: Any) -> bool:
    """Whether a field says anything: all but null and blank text. Of another kind than expected it says something."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def amount_text(value: Any) -> str:
    """A decimal amount as text; fractions allowed."""
    return str(value) if isinstance(value, Decimal) else text(value)


def truth(value: Any) -> bool | None:
    """A boolean, also when written as a string; None when it is neither."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(text(value).lower())


def number(value: Any) -> int | None:
    """A whole number of up to 18 digits, also when written as a string; None otherwise."""
    digits = text(value)
    return int(digits) if re.fullmatch(r"-?[0-9]{1,18}", digits) else None


def identity(value: Any) -> str:
    """An id: 1 to 20 digits as text. Empty when it is anything else (a fraction would have lost digits)."""
    digits = text(value)
    return digits if re.fullmatch(r"[1-9][0-9]{0,19}", digits) else ""
