"""Breadth-first search over every interleaving: the shortest way to a broken promise, or proof of none."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from tests.model.protocol import kills, steps
from tests.model.world import EXPIRED, PAID, RESTING, START, Design, World

Node = tuple[World, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken` "" if the design holds; then `stuck` counts states from which no resting state can be reached."""

    states: int
    broken: str = ""
    story: tuple[str, ...] = ()
    stuck: int = 0


@dataclass(slots=True)
class _Seen:
    """How each node was first reached, and who leads to it."""

    first: dict[Node, tuple[Node, str] | None] = field(default_factory=dict)
    before: dict[Node, list[Node]] = field(default_factory=lambda: defaultdict(list))


def broken_promise(world: World) -> str:
    """P1 and the lifecycle's rule on cancellations, read from the supplier's own ledger."""
    paid = sum(order.status == PAID for order in world.orders)
    alive = sum(order.status != EXPIRED for order in world.orders)
    if paid > 1:
        return "paid twice"
    if alive > 1:
        return "two orders alive"
    if world.cancel == 1 and alive:
        return "bought although cancelled in time"
    return "sent although the cancellation was known" if world.misled else ""


def explore(design: Design) -> Verdict:
    """Visit every reachable state once; stops at the first broken promise."""
    start: Node = (START, design.kills)
    seen = _Seen({start: None})
    queue = deque([start])
    while queue:
        node = queue.popleft()
        for label, after in _next(node, design):
            seen.before[after].append(node)
            if after in seen.first:
                continue
            seen.first[after] = (node, label)
            if broken := broken_promise(after[0]):
                return Verdict(len(seen.first), broken, _story(seen, after))
            queue.append(after)
    return Verdict(len(seen.first), stuck=_stuck(seen))


def _next(node: Node, design: Design) -> list[tuple[str, Node]]:
    world, left = node
    found = [(label, (after, left)) for label, after in steps(world, design)]
    if left:
        found += [(label, (after, left - 1)) for label, after in kills(world, design)]
    return found


def _story(seen: _Seen, node: Node) -> tuple[str, ...]:
    labels = []
    while (link := seen.first[node]) is not None:
        node, label = link
        labels.append(label)
    return tuple(reversed(labels))


def _stuck(seen: _Seen) -> int:
    """States that cannot come to rest: walk backwards from all resting states and count what was not met."""
    met = {node for node in seen.first if node[0].state in RESTING}
    waiting = list(met)
    while waiting:
        for node in seen.before.get(waiting.pop(), ()):
            if node not in met:
                met.add(node)
                waiting.append(node)
    return len(seen.first) - len(met)
