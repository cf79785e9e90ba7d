"""Logging: events with constant names, ids as fields; secrets and personal data are dropped on the way (S56)."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

_SECRET = re.compile(
    r"(shpat_|shprt_|shpss_|ck_|cs_|(Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]+"
    r"|\b(?i:(access_token|refresh_token|consumer_secret|consumer_key|client_secret|app_secret|session|sign|code|password)"
    r"(=|[\"']\s*[:=]\s*[\"']?))[^&\s\"',}]+"
    r"|(?<=://)[^/\s@:]*:[^/\s@]*(?=@)"
)
_DROPPED = frozenset(
    [
        "password",
        "secret",
        "token",
        "access_token",
        "refresh_token",
        "body",
        "address",
        "name",
        "phone",
        "email",
        "authorization",
        "cookie",
    ]
)
_OURS = ("app", "connectors")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop fields that must never be logged, mask token-like text in the others; a field is one line (S56)."""
    for key in list(event):
        event[key] = _clean(key, event[key])
    return event


def _clean(key: object, value: Any) -> Any:
    if str(key).lower() in _DROPPED:
        return "[dropped]"
    if isinstance(value, dict):
        return {str(name): _clean(name, one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _SECRET.sub("[secret]", str(value))
    if key == "exception":
        return text.replace("\n", "\n    ")
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def tell_fault(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    """A trace with its causes: places and types. Messages only of our own exceptions, which hold codes.

    Those of libraries quote what they choked on: a row's values, a buyer's street, an address with its password.
    """
    told: list[str] = []
    error: BaseException | None = exc_info[1]
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        kind = type(error)
        own = kind.__module__.split(".")[0] in _OURS
        state = getattr(getattr(error, "orig", error), "sqlstate", None)
        if own:
            detail = ": " + _CONTROL.sub(" ", str(error))[:500]
        else:
            detail = f": SQLSTATE {state}" if state else ": (not told)" if str(error) else ""
        trace = "".join(traceback.format_tb(error.__traceback__))
        told.insert(0, f"{trace}{kind.__module__}.{kind.__qualname__}{detail}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich led to\n".join(told)


def configure(level: str, *, json_lines: bool) -> None:
    """Set up structlog and the standard library's logging for this process; output goes to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(tell_fault),
        redact,
    ]
    render = structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def logger(name: str) -> Any:
    """A logger for a module."""
    return structlog.get_logger(name)
