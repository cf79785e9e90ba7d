"""What really happened, read from the files that the simulators write before they answer anybody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from app.local.demo.cast import SHOPIFY, WOOCOMMERCE, Case
from app.local.world import World

Pieces = tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Bought:
    """An order that exists at the supplier."""

    order_id: str
    name_hash: str
    items: Counter[tuple[str, str]]
    total: str
    at: float
    paid: bool = False
    closed: bool = False
    parcels: dict[str, Counter[str]] = field(default_factory=dict)


class Tail:
    """The new whole lines of a file each time it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Lines that were not there at the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._place)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                self._place += len(raw)
                yield json.loads(raw)


def lines(path: Path) -> list[dict[str, Any]]:
    """All lines of a ledger."""
    return list(Tail(path).read())


def bought(world: World) -> dict[str, Bought]:
    """All orders at the supplier, by number."""
    found: dict[str, Bought] = {}
    for line in lines(world.ledger("aliexpress")):
        order = found.get(str(line.get("order_id", "")))
        if line["op"] == "create":
            items = Counter({(str(i["product_id"]), str(i["sku_id"])): int(i["quantity"]) for i in line["items"]})
            number = str(line["order_id"])
            found[number] = Bought(number, line["name_hash"], items, line["total"], float(line["at"]))
        elif order is None:
            continue
        elif line["op"] == "pay":
            order.paid = True
        elif line["op"] in {"close", "cancel"}:
            order.closed = True
        elif line["op"] == "ship":
            for parcel in line["parcels"]:
                counts = Counter({str(item["sku_id"]): int(item["quantity"]) for item in parcel["items"]})
                order.parcels[str(parcel["tracking_number"])] = counts
    return found


def shown(world: World, case: Case) -> dict[str, Counter[str]]:
    """The parcels that the shop shows for an order: supplier SKU ids and pieces by tracking number."""
    sku_ids = {goods.sku: goods.sku_id for goods, _ in case.goods}
    found: dict[str, Counter[str]] = {}
    for number, order_id, pieces in _fulfilments(world, case.shop):
        if order_id == case.external_id:
            parcel = found.setdefault(number, Counter())
            for line_id, count in pieces:
                parcel[sku_ids.get(case.line_ids.get(line_id, ""), f"line {line_id}")] += count
    return found


def _fulfilments(world: World, shop: str) -> Iterator[tuple[str, str, Pieces]]:
    for line in lines(world.ledger(shop)):
        read = fulfilment(shop, line)
        if read is not None:
            yield read


def fulfilment(shop: str, line: dict[str, Any]) -> tuple[str, str, Pieces] | None:
    """A shop's ledger line as (tracking number, order id, pieces by line id), None if it is about something else."""
    if line.get("event") != "fulfillment_created":
        return None
    if shop == SHOPIFY:
        pieces = tuple((str(item["line_id"]), int(item["quantity"])) for item in line["lines"])
        return str(line["tracking"][0]["number"]), str(line["order_id"]), pieces
    pieces = tuple((str(item["item_id"]), int(item["qty"])) for item in line["items"])
    return str(line["tracking_number"]), str(line["order"]), pieces


def instant(shop: str, line: dict[str, Any]) -> float:
    """When a ledger line was written, in epoch seconds."""
    at = line["at"]
    return datetime.fromisoformat(at).timestamp() if shop == WOOCOMMERCE else float(at)
