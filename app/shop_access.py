"""Speaking for a shop or a supplier account: opens its tokens and renews them under a lease, never under a lock."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from app import db
from app.container import Container
from app.db import ROW, changed, table
from app.errors import NotFound
from app.held import LeaseLost
from app.logs import logger
from app.models import Audit, Credential, Shop, SupplierAccount
from app.models.supplier import UNKNOWN_NUMBER
from app.ports.errors import MerchantMustAct, OutsideError, TryLater
from app.ports.storefront import ShopAccess, StorefrontSession
from app.ports.supplier import SupplierSession
from app.ports.tokens import TokenGrant

Result = TypeVar("Result")
DEAD_TOKEN = frozenset(("token_dead", "shop_token_dead"))
log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened credential. Lives as long as one step."""

    credential_id: int
    version: int
    state: str
    connector: str
    address: str
    secrets: dict[str, str]
    capabilities: dict[str, Any]
    expires_at: datetime | None
    dead_reason: str
    user_id: str = ""
    """The supplier account's number there; empty for shops."""

    def __repr__(self) -> str:
        return f"Opened(credential_id={self.credential_id})"


def open_shop(container: Container, shop_id: int) -> Opened:
    """A shop's credential. Raises `NotFound` if it has none."""
    with container.database.reading() as session:
        found = session.execute(
            sa.select(Shop.connector, Shop.address, Shop.capabilities, Credential)
            .join(Credential, Credential.shop_id == Shop.id)
            .where(Shop.id == shop_id)
        ).one_or_none()
    if found is None:
        raise NotFound("no_credential", f"Shop {shop_id} has no access keys. Connect it again.")
    return _opened(container, found.Credential, found.connector, found.address, found.capabilities)


def open_account(container: Container, account_id: int) -> Opened:
    """A supplier account's credential. Raises `NotFound` if it has none."""
    with container.database.reading() as session:
        found = session.execute(
            sa.select(SupplierAccount.supplier, SupplierAccount.user_id, Credential)
            .join(Credential, Credential.account_id == SupplierAccount.id)
            .where(SupplierAccount.id == account_id)
        ).one_or_none()
    if found is None:
        raise NotFound("no_credential", f"Account {account_id} has no token. Connect it again.")
    return _opened(container, found.Credential, found.supplier, "", {}, found.user_id)


def _opened(
    container: Container,
    credential: Credential,
    connector: str,
    address: str,
    capabilities: dict[str, Any],
    user_id: str = "",
) -> Opened:
    return Opened(
        credential.id,
        credential.version,
        credential.state,
        connector,
        address,
        container.vault.open_json(credential.sealed, credential.place),
        capabilities,
        credential.expires_at,
        credential.dead_reason,
        user_id,
    )


def with_shop(container: Container, shop_id: int, act: Callable[[StorefrontSession], Result]) -> Result:
    """Do `act` with the shop's session; a dead token is renewed once and `act` repeated once, never twice."""
    opened = fresh(container, open_shop(container, shop_id))
    try:
        return act(_shop_session(container, opened))
    except MerchantMustAct as error:
        if error.reason not in DEAD_TOKEN:
            raise
        renewed = renew(container, opened)
        return act(_shop_session(container, renewed))


def with_account(container: Container, account_id: int, act: Callable[[SupplierSession], Result]) -> Result:
    """Do `act`, a read, with the account's session; renewal as in `with_shop`. Never used for placing."""
    return AccountReads(container, fresh(container, open_account(container, account_id)))(act)


class AccountReads:
    """`with_account` for several reads of one step. `opened`: the token that the last of them went with."""

    def __init__(self, container: Container, opened: Opened) -> None:
        self._container = container
        self.opened = opened

    def __call__(self, act: Callable[[SupplierSession], Result]) -> Result:
        """One read."""
        supplier = self._container.connectors.suppliers[self.opened.connector]
        try:
            return act(supplier.session(self.opened.secrets["access_token"]))
        except MerchantMustAct as error:
            if error.reason not in DEAD_TOKEN:
                raise
            self.opened = renew(self._container, self.opened)
            return act(supplier.session(self.opened.secrets["access_token"]))


def fresh(container: Container, opened: Opened, life: timedelta | None = None) -> Opened:
    """The credential with at least `life` left (default: a minute), renewed if need be. Raises `MerchantMustAct`."""
    if opened.state == "DEAD":
        raise MerchantMustAct(_reason(opened), opened.dead_reason or "dead", vendor=opened.connector)
    least = life or timedelta(seconds=60) / container.settings.time_scale
    if opened.expires_at is None or opened.expires_at - container.clock.now() > least:
        return opened
    if not opened.secrets.get("refresh_token"):
        if opened.expires_at <= container.clock.now() and _is_over(container, opened.expires_at):
            _die(container, opened, "expired")
            raise MerchantMustAct(_reason(opened), "expired", vendor=opened.connector)
        return opened
    return renew(container, opened)


