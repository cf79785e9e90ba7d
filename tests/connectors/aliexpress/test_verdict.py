"""The answer classes of `order.create`, row by row of the lifecycle's section 7."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.ports.http import HTTPAnswer, TransportError
from app.ports.supplier import PayResult, PlaceOutcome
from connectors.aliexpress import verdict

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "reference" / "aliexpress-samples"
WRAPPER = "aliexpress_ds_order_create_response"


def judge(body: Any, *, autopay: bool = False, status: int = 200) -> Any:
    """The class of a body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return verdict.judge(HTTPAnswer(status, {}, raw, 0.1), autopay=autopay)


def result(**fields: Any) -> dict[str, Any]:
    """A wrapped result."""
    return {WRAPPER: {"result": fields, "request_id": "1"}}


def gateway(code: Any, msg: str = "", **more: str) -> dict[str, Any]:
    """A gateway error."""
    return {"error_response": {"type": "ISV", "code": code, "msg": msg, **more}}


IDS = {"number": [8198352049851315]}


def test_ids_without_error_text() -> None:
    """Placed; with autopay the answer says paid, which order.get has to confirm."""
    placed = judge(result(is_success=True, order_list=IDS))
    assert (placed.outcome, placed.order_ids) == (PlaceOutcome.PLACED, ("8198352049851315",))
    assert placed.pay is PayResult.NOT_ASKED
    assert judge(result(is_success=True, order_list=IDS), autopay=True).pay is PayResult.SAID_PAID


@pytest.mark.parametrize("ids", [IDS, [8198352049851315], ["8198352049851315"], {"number": "8198352049851315"}])
def test_every_dress_of_the_list(ids: Any) -> None:
    """Wrapped, plain, as texts, and a lone one."""
    assert judge(result(is_success="true", order_list=ids)).order_ids == ("8198352049851315",)


def test_unwrapped_root() -> None:
    """The streamlined form."""
    body = {"result": {"is_success": True, "order_list": [1, 2]}, "code": "0", "request_id": "1"}
    assert judge(body).order_ids == ("1", "2")


def test_autopay_failure_is_placed() -> None:
    """Never create again: the order is there, unpaid."""
    placed = judge(result(is_success=True, order_list=IDS, error_msg="OrderCreated, autoPay fail:APIPayFail"))
    assert (placed.outcome, placed.pay) == (PlaceOutcome.PLACED, PayResult.FAILED)


@pytest.mark.parametrize(
    "fields",
    [
        {"is_success": "true", "error_code": "PARM_ILLEGL", "error_msg": "PARM_ILLEGL"},
        {"is_success": True, "error_msg": "something else"},
        {"is_success": False},
        {"is_success": True, "error_code": "X", "error_msg": "OrderCreated, autoPay fail:APIPayFail"},
        {"is_success": False, "error_code": "BLACKLIST_BUYER_IN_LIST"},
    ],
)
def test_ids_with_anything_odd_are_unknown_and_kept(fields: dict[str, Any]) -> None:
    """The ids are recorded first, the rest is for order.get and a person."""
    unclear = judge(result(order_list=IDS, **fields))
    assert (unclear.outcome, unclear.order_ids) == (PlaceOutcome.UNKNOWN, ("8198352049851315",))


def test_an_unreadable_id_beside_a_good_one() -> None:
    """A fraction has lost digits, so the list is not complete."""
    unclear = judge(b'{"%s":{"result":{"is_success":true,"order_list":{"number":[81,8.2e15]}}}}' % WRAPPER.encode())
    assert (unclear.outcome, unclear.order_ids) == (PlaceOutcome.UNKNOWN, ("81",))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL", "address_refused"),
        ("B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID", "customs_id"),
        ("B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_NOT_MATCH", "customs_id"),
        ("BLACKLIST_BUYER_IN_LIST", "account_blocked"),
        ("USER_ACCOUNT_DISABLED", "account_blocked"),
        ("PRICE_PAY_CURRENCY_ERROR", "currency"),
        ("DELIVERY_METHOD_NOT_EXIST", "shipping_service"),
        ("ERROR_WHEN_BUILD_FOR_PLACE_ORDER", "needs_person"),
        ("A001_ORDER_CANNOT_BE_PLACED", "needs_person"),
        ("A002_INVALID_ZONE", "needs_person"),
        ("A003_SUSPICIOUS_BUYER", "needs_person"),
        ("A004_CANNOT_USER_COUPON", "needs_person"),
        ("A005_INVALID_COUNTRIES", "needs_person"),
        ("A006_INVALID_ACCOUNT_INFO", "needs_person"),
    ],
)
def test_listed_refusals(code: str, reason: str) -> None:
    """Definite only with `is_success` false and without ids."""
    refused = judge(result(is_success=False, error_code=code, error_msg="text"))
    assert (refused.outcome, refused.reason, refused.code) == (PlaceOutcome.REJECTED, reason, code)
    assert judge(result(error_code=code)).outcome is PlaceOutcome.UNKNOWN
    assert judge(result(is_success=True, error_code=code)).outcome is PlaceOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Please enter a City", "city"),
        ("Please enter a city", "city"),
        ("Please select a State/Province/County", "province"),
        (
            "Please enter the country code and phone number without any spaces or special characters",
            "mobile_no",
        ),
        ("Please enter between 2 - 32 characters", "full_name"),
        ("Please enter mobile phone number", "mobile_no"),
        ("Phone Number should contain 7-13 digits", "mobile_no"),
        ("Please enter a 8-digit national address in right format, eg. ABCD1234", "nat_addr"),
        ("???", ""),
    ],
)
def test_field_of_an_address_refusal(message: str, field: str) -> None:
    """The message names the field, more or less."""
    body = result(is_success=False, error_code="B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL", error_msg=message)
    assert judge(body).field == field


