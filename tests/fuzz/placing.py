"""Answers to `order.create`: to their reader alone, and through the whole step of a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from app.models import Purchase
from app.pipeline.buy.outcome import replay
from app.ports.http import HTTPAnswer, OutboundCall
from app.ports.supplier import PlaceOutcome, PlaceResult
from app.shop_access import open_account
from tests.fuzz import changes, oracle
from tests.fuzz.nasties import MARKERS
from tests.fuzz.sessions import Heard, place_order
from tests.fuzz.stage import Stage, changed
from tests.fuzz.storable import faults
from tests.fuzz.target import Target, leaks

CREATE = ("aliexpress", "aliexpress.ds.order.create")
SHAPES = ("answer", "answer", "gateway", "both", "outside", "refused", "bare", "bare refused", "autopay", "empty")
CODES = (*sorted(oracle.GATEWAY), *sorted(oracle.REFUSALS), "15", "REPEATED_ORDER_ERROR", "INVENTORY_HOLD_ERROR", "")
STATUSES = (200, 200, 200, 200, 200, 200, 500, 502, 302, 403)
MASKED = (MARKERS["token"], MARKERS["street"], MARKERS["name"], MARKERS["email"])


def shaped(valid: bytes, shape: str, code: str, quoted: Sequence[str]) -> bytes:
    """A valid answer of that shape: of success, of a refusal that quotes words, or of both in one."""
    root: dict[str, Any] = json.loads(valid)
    words = f"refused: {' '.join(quoted)} access frequency exceeds the limit. this ban will last 1 seconds"
    refusal = {"code": code, "msg": words, "request_id": "r-1"}
    refused = {"result": {"is_success": False, "error_code": code, "error_msg": words}}
    result = root[oracle.WRAPPER]["result"]
    if shape == "gateway":
        root = {"error_response": refusal}
    elif shape == "both":
        root = {**root, "error_response": refusal}
    elif shape == "outside":
        root = {oracle.WRAPPER: {"result": {"is_success": True}}, "error_response": refusal}
    elif shape in {"refused", "bare refused"}:
        root = {oracle.WRAPPER: refused} if shape == "refused" else refused
    elif shape == "bare":
        root = root[oracle.WRAPPER]
    elif shape == "autopay":
        result["error_msg"] = "autoPay fail"
    elif shape == "empty":
        result.pop("order_list", None)
    return json.dumps(root).encode()


def answer_of(case: dict[str, Any], valid: bytes, quoted: Sequence[str]) -> bytes:
    """The case's answer in place of a valid one."""
    return changes.apply(case["change"], shaped(valid, case["shape"], case["code"], quoted))


def cases() -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {
            "shape": st.sampled_from(SHAPES),
            "code": st.sampled_from(CODES),
            "status": st.sampled_from(STATUSES),
            "executed": st.booleans(),
            "change": st.one_of(changes.changes(), st.just({"edits": [], "frame": ""})),
        }
    )


def curated() -> Iterator[Any]:
    as_it_is = {"edits": [], "frame": ""}
    for shape in sorted(set(SHAPES)):
        for code in (CODES[0], CODES[-4], "15"):
            yield {"shape": shape, "code": code, "status": 200, "executed": True, "change": as_it_is}
    for number, change in enumerate(changes.curated()):
        shape = SHAPES[number % len(SHAPES)]
        yield {"shape": shape, "code": CODES[number % 20], "status": 200, "executed": True, "change": change}
    for value in (1, 15.0, ["USER_ACCOUNT_DISABLED"], {"code": "x"}, True, 0, {"@raw": "1e5"}):
        for key in ("error_code", "error_msg"):
            yield {"shape": "answer", "code": "", "status": 200, "executed": True, "change": _beside(key, value)}


def _beside(key: str, value: Any) -> dict[str, Any]:
    return {"edits": [[[oracle.WRAPPER, "result", key], "set", value]], "frame": ""}


def judge(body: bytes, status: int, result: PlaceResult) -> list[str]:
    """What is wrong with this reading of the answer."""
    wrong = faults(result)
    if result.outcome is PlaceOutcome.NOT_SENT:
        wrong.append("it was sent")
    elif result.outcome in {PlaceOutcome.NOT_EXECUTED, PlaceOutcome.REJECTED}:
        if status != 200 or not oracle.clean_refusal(body):
            wrong.append(f"{result.outcome}, but it may have been executed")
        if result.order_ids:
            wrong.append(f"{result.outcome} with ids")
    elif result.outcome is PlaceOutcome.PLACED and (status != 200 or not result.order_ids):
        wrong.append("PLACED without a clean answer and ids")
    elif result.outcome is PlaceOutcome.PLACED and not oracle.clean_placing(body):
        wrong.append("PLACED, though the answer holds an error")
    return wrong


