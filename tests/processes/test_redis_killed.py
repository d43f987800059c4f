"""Redis killed with -9 while real workers send, and back without what it wrote last."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial

from sendmill.client import Client
from sendmill.errors import StoreError
from sendmill.messages import TemplateSms
from sendmill.states import FINAL, State
from simulator.client import Simulator
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts
from tests.support.flow import hong_kong

ROWS = 2_000
LOST = 0.7
"""Of what Redis wrote since the first messages went: more than `everysec` would lose."""

LATENCY = {"kind": "latency", "delay_ms": 60, "jitter_ms": 60}


def _world(url: str) -> Accounts:
    """Each message is a call."""
    return {"world": {**five_accounts(url)["world"], "timeout_s": 3.0, "limits": {"calls_per_s": 500}}}


def _accepted(simulator: Simulator) -> int:
    return int(simulator.counters()["total"]["messages_accepted"])


def _settled(client: Client, job: str) -> bool:
    states: Mapping[State, int] = {}
    with contextlib.suppress(StoreError):
        states = client.status(job).states
    return sum(states.get(state, 0) for state in (*FINAL, State.SUBMITTED, State.UNCONFIRMED)) == ROWS


def _none_unconfirmed(client: Client, job: str) -> bool:
    return State.UNCONFIRMED not in client.status(job).states


def test_a_redis_that_is_killed_and_forgets_makes_living_workers_send_nothing_twice() -> None:
    """Two workers live on and tell it what they did: every message went once, and none stays unconfirmed."""
    rows = [{"to": number, "n": place} for place, number in enumerate(hong_kong(ROWS))]
    routes = [{"prefix": "", "accounts": ["world"]}]
    config = {"faults": [LATENCY]}
    with System.start(accounts=_world, routes=routes, counts={"worker_send": 2}, simulator_config=config) as system:
        client = system.client(timeout_s=10.0)
        job = client.send(TemplateSms("No. {n}", rows), account="world").id
        (written,) = (system.valkey.directory / "appendonlydir").glob("*.incr.aof")
        system.wait_until(lambda: _accepted(system.simulator) > 0, timeout_s=60, what="the first is sent")
        began = written.stat().st_size
        system.wait_until(lambda: _accepted(system.simulator) > ROWS // 3, timeout_s=60, what="a third is sent")
        system.valkey.kill()
        gone = int(LOST * (written.stat().st_size - began))
        with written.open("r+b") as log:
            log.truncate(written.stat().st_size - gone)
        system.start_redis()
        system.wait_until(lambda: _settled(client, job), timeout_s=150, what="every row is settled")
        assert 0 == system.simulator.duplicates()["total"]
        assert ROWS == _accepted(system.simulator)
        # A call whose answer took too long just then is settled by its report.
        system.wait_until(partial(_none_unconfirmed, client, job), timeout_s=60, what="no row is unconfirmed")
        lost = {each.sweep: each.found for each in client.sweeps()}
        assert 1 == lost["restarts"]
        assert lost["lost_calls"] > 0, "nothing was lost: this shows nothing"