@pytest.mark.parametrize(
    ("code", "message", "reason", "wait"),
    [
        ("IllegalAccessToken", "", "token_dead", None),
        ("IncompleteSignature", "", "config", None),
        ("MissingParameter", "", "config", None),
        ("InsufficientPermission", "", "config", None),
        (
            "ApiCallLimit",
            "Api access frequency exceeds the limit. this ban will last 7 seconds",
            "call_limit",
            7.0,
        ),
    ],
)
def test_gateway_errors_that_prove_nothing_happened(code: str, message: str, reason: str, wait: float | None) -> None:
    """Same row again, after a repair or a pause."""
    found = judge(gateway(code, message))
    assert (found.outcome, found.reason, found.retry_after) == (PlaceOutcome.NOT_EXECUTED, reason, wait)


@pytest.mark.parametrize(
    "body",
    [
        gateway("15", sub_code="isv.insufficient-permission"),
        gateway(15, sub_code="isp.service-unavailable"),
        gateway("15"), gateway("InternalError"), gateway("SystemError"), gateway("ServiceTimeout"),
        gateway("ServiceUnavailable"), gateway("AppCallLimit"), gateway("InvalidParameter"),
        gateway("Brand.New"), gateway("IllegalAccessToken", sub_code="isp.remote"), gateway(None),
        {"error_response": "x"}, result(is_success=True), result(is_success=True, order_list={}),
        result(is_success=False), result(), result(is_success=False, error_code="REPEATED_ORDER_ERROR"),
        result(is_success=False, error_code="PARM_ILLEGL"), result(is_success=False, error_code="NEVER_SEEN"),
        {WRAPPER: {}}, {WRAPPER: None}, {WRAPPER: []}, {}, [], 5,
        b"", b"<html></html>", b"null", b'{"x', b"\xff", b"{}" * 2,
    ],
)  # fmt: skip
def test_everything_else_is_unknown(body: Any) -> None:
    """The default."""
    assert judge(body).outcome is PlaceOutcome.UNKNOWN


def test_stock_is_a_hint_and_never_a_verdict() -> None:
    """Insufficient, or system error: nobody knows."""
    unclear = judge(result(is_success=False, error_code="INVENTORY_HOLD_ERROR"))
    assert (unclear.outcome, unclear.reason) == (PlaceOutcome.UNKNOWN, "out_of_stock")


@pytest.mark.parametrize("status", [201, 302, 400, 401, 429, 500, 502, 503, 504])
def test_other_http_statuses_are_unknown(status: int) -> None:
    """The gateway answers 200 for everything: anything else was said by something else."""
    assert judge(gateway("IllegalAccessToken"), status=status).outcome is PlaceOutcome.UNKNOWN
    assert judge(result(is_success=True, order_list=IDS), status=status).order_ids == ("8198352049851315",)


def test_only_proof_makes_not_sent() -> None:
    """A transport error is NOT_SENT only if no byte left."""
    assert verdict.transport(TransportError("connect_failed", sent=False)).outcome is PlaceOutcome.NOT_SENT
    for reason in ("connect_failed", "timeout", "cut", "too_large"):
        assert verdict.transport(TransportError(reason, sent=True)).outcome is PlaceOutcome.UNKNOWN


def test_a_person_may_declare_further_codes_definite() -> None:
    """A setting, for codes that the reference marks unconfirmed."""
    reply = HTTPAnswer(200, {}, json.dumps(gateway("AppCallLimit")).encode(), 0.1)
    found = verdict.judge(reply, autopay=False, definite=frozenset({"AppCallLimit"}))
    assert found.outcome is PlaceOutcome.NOT_EXECUTED


