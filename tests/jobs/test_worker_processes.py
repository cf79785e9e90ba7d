"""The real `flask worker` in processes of its own: killed, stopped, without Redis, told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flow.world import BOTTLE, World, running

SHOP = "bottles.myshopify.com"
ROOT = Path(__file__).parents[2]


@contextmanager
def worker(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """`flask worker` beside the world; killed with its children at the end."""
    log = (world.folder / "worker.log").open("ab")
    environment = {**os.environ, **world.environment, "LOG_LEVEL": "INFO"}
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", "worker"], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        wait(lambda: b"worker_started" in (world.folder / "worker.log").read_bytes(), world)
        yield process
    finally:
        for child in [*children(process.pid), process.pid]:
            with_pid(child, signal.SIGKILL)
        process.wait()
        log.close()


def children(pid: int) -> list[int]:
    """Processes right below one."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def with_pid(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait(until: Callable[[], bool], world: World, seconds: float = 40) -> None:
    """Poll. Raises AssertionError with what stands where."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, world.tell() + (world.folder / "worker.log").read_text()[-3000:]
        time.sleep(0.05)


def shop_with_bottle(world: World) -> str:
    """A shop with one linked variant."""
    shop = world.shopify_shop(SHOP)
    variant = world.shopify_variant(SHOP, "BOTTLE")
    world.link(shop, variant, BOTTLE)
    return variant


def order(world: World, variant: str) -> None:
    """One paid order."""
    world.shopify.control("orders", {"shop": SHOP, "lines": [{"variant_id": variant, "quantity": 1}]})


@pytest.fixture
def world(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[World]:
    with running(database_url, redis_url, tmp_path) as made:
        yield made


def test_without_redis_the_worker_finds_the_order_by_itself(database_url: str, tmp_path: Path) -> None:
    with running(database_url, "redis://:none@127.0.0.1:1/0", tmp_path) as world:
        variant = shop_with_bottle(world)
        with worker(world):
            order(world, variant)
            wait(lambda: world.states() == ["PLACED_UNPAID"], world)
        assert len(world.created()) == 1


def test_killed_in_the_middle_of_a_send_it_is_ordered_once(world: World) -> None:
    variant = shop_with_bottle(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "latency", "times": 1, "seconds": 1.0}])
    with worker(world) as process:
        order(world, variant)
        wait(lambda: sending(world), world)
        for child in children(process.pid):
            with_pid(child, signal.SIGKILL)
        wait(lambda: world.states() == ["PLACED_UNPAID"], world, 90)
    assert len(world.created()) == 1
    assert world.calls_of_create() == 1


def test_stopped_past_the_send_limit_it_is_killed_by_its_supervisor(world: World) -> None:
    variant = shop_with_bottle(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "latency", "times": 1, "seconds": 10.0}])
    with worker(world) as process:
        order(world, variant)
        wait(lambda: sending(world), world)
        stopped = children(process.pid)
        for child in stopped:
            with_pid(child, signal.SIGSTOP)
        wait(lambda: not set(stopped) & set(children(process.pid)), world)
        wait(lambda: world.states() == ["PLACED_UNPAID"], world, 90)
        assert b"worker_killed_past_send_limit" in (world.folder / "worker.log").read_bytes()
    assert len(world.created()) == 1


def sending(world: World) -> bool:
    """Whether the call is at the supplier: a busy machine may hold a worker up so long that it sends nothing yet."""
    return world.states() == ["SENDING"] and world.calls_of_create() == 1


def test_told_to_end_it_finishes_what_it_has_begun(world: World) -> None:
    variant = shop_with_bottle(world)
    world.aliexpress.control("faults", [{"op": "order.create", "kind": "latency", "times": 1, "seconds": 0.8}])
    with worker(world) as process:
        order(world, variant)
        wait(lambda: sending(world), world)
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert world.outcomes() == ["PLACED"]
    assert len(world.created()) == 1
