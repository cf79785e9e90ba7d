"""A merchant connects an account at the supplier's consent page: a link, a browser that goes there, and comes back.

Whoever holds a link may connect an account of theirs to that shop, and orders carry its buyers' addresses there. So a
link ends with its first success, one that renews takes no other account than its own, and each is logged. The browser
is told first whose shop it is: nobody is led to agree to something else.
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
from sqlalchemy.orm import Session

from app.container import Container
from app.errors import Conflict, NotFound, WaybillError
from app.models import ConnectLink, Consent, Credential, Shop, SupplierAccount
from app.pipeline.record import alert, audit, end_alerts
from app.ports.errors import OutcomeUnknown, OutsideError, Refused
from app.ports.tokens import TokenGrant
from app.services import accounts, shops
from app.services.faults import said

LIFE = timedelta(minutes=10)
"""How long a browser may stay at the supplier (S18). The supplier's own code lives three minutes."""
KNOWN_FOR = timedelta(hours=1)
"""How long a browser is known: longer than that, so that who was too slow is told so."""
LINK_LIFE = timedelta(days=7)
"""Of a link that connects any account."""
RENEWAL_LIFE = timedelta(days=60)
"""Of a link that renews one: it stands in mails that come up to a month ahead, and is good after the end too."""
_SALT = "connect"
_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")
_USED = "This link was used already. Ask for a new one if you want to connect again."
_ANEW = "Open the link that you were given once more."


@dataclass(frozen=True, slots=True)
class Asked:
    """What a link is for, to be shown before anybody agrees. `account`: the one that it renews, perhaps none."""

    shop: str
    address: str
    account: str


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and by what it is known when it comes back."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it. `is_default`: the shop orders with it; `can_refresh`: we renew it ourselves for a while."""

    shop: str
    account: str
    is_default: bool
    can_refresh: bool


def link(container: Container, shop_id: int, account_id: int | None = None, *, actor: str) -> str:
    """A link for the merchant of this shop. `account_id`: it renews that account and no other.

    Raises `NotFound`, `Conflict`.
    """
    shop = shops.get(container, shop_id)
    _refuse_if_gone(shop)
    if account_id is not None:
        account = accounts.get(container, account_id)
        if account.merchant_id != shop.merchant_id:
            raise Conflict("other_merchant", f"Account {account_id} belongs to another merchant than shop {shop_id}.")
        if not account.is_numbered:
            raise Conflict(
                "which_account",
                f"Nobody has told yet which account {account_id} is, so it cannot be told from others. Give a link "
                "that connects any account of the merchant's (without --account).",
            )
    now = container.clock.now()
    made = ConnectLink(
        supplier=container.connectors.supplier.name,
        shop_id=shop_id,
        account_id=account_id,
        made_at=now,
        good_until=now + (RENEWAL_LIFE if account_id else LINK_LIFE),
    )
    with container.database.transaction() as session:
        session.add(made)
        audit(session, "shop", shop_id, "connect_link", actor=actor, detail={"account": account_id or 0})
    token = _serializer(container).dumps(made.id)
    return f"{container.settings.public_url}/connect/{made.supplier}/start?{urlencode({'link': token})}"


def _serializer(container: Container) -> URLSafeSerializer:
    key = container.settings.secret_key.get_secret_value()
    return URLSafeSerializer(key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})


def _refuse_if_gone(shop: Shop) -> None:
    if shop.state == "UNINSTALLED":
        raise Conflict("shop_gone", "Waybill was removed from this shop. Install it there again first.")


def asked(container: Container, supplier: str, token: str) -> Asked:
    """What this link is for; nothing is changed. Raises `WaybillError`."""
    with container.database.reading() as session:
        found = _read(container, session, supplier, token)
        shop = session.get_one(Shop, found.shop_id)
        account = session.get(SupplierAccount, found.account_id) if found.account_id else None
    _refuse_if_gone(shop)
    return Asked(shop.name, shop.address, account.user_id if account else "")