def read(stage: Stage, case: Any) -> None:
    """The reader alone: class, storable, nothing told."""
    heard = heard_of(stage)
    body = answer_of(case, stage.tape[CREATE].answer.body, MASKED)
    heard.change = lambda _operation, answer: replace(answer, body=body, status=case["status"])
    del heard.http.records[:]
    order = replace(place_order(), autopay=case["shape"] == "autopay")
    result = heard.supplier.session(MARKERS["token"]).place(order)
    told = [("result", repr(result)), ("record", repr(heard.http.records))]
    wrong = judge(body, case["status"], result) + leaks(MASKED, told)
    as_it_is = case["change"] == {"edits": [], "frame": ""} and case["status"] == 200
    if as_it_is and case["shape"] in {"answer", "bare"} and result.outcome is not PlaceOutcome.PLACED:
        wrong.append(f"a plain answer is {result.outcome}")
    assert not wrong, (wrong, result)


_HEARD: dict[int, Heard] = {}


def heard_of(stage: Stage) -> Heard:
    """The stage's connectors that hear changed answers."""
    if id(stage) not in _HEARD:
        _HEARD.clear()
        _HEARD[id(stage)] = Heard(stage)
    return _HEARD[id(stage)]


def step(stage: Stage, case: Any) -> None:
    """A worker's whole step; then its journal again, time passing, and a second send where one is allowed.

    The supplier executes what its answer says it did; where the answer leaves it open, the case says.
    """
    world, before = stage.world, len(stage.world.created())
    account = open_account(world.container, 1).secrets["access_token"]
    quoted = (account, MARKERS["street"], MARKERS["name"])
    bodies: list[bytes] = []
    likely = answer_of(case, stage.tape[CREATE].answer.body, quoted)
    refuses = case["status"] == 200 and oracle.clean_refusal(likely)
    executes = oracle.clean_placing(likely) or (case["executed"] and not refuses)
    if not executes:
        rule = {"op": "order.create", "kind": "error", "code": "NEVER_SEEN", "execute": False}
        world.aliexpress.control("faults", {"add": [rule]})

    def alter(call: OutboundCall, answer: HTTPAnswer) -> HTTPAnswer:
        if (call.vendor, call.operation) != CREATE or bodies:
            return answer
        bodies.append(answer_of(case, answer.body, quoted) if executes else likely)
        return replace(changed(answer, bodies[0]), status=case["status"])

    stage.alter = alter
    try:
        for _ in range(20):  # a busy machine may hold a worker up past its deadline: then nothing was sent
            stage.drain("buy")
            if bodies:
                break
            stage.sql("UPDATE purchase SET run_at = now() - interval '1 hour' WHERE state = 'READY'")
        after_one = _state(stage)
        replay(world.container)
        assert bodies, f"nothing was sent: {after_one}"
        stage.sql("UPDATE purchase SET run_at = now() - interval '1 hour' WHERE state = 'READY'")
        stage.drain("buy", "reconcile", "track")
        world.pass_time("human")
        world.pass_time("quarantine")
        stage.drain("buy", "reconcile", "track")
    finally:
        stage.alter = None
        world.aliexpress.control("faults", [])
    made = len(world.created()) - before
    assert made <= 1, f"bought {made} times"
    wrong = judge(bodies[0], case["status"], _result(after_one)) if after_one["outcome"] else []
    wrong += _stuck(stage) + leaks(stage.secrets(), stage.shown())
    wrong += [
        f"logged: {line[:300]}"
        for line in stage.log.getvalue().splitlines()
        if "step_failed" in line or "against_the_rules" in line
    ]
    assert not wrong, (wrong, after_one, _state(stage))


def _state(stage: Stage) -> dict[str, Any]:
    with stage.world.container.database.transaction() as session:
        bought = session.scalars(sa.select(Purchase).order_by(Purchase.id.desc())).first()
        assert bought is not None
    attempts = stage.sql("SELECT outcome, order_ids FROM attempt ORDER BY id DESC LIMIT 1")
    outcome, ids = attempts[0] if len(stage.sql("SELECT 1 FROM attempt")) > len(_first_attempts(stage)) else ("", [])
    return {"state": bought.state, "reason": bought.reason, "outcome": outcome, "ids": ids}


def _first_attempts(stage: Stage) -> list[tuple[Any, ...]]:
    return stage.sql("SELECT a.id FROM attempt a JOIN purchase p ON p.id = a.purchase_id WHERE p.state = 'SHIPPED'")


def _result(state: dict[str, Any]) -> PlaceResult:
    outcome = "UNKNOWN" if state["outcome"] in {"OPEN", "VOID"} else state["outcome"]
    return PlaceResult(PlaceOutcome(outcome), tuple(state["ids"]))


def _stuck(stage: Stage) -> list[str]:
    """Purchases that say nothing of what is next."""
    rows = stage.sql("SELECT state, reason, check_at, lease_until FROM purchase")
    wrong = [f"left {state}" for state, *_ in rows if state in {"CLAIMED", "SENDING"}]
    wrong += [
        f"{state} without a next look"
        for state, _, check_at, _ in rows
        if state in {"UNKNOWN", "HUMAN"} and check_at is None
    ]
    return wrong + [
        f"{state} without a reason" for state, reason, *_ in rows if state in {"HELD", "REJECTED"} and not reason
    ]


READ = Target("create-answer", cases(), curated, read, smoke=250, touches=False)
STEP = Target("create-step", cases(), lambda: list(curated())[::9], step, smoke=12)
