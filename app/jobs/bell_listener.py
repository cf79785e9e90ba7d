"""RQ in a worker: a SimpleWorker in a thread of its own whose only job is to wake the drain loop."""

from __future__ import annotations

import time
from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from app.container import Container
from app.logs import logger
from app.queue import QUEUE, WAKE, connect

log = logger(__name__)


class BellWorker(SimpleWorker):
    """Lives in a thread: no signal handlers, no signal-based time-outs."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        return

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Calls nothing but `WAKE`: RQ would call whatever function a job in Redis names (S62)."""
        try:
            named = job.func_name
        except DeserializationError:
            named = ""
        if named == WAKE:
            super().execute_job(job, queue)
            return
        log.error("strange_job_dropped", job=job.id[:60])
        job.delete()


def answer_bell(container: Container) -> None:
    """Listen for ever; while Redis is away the drain loop looks by itself every two seconds."""
    options: dict[str, Any] = {"serializer": "json", "worker_ttl": 30}  # a worker wants a name, not an instance
    while True:
        try:
            connection = connect(container.settings.redis_url.get_secret_value())
            connection.connection_pool.connection_kwargs["socket_timeout"] = 40
            queue = Queue(QUEUE, connection=connection, serializer=JSONSerializer())
            BellWorker([queue], connection=connection, **options).work(logging_level="ERROR", with_scheduler=False)
        except redis.RedisError as error:
            log.warning("bell_not_answered", error=type(error).__name__)
        except Exception as error:
            log.exception("bell_listener_failed", error=type(error).__name__)
        time.sleep(1.0)
