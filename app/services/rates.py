"""Exchange rates, as a person or a job sets them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.container import Container
from app.errors import WaybillError
from app.models import ExchangeRate, Purchase, StoreOrder
from app.pipeline.record import audit
from app.services.purchases import look_again

_CODE = re.compile("[A-Z]{3}")


def put(container: Container, base: str, quote: str, rate: Decimal, *, source: str, actor: str) -> list[ExchangeRate]:
    """One `base` is `rate` units of `quote`. Gives the rows written.

    Prices are converted from the supplier's currency, so a rate *into* it is kept the other way round as well.
    """
    base, quote = base.strip().upper(), quote.strip().upper()
    if not all(_CODE.fullmatch(code) for code in (base, quote)) or base == quote:
        raise WaybillError("bad_currency", "Give two different currency codes of three letters, like USD EUR.")
    if not rate.is_finite() or not Decimal("0.0000001") <= rate <= Decimal(10_000_000):
        raise WaybillError("bad_rate", "The rate must be a number above zero.")
    ours = container.connectors.supplier.quote_currency
    pairs = [(base, quote, rate, source)]
    if quote == ours:
        pairs.append((quote, base, Decimal(1) / rate, f"inverse of {base} {quote}, {source}"))
    with container.database.transaction() as session:
        for pair in pairs:
            _put(session, *pair)
        audit(session, "rate", 0, "set", actor=actor, detail={"base": base, "quote": quote, "rate": str(rate)})
        rows = [session.get_one(ExchangeRate, (pair[0], pair[1])) for pair in pairs]
    waiting = sa.select(StoreOrder.id).where(StoreOrder.currency.in_((base, quote)))
    look_again(container, Purchase.reason == "price_unknown", Purchase.order_id.in_(waiting), again=True)
    return rows


def _put(session: Session, base: str, quote: str, rate: Decimal, source: str) -> None:
    row = insert(ExchangeRate).values(base=base, quote=quote, rate=rate, source=source)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["base", "quote"],
            set_={"rate": row.excluded.rate, "source": row.excluded.source, "as_of": sa.func.now()},
        )
    )


def listed(container: Container) -> list[dict[str, Any]]:
    """All rates."""
    with container.database.transaction() as session:
        rows = session.scalars(sa.select(ExchangeRate).order_by(ExchangeRate.base, ExchangeRate.quote)).all()
    return [told(row) for row in rows]


def told(row: ExchangeRate) -> dict[str, Any]:
    """One rate as data."""
    return {
        "base": row.base,
        "quote": row.quote,
        "rate": f"{row.rate.normalize():f}",
        "as_of": row.as_of,
        "source": row.source,
    }
