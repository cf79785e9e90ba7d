"""Two workers show the same parcel: whoever comes second sees that it is shown, and asks nobody."""

from __future__ import annotations

from typing import Any

import pytest

from app.ports.storefront import Parcel, ParcelLine
from app.shop_access import with_shop
from connectors.shopify import fulfilment
from connectors.shopify.orders import read_fulfillment_orders
from tests.flow.test_order_changes import SHOP, shop
from tests.flow.world import World


def test_another_worker_shows_it_between_the_look_and_the_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made, variant = shop(world)
    order = world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})
    line = ParcelLine(str(order["lines"][0]["id"]), 1)
    parcel = Parcel(key="p1", tracking_number="LP1", carrier="Cainiao", tracking_url="", lines=(line,), notify=False)

    def show() -> Any:
        return with_shop(world.container, made, lambda session: session.fulfil(str(order["id"]), parcel))

    whole, shown = read_fulfillment_orders, list[Any]()

    def read(*given: Any) -> Any:
        if not shown:
            shown.append(None)
            shown[0] = show()
        return whole(*given)

    monkeypatch.setattr(fulfilment, "read_fulfillment_orders", read)
    assert show().id == shown[0].id
    assert len(world.shown_parcels()) == 1
