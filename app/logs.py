"""Logging: events with constant names, ids as fields; secrets and personal data are dropped on the way (S56)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(
    r"(shpat_|shprt_|shpss_|ck_|cs_|Bearer\s+)[A-Za-z0-9._-]+"
    r"|(?i:(access_token|refresh_token|consumer_secret|consumer_key|client_secret|app_secret|session|sign|code)=)"
    r"[^&\s\"']+"
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


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop fields that must never be logged and mask token-like text in the others."""
    for key in list(event):
        if key.lower() in _DROPPED:
            event[key] = "[dropped]"
        elif isinstance(event[key], str):
            event[key] = _SECRET.sub("[secret]", event[key])
    return event


def configure(level: str, *, json_lines: bool) -> None:
    """Set up structlog and the standard library's logging for this process; output goes to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
