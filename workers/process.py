"""What a worker process keeps between tasks: its loop, its runtime, its drains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from celery import Celery
from redis.exceptions import RedisError

from config.queues import SEND
from config.settings import Settings
from sendmill.connecting.away import RedisAway
from sendmill.connecting.redis_url import RedisUrl
from sendmill.errors import ConfigError
from sendmill.ledger.format import NewerFormat, ajoin
from sendmill.ledger.personal_traces import Traces
from tasks.account.probe import probe_host
from tasks.plan.running_plans import Plans
from tasks.process import alerts
from tasks.process.heartbeat import Heartbeat, beat_heart
from tasks.process.runtime import Runtime
from tasks.report.inbox import Inbox
from tasks.report.matching import forget_calls
from tasks.report.spool import Spool, forget_spooled
from tasks.send.running_drains import Drains
from tasks.start.opening import open_runtime
from tasks.start.publishing import PUBLISH_S, publish
from workers.alive import AliveFile
from workers.loop import LoopThread, collect_rarely

HEARTBEAT_S = 1.0
_CLOSE_S = 5.0

log = structlog.get_logger(__name__)

Step = Callable[["WorkerProcess", Runtime], Coroutine[object, object, None]]


class WorkerProcess:
    """One for each process. Nothing is opened before the first task or heartbeat."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._loop = LoopThread()
        self._opening: asyncio.Lock | None = None
        self._runtime: Runtime | None = None
        self._stopping = threading.Event()
        self._outdated = False
        self._publish_at = 0.0
        self._heartbeat: Heartbeat | None = None
        self._probing: asyncio.Task[None] | None = None
        self._reconnect: Callable[[], object] = lambda: None
        self.drains: Drains | None = None
        self.plans: Plans | None = None

    def run(self, step: Step, *, timeout_s: float) -> None:
        """Run a step of the flow on the loop. Redis being away is one line: the next tick does the step again."""
        try:
            self._loop.run(self._step(step), timeout_s=timeout_s)
        except TimeoutError:
            log.error("a step took too long and was ended: the next tick goes on", timeout_s=timeout_s)  # noqa: TRY400 - where it stood says nothing
        except RedisAway as error:
            log.warning("Redis is away: the next tick tries again", why=error.code)
        except NewerFormat as error:
            log.warning("a step is left to a newer version", error=str(error))
        except ConfigError:
            log.debug("a step is not done: the process ends")

    async def _step(self, step: Step) -> None:
        runtime = await self._opened()
        if not self._outdated:
            await step(self, runtime)

    async def _opened(self) -> Runtime:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if self._runtime is None:
                self._runtime = await open_runtime(self._settings, self._send_task, stopping=self._stopping.is_set)
                self._runtime.guard.changed = partial(self._redis_changed, self._runtime, self._runtime.guard.changed)
                self.drains = Drains(self._runtime)
                self.plans = Plans(self._runtime)
                collect_rarely()
            return self._runtime

    def _redis_changed(self, runtime: Runtime, recover: Callable[[], None]) -> None:
        """Another run of Redis: it is told what it may have lost, and a replaced master is not waited at for work."""
        recover()
        if RedisUrl.parse(runtime.settings.redis_url).master:
            self._reconnect()

    def _send_task(self, name: str, args: Sequence[Any]) -> None:
        try:
            self._app.send_task(name, args=list(args), retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - whatever kombu raises: a wake-up that is lost costs a tick
            log.warning("a wake-up was lost", task=name, error=type(error).__name__)

    # --- signals -------------------------------------------------------------------------------------------------

    def show_life(self) -> None:
        """Let the loop say from now on that it turns, also while Redis is away at the start."""
        asyncio.run_coroutine_threadsafe(AliveFile().keep_touching(), self._loop.loop)

    def start_heart(self, queues: Collection[str], reconnect: Callable[[], object]) -> None:
        """Open the runtime as soon as Redis answers; from then on the process says every second that it lives.

        Args:
            queues: what the process takes wake-ups from.
            reconnect: makes it look anew where its broker is.
        """
        self._reconnect = reconnect
        asyncio.run_coroutine_threadsafe(self._live(sorted(queues)), self._loop.loop)

    async def _live(self, queues: Sequence[str]) -> None:
        said = denied = ""
        while not self._stopping.is_set():
            try:
                runtime = await self._beat(queues)
                if denied:
                    await self._tell_denied(runtime, denied)
                said = denied = ""
            except RedisAway as error:
                if said != error.code:
                    tell = log.error if error.denied else log.warning
                    tell("Redis is away, trying again every second", why=error.code)
                said = error.code
                denied = error.code if error.denied else denied
            except ConfigError as error:
                # Warmly: what is on the wire ends, and its outcome is written.
                log.error("this worker ends: %s", error)  # noqa: TRY400 - where it stood says nothing
                self._outdated = True
                self.begin_stop()
                os.kill(os.getpid(), signal.SIGTERM)
                return
            except Exception as error:
                if said != type(error).__name__:
                    log.exception("the heartbeat failed and goes on")
                said = type(error).__name__
            await asyncio.sleep(HEARTBEAT_S)

    async def _beat(self, queues: Sequence[str]) -> Runtime:
        runtime = await self._opened()
        await ajoin(runtime.server, runtime.jobs)
        if self._heartbeat is None:
            self._heartbeat = heartbeat_of(runtime, queues)
        await self._heartbeat.beat()
        if SEND in queues:
            await beat_heart(runtime)
            self._probe(runtime)
        if time.monotonic() >= self._publish_at:
            # Again and again: a Redis that lost its data, or an operator's `flushall`, must not hide accounts.
            await publish(runtime)
            self._publish_at = time.monotonic() + PUBLISH_S
        return runtime

    @staticmethod
    async def _tell_denied(runtime: Runtime, word: str) -> None:
        """Redis refused the user, the password or a command, and does no more: only now it takes the alert."""
        detail = f"Redis refused this system's user ({word}) until now, and nothing was sent meanwhile"
        for account in runtime.accounts.values():
            await alerts.open_alert(runtime.server, account.keys, alerts.REDIS_DENIED, detail)
            await alerts.resolve_alert(runtime.server, account.keys, alerts.REDIS_DENIED)

    def _probe(self, runtime: Runtime) -> None:
        """Ask vendors that refused this host's address, without holding up the heart."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(_probed(runtime))

    def begin_stop(self) -> None:
        """Start nothing more; what is on the wire goes on."""
        self._stopping.set()
        if self.drains is not None:
            self._loop.loop.call_soon_threadsafe(self.drains.stop)

    def end(self) -> None:
        """Close what is open."""
        if self._runtime is not None:
            if self._heartbeat is not None:
                with contextlib.suppress(RedisError, TimeoutError):
                    self._loop.run(self._heartbeat.end(), timeout_s=_CLOSE_S)
            self._loop.run(self._runtime.close(), timeout_s=_CLOSE_S)
        self._loop.stop()


def heartbeat_of(runtime: Runtime, queues: Sequence[str]) -> Heartbeat:
    """The heartbeat of a worker, which may have something of everybody in its spools and its caches."""
    namespace, accounts = runtime.settings.namespace, runtime.accounts
    replicas = runtime.settings.replicas
    spools = [
        (Spool.of(namespace, name), Inbox(runtime.server, each.keys, replicas=replicas))
        for name, each in accounts.items()
    ]

    async def forget(traces: Traces) -> int:
        files = await forget_spooled(spools, traces)
        forget_calls(runtime)
        return files

    return Heartbeat(
        runtime.server,
        runtime.jobs,
        runtime.process,
        "worker",
        queues,
        forget=forget,
    )


async def _probed(runtime: Runtime) -> None:
    with contextlib.suppress(RedisError):  # the next beat asks again
        await probe_host(runtime)
