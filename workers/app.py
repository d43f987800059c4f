"""The Celery application: `celery -A workers.app worker -Q …` and `celery -A workers.app beat`.

Every task is a thin wrapper: it names a step of the flow (in `tasks`), which runs on the process's loop. None carries a
message, none is retried by Celery, all may run twice: what they do is decided by scripts in Redis.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import structlog
from celery import signals

from config import names
from config.celery import make_app
from sendmill.ledger.lock import try_lock_renewed
from tasks.account import alert_url, probe
from tasks.ask import balance, requests
from tasks.failover import failover
from tasks.keep import housekeeping
from tasks.keep import tick as ticking
from tasks.plan import plan_small
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report import poll, query
from workers.process import WorkerProcess
from workers.start import join_or_exit, log_or_exit, settings_or_exit

DRAIN_TIMEOUT_S = 150.0
"""Above the 20 s of a drain, a vendor's answer and a Redis that comes back; below the broker's visibility timeout."""

STEP_TIMEOUT_S = 120.0

ONCE_MS = 2_000
"""A step of the clock whose process was killed is done again after this."""

settings = settings_or_exit()
app = make_app(settings)
process = WorkerProcess(app, settings)


def _task(name: str) -> Callable[[Callable[..., None]], None]:
    """Register a step. Arguments that it does not know are left aside: a newer version may send more."""

    def register(step: Callable[..., None]) -> None:
        known = len(inspect.signature(step).parameters)

        @wraps(step)
        def run(*args: object, **_: object) -> None:
            step(*args[:known])

        app.task(name=name, ignore_result=True, typing=False)(run)

    return register


@_task(names.PLAN)
def plan_job(job: str) -> None:
    """Plan a job. Safe to run twice: what is planned already stays as it is."""

    async def step(worker: WorkerProcess, _: Runtime) -> None:
        assert worker.plans is not None, "opened with the runtime"
        await worker.plans.plan(job)

    process.run(step, timeout_s=STEP_TIMEOUT_S)


@_task(names.PLAN_NOW)
def plan_small_jobs() -> None:
    """Plan all small jobs that wait, and drain the accounts that got them. Safe to run twice, as above."""

    async def step(worker: WorkerProcess, runtime: Runtime) -> None:
        drains = worker.drains
        assert drains is not None, "opened with the runtime"
        begun: set[asyncio.Task[None]] = set()

        def begin(account: str) -> None:
            task = drains.begin(account)
            if task is not None:
                begun.add(task)
                task.add_done_callback(begun.discard)

        try:
            await plan_small.plan_small(runtime, begin)
        finally:
            while begun:
                await asyncio.wait(begun)

    process.run(step, timeout_s=DRAIN_TIMEOUT_S)


@_task(names.DRAIN)
def drain(account: str) -> None:
    """Drain an account. Safe to run twice: a process has one drain for each account, and Redis decides for all."""

    async def step(worker: WorkerProcess, _: Runtime) -> None:
        assert worker.drains is not None, "opened with the runtime"
        with structlog.contextvars.bound_contextvars(account=account):
            await worker.drains.drain(account)

    process.run(step, timeout_s=DRAIN_TIMEOUT_S)


def _once(name: str, step: Callable[[WorkerProcess, Runtime], Coroutine[object, object, None]]) -> None:
    """Run a step of the clock, unless a process does: to run it twice would be safe, and cost twice as much."""

    async def alone(worker: WorkerProcess, runtime: Runtime) -> None:
        async with try_lock_renewed(runtime.server, runtime.jobs.clock(name), ONCE_MS) as lock:
            if lock is not None:
                await step(worker, runtime)

    process.run(alone, timeout_s=STEP_TIMEOUT_S)


@_task(names.TICK)
def tick() -> None:
    """Sweep, plan what is due, wake. Safe to run twice: sweeps move what time has decided."""

    async def step(_: WorkerProcess, runtime: Runtime) -> None:
        if await ticking.tick(runtime):
            await plan_small.plan_small(runtime, lambda _: None)

    _once(names.TICK, step)


@_task(names.POLL)
def poll_vendors() -> None:
    """Poll reports and replies. Safe to run twice: an address is polled once in its interval."""
    process.run(lambda _, runtime: poll.poll(runtime), timeout_s=STEP_TIMEOUT_S)


@_task(names.QUERY)
def query_vendors() -> None:
    """Ask about single messages. Safe to run twice: asking changes nothing at the vendor."""
    process.run(lambda _, runtime: query.query(runtime), timeout_s=STEP_TIMEOUT_S)


@_task(names.FOLD)
def fold_inbox() -> None:
    """Fold what vendors said. Safe to run twice: folding a report again changes nothing."""
    process.run(lambda _, runtime: reports.fold(runtime), timeout_s=STEP_TIMEOUT_S)


@_task(names.SETTLE)
def settle_rows() -> None:
    """Give up on reports that never came, remove old jobs. Safe to run twice."""
    _once(names.SETTLE, lambda _, runtime: housekeeping.clean_up(runtime))


@_task(names.BALANCE)
def ask_balances() -> None:
    """Ask for balances. Safe to run twice: one process asks an account in an interval."""
    process.run(lambda _, runtime: balance.balances(runtime), timeout_s=STEP_TIMEOUT_S)


@_task(names.FAILOVER)
def help_accounts() -> None:
    """Move what others can send, probe, tell `alert_url`. Safe to run twice: scripts and locks decide each step."""

    async def step(_: WorkerProcess, runtime: Runtime) -> None:
        await failover.failover(runtime)
        await probe.probe_accounts(runtime)
        await alert_url.post_alerts(runtime)

    _once(names.FAILOVER, step)


@_task(names.REQUESTS)
def answer_requests() -> None:
    """Answer the command line. Safe to run twice: a request is taken once."""
    process.run(lambda _, runtime: requests.answer_requests(runtime), timeout_s=STEP_TIMEOUT_S)


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    log_or_exit(settings)


@signals.worker_init.connect
def _starting(**_: Any) -> None:
    join_or_exit(settings)
    process.show_life()


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    process.start_heart(sender.app.amqp.queues.consume_from, sender.reconnect)


@signals.worker_shutting_down.connect
def _stopping(**_: Any) -> None:
    process.begin_stop()


@signals.worker_shutdown.connect
def _ended(**_: Any) -> None:
    process.end()
