"""Answers of all three to every other call: what the connectors make of them, and what a worker keeps of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from app.ports.errors import OutsideError
from app.ports.http import HTTPAnswer, OutboundCall
from tests.fuzz import changes
from tests.fuzz.nasties import MARKERS
from tests.fuzz.placing import heard_of
from tests.fuzz.stage import Stage, changed
from tests.fuzz.storable import faults
from tests.fuzz.target import Target, leaks

CALLS = (
    "aliexpress order", "aliexpress parcels", "aliexpress product", "aliexpress freight", "aliexpress paid_orders",
    "aliexpress exchange_code", "aliexpress refresh", "shopify profile", "shopify order", "shopify orders_changed",
    "shopify fulfilments", "shopify hides", "shopify variants", "shopify fulfil", "shopify refresh",
    "woocommerce profile", "woocommerce order", "woocommerce orders_changed", "woocommerce fulfilments",
    "woocommerce variants", "woocommerce fulfil", "woocommerce check_webhooks",
)  # fmt: skip
STATUSES = (200,) * 12 + (201, 204, 301, 400, 401, 404, 429, 500, 503)
SECRETS = (MARKERS["token"],)
EVERY = 12
"""Calls in a row of which the changed answer is one: `at` says which."""


def cases() -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "call": st.sampled_from(CALLS),
            "at": st.integers(0, 3),
            "status": st.sampled_from(STATUSES),
            "change": changes.changes(),
        }
    )


def curated() -> Iterator[Any]:
    for number, change in enumerate(changes.curated()):
        for place in range(3):
            yield {"call": CALLS[(number * 5 + place * 7) % len(CALLS)], "at": 0, "status": 200, "change": change}
    for call in CALLS:
        yield {"call": call, "at": 0, "status": 200, "change": {"edits": [], "frame": ""}}


def read(stage: Stage, case: Any) -> None:
    """A value that can be kept, or an outcome of the port; the answers that tell a token have it nowhere else."""
    heard = heard_of(stage)
    asked = 0

    def change(_operation: str, answer: HTTPAnswer) -> HTTPAnswer:
        nonlocal asked
        asked += 1
        assert asked < 300, "it asks for ever"
        if asked - 1 != case["at"] % EVERY:
            return answer
        return replace(answer, body=changes.apply(case["change"], answer.body), status=case["status"])

    heard.change = change
    del heard.http.records[:]
    try:
        result = heard.acts[case["call"]]()
    except OutsideError as error:
        told = [("error", f"{error} {error!r} {error.code} {error.detail}")]
        wrong = faults([error.code, error.detail])
    else:
        told, wrong = [], faults(result)
    told += [("record", repr(heard.http.records))]
    wrong += leaks(SECRETS, told)
    assert not wrong, wrong


SUPPLIER_READS = re.compile(r"order\.get|tracking\.get|product\.get|freight\.query|commissionorder")


def track(stage: Stage, case: Any) -> None:
    """A worker reads a shipped order: nothing goes back, and it is read again or at its end."""
    before = stage.sql("SELECT state FROM purchase ORDER BY id")
    asked = 0

    def alter(call: OutboundCall, answer: HTTPAnswer) -> HTTPAnswer:
        nonlocal asked
        if call.vendor != "aliexpress" or not SUPPLIER_READS.search(call.operation):
            return answer
        asked += 1
        if asked - 1 != case["at"] % 2:
            return answer
        return replace(changed(answer, changes.apply(case["change"], answer.body)), status=case["status"])

    stage.sql("UPDATE supplier_order SET track_run_at = now() - interval '1 hour', track_lease_until = NULL")
    stage.alter = alter
    try:
        stage.drain("track")
    finally:
        stage.alter = None
    assert asked, "nothing was read"
    assert stage.sql("SELECT count(*) FROM purchase")[0][0] >= len(before)
    rows = stage.sql("SELECT track_run_at, track_lease_until, closed, shipping FROM supplier_order")
    wrong = ["held by a lease for ever" for _, lease, *_ in rows if lease is not None]
    wrong += [
        "never read again" for run_at, _, closed, shipping in rows if not (run_at or closed or shipping == "delivered")
    ]
    wrong += broken(stage)
    assert not wrong, wrong


def broken(stage: Stage) -> list[str]:
    """What a step that failed leaves in the log, and secrets that are told anywhere."""
    lines = stage.log.getvalue().splitlines()
    failed = [f"logged: {line[:400]}" for line in lines if "step_failed" in line or "against_the_rules" in line]
    return failed + leaks(stage.secrets(), stage.shown())


def shop_answers(stage: Stage, case: Any) -> None:
    """An event about a known order, whose shop answers oddly: the row is done, odd, or comes back later."""
    name = case["shop"]
    asked = 0

    def alter(call: OutboundCall, answer: HTTPAnswer) -> HTTPAnswer:
        nonlocal asked
        if call.vendor != name:
            return answer
        asked += 1
        if asked - 1 != case["at"]:
            return answer
        return replace(changed(answer, changes.apply(case["change"], answer.body)), status=case["status"])

    stage.sql("UPDATE store_order SET read_at = read_at - interval '1 day'")
    again = "UPDATE inbox SET state = 'DUE', run_at = now() - interval '1 minute', attempts = 0, lease_until = NULL"
    stage.sql(f"{again} WHERE id = (SELECT max(id) FROM inbox WHERE source = %s)", name)
    stage.alter = alter
    try:
        stage.drain("inbox")
    finally:
        stage.alter = None
    assert asked, "nothing was read"
    wrong = stuck_rows(stage) + broken(stage)
    assert not wrong, wrong


def stuck_rows(stage: Stage) -> list[str]:
    """Inbox rows that are claimed by nobody's worker, or say nothing of how they ended."""
    rows = stage.sql("SELECT id, state, lease_until, run_at > now() - interval '1 second', result FROM inbox")
    wrong = [f"row {id_} is held by a lease" for id_, _, lease, *_ in rows if lease is not None]
    wrong += [f"row {id_} is due at once, for ever" for id_, state, _, later, _ in rows if state == "DUE" and not later]
    return wrong + [f"row {id_} ended without a word" for id_, *_, result in rows if not result]


def shop_cases() -> st.SearchStrategy[Any]:
    names = st.sampled_from(("shopify", "woocommerce"))
    parts = {"at": st.integers(0, 1), "status": st.sampled_from(STATUSES), "change": changes.changes()}
    return st.fixed_dictionaries({"shop": names, **parts})


def shop_curated() -> Iterator[Any]:
    for number, change in enumerate(changes.curated()):
        shop = ("shopify", "woocommerce")[number % 2]
        yield {"shop": shop, "at": 0, "status": 200, "change": change}


READ = Target("answers", cases(), curated, read, smoke=250, touches=False)
TRACK = Target("track-step", cases(), lambda: list(curated())[::11], track, smoke=12)
SHOP = Target("shop-answers", shop_cases(), lambda: list(shop_curated())[::5], shop_answers, smoke=12)
