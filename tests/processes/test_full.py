"""A full Redis under a whole system, Celery's broker in it too."""

from __future__ import annotations

import time

import pytest

from sendmill.errors import StoreError
from sendmill.messages import Sms
from sendmill.states import FINAL, State
from simulator.system import System
from tests.support.flow import mainland
from tests.support.full import BELIEVED_S, filler

ROWS = 40


def test_every_process_goes_on_and_even_starts_on_a_server_that_takes_nothing_more() -> None:
    """Wake-ups, the clock, sending, pushed reports: only new jobs are refused."""
    with System.start() as system, system.client() as client, filler(system.redis_url) as full:
        system.stop("worker_send")
        job = client.send(Sms("Sale today", mainland(ROWS)), account="bulk", signature="【Acme】")
        system.wait_until(
            lambda: client.status(job.id).states == {State.QUEUED: ROWS}, timeout_s=60, what="the job is planned"
        )
        time.sleep(BELIEVED_S)
        full.fill()
        with pytest.raises(StoreError, match=r"^Redis is full"):
            client.send(Sms("Sale today", mainland(1)), account="bulk", signature="【Acme】")
        for kind in ("worker_work", "push"):  # not beat: the clock would stand until its lock runs out
            system.kill(kind)
        full.fill()  # what their connections took has become free
        for kind in ("worker_send", "worker_work", "push"):
            system.start_more(kind)

        def done_on_a_full_server() -> bool:
            full.fill()
            return client.status(job.id).done

        system.wait_until(done_on_a_full_server, timeout_s=60, what="every row is final")
        assert FINAL >= set(client.status(job.id).states)
        assert 0 == system.simulator.duplicates()["total"]
        system.check()
