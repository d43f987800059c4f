"""sendmill itself: the processes of the Procfile, ledger, leases, gate without limits, outcomes written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from bench.contenders.base import ContenderFailed, CpuClock, Run, seconds
from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from bench.usage import peak_rss_bytes
from bench.vendor import Vendor
from sendmill.client import Client
from sendmill.ledger.keys import AccountKeys
from sendmill.messages import TemplateSms
from sendmill.states import State
from simulator.system import System

DELAYS_MS = (0, 50)
USUAL_FSYNC = "everysec"
TOGETHER = "smsadmin-personalised"
"""smsadmin with its interface for texts of one template."""

ROWS_TOGETHER = 1_000
"""Of them in a call (smsadmin.txt §4)."""

SENDERS = 2
"""Sending processes."""

_PLAN_TIMEOUT_S = 60.0
_SEND_TIMEOUT_S = 120.0
_LOOK_S = 0.02


def accounts(vendor: Vendor) -> dict[str, dict[str, Any]]:
    """An account for each vendor and delay, at the stub: nothing limits it, no report comes."""
    found: dict[str, dict[str, Any]] = {}
    for delay_ms in DELAYS_MS:
        name = account_of("ihuyi", delay_ms)
        found[name] = {
            "provider": "ihuyi",
            "base_url": vendor.address(name, delay_ms, "ihuyi"),
            "account": name,
            "api_key": "bench",
        }
        name = account_of("smsadmin", delay_ms)
        found[name] = {
            "provider": "smsadmin",
            "base_url": vendor.address(name, delay_ms, "smsadmin"),
            "uid": name,
            "pwd": "bench",
            "signature": SIGNATURE,
            "personalised": False,
            "polls": [],
        }
        together = account_of(TOGETHER, delay_ms)
        settings = {"base_url": vendor.address(together, delay_ms, "smsadmin"), "uid": together, "personalised": True}
        found[together] = {**found[name], **settings}
    return found


@contextlib.contextmanager
def start(vendor: Vendor, **more: Any) -> Iterator[System]:
    """A system with these accounts, until the block ends; `more` is for `System.start`."""
    routes = [{"prefix": "", "accounts": [account_of("ihuyi", 0)]}]
    counts = {"worker_send": SENDERS}
    with System.start(accounts=lambda _: accounts(vendor), routes=routes, counts=counts, **more) as system:
        yield system


@contextlib.contextmanager
def _fsync(system: System, policy: str) -> Iterator[None]:
    with redis.Redis.from_url(system.redis_url) as server:
        server.config_set("appendfsync", policy)
        try:
            yield
        finally:
            server.config_set("appendfsync", USUAL_FSYNC)


def account_of(provider: str, delay_ms: int) -> str:
    """Our name of the account, under which the stub counts too."""
    return f"{provider}-{delay_ms}"


class Sendmill:
    """The queue is filled first, as it is for the other queues; then the account is let go.

    Args:
        system: with the accounts above.
        vendor: the stub that they point at.
        provider: `ihuyi` (its vendor ids are indexed), `smsadmin` (it gives none), or `smsadmin-personalised`.
        appendfsync: what Redis runs meanwhile: `everysec`, or `always`.
    """

    quick_messages = 2_000

    def __init__(self, system: System, vendor: Vendor, provider: str, *, appendfsync: str = USUAL_FSYNC) -> None:
        self.name = f"sendmill, {provider}" + ("" if appendfsync == USUAL_FSYNC else f", appendfsync {appendfsync}")
        self._rows_a_call = ROWS_TOGETHER if provider == TOGETHER else 1
        self.full_messages = 200_000 if provider == TOGETHER else 30_000
        self._system = system
        self._vendor = vendor
        self._provider = provider
        self._appendfsync = appendfsync
        self._first = 0

    def run(self, delay_ms: int, messages: int) -> Run:
        """Send through every step of the flow; ends when every outcome is written."""
        account = account_of(self._provider, delay_ms)
        with self._system.client(timeout_s=10.0) as client, _fsync(self._system, self._appendfsync):
            client.pause(account)
            rows = unique_rows(messages, first=self._first)
            self._first += messages
            job = client.send(TemplateSms(UNIQUE_TEXT, rows), account=account, signature=SIGNATURE).id
            self._wait(client, job, State.QUEUED, messages, _PLAN_TIMEOUT_S)
            self._vendor.forget()
            calls = -(-messages // self._rows_a_call)
            with redis.Redis.from_url(self._system.redis_url) as server:
                state = AccountKeys(self._system.namespace, account).state
                last = _calls_ended(server, state) + calls
                clock = CpuClock(self._pids(), self._system.valkey.pid, self._vendor.pid)
                client.resume(account)
                self._wait_for_calls(server, state, last)
                ended_ns = time.time_ns()
                sending_s, server_s, vendor_s = clock.used_s()
            self._wait(client, job, State.SUBMITTED, messages, _SEND_TIMEOUT_S)
        seen = self._vendor.seen(account)
        if seen.requests != calls:
            raise ContenderFailed(f"{self.name}: {seen.requests} requests for {messages} messages")
        return Run(
            contender=self.name,
            delay_ms=delay_ms,
            messages=messages,
            span_s=seconds(seen.first_ns, ended_ns),
            arrivals_span_s=seconds(seen.first_ns, seen.last_ns),
            sending_cpu_s=sending_s,
            server_cpu_s=server_s,
            vendor_cpu_s=vendor_s,
            largest_rss_bytes=max(peak_rss_bytes(pid) for pid in self._system.processes("worker_send")),
        )

    def _wait_for_calls(self, server: redis.Redis, state: str, last: int) -> None:
        """Wait until so many calls of the account have ended well.

        One counter is looked at: `status` adds up all slices of a job, and asked for as often it would take a third of
        what the other contenders have to themselves.
        """
        deadline = time.monotonic() + _SEND_TIMEOUT_S
        while (ended := _calls_ended(server, state)) < last:
            if time.monotonic() > deadline:
                raise ContenderFailed(f"not within {_SEND_TIMEOUT_S:g} s: {last - ended} calls have not ended")
            time.sleep(_LOOK_S)

    def _pids(self) -> list[int]:
        return [pid for kind in ("worker_send", "worker_work", "beat", "push") for pid in self._system.processes(kind)]

    def _wait(self, client: Client, job: str, state: State, rows: int, timeout_s: float) -> None:
        wait_for_state(client, job, {state: rows}, timeout_s=timeout_s)
        self._system.check()


def _calls_ended(server: redis.Redis, state: str) -> int:
    return int(server.hget(state, "ended:s") or 0)


def wait_for_state(client: Client, job: str, expected: Mapping[State, int], *, timeout_s: float) -> None:
    """Look every 20 ms until a job's rows are in these states.

    Raises:
        ContenderFailed: they are not within the time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        states = client.status(job).states
        if all(states.get(state, 0) == rows for state, rows in expected.items()):
            return
        if time.monotonic() > deadline:
            raise ContenderFailed(f"not within {timeout_s:g} s: {dict(expected)}; it is {dict(states)}")
        time.sleep(_LOOK_S)
