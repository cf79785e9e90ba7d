"""What the supplier does: its answers, its orders, its goods, its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.machine.acts import NUMBER, act
from tests.machine.fates import CREATES, FATES, READS
from tests.machine.market import CHANGES
from tests.machine.shop_acts import SHOPS

if TYPE_CHECKING:
    from tests.machine.play import Play


def _bought(play: Play) -> bool:
    return bool(play.ledger.orders)


@act(often=5, fate=FATES)
def next_create(play: Play, fate: str) -> None:
    """Something becomes of the next call that places an order."""
    play.supplier("faults", {"add": [CREATES[fate]]})


@act(fate=sorted(READS))
def next_read(play: Play, fate: str) -> None:
    """Something becomes of another call to the supplier."""
    play.supplier("faults", {"add": [READS[fate]]})


@act(what=("down", "up"))
def outage(play: Play, what: str) -> None:
    """The supplier is down, or up again."""
    play.supplier("faults", {"add": [{"op": "*", "kind": "outage", "times": -1}]} if what == "down" else [])


@act(what=("all come", "all are lost"))
def pushes(play: Play, what: str) -> None:
    """From now on the supplier's pushes all come, or are all lost."""
    play.supplier("push", {"lost": 0 if what == "all come" else -1})


@act(
    possible=_bought,
    often=4,
    which=NUMBER,
    what=("pay", "ship", "close", "cancel", "cancel an item", "deliver", "renumber"),
    told=(False, True),
)
def at_supplier(play: Play, which: int, what: str, told: bool) -> None:
    """Something happens to an order at the supplier; if told, we hear of it at once and work it off."""
    orders = sorted(play.ledger.orders)
    bought = play.ledger.orders[orders[which % len(orders)]]
    asked: dict[str, object] = {"order_id": bought.number}
    if what == "cancel an item":
        asked["sku_ids"] = [min(bought.raw)]
    elif what == "renumber":
        asked |= {"old": min(bought.parcels, default=""), "new": f"NEW{len(bought.parcels)}{bought.number}"}
    play.supplier("cancel" if what == "cancel an item" else what, asked)
    if told:
        play.hear()


@act(goods=(0, 1, 2), what=tuple(CHANGES))
def goods_change(play: Play, goods: int, what: str) -> None:
    """The price, the stock or the SKU of some goods changes at the supplier."""
    play.market.change(goods, what)


@act(shop=SHOPS, what=("access", "both", "renew", "shop", "shop renewed"))
def tokens(play: Play, shop: str, what: str) -> None:
    """Tokens of an account or of a shop die, or are given again."""
    if what == "renew":
        play.connections.revive_account(shop)
    elif what == "shop":
        play.connections.cut_off(shop)
    elif what == "shop renewed":
        play.connections.revive_shop(shop)
    else:
        play.supplier("kill_token", {"user_id": play.accounts[shop], "refresh": what == "both"})
