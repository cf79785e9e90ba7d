"""Reports of users and sales. Source: reference, sections 7.13 and 10.3; the currency of amounts is unconfirmed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC

from app.ports.money import Money
from app.ports.reporting import ReportAnswer, SaleReport, UserReport
from connectors.aliexpress import wire
from connectors.aliexpress.client import Client

USER = "aliexpress.ds.add.info"
SALE = "aliexpress.ds.member.orderdata.submit"
_DONE = frozenset(("", "0", "200"))
_UNREGISTERED = "401"
_NAMES = re.compile(r"#[^;]*")
"""The shown words of a property, as in `14:365458#Brown`: this method wants the pairs alone."""


def report_user(client: Client, token: str, report: UserReport) -> ReportAnswer:
    """The account behind the token is a user. Raises the port's errors, `Withdrawn` among them."""
    inner = wire.compose({"store_url": report.store_url, "extend_info": {}, "app_signature": ""})
    return _submit(client, USER, {"param0": inner}, token, about=report.store_url)


def report_sale(client: Client, token: str, sale: SaleReport) -> ReportAnswer:
    """What was sold and bought. Raises as `report_user`, and ValueError for what this method has no words for."""
    params = {
        "ae_product_id": sale.product_id,
        "ae_orderid": sale.order_id,
        "ae_sku_info": _NAMES.sub("", sale.sku_attributes),
        "product_amount": _dollars(sale.product_amount),
        "order_amount": _dollars(sale.order_amount),
        "paytime": sale.paid_at.astimezone(UTC).strftime("%Y%m%d:%H%M%S"),
        "product_url": sale.product_url,
    }
    empty = [name for name, value in params.items() if not value.strip()]
    if empty:
        # All are required. What is to be sent for a product with one variant, which has no attributes, is not known.
        raise ValueError(f"nothing to send as {', '.join(empty)}")
    return _submit(client, SALE, params, token, about=f"order_id={sale.order_id}")


def _dollars(amount: Money) -> str:
    """The method has no field for a currency: US dollars are expected (reference 13, number 6)."""
    if amount.currency != "USD":
        raise ValueError(f"an amount in {amount.currency}")
    return f"{amount.amount:.2f}"


def _submit(client: Client, method: str, params: Mapping[str, str], token: str, *, about: str) -> ReportAnswer:
    answer = client.report(method, params, token, about=about)
    code = wire.text(answer.payload.get("rsp_code")) or wire.text(answer.payload.get("result_code"))
    message = wire.text(answer.payload.get("rsp_msg")) or wire.text(answer.payload.get("result_msg"))
    return ReportAnswer(
        accepted=wire.truth(answer.payload.get("result")) is True and code in _DONE,
        code=code,
        message=message[:200],
        request_id=answer.request_id,
        is_registered=code != _UNREGISTERED,
    )
