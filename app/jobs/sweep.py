"""The slow sweep and the other periodic jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import audit_chain, boot
from app.container import Container
from app.db import ROW
from app.errors import NotFound
from app.jobs import outbox_watch, rows
from app.logs import logger
from app.models import (
    Alert,
    Audit,
    Breaker,
    ConnectLink,
    Consent,
    Credential,
    Inbox,
    Interlock,
    ProductLink,
    Purchase,
    Shop,
    ShopAccount,
    SupplierAccount,
    SupplierOrder,
    Task,
)
from app.pipeline import breaker, generation, hooks, leave, locks, match, unverified, waiting
from app.pipeline.buy import outcome
from app.pipeline.buy.claim import free_expired
from app.pipeline.record import alert, end_alerts, end_all_tasks, next_look, task
from app.ports.errors import MerchantMustAct, OutsideError, TryLater
from app.services.periods import PERIODS
from app.shop_access import open_account, open_shop, renew, with_account

log = logger(__name__)
BATCH = 200
MANY_TRIES = 3


def run_once(container: Container) -> dict[str, int]:
    """One pass of everything that frees or re-checks rows: what `flask sweep --once` does."""
    return {
        "leases": free_leases(container),
        "journal": replay_journal(container),
        "held": recheck_held(container),
        "waiting": waiting.note(container),
        "tokens": refresh_tokens(container),
    }


def free_leases(container: Container) -> int:
    """Claims of workers that are gone, and interlocks past their time."""
    freed = free_expired(container)
    boot.advance(container)
    key = sa.tuple_(Interlock.account_id, Interlock.product_id, Interlock.sku_id)
    # A send takes several, one after another: whoever waited for one of them with another in hand could block it.
    over = (
        sa.select(Interlock.account_id, Interlock.product_id, Interlock.sku_id)
        .where(Interlock.release_at < sa.func.clock_timestamp())
        .order_by(Interlock.account_id, Interlock.product_id, Interlock.sku_id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    with container.database.transaction() as session:
        session.execute(sa.delete(Interlock).where(key.in_(over)))
    if freed:
        container.bell.ring()
    return freed


def replay_journal(container: Container) -> int:
    """Answers that a dead worker wrote down but could not record."""
    return outcome.replay(container)


def recheck_held(container: Container) -> int:
    """HELD purchases whose reason may be gone: by now, tokens, mappings, prices, caps."""
    before = sa.orm.aliased(Purchase)
    swept = sa.and_(
        Purchase.state == "HELD",
        Purchase.reason.not_in(("uninstalled", "needs_person", "expired_unpaid", "address_refused", "address_invalid")),
        # What the supplier refused is sent again only after a repair, not because time went by. Once it was
        # claimed, it had been repaired: what it is held for since then may pass by itself.
        Purchase.previous_id.is_(None)
        | (Purchase.fence > 0)
        | (sa.select(before.state).where(before.id == Purchase.previous_id).scalar_subquery() != "REJECTED"),
    )
    with container.database.transaction() as session:
        due = session.scalars(
            sa.select(Purchase.id)
            .where(swept, Purchase.run_at <= sa.func.clock_timestamp())
            .order_by(Purchase.run_at)
            .limit(BATCH)
        ).all()
    among = sa.select(Purchase.id).where(swept)
    look, later = partial(_recheck, container), partial(_look_later, container)
    within = PERIODS["held"].work(container)
    rows.each(container, "held", due, look, later, among=among, within=within)
    recheck_words(container, within / 2)
    return len(due)


def recheck_words(container: Container, within: timedelta | None = None) -> int:
    """What people said of accounts that can be read again. Gives how many words are due."""
    with container.database.transaction() as session:
        due = session.scalars(unverified.unchecked(BATCH)).all()
    act, later, among = partial(unverified.check, container), unverified.look_later, unverified.unchecked()
    rows.each(container, "word", due, act, later, among=among, within=within)
    return len(due)


def _look_later(container: Container, session: Session, purchase_id: int) -> None:
    later = sa.func.clock_timestamp() + container.timers.recheck_held
    session.execute(
        sa.update(Purchase).where(Purchase.id == purchase_id, Purchase.state == "HELD").values(run_at=later)
    )


def _recheck(container: Container, purchase_id: int) -> None:
    with container.database.transaction() as session:
        purchase = locks.purchase(session, purchase_id)
        if purchase.state == "HELD":
            if purchase.reason in {"changed", "quantity_over"}:  # it may hold what the order was before
                match.derive_again(container, session, purchase.order_id)
            if purchase.state == "HELD":
                generation.reconsider(session, purchase, again=True)
            if purchase.state == "HELD":
                purchase.run_at = sa.func.clock_timestamp() + next_look(container, purchase, purchase.reason)


def refresh_tokens(container: Container) -> int:
    """Renew tokens well ahead of their end; revive what waited for them."""
    with container.database.transaction() as session:
        found = session.scalars(
            sa.select(Credential)
            .where(Credential.state == "LIVE", Credential.refresh_due_at <= sa.func.clock_timestamp())
            .order_by(Credential.refresh_due_at)
            .limit(BATCH)
        ).all()
    due = {credential.id: credential for credential in found}

    def behind(session: Session, credential_id: int) -> None:
        """Tried again the next time, after all that have been due for longer than a moment."""
        same = (Credential.id == credential_id, Credential.version == due[credential_id].version)
        session.execute(sa.update(Credential).where(*same).values(refresh_due_at=sa.func.clock_timestamp()))

    def refresh(credential_id: int) -> None:
        if not _refresh(container, due[credential_id]):
            with container.database.transaction() as session:
                behind(session, credential_id)

    alive = sa.select(Credential.id).where(Credential.state == "LIVE")
    within = PERIODS["refresh_tokens"].work(container)
    rows.each(container, "token", due, refresh, behind, among=alive, within=within)
    return len(due)


def _refresh(container: Container, due: Credential) -> bool:
    """Whether there is nothing more to try: it was renewed, or only its merchant can renew it."""
    try:
        opened = open_shop(container, due.shop_id) if due.shop_id else open_account(container, due.account_id or 0)
        renew(container, opened, ahead=True)
    except (OutsideError, NotFound) as error:
        log.warning("token_not_renewed", shop=due.shop_id, account=due.account_id, error=type(error).__name__)
        return isinstance(error, MerchantMustAct)
    return True


def probe(container: Container) -> None:
    """While a breaker is open: one cheap read tells whether the supplier answers again."""
    breaker.accounts_due(container)
    with container.database.transaction() as session:
        open_ones = session.scalars(sa.select(Breaker).where(Breaker.state == "OPEN")).all()
        suppliers = {row.scope.partition(":")[2] for row in open_ones if row.scope.startswith("supplier:")}
        example = session.execute(
            sa.select(ShopAccount.account_id, ProductLink.product_id, ProductLink.supplier)
            .join(ProductLink, ProductLink.shop_id == ShopAccount.shop_id)
            .join(Credential, Credential.account_id == ShopAccount.account_id)
            .where(Credential.state == "LIVE")
            .limit(1)
        ).one_or_none()
    if example is None:
        return
    account_id, product_id, supplier = example
    if supplier not in suppliers:
        return
    try:
        with_account(
            container,
            account_id,
            lambda session: session.product(product_id, country="US", currency="USD", language="en"),
        )
    except TryLater:
        breaker.note_read(container, supplier, ok=False)
    except OutsideError as error:
        log.info("probe_inconclusive", supplier=supplier, code=error.code)
    else:
        breaker.note_read(container, supplier, ok=True)
        container.bell.ring()


def check_hooks(container: Container) -> None:
    """Shops switch webhooks off silently: find that, switch them on again (not for ever) and poll what was missed."""
    per_shop = [name for name, spec in container.connectors.specs.items() if spec.per_shop_url]
    nowhere = Shop.connector.in_(per_shop) & Shop.delivery_token_sealed.is_(None)
    asked = (Shop.state != "UNINSTALLED", ~nowhere)
    with container.database.transaction() as session:
        found = session.scalars(
            sa.select(Shop).where(*asked).order_by(Shop.hooks_checked_at.nulls_first()).limit(BATCH)
        ).all()
    shops = {shop.id: shop for shop in found}
    check = partial(_check_hooks, container, shops)
    among, within = sa.select(Shop.id).where(*asked), PERIODS["hooks"].work(container)
    rows.each(container, "hooks", shops, check, _looked_at, among=among, within=within)


def _check_hooks(container: Container, shops: Mapping[int, Shop], shop_id: int) -> None:
    try:
        hooks.check(container, shops[shop_id])
    except (NotFound, OutsideError) as error:
        log.info("hooks_not_checked", shop=shop_id, error=type(error).__name__)
        with container.database.transaction() as session:
            _looked_at(session, shop_id)


def _looked_at(session: Session, shop_id: int) -> None:
    session.get_one(Shop, shop_id, with_for_update=ROW).hooks_checked_at = sa.func.clock_timestamp()


def seal_audit(container: Container) -> int:
    """Chain the newest audit rows."""
    return audit_chain.seal(container)


def watch(container: Container) -> None:
    """Alerts for what stands still: old events, acts, parcels, unsealed audit rows, …; they end with their cause."""
    waiting.note(container)
    looks = (
        leave.end_alerts_of_left,
        _watch_inbox,
        partial(outbox_watch.acts, container),
        partial(outbox_watch.parcels, container),
        partial(_watch_audit, container),
        partial(_watch_interlocks, container),
        _watch_tokens,
    )
    with ExitStack() as all_of_them:  # where one raises, the others are taken all the same
        for look in looks:
            all_of_them.callback(_alone, container, look)


def _alone(container: Container, look: Callable[[Session], object]) -> None:
    with container.database.transaction() as session:
        look(session)


def _watch_inbox(session: Session) -> None:
    """One alert for each shop, and one for suppliers' pushes: what stays broken in one hides nothing of another."""
    since = sa.func.now() - timedelta(minutes=15)
    rows = session.execute(
        sa.select(
            Inbox.shop_id, Shop.name, sa.func.count().label("many"), sa.func.min(Inbox.received_at).label("since")
        )
        .outerjoin(Shop, Shop.id == Inbox.shop_id)
        .where(Inbox.state == "DUE", Inbox.attempts > MANY_TRIES, Inbox.received_at < since)
        .group_by(Inbox.shop_id, Shop.name)
    ).all()
    texts = {}
    for row in rows:
        key = f"inbox-old:{row.shop_id or 'push'}"
        whose = f"of shop {row.name}" if row.shop_id is not None else "of suppliers"
        texts[key] = (
            f"{row.many} events {whose} could not be worked off for 15 minutes, the oldest since "
            f"{row.since:%Y-%m-%d %H:%M} UTC."
        )
        alert(session, key, "inbox_old", texts[key], shop_id=row.shop_id)
    outbox_watch.keep(session, "inbox_old", texts)


