"""Shops: connecting them, their limits, pausing and resuming."""

from __future__ import annotations

import hashlib
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.container import Container
from app.db import ROW
from app.errors import Conflict, NotFound, WaybillError
from app.models import Credential, Merchant, Purchase, Shop, ShopAccount
from app.pipeline import hooks
from app.pipeline.holding import hold_unsent
from app.pipeline.letters import told_anew
from app.pipeline.permission import granted
from app.pipeline.record import audit
from app.ports.errors import MerchantMustAct, OutsideError
from app.ports.money import Money
from app.ports.storefront import ShopAccess, ShopProfile, WebhookReport
from app.ports.tokens import TokenGrant
from app.services.faults import said
from app.services.purchases import HELD, look_again
from app.settings import mail_address
from app.shop_access import apply_grant

TOKEN_BYTES = 32
LONGEST_DELIVERY = 999
"""Days."""
PAUSED = ("shop_paused", "uninstalled")
"""Reasons that resuming a shop lifts: after a reinstall its waiting orders go on by this one act (S27)."""

CUT_OFF = ("shop_token_dead", "shop_gone", "shop_permission", "order_too_old")
"""Reasons that new keys lift."""

LIFTED_BY: dict[str, tuple[str, ...]] = {
    "margin_percent": ("margin",),
    "order_cap": ("cap_order",),
    "day_cap": ("cap_day",),
    "autopay": ("cap_order", "cap_day"),
    "autopay_order_cap": ("cap_order",),
    "autopay_day_cap": ("cap_day",),
    "alone_cap": (),
    "request_needed": ("waiting_request",),
    "buy_test_orders": ("test_order",),
    "max_delivery_days": ("not_shippable",),
    "notify_customer": (),
    "contact_email": (),
    "one_purchase_per_line": (),
}
"""What may be set, and which waiting purchases are looked at again afterwards."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A connected shop. `warning` not empty: connected, but its webhooks could not be set up yet."""

    shop: Shop
    fresh: bool
    webhooks: WebhookReport | None
    warning: str = ""


def connect(
    container: Container,
    connector: str,
    address: str,
    secrets: Mapping[str, str],
    *,
    merchant_id: int | None = None,
    actor: str,
) -> Connected:
    """Connect a shop, or connect it anew with other keys. The keys are proved by reading the shop before they are kept.

    `merchant_id` None: a new merchant, or the one that the shop belongs to already. Raises `WaybillError`.
    """
    if connector not in container.connectors.storefronts:
        raise NotFound("no_connector", f"There is no storefront connector {connector!r}.")
    given = {name: value for name, value in secrets.items() if value}
    place = _canonical(container, connector, address)
    profile = _prove(container, connector, place, given)
    # A site may call itself anything: its word for its address counts only if the keys are good there too.
    own = _canonical(container, connector, profile.key)
    if own != place:
        place, profile = own, _prove(container, connector, own, given)
    with container.database.transaction() as session:
        shop, fresh = _store(container, session, connector, place, given, profile, merchant_id, actor)
    look_again(container, Purchase.shop_id == shop.id, Purchase.reason.in_(CUT_OFF), again=False)
    report, warning = check_webhooks(container, shop.id, actor=actor)
    with container.database.transaction() as session:
        return Connected(session.get_one(Shop, shop.id), fresh, report, warning)


def _canonical(container: Container, connector: str, address: str) -> str:
    try:
        return container.connectors.storefronts[connector].canonical_address(address)
    except ValueError as error:
        raise WaybillError("bad_address", str(error)) from error


def _prove(container: Container, connector: str, address: str, given: Mapping[str, str]) -> ShopProfile:
    try:
        return container.connectors.storefronts[connector].session(ShopAccess(address, given, {})).profile()
    except MerchantMustAct as error:
        if error.reason == "shop_token_dead":
            raise WaybillError(
                "keys_refused", f"{address} does not accept these keys ({error.code}). Check them; nothing was stored."
            ) from error
        raise said(error) from error
    except OutsideError as error:
        raise said(error) from error


def _store(
    container: Container,
    session: Session,
    connector: str,
    address: str,
    given: dict[str, str],
    profile: ShopProfile,
    merchant_id: int | None,
    actor: str,
) -> tuple[Shop, bool]:
    shop = session.scalars(
        sa.select(Shop).where(Shop.connector == connector, Shop.address == address).with_for_update(key_share=True)
    ).one_or_none()
    fresh = shop is None
    if shop is None:
        owner = _merchant(session, merchant_id, profile.name or address, actor)
        shop = Shop(merchant_id=owner, connector=connector, address=address, name=profile.name or address)
        session.add(shop)
        session.flush()  # credential and delivery token are sealed for the shop's id
    elif merchant_id is not None and merchant_id != shop.merchant_id:
        raise Conflict("other_merchant", f"{address} is connected already, for another merchant.")
    before = shop.state
    shop.name, shop.currency = profile.name or address, profile.currency
    shop.timezone, shop.country = profile.timezone, profile.country
    shop.capabilities = {**dict(profile.capabilities), "api_version": profile.api_version}
    shop.poll_run_at = sa.func.now()  # what happened meanwhile is read at once
    if before == "UNINSTALLED":
        shop.state = "PAUSED" if _waiting(session, shop.id, HELD) else "ACTIVE"
        shop.state_since = sa.func.now()
    _keep_keys(container, session, shop, given)
    granted(session, shop.id, actor)
    audit(
        session,
        "shop",
        shop.id,
        "connected" if fresh else "reconnected",
        actor=actor,
        before="" if fresh else before,
        after=shop.state or "ACTIVE",
        detail={"connector": connector, "scopes": list(profile.scopes)},
    )
    return shop, fresh


