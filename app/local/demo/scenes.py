"""The scenes: one function each, in the order in which they are played."""

from __future__ import annotations

from collections.abc import Callable

from app.local.demo.cast import LIGHTS, NAMES, SHOPIFY, SOLD, WOOCOMMERCE
from app.local.demo.stage import Stage
from app.local.mailbox import OWNER

Scene = Callable[[Stage], None]
BUYER_ACCOUNT = "1861703697"


def opening(stage: Stage) -> None:
    """Two shops and an AliExpress account are connected, products linked."""
    stage.story.head("The merchant connects two shops and an AliExpress account")
    keys = stage.shops.open_shopify()
    tokens = ("--access-token", keys["access_token"], "--refresh-token", keys["refresh_token"])
    first = stage.run("shop", "connect-shopify", "--shop", keys["shop"], *tokens)
    keys = stage.shops.open_woocommerce()
    secrets = ("--key", keys["consumer_key"], "--secret", keys["consumer_secret"])
    merchant = ("--merchant", first["merchant_id"])
    second = stage.run("shop", "connect-woocommerce", "--url", keys["url"], *secrets, *merchant)
    stage.ids.update({SHOPIFY: int(first["id"]), WOOCOMMERCE: int(second["id"])})
    grant_tokens(stage)
    for shop_id in stage.ids.values():
        connect_account(stage, shop_id)
        stage.run("shop", "set", shop_id, "--margin-percent", 10, "--contact-email", OWNER)
    for shop, goods in SOLD.items():
        for one in goods:
            words = ("--sku", one.sku, "--product", one.product_id, "--sku-id", one.sku_id)
            stage.commands.run("link", "add", "--shop", stage.ids[shop], *words)
        stage.story.say("Merchant", f"links {len(goods)} products of {NAMES[shop]} (flask link add …).")


def grant_tokens(stage: Stage) -> None:
    """The account holder lets Waybill order: AliExpress gives new tokens."""
    stage.account = stage.world.controls["aliexpress"].post("accounts", {"user_id": BUYER_ACCOUNT})


def connect_account(stage: Stage, shop_id: int) -> None:
    """Give a shop the AliExpress account's present tokens."""
    account = stage.account
    tokens = ("--access-token", account["access_token"], "--refresh-token", account["refresh_token"])
    who = ("--expires-at", account["expire_time"], "--user-id", account["user_id"])
    stage.run("account", "connect", "--shop", shop_id, *tokens, *who)


def everything_lost(stage: Stage) -> None:
    """The reply is lost, and AliExpress's messages too: only a person can tell. First, because it takes longest."""
    stage.story.head("A reply is lost, and every message about it: only a person can tell (it takes a while)")
    supplier = stage.world.controls["aliexpress"]
    stage.break_next({"op": "order.create", "kind": "drop_after"})
    supplier.post("push", {"lost": -1})
    case = stage.buy("lost-all")
    stage.wait_broken()
    stage.wait_path(case, "UNKNOWN")
    supplier.post("push", {"lost": 0})
    stage.story.say("Demo", "The story goes on meanwhile; Waybill keeps looking.")


def plain(stage: Stage) -> None:
    """A plain order on each storefront."""
    stage.story.head("A plain order on each storefront")
    for key in ("plain-shopify", "plain-woocommerce"):
        stage.wait_path(stage.buy(key), "PLACED_UNPAID")


def three_lines(stage: Stage) -> None:
    """Three lines over two sellers: two orders at AliExpress, three parcels."""
    stage.story.head("One order, three lines, two sellers: two AliExpress orders, three parcels")
    case = stage.buy("three-lines")
    stage.wait(
        f"{case.name} is ordered from both sellers",
        lambda: (stand := stage.stand(case)) is not None and len({one.order_id for one in stand.supplier_orders}) > 1,
    )


def webhooks(stage: Stage) -> None:
    """Webhooks twice and in the wrong order."""
    stage.story.head("The shop sends its webhooks twice and in the wrong order")
    shopify = stage.world.controls[SHOPIFY]
    created, paid = "webhook:orders/create", "webhook:orders/paid"
    shopify.post("faults", [{"op": created, "kind": "duplicate"}, {"op": paid, "kind": "duplicate"}])
    shopify.post("faults", [{"op": created, "kind": "reorder"}])
    case = stage.buy("webhooks")
    stage.wait_path(case, "PLACED_UNPAID")
    stage.wait(
        f"the webhooks of {case.name} arrive more than once",
        lambda: (stand := stage.stand(case)) is not None and stand.deliveries > len((created, paid)),
    )
    stand = stage.stand(case)
    seen = stand.deliveries if stand else 0
    stage.story.say("Waybill", f"received {seen} webhooks about {case.name} and made one purchase of it.")


def lost_reply(stage: Stage) -> None:
    """AliExpress executes the order, its reply is lost; its push message tells."""
    stage.story.head("AliExpress executes an order, but its reply is lost")
    stage.break_next({"op": "order.create", "kind": "drop_after"})
    case = stage.buy("lost-reply")
    stage.wait_broken()
    stage.wait_path(case, "UNKNOWN", "PLACED_UNPAID")


def price_before(stage: Stage) -> None:
    """The price has risen: held before anything is ordered."""
    stage.story.head("A price rose over the merchant's margin before the order")
    new_price = {"price": "38.00"}
    wish = {"product_id": LIGHTS.product_id, "sku_changes": {LIGHTS.sku_id: new_price}}
    stage.world.controls["aliexpress"].post("products", wish)
    stage.story.say("AliExpress", f"raises the price of the {LIGHTS.title} from 15.30 to 38.00 USD.")
    stage.wait_path(stage.buy("price-before"), "margin")


def price_after(stage: Stage) -> None:
    """The price rises in the very moment of ordering: do not pay."""
    stage.story.head("A price rises in the very moment of ordering")
    stage.break_next({"op": "order.create", "kind": "price_change", "factor": 4})
    case = stage.buy("price-after")
    stage.wait_broken()
    stage.wait_path(case, "PAY_BLOCKED")


def address(stage: Stage) -> None:
    """AliExpress refuses the address; the merchant completes it."""
    stage.story.head("AliExpress refuses an address")
    case = stage.buy("address")
    stage.wait_path(case, "address_refused")
    stage.wait(f"{case.name} waits for its address", lambda: _held(stage, "address", "address_refused"))
    stand = stage.stand(case)
    stage.run("order", "address", stand.order_id if stand else case.number, "--set", "zip=10115")
    stage.wait_path(case, "PLACED_UNPAID")


def dead_token(stage: Stage) -> None:
    """The account's tokens die; the merchant connects it again and all goes on."""
    stage.story.head("AliExpress withdraws the account's access")
    supplier = stage.world.controls["aliexpress"]
    supplier.post("kill_token", {"refresh": True})
    stage.story.say("AliExpress", "accepts neither the account's access token nor its refresh token any more.")
    case = stage.buy("dead-token")
    stage.wait_path(case, "token_dead")
    stage.wait(f"{case.name} waits for the account", lambda: _held(stage, "dead-token", "token_dead"))
    grant_tokens(stage)
    connect_account(stage, stage.ids[case.shop])
    stage.wait_path(case, "PLACED_UNPAID")


def _held(stage: Stage, key: str, reason: str) -> bool:
    stand = stage.stand(stage.cases[key])
    return stand is not None and "HELD" in stand.states and reason in stand.reasons


SCENES: tuple[Scene, ...] = (
    everything_lost,
    plain,
    three_lines,
    webhooks,
    lost_reply,
    price_before,
    price_after,
    address,
    dead_token,
)
