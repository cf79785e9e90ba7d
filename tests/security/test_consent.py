"""A merchant connects an account at the supplier's consent page: one way there and back, one browser, once."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import sqlalchemy as sa

from app.errors import Conflict, NotFound
from app.jobs import sweep
from app.models import Alert, ConnectLink, Consent, Credential, Shop, ShopAccount, SupplierAccount
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


def start(world: World, browser: Browser, url: str) -> Page:
    """The browser opens a link and presses its button."""
    page = browser.get(url)
    if page.status != 200:
        return page
    [link] = re.findall(r'name="link" value="([^"]+)"', page.body)
    return browser.post(f"{world.app.url}/connect/aliexpress/start", link=link)


def there(world: World, shop_id: int, browser: Browser, account_id: int | None = None) -> str:
    """Gives the address of the consent page."""
    page = start(world, browser, consent.link(world.container, shop_id, account_id, actor="test"))
    assert page.status == 303
    return page.location


def back_at(world: World, browser: Browser, url: str) -> Page:
    """The browser comes back, and is led on from the address with the code in it."""
    page = browser.get(url)
    if page.status != 303:
        return page
    assert page.location == "/connect/aliexpress/done"
    return browser.get(world.app.url + page.location)


def whole(world: World, shop_id: int, user_id: str = MINE, account_id: int | None = None) -> Page:
    """There and back."""
    browser = Browser()
    return back_at(world, browser, browser.agree(there(world, shop_id, browser, account_id), user_id).location)


def ways(world: World) -> list[str]:
    """What came of each way."""
    return [one.result for one in every(world, Consent)]


@pytest.fixture
def codes(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Codes that were exchanged."""
    supplier, found = world.container.connectors.suppliers["aliexpress"], list[str]()
    whole = supplier.exchange_code
    monkeypatch.setattr(type(supplier), "exchange_code", lambda _, code: (found.append(code), whole(code))[1])
    return found


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
def test_a_state_that_is_not_this_browser_s_gets_no_token(
    world: World, shop_id: int, codes: list[str], how: str
) -> None:
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
    assert "once more" in page.body
    assert codes == []
    assert every(world, SupplierAccount) == []


@pytest.mark.security("S18")
@pytest.mark.parametrize("first", ["good", "declined", "another browser's"])
def test_a_state_is_used_once_whatever_came_of_it(world: World, shop_id: int, codes: list[str], first: str) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    if first == "another browser's":
        assert Browser().get(back).status == 400
    else:
        page = browser.get(back if first == "good" else changed(back, code=None, error="access_denied"))
        assert page.status == (303 if first == "good" else 400)
    again = browser.get(back)
    assert again.status == 400
    assert "used_state" in again.body
    assert len(codes) == (first == "good")


@pytest.mark.security("S18")
def test_a_state_ends_after_ten_minutes(world: World, shop_id: int, codes: list[str]) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    with world.container.database.transaction() as session:
        session.execute(sa.update(Consent).values(begun_at=Consent.begun_at - consent.LIFE - timedelta(seconds=1)))
    page = browser.get(back)
    assert (page.status, codes, ways(world)) == (400, [], ["late"])
    assert "10 minutes" in page.body


@pytest.mark.security("S18")
def test_of_two_who_come_back_with_one_state_at_once_one_gets_a_token(
    world: World, shop_id: int, codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser()
    back = browser.agree(there(world, shop_id, browser), MINE).location
    together, fault = threading.Barrier(2, timeout=10), consent._fault
    query = consent._digest

    def digest(text: str) -> bytes:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.5)
        return query(text)

    monkeypatch.setattr(consent, "_digest", digest)
    monkeypatch.setattr(consent, "_fault", lambda *given: (time.sleep(0.3), fault(*given))[1])
    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(page.status for page in pool.map(Browser(dict(browser.cookies)).get, [back, back]))
    assert (statuses, len(codes)) == ([303, 400], 1)


@pytest.mark.security("S21")
def test_a_code_of_one_merchant_does_nothing_in_another_s_browser(world: World, shop_id: int, codes: list[str]) -> None:
    other = connect_shopify(world, "lamps.myshopify.com").shop.id
    mine, theirs = Browser(), Browser()
    my_back = mine.agree(there(world, shop_id, mine), MINE).location
    there(world, other, theirs)
    assert theirs.get(my_back).status == 400
    assert (codes, every(world, SupplierAccount)) == ([], [])


def test_nobody_is_led_to_agree_before_they_read_whose_shop_it_is(world: World, shop_id: int) -> None:
    url = consent.link(world.container, shop_id, actor="test")
    page = Browser().get(url)
    with world.container.database.reading() as session:
        shop = session.get_one(Shop, shop_id)
    assert page.status == 200
    assert shop.name in page.body
    assert shop.address in page.body
    assert "set-cookie" not in page.headers
    assert every(world, Consent) == [], "a mail server that looks at links begins nothing"
    assert world.aliexpress.url in page.headers["content-security-policy"]


def test_who_looks_at_the_last_page_again_reads_the_same(world: World, shop_id: int) -> None:
    browser = Browser()
    first = back_at(world, browser, browser.agree(there(world, shop_id, browser), MINE).location)
    assert browser.get(f"{world.app.url}/connect/aliexpress/done").body == first.body
    assert Browser().get(f"{world.app.url}/connect/aliexpress/done").status == 404


