"""The promises that matter most, with real workers, beat and push, killed for real."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from sendmill.client import Client
from sendmill.errors import StoreError
from sendmill.ledger.minutes import counts_of
from sendmill.messages import JobStatus, Sms, TemplateSms
from sendmill.options import Lane
from sendmill.states import FINAL, State
from simulator.client import Simulator
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts
from tests.support.flow import hong_kong, mainland
from tests.support.vendors import ONE_A_CALL

ROWS = 5_000
OUTAGE_S = 20
EACH = 250
"""Messages at 50 a second: five seconds of them."""

LATENCY = {"kind": "latency", "delay_ms": 30, "jitter_ms": 40}
OTHERS = ("mainland", "bulk", "xi", "world")

Jobs = dict[tuple[str, int], str]
"""Jobs by account and the first number that they are to."""


def _quick(url: str) -> Accounts:
    """The five accounts with an answer expected within 3 s, so that a killed call is given up within 8."""
    accounts = five_accounts(url)
    accounts["mainland"] |= ONE_A_CALL
    return {name: {**account, "timeout_s": 3.0} for name, account in accounts.items()}


def _at_50_calls(url: str) -> Accounts:
    return {
        name: {**account, "limits": {"calls_per_s": 50}, "personalised": False}
        for name, account in _quick(url).items()
        if name == "mainland"
    }


def _send(client: Client, rows: int, *, start: int = 0) -> Jobs:
    """A job of unique texts at each account that takes one message a call or many; returns the job by account."""
    jobs: Jobs = {}
    each = rows // len(OTHERS)
    for place, account in enumerate(OTHERS):
        first = start + place * each
        numbers = hong_kong(each, first=first) if account == "world" else mainland(each, first=first)
        texts = [{"to": number, "n": first + row} for row, number in enumerate(numbers)]
        jobs[account, start] = client.send(TemplateSms("No. {n}", texts), account=account, signature="【Acme】").id
    return jobs


def _statuses(client: Client, jobs: Jobs) -> list[JobStatus]:
    found = []
    with contextlib.suppress(StoreError):
        found = [client.status(job) for job in jobs.values()]
    return found


def _counts(client: Client, jobs: Jobs) -> Counter[State]:
    counts: Counter[State] = Counter()
    for status in _statuses(client, jobs):
        counts.update(status.states)
    return counts


def _is_done(client: Client, job: str) -> bool:
    return client.status(job).done


def _accepted(simulator: Simulator) -> int:
    return int(simulator.counters()["total"]["messages_accepted"])


def _open_rows(client: Client, jobs: Jobs) -> list[tuple[str, str]]:
    """(number, text's number) of the rows that are not final."""
    return [
        (message.to, str(message.state))
        for job in jobs.values()
        for message in client.messages(job)
        if message.state not in FINAL
    ]


def _all_settled(client: Client, jobs: Jobs, rows: int) -> bool:
    counts = _counts(client, jobs)
    return sum(counts[state] for state in (*FINAL, State.UNCONFIRMED)) == rows


def _numbers_seen(simulator: Simulator) -> set[str]:
    return {f"+{str(number).lstrip('+')}" for call in simulator.journal() for number in call["numbers"]}


def _check_books(system: System, client: Client, jobs: Jobs, rows: int) -> None:
    """Every row final, or unconfirmed because the vendor never saw it; nothing accepted twice; no limit passed."""
    assert 0 == system.simulator.duplicates()["total"]
    assert 0 == system.simulator.breaches()["total"]
    seen = _numbers_seen(system.simulator)

    def only_unseen_are_open() -> bool:
        return not [row for row in _open_rows(client, jobs) if row[0] in seen or row[1] != State.UNCONFIRMED]

    # A report that was here before its row was unconfirmed is looked at again within seconds.
    system.wait_until(only_unseen_are_open, timeout_s=60, what="what the vendor has seen is settled by its report")
    counts = _counts(client, jobs)
    assert rows == sum(counts.values())
    _check_counters(client, jobs, counts)


def _check_counters(client: Client, jobs: Jobs, counts: Mapping[State, int]) -> None:
    """What is exported and drawn: every row that ended for good once, whoever died, and nothing that waits."""
    ledger, total, minutes = client._ledger, Counter[str](), Counter[str]()
    for account in {account for account, _ in jobs}:
        keys = ledger.account(account)
        total.update(counts_of(ledger.server.hgetall(keys.counters)))
        for key in ledger.server.scan_iter(match=f"{keys.prefix}minute:*", count=1000):
            minutes.update(counts_of(ledger.server.hgetall(key)))
    for counted in (total, minutes):
        for state in (State.DELIVERED, State.UNDELIVERED, State.REJECTED):
            rows = sum(
                many
                for field, many in counted.items()
                if field.endswith(f":{state.byte.decode()}") and "rows:" in field
            )
            assert counts[state] == rows, state
    assert dict.fromkeys(Lane, 0) == {lane: total[f"waiting:{lane}"] for lane in Lane}


@dataclass
class Busy:
    """A system that sends, and what it has been given."""

    system: System
    client: Client
    jobs: Jobs = field(default_factory=dict)

    def send(self) -> Jobs:
        """Hand more over, and wait until a quarter of it is at the vendors."""
        before = _accepted(self.system.simulator)
        sent = _send(self.client, ROWS, start=sum(self._rows()))
        self.jobs |= sent
        self.system.wait_until(
            lambda: _accepted(self.system.simulator) > before + ROWS // 4, timeout_s=60, what="a quarter is sent"
        )
        return sent

    def check(self) -> None:
        """All that it was ever given is accounted for."""
        rows = sum(self._rows())
        self.system.wait_until(
            lambda: _all_settled(self.client, self.jobs, rows), timeout_s=240, what="every row is settled"
        )
        _check_books(self.system, self.client, self.jobs, rows)
        self.system.check()

    def _rows(self) -> Iterator[int]:
        return (self.client.status(job).total for job in self.jobs.values())


@pytest.fixture(scope="module")
def busy() -> Iterator[Busy]:
    """Two sending processes, and vendors that take their time."""
    with (
        System.start(accounts=_quick, counts={"worker_send": 2}, simulator_config={"faults": [LATENCY]}) as system,
        system.client() as client,
    ):
        yield Busy(system, client)


def test_every_worker_killed_in_the_middle_loses_nothing_and_doubles_nothing(busy: Busy) -> None:
    """kill -9 of all sending and working processes, a restart: what was on the wire is settled by its report."""
    sent = busy.send()
    busy.system.kill("worker_send")
    busy.system.kill("worker_work")
    counts = _counts(busy.client, sent)
    assert counts[State.QUEUED] + counts[State.ACCEPTED] > 0, "killed too late to show anything"
    assert counts[State.SUBMITTING] > 0
    busy.system.start_more("worker_send", 2)
    busy.system.start_more("worker_work")
    busy.check()


def test_redis_away_in_the_middle_loses_nothing_and_doubles_nothing(busy: Busy) -> None:
    """Stopped for 20 s: producers hear it, every process goes on by itself when it is back."""
    busy.send()
    busy.system.stop_redis()
    with pytest.raises(StoreError):
        busy.client.send(Sms("Nobody hears this", "+8613800000000"), account="mainland")
    time.sleep(OUTAGE_S)
    busy.system.start_redis()
    busy.check()


def test_a_worker_that_is_told_to_stop_leaves_nothing_on_the_wire() -> None:
    """SIGTERM: calls that are open end and are written; the rest goes out with the next worker."""
    slow = {"kind": "latency", "delay_ms": 800}
    with System.start(accounts=_quick, simulator_config={"faults": [slow]}) as system:
        client = system.client()
        jobs = _send(client, 1_200)
        system.wait_until(lambda: _accepted(system.simulator) > 100, timeout_s=60, what="some are sent")
        assert [] == system.stop("worker_send")
        counts = _counts(client, jobs)
        assert (0, 0) == (counts[State.SUBMITTING], counts[State.UNCONFIRMED])
        system.simulator.clear_faults()
        system.start_more("worker_send")
        system.wait_until(lambda: _all_settled(client, jobs, 1_200), timeout_s=60, what="every row is settled")
        _check_books(system, client, jobs, 1_200)


def test_more_processes_reach_the_limit_and_do_not_pass_it() -> None:
    """Two worker processes, then four, at 50 calls a second: no sliding second sees more than 50 arrivals."""
    limited = {"mainland": {"calls_per_s": 50}}
    routes = [{"prefix": "+86", "accounts": ["mainland"]}]
    with System.start(
        accounts=_at_50_calls, routes=routes, counts={"worker_send": 2}, simulator_accounts=limited
    ) as system:
        client = system.client()
        for start, more in ((0, 0), (EACH, 2)):
            system.start_more("worker_send", more)
            texts = [{"to": number, "n": place} for place, number in enumerate(mainland(EACH, first=start))]
            job = client.send(TemplateSms("No. {n}", texts)).id
            system.wait_until(partial(_is_done, client, job), timeout_s=60, what="the job is done")
        seen: dict[str, Any] = system.simulator.counters("smsadmin", "demo")
        assert 2 * EACH == seen["calls_accepted"]
        assert seen["max_calls_in_a_second"] <= 50
        assert 0 == system.simulator.breaches()["total"]
