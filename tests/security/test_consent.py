"""A merchant connects an account at the supplier's consent page: one way there and back, one browser, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound
from app.models import Audit, Consent, Credential, Shop, ShopAccount, SupplierAccount
from app.services import accounts, consent
from tests.flow.world import World
from tests.security.browser import Browser, Page
from tests.services.test_connecting import connect_shopify, every

MINE, OTHER = "1861703697", "1861709999"


@pytest.fixture
def shop_id(world: World) -> int:
    """A shop without an account; two buyers have accounts at the supplier."""
    for number in (MINE, OTHER):
        world.aliexpress.control("accounts", {"user_id": number})
    return connect_shopify(world).shop.id


def there(world: World, shop_id: int, browser: Browser, account_id: int | None = None) -> str:
    """The browser opens its link; gives the address of the consent page."""
    page = browser.get(consent.link(world.container, shop_id, account_id, actor="test"))
    assert page.status == 303
    return page.location


def whole(world: World, shop_id: int, user_id: str = MINE, account_id: int | None = None) -> Page:
    """There and back."""
    browser = Browser()
    return browser.get(browser.agree(there(world, shop_id, browser, account_id), user_id).location)


def ways(world: World) -> list[str]:
    """What came of each way."""
    return [one.result for one in every(world, Consent)]


def calls(world: World) -> int:
    """How often a code was exchanged."""
    return len([one for one in every(world, Audit) if one.action == "connected" and one.entity == "account"])


def changed(url: str, **more: Any) -> str:
    """The same address with other parameters."""
    parts = urlsplit(url)
    query = {**parse_qs(parts.query), **more}
    return parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None}, doseq=True)).geturl()


def test_a_merchant_connects_an_account_with_two_clicks(world: World, shop_id: int) -> None:
    page = whole(world, shop_id)
    assert page.status == 200
    assert MINE in page.body
    [account] = every(world, SupplierAccount)
    assert account.user_id == MINE
    [credential] = [one for one in every(world, Credential) if one.account_id]
    assert credential.expires_at is not None
    assert credential.refresh_expires_at is not None
    assert [(one.account_id, one.is_default) for one in every(world, ShopAccount)] == [(account.id, True)]
    assert ways(world) == ["connected"]
    assert "style-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.security("S17")
@pytest.mark.parametrize("how", ["missing", "wrong", "twice", "another browser's", "no cookie"])
def test_a_state_that_is_not_this_browser_s_gets_no_token(world: World, shop_id: int, how: str) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    if how == "another browser's":
        stranger = Browser()
        there(world, shop_id, stranger)
        page = stranger.get(back)
    elif how == "no cookie":
        page = Browser().get(back)
    else:
        [state] = parse_qs(urlsplit(back).query)["state"]
        page = browser.get(changed(back, state={"missing": None, "wrong": "x" * 43, "twice": [state, state]}[how]))
    assert page.status == 400
    assert "Begin again" in page.body
    assert calls(world) == 0
    assert every(world, SupplierAccount) == []


@pytest.mark.security("S18")
@pytest.mark.parametrize("first", ["good", "declined", "another browser's"])
def test_a_state_is_used_once_whatever_came_of_it(world: World, shop_id: int, first: str) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    if first == "another browser's":
        assert Browser().get(back).status == 400
    else:
        page = browser.get(back if first == "good" else changed(back, code=None, error="access_denied"))
        assert page.status == (200 if first == "good" else 400)
    again = browser.get(back)
    assert again.status == 400
    assert "used_state" in again.body
    assert calls(world) == (first == "good")


@pytest.mark.security("S18")
def test_a_state_ends_after_ten_minutes(world: World, shop_id: int) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    with world.container.database.transaction() as session:
        session.execute(sa.update(Consent).values(begun_at=Consent.begun_at - consent.LIFE - timedelta(seconds=1)))
    page = browser.get(back)
    assert (page.status, calls(world), ways(world)) == (400, 0, ["late"])
    assert "10 minutes" in page.body


@pytest.mark.security("S21")
def test_a_code_of_one_merchant_does_nothing_in_another_s_browser(world: World, shop_id: int) -> None:
    other = connect_shopify(world, "lamps.myshopify.com").shop.id
    mine, theirs = Browser(), Browser()
    my_back = mine.agree(there(world, shop_id, mine), MINE).location
    their_back = theirs.agree(there(world, other, theirs), OTHER).location
    [code] = parse_qs(urlsplit(my_back).query)["code"]
    assert theirs.get(my_back).status == 400
    assert every(world, SupplierAccount) == []
    # Their own way, with a code that was slipped in: it is their way, so it connects to their shop and no other.
    assert theirs.get(changed(their_back, code=code)).status == 200
    [pair] = every(world, ShopAccount)
    assert pair.shop_id == other
    assert mine.get("/".join([*my_back.split("/")[:4], "shopify", "callback?x=1"])).status == 400


@pytest.mark.security("S22")
def test_an_account_of_another_merchant_is_refused(world: World, shop_id: int) -> None:
    other = connect_shopify(world, "lamps.myshopify.com").shop.id
    with world.container.database.reading() as session:
        assert len(set(session.scalars(sa.select(Shop.merchant_id)))) == 2
    assert whole(world, shop_id).status == 200
    page = whole(world, other)
    assert page.status == 409
    assert "another merchant" in page.body
    assert ways(world) == ["connected", "other_merchant"]
    assert len(every(world, ShopAccount)) == 1


def test_the_same_merchant_s_second_shop_shares_it(world: World, shop_id: int) -> None:
    with world.container.database.reading() as session:
        merchant = session.get_one(Shop, shop_id).merchant_id
    second = connect_shopify(world, "lamps.myshopify.com", merchant_id=merchant).shop.id
    assert (whole(world, shop_id).status, whole(world, second).status) == (200, 200)
    assert len(every(world, SupplierAccount)) == 1
    assert {one.shop_id for one in every(world, ShopAccount)} == {shop_id, second}


def test_a_link_that_renews_takes_no_other_account_and_changes_no_default(world: World, shop_id: int) -> None:
    whole(world, shop_id, MINE)
    first = every(world, SupplierAccount)[0].id
    whole(world, shop_id, OTHER)
    page = whole(world, shop_id, OTHER, account_id=first)
    assert page.status == 409
    assert MINE in page.body
    assert OTHER in page.body
    before = {one.account_id: one.version for one in every(world, Credential) if one.account_id}
    assert whole(world, shop_id, MINE, account_id=first).status == 200
    after = {one.account_id: one.version for one in every(world, Credential) if one.account_id}
    assert [number for number in after if after[number] != before[number]] == [first]
    assert [one.account_id for one in every(world, ShopAccount) if one.is_default] != [first]


def test_a_code_that_has_ended_is_told_so(world: World, shop_id: int) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    page = browser.get(changed(back, code="3_500001_never"))
    assert page.status == 400
    assert "code_refused" in page.body


def test_two_tabs_of_one_browser_do_not_hinder_each_other(world: World, shop_id: int) -> None:
    browser = Browser()
    backs = [browser.agree(there(world, shop_id, browser), MINE).location for _ in range(2)]
    assert [browser.get(back).status for back in backs] == [200, 200]


@pytest.mark.parametrize("link", ["", "x", "WzEsMCwxXQ.forged", "[1,0,1]"])
def test_a_link_that_is_not_ours_leads_nowhere(world: World, shop_id: int, link: str) -> None:
    page = Browser().get(f"{world.app.url}/connect/aliexpress/start?{urlencode({'link': link})}")
    assert page.status == 400
    assert "bad_link" in page.body
    assert every(world, Consent) == []


def test_a_link_ends_and_one_of_a_renewal_lives_longer(
    world: World, shop_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(world, shop_id)
    [account] = every(world, SupplierAccount)
    plain = consent.link(world.container, shop_id, actor="test")
    renewal = consent.link(world.container, shop_id, account.id, actor="test")
    now = world.container.clock.now
    for days, statuses in ((6, (303, 303)), (8, (400, 303)), (61, (400, 400))):
        monkeypatch.setattr(world.container.clock, "now", lambda days=days: now() + timedelta(days=days))
        assert (Browser().get(plain).status, Browser().get(renewal).status) == statuses, days


def test_no_link_for_a_shop_that_left_or_an_account_of_another_merchant(world: World, shop_id: int) -> None:
    whole(world, shop_id)
    [account] = every(world, SupplierAccount)
    other = connect_shopify(world, "lamps.myshopify.com").shop.id
    with pytest.raises(Conflict, match="another merchant"):
        consent.link(world.container, other, account.id, actor="test")
    with pytest.raises(NotFound):
        consent.link(world.container, 999, actor="test")
    url = consent.link(world.container, shop_id, actor="test")
    with world.container.database.transaction() as session:
        session.execute(sa.update(Shop).values(state="UNINSTALLED"))
    assert Browser().get(url).status == 409
    with pytest.raises(Conflict, match="left"):
        consent.link(world.container, shop_id, actor="test")


@pytest.mark.security("S23")
@pytest.mark.parametrize("target", ["//evil", "/\\evil", "https:evil", "%2f%2fevil", "javascript:alert(1)"])
def test_nothing_in_an_address_says_where_to_go_next(world: World, shop_id: int, target: str) -> None:
    url = changed(consent.link(world.container, shop_id, actor="test"), next=target, redirect_uri=target)
    page = Browser().get(url)
    assert page.location.startswith(world.aliexpress.url)
    assert "evil" not in page.location
    assert "alert" not in page.location


def test_a_cookie_is_for_this_alone(world: World, shop_id: int) -> None:
    page = Browser().get(consent.link(world.container, shop_id, actor="test"))
    told = page.headers["set-cookie"]
    assert "HttpOnly" in told
    assert "SameSite=Lax" in told
    assert "Max-Age=600" in told
    assert page.headers["referrer-policy"] == "no-referrer"
    assert accounts.listed(world.container) == []