def test_two_shops_of_one_merchant_connect_one_account_at_once(
    world: World, shop_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.container.database.reading() as session:
        merchant = session.get_one(Shop, shop_id).merchant_id
    second = connect_shopify(world, "lamps.myshopify.com", merchant_id=merchant).shop.id
    together, proven = threading.Barrier(2), accounts.account_proof.proven

    def wait(*given: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            together.wait(5)
        return proven(*given)

    monkeypatch.setattr(accounts.account_proof, "proven", wait)
    with ThreadPoolExecutor(2) as pool:
        pages = list(pool.map(lambda one: whole(world, one), [shop_id, second]))
    assert [page.status for page in pages] == [200, 200]
    assert len(every(world, SupplierAccount)) == 1


@pytest.mark.parametrize(
    ("fault", "code", "alerts"),
    [
        ({"kind": "gateway", "code": "InvalidAppkey"}, "our_fault", ["config"]),
        ({"kind": "status", "status": 503}, "no_answer", []),
        ({"kind": "gateway", "code": "InvalidCode"}, "code_ended", []),
    ],
)
def test_what_stood_in_the_way_is_told_apart(
    world: World, shop_id: int, fault: dict[str, Any], code: str, alerts: list[str]
) -> None:
    world.aliexpress.control("faults", [{"op": "token.create", "times": 1, **fault}])
    page = whole(world, shop_id)
    assert page.status == 400
    assert code in page.body
    assert [one.result for one in every(world, Consent)] == [code]
    assert [one.kind for one in every(world, Alert)] == alerts
    assert whole(world, shop_id).status == 200
    assert [one.kind for one in every(world, Alert) if one.ended_at is None] == []


def test_a_link_is_used_up_by_its_success_and_ends_with_its_shop(world: World, shop_id: int) -> None:
    browser, url = Browser(), consent.link(world.container, shop_id, actor="test")
    other = consent.link(world.container, shop_id, actor="test")
    first = start(world, browser, url).location
    late = Browser()
    behind = late.agree(start(world, late, url).location, OTHER).location
    assert browser.get(changed(browser.agree(first, MINE).location, code=None)).status == 400
    again = start(world, browser, url).location
    assert back_at(world, browser, browser.agree(again, MINE).location).status == 200
    assert "used_link" in Browser().get(url).body
    assert "used_link" in late.get(behind).body, "nor by who had begun before that"
    assert len(every(world, SupplierAccount)) == 1
    assert Browser().get(other).status == 200
    world.shopify.control("uninstall", {"shop": "bottles.myshopify.com"})
    world.settle(until=lambda: every(world, Shop)[0].state == "UNINSTALLED", seconds=20)
    assert "used_link" in Browser().get(other).body


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
    assert "code_ended" in page.body


def test_two_tabs_of_one_browser_do_not_hinder_each_other(world: World, shop_id: int) -> None:
    browser = Browser()
    backs = [browser.agree(there(world, shop_id, browser), MINE).location for _ in range(2)]
    assert [browser.get(back).status for back in backs] == [303, 303]


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
    for days, statuses in ((6, (200, 200)), (8, (400, 200)), (61, (400, 400))):
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
    with pytest.raises(Conflict, match="removed"):
        consent.link(world.container, shop_id, actor="test")


@pytest.mark.security("S23")
@pytest.mark.parametrize("target", ["//evil", "/\\evil", "https:evil", "%2f%2fevil", "javascript:alert(1)"])
def test_nothing_in_an_address_says_where_to_go_next(world: World, shop_id: int, target: str) -> None:
    url = changed(consent.link(world.container, shop_id, actor="test"), next=target, redirect_uri=target)
    page = start(world, Browser(), url)
    assert page.location.startswith(world.aliexpress.url)
    assert "evil" not in page.location
    assert "alert" not in page.location


def test_a_cookie_is_for_this_alone(world: World, shop_id: int) -> None:
    page = start(world, Browser(), consent.link(world.container, shop_id, actor="test"))
    told = page.headers["set-cookie"]
    assert "HttpOnly" in told
    assert "SameSite=Lax" in told
    assert "Max-Age=3600" in told
    assert page.headers["referrer-policy"] == "no-referrer"
    assert accounts.listed(world.container) == []


def test_the_supplier_sends_nobody_anywhere_but_to_our_callback(world: World, shop_id: int) -> None:
    """It compares with what stands in the app's console, letter by letter."""
    browser = Browser()
    url = there(world, shop_id, browser)
    assert browser.get(url).status == 200
    [callback] = parse_qs(urlsplit(url).query)["redirect_uri"]
    for other in (callback + "/", callback.replace("http:", "https:"), callback + "?next=x"):
        assert browser.get(changed(url, redirect_uri=other)).status == 400


@pytest.mark.parametrize("old", [True, False])
def test_attempts_and_links_are_forgotten_after_a_season(world: World, shop_id: int, old: bool) -> None:
    whole(world, shop_id)
    consent.link(world.container, shop_id, actor="test")
    with world.container.database.transaction() as session:
        for column, model in ((Consent.begun_at, Consent), (ConnectLink.good_until, ConnectLink)):
            session.execute(sa.update(model).values({column: sa.func.now() - timedelta(days=91 if old else 89)}))
    sweep.retention(world.container)
    assert (len(every(world, Consent)), len(every(world, ConnectLink))) == ((0, 0) if old else (1, 2))
