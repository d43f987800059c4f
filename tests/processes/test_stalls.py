"""Processes that are stopped and go on: what they were granted meanwhile is not sent on top of what others sent."""

from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import suppress
from functools import partial

from sendmill.client import Client
from sendmill.messages import TemplateSms
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts
from tests.support.flow import mainland

ROWS = 300
STOPS_S = (0.05, 0.3, 1.2)
PAUSE_S = 0.3
DONE_S = 60.0


def _at_50_calls(url: str) -> Accounts:
    mainland_account = {**five_accounts(url)["mainland"], "personalised": False, "limits": {"calls_per_s": 50}}
    return {"mainland": mainland_account}


def test_no_sliding_second_is_above_the_limit_while_processes_are_stopped() -> None:
    """Four processes at 50 calls a second, one after another stopped and continued; every message goes once."""
    routes = [{"prefix": "+86", "accounts": ["mainland"]}]
    limited = {"mainland": {"calls_per_s": 50}}
    with (
        System.start(
            accounts=_at_50_calls, routes=routes, counts={"worker_send": 4}, simulator_accounts=limited
        ) as system,
        system.client() as client,
    ):
        texts = [{"to": number, "n": place} for place, number in enumerate(mainland(ROWS))]
        job = client.send(TemplateSms("No. {n}", texts), lane="bulk").id
        stopped = 0
        for pid, stop_s in itertools.cycle(zip(system.processes("worker_send"), itertools.cycle(STOPS_S))):
            if _done(client, job):
                break
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(stop_s)
            finally:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            stopped += 1
            time.sleep(PAUSE_S)
        system.wait_until(partial(_done, client, job), timeout_s=DONE_S, what="the job is done")
        seen = system.simulator.counters("smsadmin", "demo")
        assert stopped > 0
        assert ROWS == seen["calls_accepted"]
        assert seen["max_calls_in_a_second"] <= 50
        assert 0 == system.simulator.breaches()["total"]
        assert 0 == system.simulator.duplicates()["total"]


def _done(client: Client, job: str) -> bool:
    return client.status(job).done
