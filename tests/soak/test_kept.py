"""A kept run is judged as it was, and otherwise when its ledgers or its answers say otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.soak.asking import Account, Line, Said
from tests.soak.books import ALIEXPRESS, WOOCOMMERCE, Books, name_hash
from tests.soak.checker import judge
from tests.soak.kept import judge_again, keep
from tests.soak.verdict import NEVER, Verdict

LINE: Line = ((WOOCOMMERCE, "two", "71"), "1")
ORDER = {
    "number": "71",
    "billing": {"first_name": "Ada", "last_name": "Buyer"},
    "line_items": [{"id": 1, "product_id": 5, "quantity": 2}],
}
SOLD = {"event": "order_created", "shop": "two", "order": 71, "put": {"orders": {"71": ORDER}}}
SHOWN = {
    "event": "fulfillment_created",
    "shop": "two",
    "order": 71,
    "tracking_number": "T1",
    "items": [{"item_id": 1, "qty": 2}],
}


def made(number: str) -> dict[str, Any]:
    """A line of the supplier's ledger."""
    items = [{"sku_id": "red", "quantity": 2}]
    return {
        "op": "create",
        "at": 1.0,
        "order_id": number,
        "name_hash": name_hash("Ada Buyer"),
        "account": "a",
        "items": items,
    }


def write(folder: Path, name: str, *lines: dict[str, Any]) -> None:
    """Append to a ledger."""
    with (folder / f"{name}.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """One order, bought once and shown."""
    ledgers, folder = tmp_path / "ledgers", tmp_path / "kept"
    ledgers.mkdir()
    folder.mkdir()
    write(ledgers, WOOCOMMERCE, SOLD, SHOWN)
    write(ledgers, ALIEXPRESS, made("901"), {"op": "ship", "order_id": "901", "parcels": [{"tracking_number": "T1"}]})
    books = Books(ledgers, {("two", "5"): "red"})
    books.read()
    told = {LINE: Account((Said("SHIPPED"),), frozenset({"901"}))}
    verdict = judge(books, told)
    verdict.minutes = 3.0
    assert verdict.good
    keep(folder, books, told, verdict, {"seed": 7})
    return folder


def test_it_is_judged_as_it_was(kept: Path) -> None:
    verdict, figures = judge_again(kept)
    assert verdict == Verdict(lines=1, orders=1, minutes=3.0)
    assert figures == {"seed": 7}


def test_a_second_order_in_its_ledger_is_seen(kept: Path) -> None:
    write(kept / "ledgers", ALIEXPRESS, made("902"))
    verdict, _ = judge_again(kept)
    assert len(verdict.twice) == 1


def test_what_waybill_did_not_know_is_seen(kept: Path) -> None:
    (kept / "told.json").write_text("[]")
    verdict, _ = judge_again(kept)
    assert len(verdict.lost) == 1


def test_what_went_wrong_in_the_run_itself_is_kept(kept: Path) -> None:
    run = json.loads((kept / "run.json").read_text())
    (kept / "run.json").write_text(json.dumps(run | {"minutes": None, "trouble": ["nemesis, kill: failed"]}))
    verdict, _ = judge_again(kept)
    assert verdict.minutes == NEVER
    assert verdict.trouble == ["nemesis, kill: failed"]
    assert not verdict.good
