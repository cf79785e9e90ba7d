"""Permits: so many a second over all processes, so many in flight in one."""

from __future__ import annotations

import threading

from app.pace import Pace


def granted(pace: Pace, times: int) -> int:
    """How many permits come without waiting."""
    count = 0
    for _ in range(times):
        with pace.permit(0) as allowed:
            count += allowed
    return count


def test_two_processes_share_the_limit(redis_url: str) -> None:
    paces = [Pace(redis_url, per_second=1 / 60, in_flight=4) for _ in range(2)]
    assert granted(paces[0], 3) + granted(paces[1], 3) == 1


def test_without_redis_each_process_keeps_to_it_alone() -> None:
    pace = Pace("redis://:none@127.0.0.1:1/0", per_second=1 / 60, in_flight=4)
    assert granted(pace, 3) == 1


def test_only_so_many_are_in_flight(redis_url: str) -> None:
    pace = Pace(redis_url, per_second=1000, in_flight=1)
    seen: list[bool] = []
    with pace.permit(1) as first:

        def other() -> None:
            with pace.permit(0) as allowed:
                seen.append(allowed)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert (first, seen) == (True, [False])


def test_told_to_slow_down_nothing_goes(redis_url: str) -> None:
    pace = Pace(redis_url, per_second=1000, in_flight=4)
    pace.slow_down(60)
    assert granted(pace, 2) == 0


def test_one_process_slows_all_down(redis_url: str) -> None:
    paces = [Pace(redis_url, per_second=1000, in_flight=4) for _ in range(2)]
    paces[0].slow_down(60)
    assert granted(paces[1], 2) == 0