def begin(container: Container, supplier: str, token: str, browser: str) -> Begun:
    """A new attempt. `browser`: what its cookie holds, perhaps nothing. Raises `WaybillError`."""
    asked(container, supplier, token)
    state = secrets.token_urlsafe(32)
    known = browser if _BROWSER.fullmatch(browser) else secrets.token_urlsafe(32)
    with container.database.transaction() as session:
        attempt = Consent(
            state_digest=_digest(state),
            browser_digest=_digest(known),
            link_id=_read(container, session, supplier, token).id,
            begun_at=container.clock.now(),
        )
        session.add(attempt)
    url = container.connectors.suppliers[supplier].authorize_url(state, callback_url(container, supplier))
    return Begun(url, known)


def _read(container: Container, session: Session, supplier: str, token: str) -> ConnectLink:
    """The link, if it is good still. Raises `WaybillError`."""
    try:
        found = session.get(ConnectLink, int(_serializer(container).loads(token)))
    except (BadSignature, TypeError, ValueError):
        found = None
    if found is None or found.supplier != supplier:
        raise WaybillError(
            "bad_link", "This link is damaged. Open it as it stands in the mail, in one piece, or ask for a new one."
        )
    if found.ended_at is not None:
        raise WaybillError("used_link", _USED)
    if container.clock.now() > found.good_until:
        raise WaybillError("old_link", "This link has ended. Ask for a new one.")
    return found


def callback_url(container: Container, supplier: str) -> str:
    """Where the supplier sends the browser back to; it stands in the app's console there, letter by letter."""
    return f"{container.settings.public_url}/connect/{supplier}/callback"


def finish(container: Container, supplier: str, *, state: str, code: str, browser: str) -> None:
    """The browser is back. Its attempt is used up whatever comes of it. Raises `WaybillError`."""
    attempt, wanted = _use(container, supplier, state, browser)
    try:
        account = _connect(container, supplier, wanted, code)
    except WaybillError as error:
        _note(container, attempt, result=error.code, words=error.staff_text[:300])
        raise
    _note(container, attempt, result="connected", account_id=account.id)
    with container.database.transaction() as session:
        mine = sa.update(ConnectLink).where(ConnectLink.id == wanted.id, ConnectLink.ended_at.is_(None))
        session.execute(mine.values(ended_at=container.clock.now()))
        end_alerts(session, f"config:{supplier}:consent")


def _use(container: Container, supplier: str, state: str, browser: str) -> tuple[int, ConnectLink]:
    """The attempt with this state, which nobody can use again, and its link. Raises `WaybillError`."""
    with container.database.transaction() as session:
        mine = sa.select(Consent).where(Consent.state_digest.in_([_digest(state)])).with_for_update(key_share=True)
        attempt = session.scalars(mine).one_or_none()
        found = session.get_one(ConnectLink, attempt.link_id) if attempt else None
        if attempt is None or found is None or found.supplier != supplier:
            raise WaybillError("unknown_state", f"This page was not opened from a link of ours. {_ANEW}")
        if attempt.used_at is not None:
            raise WaybillError("used_state", f"You came back with this already. {_ANEW}")
        attempt.used_at = container.clock.now()
        fault = _fault(attempt, found, attempt.used_at, browser)
        attempt.result = fault.code if fault else ""
    if fault is not None:
        raise fault
    return attempt.id, found


def _fault(attempt: Consent, wanted: ConnectLink, now: datetime, browser: str) -> WaybillError | None:
    if now - attempt.begun_at > LIFE:
        return WaybillError("late", f"That took longer than {LIFE.seconds // 60} minutes. {_ANEW}")
    if not browser:
        return WaybillError("no_cookie", f"Your browser does not keep cookies for this page. Allow them. {_ANEW}")
    if not hmac.compare_digest(attempt.browser_digest, _digest(browser)):
        return WaybillError("other_browser", f"You began in another browser. {_ANEW}")
    if wanted.ended_at is not None:
        return WaybillError("used_link", _USED)
    return None


