"""Whether tokens that a person gives work, and whether they are those of the account that they are said to be of.

Tokens of another account, put in the place of an account's own, would send orders there and let a person look for a
lost order in the wrong list: it would be bought twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.errors import Conflict, WaybillError
from app.models import Purchase, SupplierAccount, SupplierOrder
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.tokens import TokenGrant
from app.services.faults import said
from app.shop_access import DEAD_TOKEN

ORDERS = 3
"""As many of the account's newest orders are tried: one of them may be unreadable for a reason of its own."""
NOBODYS = "1"
"""An order number that no account has: the answer tells whether the token is accepted."""


def known_orders(session: Session, account: SupplierAccount) -> list[str]:
    """The newest orders that were read with this account's own token."""
    query = sa.select(SupplierOrder.external_id).where(
        SupplierOrder.account_id == account.id, SupplierOrder.read_at.is_not(None)
    )
    return list(session.scalars(query.order_by(SupplierOrder.id.desc()).limit(ORDERS)))


def unclear_purchase(session: Session, account: SupplierAccount) -> int | None:
    """A purchase of which nobody knows whether it was ordered with this account."""
    unclear = Purchase.state.in_(("SENDING", "UNKNOWN", "HUMAN"))
    return session.scalar(sa.select(Purchase.id).where(Purchase.account_id == account.id, unclear).limit(1))


def proven(container: Container, grant: TokenGrant, account: SupplierAccount | None, refs: Sequence[str]) -> TokenGrant:
    """The tokens, tried; renewed at once if the access token has ended but can be renewed.

    `account`: the one whose tokens they will replace, `refs` orders that only its own tokens can read. Raises
    `WaybillError` if they are refused, `Conflict` if they are another account's. Tokens for a new account are believed
    while the supplier does not answer.
    """
    try:
        return _tried(container, grant, account, refs)
    except MerchantMustAct as error:
        if error.reason in DEAD_TOKEN:
            raise WaybillError(
                "token_refused", f"{error.vendor} does not accept these tokens ({error.code}). Nothing was changed."
            ) from error
        return grant  # they are accepted; what else the merchant has to do, orders will tell
    except OutsideError as error:
        if account is None:
            return grant
        raise said(error) from error


def _tried(container: Container, grant: TokenGrant, account: SupplierAccount | None, refs: Sequence[str]) -> TokenGrant:
    supplier = container.connectors.supplier
    if grant.expires_at is not None and grant.expires_at <= container.clock.now() and grant.refresh_token:
        fresh = supplier.refresh(grant.refresh_token)
        if account is not None and fresh.user_id and account.is_numbered and fresh.user_id != account.user_id:
            raise other(account, fresh.user_id)
        grant = TokenGrant(
            fresh.access_token,
            fresh.refresh_token or grant.refresh_token,
            fresh.expires_at,
            fresh.refresh_expires_at or grant.refresh_expires_at,
            user_id=grant.user_id or fresh.user_id,
        )
    session = supplier.session(grant.access_token)
    readable = [ref for ref in refs or (NOBODYS,) if session.order(ref) is not None]
    if account is not None and refs and not readable:
        raise other(account)
    return grant


def other(account: SupplierAccount, user_id: str = "") -> Conflict:
    """The tokens are another account's."""
    whose = f"of account {user_id}" if user_id else "of another account"
    return Conflict(
        "other_account",
        f"These tokens are {whose}, not of {account.user_id}: they cannot read its orders. Nothing was changed. "
        "If the shop shall buy with another account from now on, give that account's number with --user-id.",
    )
