"""One soak from its beginning to its account."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from sendmill import Client
from sendmill.errors import NoSuchJob
from sendmill.states import State
from simulator.proxying import Proxy
from simulator.sentinels import SentinelGroup
from simulator.system import NAMESPACE, System
from soak.books import Books, compare
from soak.counts import compare_counts
from soak.jobs import JobPlan, make_jobs
from soak.plan import Action, Plan
from soak.sending import Producer, Sent
from soak.setting import COUNTS, ROUTES, SIMULATOR_ACCOUNTS, SIMULATOR_CONFIG, accounts
from soak.striking import Away, Striker
from soak.taken import read_journal
from soak.vendorfaults import VendorFaults

_LOOK_S: Final = 0.02
_SAY_EVERY_S: Final = 15.0
_SETTLE_S: Final = 180.0
"""The most that is waited for the last messages, reports and inquiries after the last strike."""

_STILL_S: Final = 6.0
"""Reports that match nothing yet are tried again for longer than this only where they are strangers."""

_LONG_MINUTES: Final = 2.0
_ASKED_S: Final = 240.0
"""A vendor that is asked about single messages is left alone for 60 s where it failed, and asked again at doubling
distances: a run of minutes waits for that, a short one does not."""

_ASK_AGAIN_S: Final = 15.0
_SETTLE_LOOK_S: Final = 0.5
_MOVING: Final = (State.ACCEPTED, State.SCHEDULED, State.QUEUED, State.SUBMITTING)


@dataclass(slots=True)
class Run:
    """What a soak did and found."""

    plan: Plan
    jobs: Sequence[JobPlan]
    books: Books = field(default_factory=Books)
    struck: Counter[tuple[str, Action]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    hung: int = 0
    cut_bytes: int = 0
    store_errors: int = 0
    took_s: float = 0.0
    settled: bool = False
    counters: Mapping[str, Any] = field(default_factory=dict)
    breaches: Mapping[str, Any] = field(default_factory=dict)
    accounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replies: int = 0
    sweeps: Counter[str] = field(default_factory=Counter)
    miscounted: Sequence[str] = ()
    """Where counts, the ledger and the vendors' journal differ."""
    away: Sequence[Away] = ()

    @property
    def faults_found(self) -> list[str]:
        """What must not be, a line each; none where every promise held."""
        books = self.books
        found = [f"{count:,} x {what}" for what, count in books.wrong.most_common()]
        found += self.miscounted
        if not self.settled:
            found.append("not at rest in time")
        if self.hung:
            found.append(f"{self.hung} processes did not end after SIGTERM")
        # Also where senders are frozen between the gate and the write: what they send late was counted all the while.
        breaches = self.breaches.get("counts", ())
        found += [f"{each['count']} x breach of {each['kind']} at {each['vendor']}" for each in breaches]
        return found