_ODD = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"%s":{"result":{"is_success":true,"order_list":[%s]}}}' % (WRAPPER.encode(), b"9" * 5_000),
    b'{"%s":{"result":{"is_success":NaN}}}' % WRAPPER.encode(),
    b'{"%s":{"result":{"is_success":true,"is_success":false,"error_code":"A001_ORDER_CANNOT_BE_PLACED"}}}'
    % WRAPPER.encode(),
    b'{"%s":{"result":{"is_success":false,"error_code":"\\ud800"}}}' % WRAPPER.encode(),
    b'{"%s":{"result":{"is_success":true,"order_list":[1e999]}}}' % WRAPPER.encode(),
    b'{"%s":{"result":{"is_success":true,"order_list":[1e9999999999999999999]}}}' % WRAPPER.encode(),
    b'{"%s":{"result":{"is_success":true,"order_list":[8198352049851315.0]}}}' % WRAPPER.encode(),
    b'{"%s":{"result":[]}}' % WRAPPER.encode(),
]


@pytest.mark.security
@pytest.mark.parametrize("body", _ODD, ids=range(len(_ODD)))
def test_s13_odd_json_is_unknown_and_no_exception(body: bytes) -> None:
    """What two parsers could read in two ways is read in none."""
    assert judge(body).outcome is PlaceOutcome.UNKNOWN


@pytest.mark.security
def test_s65_nineteen_digit_ids_are_exact() -> None:
    """Ids are texts from the first byte on."""
    body = b'{"%s":{"result":{"is_success":true,"order_list":{"number":[9007199254740993001]}}}}' % WRAPPER.encode()
    assert judge(body).order_ids == ("9007199254740993001",)


_EXPECTED = {
    "success": PlaceOutcome.PLACED,
    "success-split-into-two-orders": PlaceOutcome.PLACED,
    "created-but-not-paid": PlaceOutcome.PLACED,
    "address-city-missing": PlaceOutcome.REJECTED,
    "address-mobile-missing": PlaceOutcome.REJECTED,
    "delivery-method-not-exist": PlaceOutcome.REJECTED,
}


@pytest.mark.skipif(not SAMPLES.exists(), reason="shared/reference is not on this machine")
def test_reference_samples() -> None:
    """Every case of the reference's sample file; what is not named above is unknown."""
    cases = json.loads((SAMPLES / "aliexpress.ds.order.create.json").read_text("utf-8"))["cases"]
    for case in cases:
        expected = _EXPECTED.get(case["name"], PlaceOutcome.UNKNOWN)
        assert judge(case["body"]).outcome is expected, case["name"]


@pytest.mark.parametrize("code", ["InvalidSignature", "IllegalAccessToken", "ApiCallLimit"])
@pytest.mark.parametrize(
    "beside",
    [
        result(is_success=True),
        result(order_list=["?"]),
        {"result": {"is_success": "true"}},
        {"x": [{"is_success": True}]},
    ],
)
def test_a_refusal_beside_a_success_proves_nothing(code: str, beside: dict[str, Any]) -> None:
    """Read as "not executed" it would be bought again."""
    assert judge(gateway(code)).outcome is PlaceOutcome.NOT_EXECUTED
    assert judge({**gateway(code), **beside}).outcome is PlaceOutcome.UNKNOWN


@pytest.mark.parametrize("odd", [7.5, True, [], ["x"], {}, {"code": "x"}])
@pytest.mark.parametrize("name", ["error_code", "error_msg"])
def test_an_error_of_another_kind_than_text_is_an_error(name: str, odd: Any) -> None:
    unclear = judge(result(is_success=True, order_list=IDS, **{name: odd}))
    assert (unclear.outcome, unclear.order_ids) == (PlaceOutcome.UNKNOWN, ("8198352049851315",))


def test_a_sub_code_of_another_kind_than_text_is_one() -> None:
    more: dict[str, Any] = {"sub_code": ["isp.x"]}
    assert judge(gateway("InvalidSignature", **more)).outcome is PlaceOutcome.UNKNOWN


