"""What runs without a request: the drain loop, periodic jobs, the supervisor and the scheduler."""

from __future__ import annotations

from collections.abc import Callable

from app.db import InTransaction
from app.domain.purchase_flow import IllegalStep
from app.logs import logger
from app.outage import outage

log = logger(__name__)


def guarded(kind: str, key: object, act: Callable[[], object]) -> bool:
    """Run one unit of work; an unexpected fault is logged with its id and the row comes back when its lease ends."""
    try:
        act()
        outage.over()
    except (IllegalStep, InTransaction) as error:
        log.exception("step_against_the_rules", kind=kind, key=key, error=type(error).__name__)
    except Exception as error:
        if not outage.note(error):
            log.exception("step_failed", kind=kind, key=key, error=type(error).__name__)
    else:
        return True
    return False
