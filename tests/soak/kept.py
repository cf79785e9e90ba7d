"""A run that is kept: its ledgers, what Waybill was asked, and its figures; judged again by the checker of today."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.soak import asking
from tests.soak.asking import Account, Line
from tests.soak.books import Books
from tests.soak.checker import judge
from tests.soak.verdict import NEVER, Verdict


def keep(
    folder: Path, books: Books, told: Mapping[Line, Account], verdict: Verdict, figures: Mapping[str, Any]
) -> None:
    """Write it all down. `told`: the last answer, on which the verdict is built."""
    shutil.copytree(books.folder, folder / "ledgers")
    run = {
        "minutes": None if verdict.minutes == NEVER else verdict.minutes,
        "trouble": verdict.trouble,
        "open": verdict.open,
        "figures": figures,
        "skus": [[shop, variant, sku_id] for (shop, variant), sku_id in books.skus.items()],
    }
    (folder / "told.json").write_text(json.dumps(asking.plain(told)) + "\n")
    (folder / "run.json").write_text(json.dumps(run, indent=1) + "\n")


def judge_again(folder: Path) -> tuple[Verdict, dict[str, Any]]:
    """The verdict of today's checker on a kept run, and the run's figures."""
    run = json.loads((folder / "run.json").read_text())
    told = asking.read(json.loads((folder / "told.json").read_text()))
    books = Books(folder / "ledgers")
    books.skus.update({(shop, variant): sku_id for shop, variant, sku_id in run["skus"]})
    books.read()
    verdict = judge(books, told)
    verdict.trouble += run["trouble"]
    verdict.minutes = NEVER if run["minutes"] is None else run["minutes"]
    verdict.open += run["open"]
    return verdict, run["figures"]