def soak(plan: Plan, say: Callable[[str], None]) -> Run:
    """Run a plan; no process is left when it returns or raises.

    Raises:
        SystemFailed: the system did not come up, or a process ended that nobody had asked to.
    """
    run = Run(plan, make_jobs(seed=plan.seed, load_s=plan.load_s, messages=plan.messages))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Proxy(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        group = stack.enter_context(SentinelGroup(appendfsync=plan.appendfsync)) if plan.sentinel else None
        system = stack.enter_context(_system(plan, proxy, group))
        say(f"{len(run.jobs):,} jobs of {sum(job.rows for job in run.jobs):,} messages, {len(plan.strikes)} strikes")
        sent = _load(system, proxy, group, run, say)
        with system.client(timeout_s=10.0) as client:
            say("the load is over: waiting for the last messages and reports")
            run.settled = _settle(system, client, sent)
            _reckon(system, client, run, sent, say)
    run.took_s = time.monotonic() - began
    return run


def _system(plan: Plan, proxy: Proxy, group: SentinelGroup | None) -> contextlib.AbstractContextManager[System]:
    """The system of a plan: on a server of its own, or where the Sentinels say."""
    return System.start(
        accounts=partial(accounts, proxy=proxy.url),
        routes=ROUTES,
        counts=COUNTS,
        site={"replicas": 1} if group is not None else None,
        simulator_config=SIMULATOR_CONFIG,
        simulator_accounts=SIMULATOR_ACCOUNTS,
        redis_url=group.redis_url if group is not None else None,
        namespace=NAMESPACE if group is not None else None,
        appendfsync=plan.appendfsync,
    )


def _load(
    system: System, proxy: Proxy, group: SentinelGroup | None, run: Run, say: Callable[[str], None]
) -> Sequence[Sent]:
    """Hand over the jobs while everything is struck; returns what became of each `send`."""
    plan, began_at = run.plan, time.monotonic()
    with system.client() as client:
        producer = Producer(client, run.jobs, began_at, give_up_s=plan.load_s + _SETTLE_S)
        striker, faults = Striker(system, proxy, group, plan, began_at), VendorFaults(system, plan, began_at)
        producer.start()
        said_at = began_at
        try:
            while producer.is_alive() or not striker.is_over or time.monotonic() < began_at + plan.load_s:
                striker.look()
                faults.look()
                if time.monotonic() - said_at > _SAY_EVERY_S:
                    said_at = time.monotonic()
                    say(f"{len(producer.sent):,} jobs handed over, {striker.done.total()} processes struck")
                time.sleep(_LOOK_S)
        finally:
            producer.halt()
            producer.join()
        faults.end(client)
        if producer.trouble is not None:
            raise producer.trouble
    run.struck, run.faults, run.away = striker.done, faults.done, striker.away
    run.hung, run.cut_bytes, run.store_errors = striker.hung, striker.cut_bytes, producer.store_errors
    return producer.sent


def _settle(system: System, client: Client, sent: Sequence[Sent]) -> bool:
    """Wait until nothing is on its way and nothing changes; False where the time was up before."""
    deadline = time.monotonic() + _SETTLE_S
    unfinished = [one.job_id for one in sent if one.job_id is not None]
    before: Counter[State] = Counter()
    still_since = time.monotonic()
    while time.monotonic() < deadline:
        system.check()
        states: Counter[State] = Counter()
        for job_id in list(unfinished):
            try:
                status = client.status(job_id)
            except NoSuchJob:
                unfinished.remove(job_id)  # the comparison says so
                continue
            if status.done:
                unfinished.remove(job_id)
            states.update(status.states)
        moving = any(states[state] for state in _MOVING) or system.simulator.pending()["total"]
        if states != before or moving or _unread(system, client):
            before, still_since = states, time.monotonic()
        elif time.monotonic() - still_since > _STILL_S:
            return True
        time.sleep(_SETTLE_LOOK_S)
    return False


def _unread(system: System, client: Client) -> int:
    """Polls and pushes that are not folded: who was killed over them keeps his lock for half a minute."""
    ledger = client._ledger  # noqa: SLF001 - the client does not tell
    return sum(ledger.server.xlen(ledger.account(name).inbox) for name in system.accounts)


def _reckon(system: System, client: Client, run: Run, sent: Sequence[Sent], say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + (_ASKED_S if run.plan.minutes >= _LONG_MINUTES else 0.0)
    while True:
        taken = read_journal(system)
        say(f"the vendors took {taken.by_vendor.total():,} messages: comparing them with the ledger")
        run.books = compare(client, sent, taken, run.away)
        if not run.books.unasked or time.monotonic() > deadline:
            break
        time.sleep(_ASK_AGAIN_S)
    run.miscounted = compare_counts(client._ledger, list(system.accounts), taken.by_account)  # noqa: SLF001 - all of it
    run.replies = sum(1 for _ in client.replies())
    for sweep in client.sweeps():
        run.sweeps[sweep.sweep] += sweep.found
    run.counters, run.breaches = system.simulator.counters()["vendors"], system.simulator.breaches()
    run.accounts = system.accounts