def _merchant(session: Session, merchant_id: int | None, name: str, actor: str) -> int:
    if merchant_id is not None:
        if session.get(Merchant, merchant_id) is None:
            raise NotFound("no_merchant", f"There is no merchant {merchant_id}.")
        return merchant_id
    merchant = Merchant(name=name)
    session.add(merchant)
    session.flush()  # the shop refers to it
    audit(session, "merchant", merchant.id, "created", actor=actor)
    return merchant.id


def _waiting(session: Session, shop_id: int, *where: sa.ColumnElement[bool]) -> bool:
    return session.scalar(sa.select(Purchase.id).where(Purchase.shop_id == shop_id, *where).limit(1)) is not None


def _keep_keys(container: Container, session: Session, shop: Shop, given: dict[str, str]) -> None:
    """Seal the keys; a shop with a delivery URL of its own keeps its token and its webhook secret (S07)."""
    spec = container.connectors.specs[shop.connector]
    credential = session.scalars(
        sa.select(Credential).where(Credential.shop_id == shop.id).with_for_update(key_share=True)
    ).one_or_none()
    kept = container.vault.open_json(credential.sealed, credential.place) if credential else {}
    if credential is None:
        credential = Credential(shop_id=shop.id, sealed=b"", version=0)
        session.add(credential)
    secrets: dict[str, str] = {
        name: kept[name] for name in ("webhook_secret", "webhook_secret_previous") if name in kept
    } | given
    if spec.connect is not None and spec.connect.own_webhook_secret and not secrets.get("webhook_secret"):
        secrets["webhook_secret"] = random.token_urlsafe(TOKEN_BYTES)
    grant = TokenGrant(given.get("access_token", ""), given.get("refresh_token"), None, None)
    apply_grant(container, credential, secrets, grant, consent=True)
    if spec.per_shop_url and shop.delivery_token_sealed is None:
        token = random.token_urlsafe(TOKEN_BYTES)
        shop.delivery_token_hash = hashlib.sha256(token.encode()).digest()
        shop.delivery_token_sealed = container.vault.seal(token.encode(), hooks.token_place(shop.id))


def check_webhooks(container: Container, shop_id: int, *, actor: str) -> tuple[WebhookReport | None, str]:
    """Set up or mend the shop's webhooks: (what was found, why it did not work or "")."""
    try:
        return hooks.check(container, get(container, shop_id), by=actor), ""
    except OutsideError as error:
        return None, f"Webhooks are not set up yet, we try again by ourselves: {said(error).text}"


def get(container: Container, shop_id: int) -> Shop:
    """One shop. Raises `NotFound`."""
    with container.database.transaction() as session:
        shop = session.get(Shop, shop_id)
    if shop is None:
        raise NotFound("no_shop", f"There is no shop {shop_id}. `flask shop list` shows them.")
    return shop


def listed(container: Container) -> list[dict[str, Any]]:
    """All shops, oldest first."""
    with container.database.transaction() as session:
        rows = session.execute(
            sa.select(Shop, Credential.state).outerjoin(Credential, Credential.shop_id == Shop.id).order_by(Shop.id)
        ).all()
    return [
        {
            "id": shop.id,
            "merchant_id": shop.merchant_id,
            "connector": shop.connector,
            "address": shop.address,
            "name": shop.name,
            "state": shop.state,
            "currency": shop.currency,
            "keys": state or "none",
            "autopay": shop.autopay,
            "poll_error": shop.poll_error,
        }
        for shop, state in rows
    ]


