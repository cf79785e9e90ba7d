"""Every duration of the purchase's life in one place, so that they can be checked together and scaled together.

Source: purchase lifecycle, sections 1, 6, 8, 9 and 10. All values are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import timedelta

_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 86400.0
_LEAST_QUARANTINE = 30 * _MINUTE
_LATEST_ALERT = 5 * _MINUTE
_QUARANTINE_PER_KILL = 10
_GRAIN = 1e-6

PHYSICAL_MOST = 10.0
"""What real sockets, processes and commits need is divided by at most this, however fast the world runs."""

PHYSICAL = frozenset(
    (
        "send_deadline",
        "connect",
        "call_total",
        "kill_after",
        "last_send_margin",
        "claim_lease",
        "inbox_lease",
        "token_lease",
        "token_min_life",
        "quote_max_age",
        "drain_idle",
        "redis_down_takeover",
    )
)
FROM_SEND = frozenset(
    (
        "unknown_after",
        "unknown_checks",
        "alert_after",
        "human_after",
        "stock_human_after",
        "escalate_after",
        "interlock_release",
        "match_after",
    )
)
"""Counted from the send, so the call itself, which is physical, is a part of them."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Durations in seconds; tuples are delays counted from the same start.

    `send_deadline` counts from T3's commit, `call_total` from the first byte, `kill_after` from T3.
    """

    send_deadline: float = 2.0
    connect: float = 3.0
    call_total: float = 30.0
    kill_after: float = 60.0
    last_send_margin: float = 40.0
    quarantine: float = 30 * _MINUTE
    unknown_after: float = 30.0
    unknown_checks: tuple[float, ...] = (30.0, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 60 * _MINUTE)
    push_retries: tuple[float, ...] = (10.0, 30.0, 2 * _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 60 * _MINUTE)
    alert_after: float = 5 * _MINUTE
    human_after: float = 60 * _MINUTE
    stock_human_after: float = 15 * _MINUTE
    escalate_after: float = 4 * _HOUR
    interlock_release: float = 62 * _MINUTE
    interlock_alert: float = 5 * _MINUTE
    match_before: float = 2 * _MINUTE
    match_after: float = 60 * _MINUTE
    readable_after: float = 10.0
    claim_lease: float = 2 * _MINUTE
    inbox_lease: float = 2 * _MINUTE
    token_lease: float = 90.0
    token_min_life: float = 10 * _MINUTE
    quote_max_age: float = 60.0
    drain_idle: float = 2.0
    redis_down_takeover: float = 5.0
    sweep_every: float = 30.0
    poll_every: float = 5 * _MINUTE
    poll_every_max: float = 15 * _MINUTE
    poll_overlap: float = 10 * _MINUTE
    night_sweep_window: float = 7 * _DAY
    tracking_poll: float = 6 * _HOUR
    payment_poll: float = 10 * _MINUTE
    held_recheck: float = 15 * _MINUTE
    unpaid_assumed: float = 20 * _DAY
    breaker_window: float = 60.0
    breaker_probe: float = 30.0
    account_unreadable: float = 7 * _DAY
    retry_base: float = 5.0
    retry_max: float = 15 * _MINUTE
    audit_seal: float = 1.0
    audit_alert: float = 60.0

    def scaled(self, time_scale: float) -> Timers:
        """The same world, `time_scale` times faster, with all relations of `validate` kept.

        `PHYSICAL` durations are divided by at most `PHYSICAL_MOST`. Those `FROM_SEND` hold one call each: only the rest
        of them is divided freely. The quarantine never falls below ten kill limits. ValueError unless above zero.
        """
        if not 0 < time_scale < float("inf"):
            raise ValueError("TIME_SCALE must be a positive number")
        physical = min(time_scale, PHYSICAL_MOST)
        call = self.call_total / physical
        changed: dict[str, float | tuple[float, ...]] = {}
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name in PHYSICAL:
                new = [part / physical for part in _parts(value)]
            elif spec.name in FROM_SEND:
                new = [call + (part - self.call_total) / time_scale for part in _parts(value)]
            else:
                new = [part / time_scale for part in _parts(value)]
            changed[spec.name] = tuple(new) if isinstance(value, tuple) else new[0]
        least = _QUARANTINE_PER_KILL * self.kill_after / physical
        changed["quarantine"] = max(self.quarantine / time_scale, least)
        return replace(self, **changed)  # type: ignore[arg-type]

    def validate(self, *, time_scale: float = 1.0) -> Timers:
        """These timers, if the promises can be kept with them. Raises ValueError naming everything that is wrong.

        `time_scale`: by what they were divided; the absolute bounds are divided with it.
        """
        wrong = [text for holds, text in (*self._order(), *self._bounds(time_scale)) if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _order(self) -> list[tuple[bool, str]]:
        send = self.send_deadline + self.call_total
        window = self.match_before + self.match_after
        rising = all(sorted(set(part)) == list(part) for part in (self.unknown_checks, self.push_retries))
        return [
            (self.quarantine >= _QUARANTINE_PER_KILL * self.kill_after, "quarantine must be at least 10 x kill_after"),
            (send < self.kill_after, "a send must end before its worker is killed"),
            (self.connect < self.call_total, "connect must be below call_total"),
            (self.last_send_margin > send, "last_send_margin must outlast a send"),
            (self.claim_lease > self.kill_after, "claim_lease must outlast kill_after"),
            (self.token_min_life > self.kill_after, "token_min_life must outlast a send"),
            (self.interlock_release >= window - _GRAIN, "the interlock must outlast both match windows"),
            (self.human_after <= self.interlock_release, "a person must be asked before the interlock opens"),
            (self.unknown_after >= self.call_total, "a purchase is unknown only after its call has ended"),
            (self.unknown_checks[0] >= self.call_total, "the first check must come after the call has ended"),
            (self.poll_every <= self.poll_every_max, "poll_every must not exceed poll_every_max"),
            (rising, "unknown_checks and push_retries must rise"),
        ]

    def _bounds(self, time_scale: float) -> list[tuple[bool, str]]:
        # In a faster world the call itself, which is physical, is on top of the scaled five minutes.
        latest = _LATEST_ALERT / time_scale + (self.call_total if time_scale > 1 else 0)
        positive = all(part > 0 for spec in fields(self) for part in _parts(getattr(self, spec.name)))
        return [
            (positive, "every duration must be above zero"),
            (self.quarantine >= _LEAST_QUARANTINE / time_scale - _GRAIN, "quarantine must be at least 30 minutes"),
            (self.alert_after <= latest, "alert_after must be at most 5 minutes"),
        ]

    def delta(self, name: str, index: int = 0) -> timedelta:
        """A duration as a timedelta; of a tuple the entry at `index`, or its last one beyond the end."""
        parts = _parts(getattr(self, name))
        return timedelta(seconds=parts[min(max(index, 0), len(parts) - 1)])


def _parts(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def next_delay(delays: tuple[float, ...], elapsed: float) -> float | None:
    """Seconds until the first entry of `delays` that lies after `elapsed`, None when all are past."""
    return next((delay - elapsed for delay in delays if delay > elapsed), None)
