"""T4: the one call. Its own connection, no retry, and never later than two seconds after the commit."""

from __future__ import annotations

from app.container import Container
from app.pipeline.buy.preflight import Plan
from app.ports.supplier import PlaceOutcome, PlaceResult


def send(container: Container, begun: float, plan: Plan, supplier: str) -> PlaceResult:
    """Place the order, once. Too late after T3 began (`begun`, CLOCK_BOOTTIME): certainly nothing is sent."""
    late = container.clock.boottime() - begun > container.timers.send_deadline.total_seconds()
    if late:
        return PlaceResult(PlaceOutcome.NOT_SENT, code="deadline_passed", reason="held_up")
    return container.connectors.suppliers[supplier].session(plan.token).place(plan.order)