def told(container: Container, shop_id: int) -> dict[str, Any]:
    """Everything about one shop but its secrets."""
    shop = get(container, shop_id)
    currency = container.connectors.supplier.quote_currency
    with container.database.transaction() as session:
        credential = session.scalars(sa.select(Credential).where(Credential.shop_id == shop_id)).one_or_none()
        account = session.scalar(
            sa.select(ShopAccount.account_id).where(ShopAccount.shop_id == shop_id, ShopAccount.is_default)
        )
    return {
        "id": shop.id,
        "merchant_id": shop.merchant_id,
        "connector": shop.connector,
        "address": shop.address,
        "name": shop.name,
        "state": shop.state,
        "state_since": shop.state_since,
        "currency": shop.currency,
        "timezone": shop.timezone,
        "country": shop.country,
        "account_id": account,
        "keys": credential.state if credential else "none",
        "keys_dead_because": credential.dead_reason if credential else "",
        "keys_expire_at": credential.expires_at if credential else None,
        "webhook_url": hooks.webhook_url(container, shop),
        "hooks_checked_at": shop.hooks_checked_at,
        "poll_cursor": shop.poll_cursor,
        "poll_error": shop.poll_error,
        "account_error": shop.account_error,
        "capabilities": shop.capabilities,
        "policy": {
            "margin_percent": str(shop.margin_percent),
            "order_cap": str(Money(shop.order_cap, currency)),
            "day_cap": str(Money(shop.day_cap, currency)),
            "autopay": shop.autopay,
            "autopay_order_cap": str(Money(shop.autopay_order_cap, currency)),
            "autopay_day_cap": str(Money(shop.autopay_day_cap, currency)),
            "alone_cap": str(Money(shop.alone_cap, currency)),
            "one_purchase_per_line": shop.one_purchase_per_line,
            "request_needed": shop.request_needed,
            "buy_test_orders": shop.buy_test_orders,
            "notify_customer": shop.notify_customer,
            "contact_email": shop.contact_email,
            "max_delivery_days": shop.max_delivery_days,
        },
    }


def pause(container: Container, shop_id: int, *, actor: str) -> int:
    """Buy nothing more for this shop. What has been sent already runs to its end. Gives how many purchases wait now."""
    get(container, shop_id)
    with container.database.transaction() as session:
        shop = session.get_one(Shop, shop_id, with_for_update=ROW)
        _stateful(shop, "PAUSED")
        audit(session, "shop", shop_id, "paused", actor=actor, before="ACTIVE", after="PAUSED")
    return hold_unsent(container, shop_id, reason="shop_paused", actor=actor)


def resume(container: Container, shop_id: int, *, actor: str) -> int:
    """Go on buying, the orders that waited included. Gives how many were looked at again."""
    get(container, shop_id)
    with container.database.transaction() as session:
        shop = session.get_one(Shop, shop_id, with_for_update=ROW)
        before = shop.state
        if before != "ACTIVE" or not _waiting(session, shop_id, HELD, Purchase.reason.in_(PAUSED)):
            _stateful(shop, "ACTIVE")
        audit(session, "shop", shop_id, "resumed", actor=actor, before=before, after="ACTIVE")
    return len(look_again(container, Purchase.shop_id == shop_id, Purchase.reason.in_(PAUSED), again=False))


def _stateful(shop: Shop, wanted: str) -> None:
    if shop.state == "UNINSTALLED":
        raise Conflict("uninstalled", f"Waybill was removed from {shop.address}. Connect the shop again first.")
    if shop.state == wanted:
        raise Conflict("already", f"Shop {shop.id} is {wanted.lower()} already.")
    shop.state, shop.state_since = wanted, sa.func.now()


def set_policy(container: Container, shop_id: int, changes: Mapping[str, Any], *, actor: str) -> dict[str, Any]:
    """Change limits and habits; keys are those of `LIFTED_BY`, caps in minor units of the supplier's quote currency.

    Gives what changed. Waiting purchases that what was given may free are looked at again, also where nothing changed:
    whoever gives it once more may have been cut off before that.
    """
    unknown = set(changes) - set(LIFTED_BY)
    if unknown:
        raise WaybillError("unknown_setting", f"A shop has no setting {', '.join(sorted(unknown))}.")
    for name, value in changes.items():
        _check_value(name, value)
    get(container, shop_id)
    changed: dict[str, Any] = {}
    with container.database.transaction() as session:
        shop = session.get_one(Shop, shop_id, with_for_update=ROW)
        for name, value in changes.items():
            if getattr(shop, name) != value:
                changed[name] = {"before": _plain(getattr(shop, name)), "after": _plain(value)}
                setattr(shop, name, value)
        if changed:
            audit(session, "shop", shop_id, "policy", actor=actor, detail=_without_address(changed))
        if "contact_email" in changed:
            told_anew(session, shop_id)
    reasons = {reason for name in changes for reason in LIFTED_BY[name]}
    if reasons:
        look_again(container, Purchase.shop_id == shop_id, Purchase.reason.in_(reasons), again=True)
    return changed


def _without_address(changed: Mapping[str, Any]) -> dict[str, Any]:
    """History holds no personal data: that the address changed, not what it is."""
    return {name: "changed" if name == "contact_email" else value for name, value in changed.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


def _check_value(name: str, value: Any) -> None:
    if name == "contact_email" and value:
        try:
            mail_address(value)
        except ValueError as error:
            raise WaybillError("bad_value", f"{error}.") from error
    if name.endswith("_cap") and not 0 < value < 10**12:
        raise WaybillError("bad_value", f"{name} must be above zero.")
    if name == "margin_percent" and not Decimal(0) <= value < Decimal(100_000):
        raise WaybillError("bad_value", "The margin must be zero percent or more.")
    if name == "max_delivery_days" and value is not None and not 0 < value <= LONGEST_DELIVERY:
        raise WaybillError("bad_value", "The longest delivery must be between 1 and 999 days.")
