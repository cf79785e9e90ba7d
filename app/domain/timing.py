"""Every duration of the purchase's life in one place, so that they can be checked together and scaled together.

Source: purchase lifecycle, sections 1, 6, 8, 9 and 10.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta

Delays = tuple[timedelta, ...]
LEAST_QUARANTINE = timedelta(minutes=30)
LATEST_ALERT = timedelta(minutes=5)
QUARANTINE_PER_KILL = 10

PHYSICAL_MOST = 10.0
"""What real sockets, processes and commits need is divided by at most this, however fast the world runs."""

PHYSICAL = frozenset(
    (
        "send_deadline",
        "connect",
        "send_total",
        "kill_after",
        "last_send_margin",
        "claim_lease",
        "inbox_lease",
        "poll_lease",
        "token_lease",
        "token_life_least",
        "quote_age_most",
        "shop_age_most",
        "drain_idle",
        "audit_seal",
        "audit_alert",
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


SETTINGS = {
    "sweep_seconds": "sweep",
    "poll_seconds": "poll",
    "tracking_poll_seconds": "track_poll",
    "payment_poll_seconds": "payment_poll",
    "recheck_held_seconds": "recheck_held",
    "send_seconds": "send_total",
    "kill_limit_seconds": "kill_after",
    "quarantine_seconds": "quarantine",
    "alert_after_seconds": "alert_after",
    "human_after_seconds": "human_after",
    "escalate_after_seconds": "escalate_after",
}
"""The timers that an operator may choose: setting (a number of seconds) and the timer that it sets."""


def _rising(*seconds: float) -> Delays:
    return tuple(timedelta(seconds=each) for each in seconds)


_UNKNOWN_CHECKS = _rising(30, 120, 300, 900, 3600)
_PUSH_RETRIES = _rising(10, 30, 120, 300, 900, 3600)


LOOK_SELDOM = 24
"""What is held for long is looked at so many times rarer than what was held just now, at most."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Durations; tuples are delays counted from the same start. `time_scale`: by what they were divided.

    From T3's commit: `send_deadline`, `send_total`, `kill_after`. From the send: those of `FROM_SEND` and `quarantine`.
    """

    send_deadline: timedelta = timedelta(seconds=2)
    connect: timedelta = timedelta(seconds=3)
    send_total: timedelta = timedelta(seconds=30)
    kill_after: timedelta = timedelta(seconds=60)
    last_send_margin: timedelta = timedelta(seconds=40)
    quarantine: timedelta = timedelta(minutes=30)
    unknown_after: timedelta = timedelta(seconds=30)
    unknown_checks: Delays = _UNKNOWN_CHECKS
    push_retries: Delays = _PUSH_RETRIES
    alert_after: timedelta = timedelta(minutes=5)
    human_after: timedelta = timedelta(minutes=60)
    stock_human_after: timedelta = timedelta(minutes=15)
    escalate_after: timedelta = timedelta(hours=4)
    unreadable_after: timedelta = timedelta(days=7)
    interlock_release: timedelta = timedelta(minutes=62)
    interlock_alert: timedelta = timedelta(minutes=5)
    match_before: timedelta = timedelta(minutes=2)
    match_after: timedelta = timedelta(minutes=60)
    first_read: timedelta = timedelta(seconds=10)
    claim_lease: timedelta = timedelta(minutes=2)
    inbox_lease: timedelta = timedelta(minutes=2)
    poll_lease: timedelta = timedelta(minutes=10)
    token_lease: timedelta = timedelta(seconds=90)
    token_life_least: timedelta = timedelta(minutes=10)
    quote_age_most: timedelta = timedelta(seconds=60)
    shop_age_most: timedelta = timedelta(minutes=2)
    drain_idle: timedelta = timedelta(seconds=2)
    sweep: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(minutes=5)
    poll_alone: timedelta = timedelta(minutes=1)
    poll_most: timedelta = timedelta(minutes=15)
    poll_alert: timedelta = timedelta(hours=1)
    poll_overlap: timedelta = timedelta(minutes=10)
    nightly_window: timedelta = timedelta(days=7)
    account: timedelta = timedelta(minutes=15)
    gap_alert: timedelta = timedelta(hours=1)
    track_poll: timedelta = timedelta(hours=6)
    payment_poll: timedelta = timedelta(minutes=10)
    recheck_held: timedelta = timedelta(minutes=15)
    breaker_window: timedelta = timedelta(seconds=60)
    audit_seal: timedelta = timedelta(seconds=1)
    audit_alert: timedelta = timedelta(seconds=60)
    time_scale: float = 1.0

    def chosen(self, seconds: Mapping[str, float]) -> Timers:
        """These timers with an operator's choice, keys of `SETTINGS`; what hangs on a chosen one follows it."""
        given = {SETTINGS[name]: timedelta(seconds=value) for name, value in seconds.items()}
        send, kill = given.get("send_total", self.send_total), given.get("kill_after", self.kill_after)
        poll = given.get("poll", self.poll)
        return replace(
            self,
            **given,  # type: ignore[arg-type]
            unknown_after=send,
            unknown_checks=(send, *self.unknown_checks[1:]),
            last_send_margin=self.send_deadline + send + timedelta(seconds=8),
            claim_lease=max(self.claim_lease, 2 * kill),
            poll_most=max(self.poll_most, poll),
        )

    def scaled(self, time_scale: float) -> Timers:
        """The same world, `time_scale` times faster, with all relations of `validate` kept.

        `PHYSICAL` durations are divided by at most `PHYSICAL_MOST`. Those `FROM_SEND` hold one call each: only the rest
        of them is divided freely. The quarantine never falls below ten kill limits. ValueError unless above zero.
        """
        if not 0 < time_scale < float("inf"):
            raise ValueError("TIME_SCALE must be a positive number")
        physical = min(time_scale, PHYSICAL_MOST)
        changed: dict[str, timedelta | Delays] = {}
        for name, parts in self._durations():
            if name in PHYSICAL:
                new = tuple(part / physical for part in parts)
            elif name in FROM_SEND:
                call = self.send_total
                new = tuple(call / physical + (part - call) / time_scale for part in parts)
            else:
                new = tuple(part / time_scale for part in parts)
            changed[name] = new if isinstance(getattr(self, name), tuple) else new[0]
        least = QUARANTINE_PER_KILL * (self.kill_after / physical)
        changed["quarantine"] = max(self.quarantine / time_scale, least)
        return replace(self, **changed, time_scale=self.time_scale * time_scale)  # type: ignore[arg-type]

    def next_look(self, held: timedelta, *, soon: bool = False) -> timedelta:
        """How long until a purchase that has been held for `held` is looked at again; `soon`: the first time at once.

        The longer it waits, the rarer: what ends a long wait (a link, a token, a person) is told to us by itself.
        """
        least = timedelta(0) if soon else self.recheck_held
        return min(max(least, held / 8), self.recheck_held * LOOK_SELDOM)

    def validate(self) -> Timers:
        """These timers, if the promises can be kept with them. Raises ValueError naming everything that is wrong."""
        wrong = self.problems()
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def problems(self) -> list[str]:
        """What is wrong with these timers, one sentence each, in the names of the settings where there is one."""
        return [_in_settings_names(text) for holds, text in (*self._order(), *self._bounds()) if not holds]

    def _durations(self) -> list[tuple[str, Delays]]:
        named = [(spec.name, getattr(self, spec.name)) for spec in fields(self) if spec.name != "time_scale"]
        return [(name, value if isinstance(value, tuple) else (value,)) for name, value in named]

    def _order(self) -> list[tuple[bool, str]]:
        # Dividing rounds to microseconds: two timers that were equal may differ by some of them.
        grain = timedelta(microseconds=20)
        send = self.send_deadline + self.send_total
        window = self.match_before + self.match_after
        rising = all(sorted(set(part)) == list(part) for part in (self.unknown_checks, self.push_retries))
        least = QUARANTINE_PER_KILL * self.kill_after
        return [
            (self.quarantine >= least - grain, "quarantine must be at least 10 x kill_after"),
            (send < self.kill_after, "a send must end before its worker is killed"),
            (self.connect < self.send_total, "connect must be below send_total"),
            (self.last_send_margin > send, "last_send_margin must outlast a send"),
            (self.claim_lease > self.kill_after, "claim_lease must outlast kill_after"),
            (self.token_life_least > self.kill_after, "token_life_least must outlast a send"),
            (self.interlock_release >= window - grain, "the interlock must outlast both match windows"),
            (self.human_after <= self.interlock_release, "a person must be asked before the interlock opens"),
            (self.unknown_after >= self.send_total - grain, "a purchase is unknown only after its call has ended"),
            (self.unknown_checks[0] >= self.send_total - grain, "the first check must come after the call has ended"),
            (self.poll <= self.poll_most, "poll must not exceed poll_most"),
            (rising, "unknown_checks and push_retries must rise"),
        ]

    def _bounds(self) -> list[tuple[bool, str]]:
        grain = timedelta(microseconds=20)
        least = LEAST_QUARANTINE / self.time_scale - grain
        # In a faster world the call itself, which is physical, comes on top of the scaled five minutes.
        latest = LATEST_ALERT / self.time_scale + (self.send_total if self.time_scale > 1 else grain)
        positive = all(part > timedelta(0) for _, parts in self._durations() for part in parts)
        return [
            (positive, "every duration must be above zero"),
            (self.quarantine >= least, "quarantine must be at least 30 minutes"),
            (self.alert_after <= latest, "alert_after must be at most 5 minutes"),
        ]


def _in_settings_names(text: str) -> str:
    for setting, name in SETTINGS.items():
        text = re.sub(rf"\b{name}\b", setting.upper(), text)
    return text


def pick(delays: Delays, index: int) -> timedelta:
    """The entry at `index`, the first one below zero, the last one beyond the end."""
    return delays[min(max(index, 0), len(delays) - 1)]


def next_delay(delays: Delays, elapsed: timedelta) -> timedelta | None:
    """How long until the first entry of `delays` that lies after `elapsed`, None when all are past."""
    return next((delay - elapsed for delay in delays if delay > elapsed), None)
