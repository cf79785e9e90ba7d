"""Buyers who think better of it: some orders are cancelled at the shop after they were paid, some are refunded in part."""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from app.local.control import Control, ControlError
from tests.soak.books import SHOPIFY

CANCELLED, REFUNDED = 0.05, 0.03
"""Shares of all orders."""
SOON, LATER = (0.2, 2.0), (3.0, 30.0)
"""Seconds after the order: mostly before it is bought, or after. Half of them each."""


class Regrets:
    """One thread. `counts`: what was done at the shops, and what they refused."""

    def __init__(self, controls: Mapping[str, Control], seed: int) -> None:
        self._controls = controls
        self._random = random.Random(f"{seed} regrets")
        self._due: list[tuple[float, int, str, str, str, str]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="regrets", daemon=True)
        self.counts: Counter[str] = Counter()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Whoever has not acted by now keeps what was ordered."""
        self._over.set()
        self._thread.join()

    def note(self, kind: str, shop: str, order: str, lines: Sequence[str]) -> None:
        """This was ordered: draw whether it is regretted, and when."""
        drawn, line = self._random.random(), self._random.choice(lines)
        at = time.monotonic() + self._random.uniform(*self._random.choice((SOON, LATER)))
        if drawn < CANCELLED + REFUNDED:
            with self._lock:
                heapq.heappush(self._due, (at, len(self._due), kind, shop, order, "" if drawn < CANCELLED else line))

    def _work(self) -> None:
        while not self._over.wait(0.1):
            with self._lock:
                due = heapq.heappop(self._due)[2:] if self._due and self._due[0][0] <= time.monotonic() else None
            if due:
                try:
                    self._act(*due)
                except (OSError, ControlError):
                    self.counts["refused"] += 1

    def _act(self, kind: str, shop: str, order: str, line: str) -> None:
        """`line`: of which one piece is refunded; none: the whole order is cancelled."""
        where = {} if kind == SHOPIFY else {"shop": shop}
        if not line:
            self._controls[kind].post(f"orders/{order}/cancel", where)
        elif kind == SHOPIFY:
            self._controls[kind].post(f"orders/{order}/refund", {"lines": [{"line": line, "quantity": 1}]})
        else:
            part = {"id": int(line), "quantity": 1, "total": "1.00"}
            self._controls[kind].post(f"orders/{order}/refund", where | {"lines": [part]})
        self.counts["refunded in part" if line else "cancelled"] += 1
