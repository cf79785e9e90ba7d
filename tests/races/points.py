"""Names of points that several races stop at, as `barrier` gives them."""

from __future__ import annotations

CREATE = (
    "before the call aliexpress.aliexpress.ds.order.create",
    "after the call aliexpress.aliexpress.ds.order.create",
)
"""Before the supplier's order is made, and when its answer is here."""
READ = "after the call aliexpress.aliexpress.trade.ds.order.get"
"""The supplier's order was read."""
PLACING = ("buy.claim.", "import_order.", "buy.commit.", *CREATE, "buy.outcome.")
"""Points of a placement that something depends on; its other reads change nothing."""


def left_out(names: list[str], at: tuple[str, ...]) -> list[str]:
    """Commits among these points at which nobody stops who stops at `at`."""
    return [name for name in names if "the commit of" in name and not any(part in name for part in at)]