def _is_over(container: Container, expires_at: datetime) -> bool:
    """By the database's clock: one host whose clock is ahead must not end the connection for all."""
    with container.database.reading() as session:
        return expires_at <= db.now(session)


def renew(container: Container, opened: Opened, *, ahead: bool = False) -> Opened:
    """A renewed credential, by us or by whoever holds the lease. Raises `MerchantMustAct` or `TryLater`.

    `ahead`: its access token works still, and goes on working if the refresh token is refused.
    """
    if not opened.secrets.get("refresh_token"):
        _die(container, opened, "token refused, no refresh possible")
        raise MerchantMustAct(_reason(opened), "no_refresh_token", vendor=opened.connector)
    owner = uuid.uuid4().hex
    if not _take_lease(container, opened, owner):
        return _wait_for_other(container, opened)
    try:
        grant = _ask(container, opened)
    except MerchantMustAct as error:
        ended = _refused if ahead and _works(container, opened) else _die
        if not ended(container, opened, error.code):
            return _newer(container, opened, error)
        raise
    except (OutsideError, LeaseLost) as error:
        _free_lease(container, opened, owner, failed=isinstance(error, OutsideError))
        raise
    if _is_foreign(opened, grant):
        # Orders would go to another account than the one whose orders we look for.
        _die(container, opened, f"the supplier says that this token is of account {grant.user_id}")
        raise MerchantMustAct(_reason(opened), "other_account", vendor=opened.connector)
    _store(container, opened, owner, grant)
    return _reopen(container, opened)


def _works(container: Container, opened: Opened) -> bool:
    """Whether the access token has not ended, as far as its answer told."""
    return opened.expires_at is None or opened.expires_at > container.clock.now()


def _newer(container: Container, opened: Opened, refusal: MerchantMustAct) -> Opened:
    """What somebody stored while our old pair was refused: it was refused because that one replaced it."""
    again = _reopen(container, opened)
    if again.state == "DEAD" or again.version == opened.version:
        raise refusal
    return again


def _is_foreign(opened: Opened, grant: TokenGrant) -> bool:
    """Whether a renewal says that the token is another account's. An account of unknown number learns it here."""
    known = bool(opened.user_id) and not opened.user_id.startswith(UNKNOWN_NUMBER)
    return known and bool(grant.user_id) and grant.user_id != opened.user_id


def _reason(opened: Opened) -> str:
    return "shop_token_dead" if opened.address else "token_dead"


def _shop_session(container: Container, opened: Opened) -> StorefrontSession:
    return container.connectors.storefronts[opened.connector].session(_access(opened))


def _access(opened: Opened) -> ShopAccess:
    return ShopAccess(opened.address, opened.secrets, {key: str(value) for key, value in opened.capabilities.items()})


def _ask(container: Container, opened: Opened) -> TokenGrant:
    if opened.address:
        return container.connectors.storefronts[opened.connector].refresh(_access(opened))
    return container.connectors.suppliers[opened.connector].refresh(opened.secrets["refresh_token"])


def _take_lease(container: Container, opened: Opened, owner: str) -> bool:
    with container.database.transaction() as session:
        taken = changed(
            session,
            sa.update(Credential)
            .where(
                Credential.id == opened.credential_id,
                Credential.version == opened.version,
                Credential.state == "LIVE",
                sa.or_(Credential.lease_until.is_(None), Credential.lease_until < sa.func.now()),
            )
            .values(lease_owner=owner, lease_until=sa.func.now() + container.timers.token_lease),
        )
        return bool(taken)


def _free_lease(container: Container, opened: Opened, owner: str, *, failed: bool) -> None:
    """`failed`: it is tried again, and since when that is so may be looked at."""
    mine = sa.update(Credential).where(Credential.id == opened.credential_id, Credential.lease_owner == owner)
    if failed:
        mine = mine.values(refresh_failing_since=sa.func.coalesce(Credential.refresh_failing_since, sa.func.now()))
    with container.database.transaction() as session:
        session.execute(mine.values(lease_owner=None, lease_until=None))


def _wait_for_other(container: Container, opened: Opened) -> Opened:
    """Someone else renews: look again for a few seconds, then let the row come back later."""
    for _ in range(25):
        again = _reopen(container, opened)
        if again.state == "DEAD":
            raise MerchantMustAct(_reason(opened), again.dead_reason, vendor=opened.connector)
        if again.version != opened.version:
            return again
        time.sleep(0.2)
    raise TryLater("token_being_renewed", vendor=opened.connector, retry_after=5)


def _reopen(container: Container, opened: Opened) -> Opened:
    with container.database.reading() as session:
        credential = session.get(Credential, opened.credential_id)
    if credential is None:
        raise _gone(opened)
    return _opened(container, credential, opened.connector, opened.address, opened.capabilities, opened.user_id)


