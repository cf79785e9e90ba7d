"""The bell's job in Redis is JSON: whoever may write there makes no worker unpickle anything."""

from __future__ import annotations

import json
import time
import zlib

import redis

from app.queue import WAKE, Bell


def test_a_job_in_redis_is_json(redis_url: str) -> None:
    bell, store = Bell(redis_url), redis.Redis.from_url(redis_url)
    bell.ring()
    deadline = time.monotonic() + 10
    while not (keys := store.keys("rq:job:*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    bell.close()
    packed = store.hget(keys[0], "data")
    store.close()
    assert isinstance(packed, bytes)
    assert json.loads(zlib.decompress(packed)) == [WAKE, None, [], {}]
