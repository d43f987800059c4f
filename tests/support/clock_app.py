"""A Celery application whose tasks only note that they ran: with it the clock and the way to a worker are tested.

`celery -A tests.support.clock_app …` with SENDMILL_REDIS_URL and SENDMILL_NAMESPACE set.
"""

from __future__ import annotations

import os
import time
from typing import Any

import redis
from celery import signals

from config.celery import make_app
from config.logging import configure_logging
from config.queues import QUEUE_OF
from config.settings import Settings

settings = Settings(redis_url=os.environ["SENDMILL_REDIS_URL"], namespace=os.environ["SENDMILL_NAMESPACE"])
app = make_app(settings)
_client = redis.Redis.from_url(settings.redis_url)


def _note(task: str) -> None:
    @app.task(name=task, ignore_result=True)
    def note(*_: Any) -> None:
        _client.rpush(f"ran:{task}", time.time())  # in s since the epoch


for _task in QUEUE_OF:
    _note(_task)


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    configure_logging(settings)
