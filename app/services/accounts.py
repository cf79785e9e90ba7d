"""Supplier accounts: whose they are, their tokens, and renewing them."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.errors import Conflict, NotFound, WaybillError
from app.models import Attempt, Credential, Purchase, Shop, ShopAccount, SupplierAccount, SupplierOrder
from app.models.supplier import UNKNOWN_NUMBER
from app.pipeline import match
from app.pipeline.numbers import instance_key
from app.pipeline.record import audit, end_tasks
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.tokens import TokenGrant
from app.services import account_proof, shops
from app.services.faults import said
from app.services.purchases import look_again
from app.shop_access import apply_grant, open_account, renew

WAITING = ("token_dead", "account_missing")
OTHER_ACCOUNT = ("account_blocked", "ds_center")
"""What another account may cure, or this one when its owner has put it right."""


def connect(
    container: Container,
    shop_id: int,
    access_token: str,
    refresh_token: str = "",
    expires_at: datetime | None = None,
    *,
    user_id: str = "",
    refresh_expires_at: datetime | None = None,
    make_default: bool = True,
    actor: str,
) -> SupplierAccount:
    """Let a shop buy with this account from now on; the same account again gets the new tokens.

    `make_default` False: it goes on buying with the account that it has, if it has one.
    `user_id`: the account's number at the supplier. Without it the shop's present account is renewed, or an account
    of unknown number made. Tokens are tried before they replace others. Raises `Conflict` if the account belongs to
    another merchant (S22) or the tokens are another account's.
    """
    if not access_token:
        raise WaybillError("no_token", "The access token is empty.")
    if expires_at is not None and expires_at <= container.clock.now() and not refresh_token:
        raise WaybillError("expired", "This access token has expired, and there is no refresh token with it.")
    shop = shops.get(container, shop_id)
    supplier = container.connectors.supplier.name
    grant = TokenGrant(access_token, refresh_token or None, expires_at, refresh_expires_at, user_id=user_id)
    with container.database.transaction() as session:
        known = _known(container, session, shop, supplier, user_id, access_token, _default(session, shop_id))
        refs = account_proof.known_orders(session, known) if known else []
        unclear = account_proof.unclear_purchase(session, known) if known else None
    if known is not None and unclear is not None and not (refs or user_id):
        raise Conflict(
            "which_account",
            f"Purchase {unclear} may have been ordered with account {known.user_id}, and nothing shows yet that these "
            "tokens are of the same one. Give the number of their account with --user-id.",
        )
    grant = account_proof.proven(container, grant, known, refs)
    with container.database.transaction() as session:
        before = _default(session, shop_id)
        account = _account(container, session, shop, supplier, user_id, access_token, before)
        _keep_token(container, session, account, grant)
        if make_default or before is None:
            _make_default(session, shop_id, account.id)
        audit(
            session,
            "account",
            account.id,
            "connected",
            actor=actor,
            detail={"shop": shop_id, "expires_at": expires_at.isoformat() if expires_at else ""},
        )
    # Not only if it is another account than before: whoever was cut off here gives the same one once more.
    if make_default:
        _move_unsent(container, shop_id, account.id)
    _go_on(container, shop.merchant_id)
    look_again(container, Purchase.merchant_id == shop.merchant_id, Purchase.reason.in_(OTHER_ACCOUNT), again=True)
    return account


def _move_unsent(container: Container, shop_id: int, account_id: int) -> None:
    """Orders of this shop whose unsent purchases were tried under another account are derived afresh."""
    with container.database.transaction() as session:
        orders = session.scalars(
            sa.select(Purchase.order_id)
            .join(Attempt, Attempt.purchase_id == Purchase.id)
            .where(
                Purchase.shop_id == shop_id,
                Purchase.state.in_(("HELD", "READY")),
                Purchase.account_id != account_id,
            )
            .distinct()
        ).all()
    for order_id in orders:
        with container.database.transaction() as session:
            match.derive_again(container, session, order_id)
            container.database.after_commit(container.bell.ring)


def default_of(session: Session, shop_id: int) -> int | None:
    """The id of the account that this shop orders with."""
    mine = sa.select(ShopAccount.account_id).where(ShopAccount.shop_id == shop_id, ShopAccount.is_default)
    return session.scalar(mine)


def _default(session: Session, shop_id: int) -> SupplierAccount | None:
    return session.scalars(
        sa.select(SupplierAccount)
        .join(ShopAccount, ShopAccount.account_id == SupplierAccount.id)
        .where(ShopAccount.shop_id == shop_id, ShopAccount.is_default)
        .with_for_update(of=SupplierAccount, key_share=True)
    ).one_or_none()


def _account(
    container: Container,
    session: Session,
    shop: Shop,
    supplier: str,
    user_id: str,
    access_token: str,
    before: SupplierAccount | None,
) -> SupplierAccount:
    known = _known(container, session, shop, supplier, user_id, access_token, before)
    if known is None:
        name = _name(container, session, supplier, user_id, access_token)
        known = SupplierAccount(merchant_id=shop.merchant_id, supplier=supplier, user_id=name)
        session.add(known)
    known.state = "ACTIVE"
    session.flush()  # its credential is sealed for its id
    return known


def _known(
    container: Container,
    session: Session,
    shop: Shop,
    supplier: str,
    user_id: str,
    access_token: str,
    before: SupplierAccount | None,
) -> SupplierAccount | None:
    """The account that these tokens are said to be of, locked, if we have it. Raises `Conflict` (S22)."""
    if not user_id and before is not None and before.supplier == supplier:
        return before
    known = session.scalars(
        sa.select(SupplierAccount)
        .where(
            SupplierAccount.supplier == supplier,
            SupplierAccount.user_id == _name(container, session, supplier, user_id, access_token),
        )
        .with_for_update(key_share=True)
    ).one_or_none()
    if known is not None and known.merchant_id != shop.merchant_id:
        raise Conflict("other_merchant", "This supplier account is connected for another merchant already.")
    return known


def _name(container: Container, session: Session, supplier: str, user_id: str, access_token: str) -> str:
    """An unknown number is a digest of the token, so that the same token is not taken for two accounts."""
    digest = hmac.digest(instance_key(container, session), f"{supplier}:{access_token}".encode(), "sha256")
    return user_id or f"{UNKNOWN_NUMBER}{digest.hex()[:24]}"


def _keep_token(container: Container, session: Session, account: SupplierAccount, grant: TokenGrant) -> None:
    credential = session.scalars(
        sa.select(Credential).where(Credential.account_id == account.id).with_for_update(key_share=True)
    ).one_or_none()
    if credential is None:
        credential = Credential(account_id=account.id, sealed=b"", version=0)
        session.add(credential)
    secrets = {"access_token": grant.access_token}
    if grant.refresh_token:
        secrets["refresh_token"] = grant.refresh_token
    apply_grant(container, credential, secrets, grant, consent=True)


def _make_default(session: Session, shop_id: int, account_id: int) -> None:
    session.execute(
        sa.update(ShopAccount)
        .where(ShopAccount.shop_id == shop_id, ShopAccount.account_id != account_id)
        .values(is_default=False)
    )
    pair = session.get(ShopAccount, (shop_id, account_id))
    if pair is None:
        session.add(ShopAccount(shop_id=shop_id, account_id=account_id, is_default=True))
    else:
        pair.is_default = True
    session.flush()  # the unique default is checked here, not somewhere later


def _go_on(container: Container, merchant_id: int) -> None:
    """What waited for this goes on: purchases, also of the merchant's other shops, and orders that were unreadable."""
    mine = sa.select(SupplierAccount.id).where(SupplierAccount.merchant_id == merchant_id)
    unread = sa.update(SupplierOrder).where(SupplierOrder.account_id.in_(mine), SupplierOrder.track_run_at.is_not(None))
    with container.database.transaction() as session:
        session.execute(unread.values(track_run_at=sa.func.least(SupplierOrder.track_run_at, sa.func.now())))
        live = sa.select(Credential.id).where(Credential.account_id.in_(mine), Credential.state == "LIVE")
        for credential_id in session.scalars(live).all():  # before a mail asks for what is done
            end_tasks(session, f"token-dead:{credential_id}", "connected again")
    look_again(container, Purchase.merchant_id == merchant_id, Purchase.reason.in_(WAITING), again=False)