def _connect(container: Container, supplier: str, wanted: ConnectLink, code: str) -> SupplierAccount:
    if not code:
        raise WaybillError("declined", f"You did not agree at the supplier. {_ANEW}")
    _refuse_if_gone(shops.get(container, wanted.shop_id))
    grant = _exchange(container, supplier, code)
    if not grant.user_id:
        raise WaybillError("no_number", f"The supplier did not tell which account that is. {_ANEW}")
    if wanted.account_id is not None:
        account = accounts.get(container, wanted.account_id)
        if grant.user_id != account.user_id:
            raise Conflict(
                "other_account",
                f"You agreed with account {grant.user_id}, but this link renews account {account.user_id}. Log in at "
                f"the supplier with that one. {_ANEW}",
            )
    try:
        return _store(container, wanted, grant)
    except sa.exc.IntegrityError:  # somebody connected the same account, or this shop, at the same moment
        pass
    try:
        return _store(container, wanted, grant)
    except sa.exc.IntegrityError as error:
        raise Conflict("met", f"Somebody else is connecting an account here at this moment. {_ANEW}") from error


def _exchange(container: Container, supplier: str, code: str) -> TokenGrant:
    """Tokens for the code. Raises `WaybillError`; what only the vendor can mend is told to staff."""
    try:
        return container.connectors.suppliers[supplier].exchange_code(code)
    except OutcomeUnknown as error:
        raise WaybillError("no_answer", f"The supplier gave no clear answer. {_ANEW}", error.code) from error
    except Refused as error:
        if error.code == "InvalidCode":
            raise WaybillError("code_ended", f"That took too long, or was used already. {_ANEW}", error.code) from error
        with container.database.transaction() as session:
            text = (
                f"No account can be connected: {supplier} refused to exchange a code ({error.code}). Look at the keys."
            )
            alert(session, f"config:{supplier}:consent", "config", text)
        raise WaybillError(
            "our_fault", "The supplier does not accept our software at the moment. We have been told of it.", error.code
        ) from error
    except OutsideError as error:
        raise WaybillError(
            "try_later", f"The supplier does not answer at the moment. {_ANEW}", said(error).staff_text
        ) from error


def _store(container: Container, wanted: ConnectLink, grant: TokenGrant) -> SupplierAccount:
    return accounts.connect(
        container,
        wanted.shop_id,
        grant.access_token,
        grant.refresh_token or "",
        grant.expires_at,
        user_id=grant.user_id,
        refresh_expires_at=grant.refresh_expires_at,
        make_default=wanted.account_id is None,
        actor="merchant:consent",
    )


def _note(container: Container, consent_id: int, **told: object) -> None:
    with container.database.transaction() as session:
        session.execute(sa.update(Consent).where(Consent.id == consent_id).values(**told))


def connected(container: Container, browser: str) -> Connected:
    """What this browser connected last, within the time for which it is known. Raises `NotFound`."""
    since = container.clock.now() - KNOWN_FOR
    query = (
        sa.select(Shop.id, Shop.name, SupplierAccount.id, SupplierAccount.user_id, Credential.can_refresh)
        .select_from(Consent)
        .join(ConnectLink, ConnectLink.id == Consent.link_id)
        .join(Shop, Shop.id == ConnectLink.shop_id)
        .join(SupplierAccount, SupplierAccount.id == Consent.account_id)
        .join(Credential, Credential.account_id == SupplierAccount.id)
        .where(Consent.browser_digest.in_([_digest(browser)]), Consent.result == "connected", Consent.begun_at > since)
        .order_by(Consent.id.desc())
        .limit(1)
    )
    with container.database.reading() as session:
        found = session.execute(query).one_or_none()
        if found is None:
            raise NotFound("nothing_connected", f"This browser has connected nothing of late. {_ANEW}")
        shop_id, shop, account_id, number, can_refresh = found
        is_default = accounts.default_of(session, shop_id) == account_id
    return Connected(shop, number, is_default, can_refresh)


def _digest(text: str) -> bytes:
    """What is kept of a secret, and looked up by the database: its bytes tell nothing of the secret's."""
    return hashlib.sha256(text.encode()).digest()