def _watch_audit(container: Container, session: Session) -> None:
    late = sa.func.now() - container.timers.audit_alert
    if session.scalar(sa.select(Audit.id).where(Audit.seq.is_(None), Audit.at < late).limit(1)):
        alert(session, "audit:unsealed", "audit_unsealed", "Audit rows wait for their seal: is a worker running?")
    else:
        end_alerts(session, "audit:unsealed")


def _watch_interlocks(container: Container, session: Session) -> None:
    late = sa.func.clock_timestamp() - container.timers.interlock_alert
    waiting = session.scalars(sa.select(Purchase).where(Purchase.state == "READY", Purchase.waiting_since < late)).all()
    for purchase in waiting:
        alert(
            session,
            f"interlock:{purchase.id}:",
            "interlocked",
            f"Purchase {purchase.id} waits for the outcome of purchase {purchase.waiting_for} of the same item.",
            purchase_id=purchase.id,
        )
    still = [f"interlock:{purchase.id}:" for purchase in waiting]
    session.execute(
        sa.update(Alert)
        .where(Alert.kind == "interlocked", Alert.ended_at.is_(None), Alert.dedupe_key.not_in(still))
        .values(ended_at=sa.func.now())
    )


def _watch_tokens(session: Session) -> None:
    """A dead account, or one that will be, is its merchant's task in each shop that needs it, until it is connected.

    A shop needs the account that it buys with, and those in which orders of it are still followed.
    """
    followed = sa.exists().where(
        SupplierOrder.account_id == Credential.account_id,
        SupplierOrder.track_run_at.is_not(None),
        Purchase.id == SupplierOrder.purchase_id,
        Purchase.shop_id == Shop.id,
    )
    buys = sa.exists().where(
        ShopAccount.account_id == Credential.account_id, ShopAccount.shop_id == Shop.id, ShopAccount.is_default
    )
    rows = session.execute(
        sa.select(Credential, Shop.id, Shop.name)
        .join(SupplierAccount, SupplierAccount.id == Credential.account_id)
        .join(Shop, Shop.merchant_id == SupplierAccount.merchant_id)
        .where(Shop.state != "UNINSTALLED", sa.or_(buys, followed))
        .where((Credential.state == "DEAD") | (Credential.refresh_refused != ""))
    ).all()
    dead = []
    for credential, shop_id, name in rows:
        still = "" if credential.state == "DEAD" else "works:"
        dead.append(f"token-dead:{credential.id}:{credential.version}:{still}{shop_id}")
        task(session, dead[-1], "token_dead", turn="merchant", text=_of_end(credential, name), shop_id=shop_id)
    _watch_keys(session)
    end_all_tasks(session, (Task.kind == "token_dead") & Task.dedupe_key.not_in(dead), "connected again")


