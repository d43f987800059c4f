"""An otp does not wait for anybody's planning."""

from __future__ import annotations

import os
import signal
from functools import partial

from sendmill.client import Client
from sendmill.ledger.jobs import SMALL_ROWS
from sendmill.messages import Sms
from simulator.system import System
from tests.support.flow import hong_kong

DONE_S = 20.0
LONG = SMALL_ROWS + 1


def test_an_otp_goes_out_while_nothing_else_can_be_planned() -> None:
    """The processes that send plan small jobs themselves: those that plan may be busy with a million rows."""
    with System.start() as system, system.client() as client:
        planners = system.processes("worker_work")
        for pid in planners:
            os.kill(pid, signal.SIGSTOP)
        try:
            bulk = client.send(Sms("Sale", hong_kong(LONG, first=10)), account="world", lane="bulk")
            otp = client.send(Sms("Your code is 1125", hong_kong(1)[0]), account="world", lane="otp")
            system.wait_until(
                partial(_gone, system), timeout_s=DONE_S, what="the vendor has the otp, and the otp alone"
            )
            assert {"accepted": LONG} == {state.value: rows for state, rows in client.status(bulk.id).states.items()}
        finally:
            for pid in planners:
                os.kill(pid, signal.SIGCONT)
        for job in (bulk.id, otp.id):
            system.wait_until(partial(_done, client, job), timeout_s=DONE_S, what="both are done")


def _gone(system: System) -> bool:
    return int(system.simulator.counters()["total"]["messages_accepted"]) == 1


def _done(client: Client, job: str) -> bool:
    return client.status(job).done
