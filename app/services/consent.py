"""A merchant's browser goes to the supplier's consent page and comes back with a code: once, and the same browser.

Whoever holds a link may connect an account of theirs to that shop, and orders carry its buyers' addresses there. So a
link ends, one that renews takes no other account than the one it is for, and each is logged.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

import sqlalchemy as sa
from itsdangerous import BadSignature, URLSafeSerializer

from app.container import Container
from app.errors import Conflict, NotFound, WaybillError
from app.models import Consent, Credential, Shop, SupplierAccount
from app.pipeline.record import audit
from app.ports.errors import OutcomeUnknown, OutsideError, Refused
from app.services import accounts, shops
from app.services.faults import said

LIFE = timedelta(minutes=10)
"""How long a browser may stay at the supplier (S18). The supplier's own code lives three minutes."""
LINK_LIFE = timedelta(days=7)
"""Of a link that connects any account."""
RENEWAL_LIFE = timedelta(days=60)
"""Of a link that renews one: it stands in mails that come up to a month ahead, and is good after the end too."""
_SALT = "connect"
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")
_ANEW = "Begin again with the link that you were given."


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and by what it is known when it comes back."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it."""

    shop: str
    account: str
    supplier: str
    expires_at: datetime | None


def link(container: Container, shop_id: int, account_id: int | None = None, *, actor: str) -> str:
    """A link that leads straight to the supplier's consent page. `account_id`: it renews that account and no other.

    Raises `NotFound`, `Conflict`.
    """
    shop = shops.get(container, shop_id)
    _there(shop)
    if account_id is not None:
        account = accounts.get(container, account_id)
        if account.merchant_id != shop.merchant_id:
            raise Conflict("other_merchant", f"Account {account_id} belongs to another merchant than shop {shop_id}.")
    with container.database.transaction() as session:
        audit(session, "shop", shop_id, "connect_link", actor=actor, detail={"account": account_id or 0})
    token = _serializer(container).dumps([shop_id, account_id or 0, int(container.clock.now().timestamp())])
    supplier = container.connectors.supplier.name
    return f"{container.settings.public_url}/connect/{supplier}/start?{urlencode({'link': token})}"


def _serializer(container: Container) -> URLSafeSerializer:
    key = container.settings.secret_key.get_secret_value()
    return URLSafeSerializer(key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})


def _there(shop: Shop) -> None:
    if shop.state == "UNINSTALLED":
        raise Conflict("shop_gone", "This shop has left. Install the app there again first.")


def begin(container: Container, supplier: str, token: str, browser: str) -> Begun:
    """A new way there. `browser`: what its cookie holds, perhaps nothing. Raises `WaybillError`."""
    shop_id, account_id = _read(container, token)
    _there(shops.get(container, shop_id))
    state = secrets.token_urlsafe(32)
    known = browser if _BROWSER.fullmatch(browser) else secrets.token_urlsafe(32)
    with container.database.transaction() as session:
        row = Consent(
            state_digest=_digest(state),
            browser_digest=_digest(known),
            supplier=supplier,
            shop_id=shop_id,
            account_id=account_id,
            begun_at=container.clock.now(),
        )
        session.add(row)
    url = container.connectors.suppliers[supplier].authorize_url(state, callback_url(container, supplier))
    return Begun(url, known)


def _read(container: Container, token: str) -> tuple[int, int | None]:
    """Shop and account that a link is for. Raises `WaybillError`."""
    try:
        shop_id, account_id, made = (int(part) for part in _serializer(container).loads(token))
    except (BadSignature, TypeError, ValueError):
        raise WaybillError(
            "bad_link", "This link is damaged. Open it as it stands in the mail, in one piece, or ask for a new one."
        ) from None
    age = timedelta(seconds=container.clock.now().timestamp() - made)
    if age > (RENEWAL_LIFE if account_id else LINK_LIFE):
        raise WaybillError("old_link", "This link has ended. Ask for a new one.")
    return shop_id, account_id or None


def callback_url(container: Container, supplier: str) -> str:
    """Where the supplier sends the browser back to; it stands in the app's console there, letter by letter."""
    return f"{container.settings.public_url}/connect/{supplier}/callback"


def finish(container: Container, supplier: str, *, state: str, code: str, browser: str) -> Connected:
    """The browser is back. Its way is used up whatever comes of it. Raises `WaybillError`."""
    way = _use(container, supplier, state, browser)
    try:
        connected = _connect(container, supplier, way, code)
    except WaybillError as error:
        _note(container, way.id, error.code)
        raise
    _note(container, way.id, "connected")
    return connected


def _use(container: Container, supplier: str, state: str, browser: str) -> Consent:
    """The way of this state, which nobody can use again. Raises `WaybillError`."""
    with container.database.transaction() as session:
        mine = sa.select(Consent).where(Consent.state_digest == _digest(state), Consent.supplier == supplier)
        way = session.scalars(mine.with_for_update(key_share=True)).one_or_none()
        if way is None:
            raise WaybillError("unknown_state", f"We do not know this way back. {_ANEW}")
        if way.used_at is not None:
            raise WaybillError("used_state", f"This was used already. {_ANEW}")
        way.used_at = container.clock.now()
        fault = _fault(way, container.clock.now(), browser)
        way.result = fault.code if fault else ""
    if fault is not None:
        raise fault
    return way


def _fault(way: Consent, now: datetime, browser: str) -> WaybillError | None:
    if not hmac.compare_digest(way.browser_digest, _digest(browser)):
        return WaybillError("other_browser", f"You began in another browser. {_ANEW}")
    if now - way.begun_at > LIFE:
        return WaybillError("late", f"That took longer than {LIFE.seconds // 60} minutes. {_ANEW}")
    return None


def _connect(container: Container, supplier: str, way: Consent, code: str) -> Connected:
    if not code:
        raise WaybillError("declined", f"The supplier did not give a code: you did not agree there. {_ANEW}")
    try:
        grant = container.connectors.suppliers[supplier].exchange_code(code)
    except (Refused, OutcomeUnknown) as error:
        raise WaybillError(
            "code_refused", f"The supplier's code had ended, or was used already. {_ANEW}", f"{error.code}"
        ) from error
    except OutsideError as error:
        raise said(error) from error
    wanted = _wanted(container, way)
    if wanted is not None and wanted.is_numbered and grant.user_id != wanted.user_id:
        raise Conflict(
            "other_account",
            f"You agreed with account {grant.user_id or 'of unknown number'}, but this link renews account "
            f"{wanted.user_id}. Log in at the supplier with that one, and begin again with the link.",
        )
    account = accounts.connect(
        container,
        way.shop_id,
        grant.access_token,
        grant.refresh_token or "",
        grant.expires_at,
        user_id=grant.user_id,
        refresh_expires_at=grant.refresh_expires_at,
        make_default=wanted is None,
        actor="merchant:consent",
    )
    with container.database.reading() as session:
        name = session.scalar(sa.select(Shop.name).where(Shop.id == way.shop_id)) or ""
        expires_at = session.scalar(sa.select(Credential.expires_at).where(Credential.account_id == account.id))
    return Connected(name, account.user_id, supplier, expires_at)


def _wanted(container: Container, way: Consent) -> SupplierAccount | None:
    if way.account_id is None:
        return None
    with container.database.reading() as session:
        account = session.get(SupplierAccount, way.account_id)
    if account is None:
        raise NotFound("no_account", "The account that this link renews is not here any more.")
    return account


def _note(container: Container, consent_id: int, result: str) -> None:
    with container.database.transaction() as session:
        session.execute(sa.update(Consent).where(Consent.id == consent_id).values(result=result))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