def _gone(opened: Opened) -> NotFound:
    whose = f"Shop {opened.address}" if opened.address else "This account"
    return NotFound("no_credential", f"{whose} was disconnected meanwhile. Connect it again.")


def _store(container: Container, opened: Opened, owner: str, grant: TokenGrant) -> None:
    """Keep the new pair: the old one may have ended with it. Raises `NotFound` if the credential is gone.

    Who asked for longer than the lease keeps it too, as long as nobody stored another one; whoever asks now stores over
    it when the answer comes.
    """
    secrets = {**opened.secrets, "access_token": grant.access_token}
    if grant.refresh_token:
        secrets["refresh_token"] = grant.refresh_token
    with container.database.transaction() as session:
        credential = session.get(Credential, opened.credential_id, with_for_update=ROW)
        if credential is None:
            raise _gone(opened)
        lease = credential.lease_owner, credential.lease_until
        late = credential.lease_owner != owner
        if late and credential.version != opened.version:
            log.warning("renewed_token_lost_its_lease", credential=credential.id)
            return
        apply_grant(container, credential, secrets, grant, consent=False)
        if late:
            credential.lease_owner, credential.lease_until = lease
    if opened.user_id.startswith(UNKNOWN_NUMBER) and grant.user_id:
        _learn_number(container, opened, grant.user_id)


def _learn_number(container: Container, opened: Opened, number: str) -> None:
    """In a transaction of its own: whatever stands in its way must not cost the new pair."""
    mine = sa.select(Credential.account_id).where(Credential.id == opened.credential_id).scalar_subquery()
    known = sa.update(SupplierAccount).where(SupplierAccount.id == mine).values(user_id=number)
    try:
        with container.database.transaction() as session:
            session.execute(known)
    except sa.exc.IntegrityError:
        log.warning("account_known_already", credential=opened.credential_id)


def apply_grant(
    container: Container, credential: Credential, secrets: dict[str, str], grant: TokenGrant, *, consent: bool
) -> None:
    """Put a new pair into a credential that the caller has locked. `consent`: its owner agreed, nobody refreshed."""
    now = container.clock.now()
    credential.sealed = container.vault.seal_json(secrets, credential.place)
    credential.version = (credential.version or 0) + 1
    credential.state, credential.dead_reason, credential.dead_since = "LIVE", "", None
    credential.issued_at = now
    credential.expires_at = grant.expires_at
    if consent:
        credential.authorised_at, credential.consents = now, (credential.consents or 0) + 1
        credential.refresh_expires_at = grant.refresh_expires_at
    else:  # the window never moves; an answer may leave it out
        credential.refresh_expires_at = grant.refresh_expires_at or credential.refresh_expires_at
    window = credential.refresh_expires_at
    credential.can_refresh = bool(secrets.get("refresh_token")) and (window is None or window > now)
    credential.refresh_refused, credential.refresh_failing_since = "", None
    credential.refresh_due_at = _refresh_due(now, grant.expires_at, window) if credential.can_refresh else None
    credential.lease_owner = credential.lease_until = None


EARLY, LAST = 0.7, 0.1
"""Shares of an access token's life: after the first it is renewed, and at last when so much is left of the window."""


def _refresh_due(now: datetime, ends: datetime | None, window_ends: datetime | None) -> datetime | None:
    """When to renew. Once more just before the window ends, as the token of that time outlives it; never after it."""
    if ends is None:
        return None
    life = ends - now
    due = now + life * EARLY
    if window_ends is None or due <= window_ends - life * LAST:
        return due
    last = window_ends - life * LAST
    return last if last > now else None


def _refused(container: Container, opened: Opened, code: str) -> bool:
    """Note that only the merchant can renew this pair. False: it is not the stored one any more."""
    with container.database.transaction() as session:
        mine = sa.update(Credential).where(
            Credential.id == opened.credential_id, Credential.version == opened.version, Credential.state == "LIVE"
        )
        told = {"refresh_refused": code[:200], "can_refresh": False, "refresh_due_at": None}
        return bool(changed(session, mine.values(**told, lease_owner=None, lease_until=None)))


def _die(container: Container, opened: Opened, reason: str) -> bool:
    """Note that this pair is refused. False: it is not the stored one any more."""
    with container.database.transaction() as session:
        died = session.execute(
            sa.update(Credential)
            .where(Credential.id == opened.credential_id, Credential.version == opened.version)
            .values(
                state="DEAD",
                dead_reason=reason[:200],
                dead_since=sa.func.coalesce(Credential.dead_since, sa.func.now()),
                lease_owner=None,
                lease_until=None,
            )
            .returning(Credential.shop_id, Credential.account_id)
        ).one_or_none()
        if died is not None:
            entity, entity_id = ("shop", died.shop_id) if died.shop_id else ("account", died.account_id)
            row = {"actor": "tokens", "entity": entity, "entity_id": entity_id, "action": "token_dead"}
            session.execute(sa.insert(table(Audit)), row | {"detail": {"why": reason[:200]}})
        return died is not None
