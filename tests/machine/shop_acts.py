"""What buyers and merchants do in the shops, and what becomes of the letters that tell us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.machine.acts import NUMBER, act
from tests.machine.fates import SHOP_READS
from tests.machine.shops import GOODS, MOST_ORDERS, SHOPIFY, WOOCOMMERCE, Order

if TYPE_CHECKING:
    from tests.machine.play import Play

SHOPS = (SHOPIFY, WOOCOMMERCE)
BASKETS = ((0,), (1,), (2,), (0, 2), (0, 1), (1, 2))
CHANGES = (
    "cancel",
    "fewer",
    "more",
    "refund a piece",
    "refund all",
    "refund money",
    "pay",
    "touch",
    "address",
    "hold",
    "release",
    "delete",
    "trash",
    "restore",
)


@act(
    possible=lambda play: len(play.shops.orders) < MOST_ORDERS,
    shop=SHOPS,
    basket=BASKETS,
    pieces=(1, 2),
    paid=(True, True, True, False),
)
def order(play: Play, shop: str, basket: tuple[int, ...], pieces: int, paid: bool) -> None:
    """Somebody orders something, and the webhooks of it are on their way."""
    play.shops.buy(shop, [(GOODS[one], pieces) for one in basket], paid=paid)


@act(
    possible=lambda play: bool(play.shops.orders),
    often=2,
    which=NUMBER,
    what=CHANGES,
    told=(False, True),
)
def change(play: Play, which: int, what: str, told: bool) -> None:
    """An order is changed in its shop; if told, we hear of it at once and work it off, but buy nothing."""
    chosen = play.shops.orders[which % len(play.shops.orders)]
    asked = _asked(chosen, what)
    if asked is not None:
        play.shops.act(chosen, *asked)
    if told:
        play.hear()


def _asked(order: Order, what: str) -> tuple[str, dict[str, Any]] | None:
    """The act of the shop's simulator, None if this shop has no such."""
    line_id, sku = order.lines[0]
    pieces = max(order.wanted[sku], 0)
    if what in {"fewer", "more"}:
        quantity = max(pieces + (1 if what == "more" else -1), 0)
        if order.shop == SHOPIFY:
            return "edit", {"changes": [{"line": 0, "quantity": quantity}]}
        return "edit", {"lines": [{"id": int(line_id), "quantity": quantity}]}
    if order.shop == SHOPIFY:
        return _AT_SHOPIFY.get(what, (what, {}))
    if what == "refund a piece":
        return "refund", {"lines": [{"id": int(line_id), "quantity": 1, "total": "60.00"}]}
    return _AT_WOOCOMMERCE.get(what, (what, {}))


_AT_SHOPIFY: dict[str, tuple[str, dict[str, Any]] | None] = {
    "refund a piece": ("refund", {"lines": [{"line": 0, "quantity": 1}]}),
    "refund all": ("refund", {"full": True}),
    "refund money": ("refund", {"amount": "30.00"}),
    "address": ("address", {"address": {"address1": "7 Other Street"}}),
    "release": ("hold", {"release": True}),
    "trash": None,
    "restore": None,
}
_AT_WOOCOMMERCE: dict[str, tuple[str, dict[str, Any]] | None] = {
    "refund all": ("refund", {}),
    "refund money": ("refund", {"amount": "30.00"}),
    "touch": ("edit", {"customer_note": "please hurry"}),
    "address": ("edit", {"shipping": {"address_1": "7 Other Street"}, "billing": {"address_1": "7 Other Street"}}),
    "hold": ("status", {"status": "on-hold"}),
    "release": ("status", {"status": "processing"}),
}


@act(possible=lambda play: bool(play.postbox.waiting), which=NUMBER, copies=(1, 1, 2))
def deliver(play: Play, which: int, copies: int) -> None:
    """A webhook or push arrives, perhaps twice, perhaps before an older one."""
    waiting = play.postbox.waiting
    letter = waiting.pop(which % len(waiting))
    for _ in range(copies):
        play.deliver(letter)


@act(possible=lambda play: bool(play.postbox.waiting), often=2)
def deliver_all(play: Play) -> None:
    """All webhooks and pushes on their way arrive."""
    play.deliver_all()


@act(possible=lambda play: bool(play.postbox.waiting), which=NUMBER)
def lose(play: Play, which: int) -> None:
    """A webhook or push never arrives."""
    play.postbox.waiting.pop(which % len(play.postbox.waiting))


@act(possible=lambda play: bool(play.postbox.waiting))
def lose_all(play: Play) -> None:
    """All webhooks and pushes on their way are lost."""
    play.postbox.waiting.clear()


@act(possible=lambda play: bool(play.postbox.past), which=NUMBER)
def deliver_again(play: Play, which: int) -> None:
    """A webhook or push that arrived long ago arrives once more."""
    play.deliver(play.postbox.past[-1 - which % len(play.postbox.past)])


@act(shop=SHOPS, what=("leave", "come back"))
def leave(play: Play, shop: str, what: str) -> None:
    """A shop removes the app, or takes its keys away; or it comes back and says that its orders go on."""
    if what == "leave":
        play.connections.leave(shop)
    else:
        play.connections.come_back(shop)


@act(shop=SHOPS, what=("pause", "resume"))
def pause(play: Play, shop: str, what: str) -> None:
    """A merchant wants nothing bought for a while, or goes on."""
    play.connections.pause(shop, stop=what == "pause")


@act(shop=SHOPS, what=("autopay", "by hand", "small orders", "small days", "small autopay", "large"))
def policy(play: Play, shop: str, what: str) -> None:
    """A merchant chooses how to pay and how much an order or a day may cost."""
    play.money.choose(shop, what)


@act(shop=SHOPS, what=("another", "first"))
def link(play: Play, shop: str, what: str) -> None:
    """A merchant lets the socks be bought as another SKU, or as the first again."""
    play.connections.link_socks(shop, another=what == "another")


@act(shop=SHOPS, fate=sorted(SHOP_READS))
def next_shop_read(play: Play, shop: str, fate: str) -> None:
    """Something becomes of the next call to a shop."""
    server = play.world.shopify if shop == SHOPIFY else play.world.woocommerce
    server.call("POST", "/_control/faults", SHOP_READS[fate])
