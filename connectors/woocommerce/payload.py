"""JSON from outside, read with care: no NaN, no duplicate keys, no endless nesting, ids that are really ids (S13)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

_LONGEST_INTEGER = 20
_DIGITS = re.compile(r"[0-9]{1,20}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class Unreadable(ValueError):  # as the ports name theirs
    """The text is not what it should be. The message names the field, never its value."""


def _no_constant(_name: str) -> NoReturn:
    raise Unreadable("NaN or Infinity")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise Unreadable("an integer of more than 20 digits")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a key occurs twice")
    return found


def load(body: bytes) -> Any:
    """The value of a JSON text; fractions come as Decimal. Raises `Unreadable`."""
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=Decimal,
            object_pairs_hook=_object,
        )
    except Unreadable:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Unreadable(f"not JSON: {type(error).__name__}") from None


def load_event(body: bytes) -> Any:
    """As `load`, for what came without our asking: half a character (a lone surrogate) is refused as well."""
    value = load(body)
    if _HALF.search(body):
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
        except (ValueError, RecursionError):
            raise Unreadable("half a character") from None
    return value


def text(value: object) -> str:
    """A text that a database can keep: numbers as written, no NUL, no lone surrogates; everything else is empty."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, str | int | Decimal):
        plain = str(value).replace("\x00", "").encode("utf-8", "replace").decode()
        return "".join(char for char in plain if char >= " " or char in "\t\n\r").strip()
    return ""


def identifier(value: object) -> str | None:
    """An id as digits, None for 0, fractions, booleans and everything else that is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    digits = str(value).strip()
    return digits if _DIGITS.fullmatch(digits) and digits.isascii() and int(digits) else None


def whole(value: object) -> int | None:
    """A whole number (also `"2"` and `-1`), else None."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        number = Decimal(str(value))
        return int(number) if number.is_finite() and abs(number) < 10**9 and number == int(number) else None
    except ArithmeticError:
        return None


def moment(value: object) -> datetime | None:
    """A `*_gmt` time (UTC without a zone mark), None if absent or odd."""
    if not isinstance(value, str) or not _DATE.match(value):
        return None
    try:
        return datetime.fromisoformat(value[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Mapping[str, Any]]:
    """The objects of a list; anything else is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def meta(value: object) -> dict[str, Any]:
    """`meta_data` as a dict; of a repeated key the last entry counts."""
    return {key: row.get("value") for row in rows(value) if isinstance(key := row.get("key"), str)}
