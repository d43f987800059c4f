"""What a user would write first: one Celery task for each message, which posts it with `requests` and waits.

Each thread has a session of its own, so that connections are kept; many would call `requests.post`, which connects
anew each time. All of Celery's settings are its defaults but for results, which nobody would read.
"""

from __future__ import annotations

import os
import threading

import requests
from celery import Celery

from bench.contenders.plain_client import HEADERS, fields_of

BROKER_URL = "BENCH_BROKER_URL"
TIMEOUT_S = 30.0

app = Celery("bench", broker=os.environ.get(BROKER_URL, "memory://"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
_kept = threading.local()


@app.task(name="bench.send")
def send(url: str, number: str, text: str) -> None:
    """Post one message and check the answer."""
    session = getattr(_kept, "session", None)
    if session is None:
        session = _kept.session = requests.Session()
    answer = session.post(url, data=fields_of(number, text), headers=HEADERS, timeout=TIMEOUT_S)
    if answer.json()["code"] != 2:  # noqa: PLR2004 - ihuyi's success
        raise RuntimeError("the stub refused a message")
