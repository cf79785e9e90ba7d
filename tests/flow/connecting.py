"""Puts shops, accounts and links into the database directly: the flow tests are about orders, not about connecting."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.container import Container
from app.models import Credential, Merchant, ProductLink, Shop, ShopAccount, SupplierAccount
from app.ports.storefront import ShopAccess


def connect_shop(container: Container, connector: str, typed: str, secrets: dict[str, str]) -> int:
    """A shop of the only merchant; its webhooks are made where the storefront has such."""
    storefront, spec = container.connectors.storefronts[connector], container.connectors.specs[connector]
    address = storefront.canonical_address(typed)
    token = hashlib.sha256(address.encode()).hexdigest()
    secrets = {**secrets, "webhook_secret": hashlib.sha256(token.encode()).hexdigest()}
    access = ShopAccess(address, secrets, {})
    profile = storefront.session(access).profile()
    access = ShopAccess(profile.key, secrets, dict(profile.capabilities))
    with container.database.transaction() as session:
        merchant = session.scalar(sa.select(Merchant)) or Merchant(name="The merchant")
        session.add(merchant)
        session.flush()
        shop = Shop(
            merchant_id=merchant.id,
            connector=connector,
            address=profile.key,
            name=profile.name,
            currency=profile.currency,
            timezone=profile.timezone,
            country=profile.country,
            capabilities=dict(profile.capabilities),
            margin_percent=10,
        )
        session.add(shop)
        session.flush()
        if spec.per_shop_url:
            shop.delivery_token_hash = hashlib.sha256(token.encode()).digest()
            shop.delivery_token_sealed = container.vault.seal(token.encode(), f"shop:{shop.id}:delivery_token")
        credential = Credential(shop_id=shop.id, sealed=b"")
        credential.sealed = container.vault.seal_json(secrets, credential.place)
        session.add(credential)
        shop_id = shop.id
    url = f"{container.settings.public_url}/webhooks/{connector}" + (f"/{token}" if spec.per_shop_url else "")
    storefront.session(access).check_webhooks(url)
    return shop_id


def connect_account(container: Container, shop_id: int, account: dict[str, Any]) -> int:
    """The shop's default supplier account."""
    with container.database.transaction() as session:
        shop = session.get_one(Shop, shop_id)
        found = session.scalar(sa.select(SupplierAccount).where(SupplierAccount.user_id == str(account["user_id"])))
        if found is None:
            found = SupplierAccount(
                merchant_id=shop.merchant_id, supplier="aliexpress", user_id=str(account["user_id"])
            )
            session.add(found)
            session.flush()
            secrets = {"access_token": account["access_token"], "refresh_token": account["refresh_token"]}
            credential = Credential(account_id=found.id, sealed=b"", can_refresh=True)
            credential.sealed = container.vault.seal_json(secrets, credential.place)
            credential.expires_at = datetime.now(container.clock.now().tzinfo) + timedelta(
                seconds=int(account["expires_in"])
            )
            session.add(credential)
        session.add(ShopAccount(shop_id=shop_id, account_id=found.id, is_default=True))
        return found.id


def add_link(container: Container, shop_id: int, variant: str, product: str, sku_id: str, **more: Any) -> None:
    """A link as `flask link add` would make it, from the simulator's own catalogue."""
    with container.database.transaction() as session:
        session.add(
            ProductLink(
                shop_id=shop_id, variant_id=variant, supplier="aliexpress", product_id=product, sku_id=sku_id, **more
            )
        )