@pytest.mark.parametrize("wrong", ["x", {}, [], 0, ""])
def test_a_refusal_beside_an_error_of_the_gateway_proves_nothing(wrong: Any) -> None:
    body = result(is_success=False, error_code="A001_ORDER_CANNOT_BE_PLACED")
    body[WRAPPER]["error_response"] = wrong
    assert judge(body).outcome is PlaceOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("body", "outcome", "code"),
    [
        (gateway("Brand.New"), PlaceOutcome.UNKNOWN, "Brand.New"),
        (gateway(None), PlaceOutcome.UNKNOWN, "no_code"),
        (gateway("IllegalAccessToken", sub_code="isp.remote"), PlaceOutcome.UNKNOWN, "isp.remote"),
        (gateway("15"), PlaceOutcome.UNKNOWN, "15"),
        (gateway("InvalidSignature"), PlaceOutcome.NOT_EXECUTED, "InvalidSignature"),
        (result(is_success=False, error_code="NEVER_SEEN"), PlaceOutcome.UNKNOWN, "NEVER_SEEN"),
        (result(is_success=False), PlaceOutcome.UNKNOWN, "no_ids"),
        (result(is_success=True, order_list=IDS, error_msg="odd"), PlaceOutcome.UNKNOWN, "ids_with_message"),
        (result(is_success=True, order_list=IDS, error_code="ODD"), PlaceOutcome.UNKNOWN, "ODD"),
        (b"<html></html>", PlaceOutcome.UNKNOWN, "malformed_answer"),
    ],
)
def test_each_class_keeps_the_code_that_it_was_read_from(body: Any, outcome: PlaceOutcome, code: str) -> None:
    found = judge(body)
    assert (found.outcome, found.code) == (outcome, code)


@pytest.mark.parametrize(
    "body",
    [
        gateway("Brand.New", "text"),
        gateway("InvalidSignature", "text"),
        gateway("15", "text"),
        result(is_success=False, error_code="NEVER_SEEN", error_msg="text"),
        result(is_success=False, error_code="A001_ORDER_CANNOT_BE_PLACED", error_msg="text"),
        result(is_success=True, order_list=IDS, error_msg="text"),
    ],
)
def test_each_class_keeps_the_words_that_came_with_it(body: Any) -> None:
    found = judge(body)
    assert found.message == "text"
    assert "text" in found.answer


def test_only_a_refused_address_or_customs_id_names_a_field_and_only_a_call_limit_a_pause() -> None:
    city = {"is_success": False, "error_msg": "Please enter a City"}
    assert judge(result(error_code="B_DROPSHIPPER_DELIVERY_ADDRESS_CPF_CN_INVALID", **city)).field == "cpf"
    assert judge(result(error_code="A001_ORDER_CANNOT_BE_PLACED", **city)).field == ""
    assert judge(gateway("InvalidSignature", "this ban will last 7 seconds")).retry_after is None


def test_a_transport_error_is_told_by_its_name() -> None:
    for sent, words in ((False, "not sent: cut"), (True, "sent, then cut")):
        found = verdict.transport(TransportError("cut", sent=sent))
        assert (found.code, found.answer) == ("cut", words)


def test_what_cannot_be_written_down_is_refused_for_a_person() -> None:
    found = verdict.not_composable("no house number")
    assert (found.outcome, found.reason, found.message) == (PlaceOutcome.REJECTED, "needs_person", "no house number")


def test_another_status_is_told_with_what_came_beside_it() -> None:
    found = judge(result(is_success=False, error_code="A001_ORDER_CANNOT_BE_PLACED"), status=502)
    assert (found.outcome, found.code) == (PlaceOutcome.UNKNOWN, "http_502")


def test_a_lone_id_under_another_name_is_read_and_two_are_not_guessed_at() -> None:
    assert judge(result(is_success=True, order_list={"id": 81})).order_ids == ("81",)
    assert judge(result(is_success=True, order_list={"a": 81, "b": 82})).order_ids == ()


def test_the_same_number_twice_is_one_order() -> None:
    assert judge(result(is_success=True, order_list=[81, 82, 81])).order_ids == ("81", "82")


@pytest.mark.parametrize(("levels", "outcome"), [(49, "NOT_EXECUTED"), (50, "UNKNOWN"), (500, "UNKNOWN")])
def test_what_lies_too_deep_to_be_looked_at_may_tell_of_orders(levels: int, outcome: str) -> None:
    """Unclear, and no fault of the program."""
    body = {**gateway("IllegalAccessToken"), "x": json.loads("[" * levels + "]" * levels)}
    assert judge(body).outcome is PlaceOutcome[outcome]


@pytest.mark.parametrize("inner", [{"order_list": [1]}, {"is_success": True}, {"is_success": 7}])
def test_a_refusal_proves_nothing_beside_what_tells_of_orders_deeper_down(inner: dict[str, Any]) -> None:
    body = {**gateway("IllegalAccessToken"), "x": [{"y": [inner]}]}
    assert judge(body).outcome is PlaceOutcome.UNKNOWN