def _of_end(credential: Credential, name: str) -> str:
    if credential.state == "DEAD":
        what = "has ended. Connect the account again: orders wait for it and none is lost."
    else:
        ends = f" on {credential.expires_at:%Y-%m-%d at %H:%M} UTC" if credential.expires_at else ""
        what = (
            f"is not renewed any more, and ends{ends}. Connect the account again before that; until then all goes on."
        )
    return f"The connection of {name} to its supplier account {what}"


def _watch_keys(session: Session) -> None:
    """A shop whose own keys are dead tells nothing and shows no parcels: its owner has to connect it again."""
    rows = session.execute(
        sa.select(Credential.id, Credential.version, Shop.id, Shop.name)
        .join(Shop, Shop.id == Credential.shop_id)
        .where(Credential.state == "DEAD", Shop.state != "UNINSTALLED")
    ).all()
    for credential, version, shop_id, name in rows:
        task(
            session,
            f"keys-dead:{credential}:{version}",
            "keys_dead",
            turn="merchant",
            text=f"{name} no longer accepts our keys, so we neither see its orders nor show it parcels. Connect the "
            "shop again: what happened meanwhile is read then.",
            shop_id=shop_id,
        )
    dead = [f"keys-dead:{credential}:{version}" for credential, version, _, _ in rows]
    end_all_tasks(session, (Task.kind == "keys_dead") & Task.dedupe_key.not_in(dead), "connected again")


def flush_calls(container: Container) -> None:
    """Add this process's call totals to the shared ones, and alert of interfaces that are about to change."""
    with container.database.transaction() as session:
        container.calls.flush(session)
        for call in container.calls.notices():
            alert(
                session,
                f"api-version:{call.vendor}:{call.outcome}",
                "api_version",
                f"The interface of {call.vendor} is not the one we ask for ({call.operation}): {call.answer}.",
            )


def retention(container: Container) -> None:
    """Bodies of events go after 30 days (S55), attempts to connect and their links after a season."""
    with container.database.transaction() as session:
        session.execute(
            sa.update(Inbox)
            .where(
                Inbox.state != "DUE", Inbox.body.is_not(None), Inbox.received_at < sa.func.now() - timedelta(days=30)
            )
            .values(body=None)
        )
        season = sa.func.now() - timedelta(days=90)
        session.execute(sa.delete(Consent).where(Consent.begun_at < season))
        attempts = sa.exists().where(Consent.link_id == ConnectLink.id)
        session.execute(sa.delete(ConnectLink).where(ConnectLink.good_until < season, ~attempts))
