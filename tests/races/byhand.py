"""What the account's holder orders at the supplier without us."""

from __future__ import annotations

import time

from app.domain.address import Prepared, prepare
from app.ports.storefront import Address
from app.ports.supplier import PlaceItem, PlaceOrder
from app.shop_access import open_account
from tests.flow.world import World

HOME = Address("Ada Example", "1 Sample Street", "", "Springfield", "Illinois", "IL", "62701", "US", "+1 217 555 0100")


def order_by_hand(world: World, goods: tuple[str, str]) -> str:
    """One piece of a product's SKU, bought with the account's own hands; the supplier's number of the order, which can be read."""
    container = world.container
    session = container.connectors.supplier.session(open_account(container, 1).secrets["access_token"])
    product = session.product(goods[0], country="US", currency="USD", language="en")
    sku = next(one for one in product.skus if one.sku_id == goods[1])
    services = session.freight(product.order_product_id, sku.sku_id, 1, country="US", currency="USD", language="en_US")
    item = PlaceItem(product.order_product_id, sku.sku_id, sku.attributes, 1, services[0].service)
    prepared = prepare(HOME)
    assert isinstance(prepared, Prepared)
    number = str(10**17 + len(world.created()))
    ref = session.place(PlaceOrder(number, HOME, prepared.fields, (item,), autopay=False)).order_ids[0]
    while session.order(ref) is None:  # a new order cannot be read at once
        time.sleep(0.01)
    return ref
