"""The list of commissions. Source: reference, sections 7.13 and 10.3; the list element's name is unconfirmed."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app.ports.errors import Refused
from app.ports.money import Money
from app.ports.reporting import Commission, CommissionPage, CommissionState
from connectors.aliexpress import wire
from connectors.aliexpress.client import VENDOR, Client
from connectors.aliexpress.instants import local_instants, write_local

METHOD = "aliexpress.ds.commissionorder.listbyindex"
PAGE_SIZE = 50
PAID = "Payment Completed"
ZONE = "America/Los_Angeles"
"""In which the method's times are, whatever the zone of other methods is."""
_WORDS = {
    CommissionState.PAID: PAID,
    CommissionState.RECEIVED: "Buyer Confirmed Receipt",
    CommissionState.SETTLED: "Completed Settlement",
    CommissionState.INVALID: "Invalid",
}
_HOUR = timedelta(hours=1)
_STATES = {word.lower(): state for state, word in _WORDS.items()}


def page(client: Client, token: str, params: dict[str, str]) -> dict[str, Any]:
    """The `result` of one call. Raises `Refused` with the method's own code, `401` for an unknown publisher."""
    answer = client.read(METHOD, params, token, about=f"paid from {params['start_time']} to {params['end_time']}")
    code = wire.text(answer.payload.get("rsp_code"))
    if code not in {"", "200"}:
        raise Refused(code, wire.text(answer.payload.get("rsp_msg"))[:200], vendor=VENDOR, operation=METHOD)
    return wire.mapping(answer.payload.get("result"))


def commissions(
    client: Client, token: str, state: CommissionState, since: datetime, until: datetime, cursor: str = ""
) -> CommissionPage:
    """One page of the vendor's commissions in one state. `cursor`: of the page before.

    Unconfirmed: that the window is of payment in every state, and that the highest index leads on. So the list ends
    with an empty page or an index that does not grow, never with a short page; rows may come twice (`sub_order_id`).
    """
    params = {
        # In the hour that comes twice a time may mean either: rather an hour too many.
        "start_time": write_local(since - _HOUR, ZONE),
        "end_time": write_local(until + _HOUR, ZONE),
        "status": _WORDS[state],
        "page_size": str(PAGE_SIZE),
        "page_no": "1",
        "start_query_index_id": cursor,
    }
    result = page(client, token, params)
    rows = [wire.mapping(row) for row in wire.rows(result.get("orders"))]
    after = wire.text(result.get("max_query_index_id"))
    is_last = not rows or not after or after == cursor
    return CommissionPage(tuple(map(read_commission, rows)), "" if is_last else after)


def read_commission(row: dict[str, Any]) -> Commission:
    """A row of the list. Amounts come in hundredths of the currency that it names, as numbers or as texts."""
    currency = wire.text(row.get("publisher_settled_currency"))
    state = _STATES.get(wire.text(row.get("effect_status")).lower(), CommissionState.OTHER)
    # Before the buyer has the goods "finished" says nothing, perhaps 0.
    stage = "finished" if state in {CommissionState.RECEIVED, CommissionState.SETTLED} else "paid"
    return Commission(
        order_id=whole_order(row),
        sub_order_id=wire.identity(row.get("sub_order_id")),
        product_id=wire.identity(row.get("item_id")),
        state=state,
        paid_at=_instant(row.get("paid_time")),
        finished_at=_instant(row.get("finished_time")),
        paid=_hundredths(row, currency, f"{stage}_amount", "paid_amount"),
        commission=_hundredths(row, currency, f"estimated_{stage}_commission"),
        incentive=_hundredths(row, currency, f"estimated_incentive_{stage}_commission"),
    )


def whole_order(row: dict[str, Any]) -> str:
    """The number of the whole order, not of a child."""
    names = ("parent_order_number", "order_number", "order_id")
    return next((found for name in names if (found := wire.identity(row.get(name)))), "")


def _instant(value: Any) -> datetime | None:
    found = local_instants(value, ZONE)
    return found[0] if found else None


def _hundredths(row: dict[str, Any], currency: str, *names: str) -> Money | None:
    """The first of these fields that holds a number."""
    told = (wire.number(row.get(name)) for name in names)
    hundredths = next((number for number in told if number is not None), None)
    if hundredths is None:
        return None
    try:
        return Money.parse(Decimal(hundredths).scaleb(-2), currency)
    except ValueError:
        return None