def refresh(container: Container, account_id: int, *, actor: str) -> datetime | None:
    """Renew an account's token now. Gives when the new one ends. Raises `WaybillError`."""
    opened = open_account(container, account_id)
    if opened.state == "DEAD":
        raise Conflict(
            "token_dead",
            "This account's connection is dead and cannot be renewed. Connect it again (`account connect`).",
        )
    try:
        renewed = renew(container, opened, ahead=True)
    except OutsideError as error:
        if open_account(container, account_id).state == "LIVE" and isinstance(error, MerchantMustAct):
            raise Conflict(
                "refresh_refused",
                f"The supplier does not renew this connection any more ({error.code}). It works until its end; then "
                "only its merchant can connect it again (`account connect-url`).",
            ) from error
        raise said(error) from error
    with container.database.transaction() as session:
        audit(session, "account", account_id, "refreshed", actor=actor)
        merchant_id = session.get_one(SupplierAccount, account_id).merchant_id
    _go_on(container, merchant_id)
    return renewed.expires_at


def listed(container: Container) -> list[dict[str, Any]]:
    """All accounts with the state of their tokens, never the tokens."""
    with container.database.transaction() as session:
        rows = session.scalars(sa.select(SupplierAccount).order_by(SupplierAccount.id)).all()
        tokens = {
            row.account_id: row
            for row in session.scalars(sa.select(Credential).where(Credential.account_id.is_not(None)))
        }
        used: dict[int, list[int]] = {}
        for shop_id, account_id in session.execute(
            sa.select(ShopAccount.shop_id, ShopAccount.account_id).where(ShopAccount.is_default)
        ):
            used.setdefault(account_id, []).append(shop_id)
    return [_told(account, tokens.get(account.id)) | {"shops": used.get(account.id, [])} for account in rows]


def _told(account: SupplierAccount, credential: Credential | None) -> dict[str, Any]:
    return {
        "id": account.id,
        "merchant_id": account.merchant_id,
        "supplier": account.supplier,
        "user_id": account.user_id,
        "state": account.state,
        "token": credential.state if credential else "none",
        "dead_because": credential.dead_reason if credential else "",
        "authorised_at": credential.authorised_at if credential else None,
        "can_refresh": credential.can_refresh if credential else False,
        "refresh_refused": credential.refresh_refused if credential else "",
        "expires_at": credential.expires_at if credential else None,
        "refresh_expires_at": credential.refresh_expires_at if credential else None,
        "refresh_due_at": credential.refresh_due_at if credential else None,
    }


def get(container: Container, account_id: int) -> SupplierAccount:
    """One account. Raises `NotFound`."""
    with container.database.transaction() as session:
        account = session.get(SupplierAccount, account_id)
    if account is None:
        raise NotFound("no_account", f"There is no account {account_id}. `flask account list` shows them.")
    return account
