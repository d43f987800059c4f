"""Callbacks: whoever handed a message over as to another system is told of its end as that system would.

A job that wants one bears a `ref` that begins with the façade's name. One process at a time looks through the events
for those and notes them as due; every process makes those that are due, each a few at a time to one host. A number is
never noted: a callback is known by its ref and its event, which is read again when it is made.

That a vendor has taken a message is no event. Who wants to be told of it has one callback more noted for each message
when the job is stored; what becomes of the message is looked at until the vendor has it, ever more rarely.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog
from redis.exceptions import RedisError

from config.settings import Settings
from sendmill.connecting.away import RedisAway
from sendmill.errors import NoSuchJob, StoreError
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.lock import try_lock_renewed
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.wait_for_events import Bell
from sendmill.ledger.webhooks import StoredWebhook
from sendmill.messages import ReportEvent
from sendmill.moment import clock_ms
from sendmill.states import State
from web.context import Context
from web.facades.callback_requests import Callback
from web.webhooks.entry_reader import EntryReader
from web.webhooks.next_events import Follower
from web.webhooks.posting import Outcome, Poster

SCHEDULE_S: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0)
"""Waits between one try and the next; after the last try it is given up."""

OF_A_HOST: Final = 8
"""Callbacks to one host at the same time."""

AT_ONCE: Final = 200
"""Callbacks that one process makes at the same time."""

GROUP: Final = "callbacks:"
"""The consumer group; no webhook has such a name."""

_PREFIXES: Final = ("twilio:", "kannel:")
_ACCEPTED: Final = "accepted:"
"""Stands, with the message's id, where else an event's id does."""

_FIRST_S: Final = 0.5
"""Whether the vendor has a message is looked at for the first time after this, then after half of its age more."""

_MOST_RARELY_S: Final = 600.0
_RESTS_S: Final = 30.0
"""A host that failed is asked for nothing else for so long, so that it keeps no place from others."""

_RECORD_MS: Final = 60_000
"""What a callback wants may be noted so long after its message ended: the job is stored first."""

_LEASE_MS: Final = 60_000
_LOCK_MS: Final = 4_000
_LOOK_S: Final = 0.25
_WAIT_S: Final = 0.5
_AWAY_S: Final = 0.5
_LATEST: Final = 1.2
_GONE: Final = 410

log = structlog.get_logger(__name__)
_decoder: Final[msgspec.json.Decoder[Callback]] = msgspec.json.Decoder(Callback)


# --- noted by a façade -------------------------------------------------------------------------------------------


async def begin(context: Context) -> None:
    """Have events looked through from now on: before a job is stored that wants a callback.

    Raises:
        StoreError: Redis is away.
    """
    await context.run(partial(_begin, context))


def _begin(context: Context) -> None:
    ledger = context.blocking._ledger  # noqa: SLF001 - a part of the client
    with store_errors():
        begun = ledger.server.exists(ledger.jobs.callbacks + ":at")
    if not begun:
        ends = context.blocking.webhooks.ends()
        with store_errors():
            for place, stored in ends.items():
                ledger.server.hsetnx(ledger.jobs.callbacks + ":at", place, stored)


async def keep(
    context: Context, ref: str, callback: Callback, message_ids: Iterable[str], *, ahead_s: float, kept_s: float
) -> None:
    """Note what a job's sender wants to be told of these messages, which go out so long from now.

    Raises:
        StoreError: Redis is away.
    """
    begins_ms = clock_ms() + int(1000 * ahead_s)
    stored = msgspec.json.encode(msgspec.structs.replace(callback, begins_ms=begins_ms))
    looked_at = begins_ms + int(1000 * _FIRST_S)
    accepted = {f"{ref} {_ACCEPTED}{each}": looked_at for each in message_ids} if callback.tells_accepted else {}

    def store() -> None:
        ledger = context.blocking._ledger  # noqa: SLF001 - a part of the client
        with store_errors():
            pipe = ledger.server.pipeline(transaction=True)
            pipe.set(ledger.jobs.callback(ref), stored, ex=int(kept_s))
            if accepted:
                pipe.zadd(ledger.jobs.callbacks + ":due", accepted, nx=True)
            pipe.execute()

    await context.run(store)


def kept_s(settings: Settings, waits_s: float) -> float:
    """How long a job that waits so long at most may tell something."""
    return waits_s + settings.report_horizon_h * 3600 + settings.retention_days * 86_400


# --- looked for and made -----------------------------------------------------------------------------------------


class Callbacks:
    """Looks for callbacks and makes them.

    Args:
        ledger: with a server for coroutines.
        poster: makes them.
        show: what is known of a message, as `AsyncClient.show`.
        allow_private: whether they may lead to a private network.
    """

    def __init__(
        self,
        ledger: Ledger,
        poster: Poster,
        show: Callable[[str], Awaitable[Mapping[str, Any]]],
        *,
        allow_private: bool,
    ) -> None:
        self._ledger = ledger
        self._show = show
        self._server = ledger.server
        self._poster = poster
        self._allow_private = allow_private
        self._schedule_s = SCHEDULE_S
        self._reader = EntryReader(ledger)
        self._name = ledger.jobs.callbacks
        self._stopping = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self._making: set[asyncio.Task[None]] = set()
        self._of_host: Counter[str] = Counter()
        self._rests_until: dict[str, float] = {}

    def start(self) -> None:
        """Begin both. Redis may be away in between."""
        self._running = [asyncio.create_task(self._again(step)) for step in (self._look, self._make)]

    async def stop(self, longest_s: float) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._stopping.set()
        tasks = {*self._running, *self._making}
        await asyncio.wait(tasks, timeout=longest_s)
        for task in tasks:
            task.cancel()

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
        away = False
        while not self._stopping.is_set():
            try:
                await step()
                away = False
            except RedisError as error:
                if not away:
                    log.warning("callbacks wait for Redis", error=type(error).__name__)
                away = True
            await self._rest(_AWAY_S)

    async def _rest(self, longest_s: float) -> None:
        """Sleep until there is nothing more to be done, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), longest_s)

    # --- looked for ----------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        if not await self._server.exists(self._name + ":at"):
            return  # nobody has ever wanted one
        async with (
            try_lock_renewed(self._server, self._name + ":lock", _LOCK_MS) as held,
            Bell(self._ledger) as bell,
        ):
            if held is None:
                return
            places = await self._server.hgetall(self._name + ":at")
            known = {name.decode(): value.decode() for name, value in places.items()}
            follower = Follower(self._ledger, bell, GROUP, StoredWebhook("", 0, kinds=("report",)), known)
            while not self._stopping.is_set() and await held.renew():
                made = await follower.batch()
                if made is None:
                    await follower.wait(_WAIT_S)
                    continue
                batch, events = made
                await self._note([event for event in events if isinstance(event, ReportEvent)], batch.places())
                await follower.keep_group(batch.places())

    async def _note(self, events: list[ReportEvent], places: dict[str, str]) -> None:
        wanted = {f"{event.ref} {event.id}": 0 for event in events if (event.ref or "").startswith(_PREFIXES)}
        async with self._server.pipeline(transaction=True) as pipe:
            if wanted:
                pipe.zadd(self._name + ":due", wanted, nx=True)
            pipe.hset(self._name + ":at", mapping=places)
            await pipe.execute()

    # --- made ----------------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        while not self._stopping.is_set():
            free = AT_ONCE - len(self._making)
            now_ms = clock_ms()
            claim = ledger_script("claimdue")
            due: list[bytes] = []
            if free > 0:
                due = await claim.arun(self._server, self._name + ":due", now_ms, now_ms + _LEASE_MS, free)
            for member in due:
                await self._begin(member.decode())
            if not due:
                await self._rest(_LOOK_S)

    async def _begin(self, member: str) -> None:
        ref, _, event_id = member.partition(" ")
        raw = await self._server.get(self._ledger.jobs.callback(ref))
        if raw is None:
            if event_id.startswith(_ACCEPTED) or clock_ms() - _ended_ms(event_id) > _RECORD_MS:
                await self._end(member)
            else:
                await self._put_off(member, 1.0)
            return
        callback = _decoder.decode(raw)
        host = urlsplit(callback.url).netloc
        rests_s = self._rests_until.get(host, 0.0) - time.monotonic()
        if rests_s > 0:
            await self._put_off(member, rests_s)
        elif self._of_host[host] >= OF_A_HOST:
            await self._put_off(member, 1.0)
        else:
            self._of_host[host] += 1
            task = asyncio.create_task(self._made(member, event_id, callback, host))
            self._making.add(task)
            task.add_done_callback(partial(self._ended, host))

    def _ended(self, host: str, task: asyncio.Task[None]) -> None:
        self._making.discard(task)
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a callback broke: it is tried again", exc_info=error)

    async def _made(self, member: str, event_id: str, callback: Callback, host: str) -> None:
        is_accepted = event_id.startswith(_ACCEPTED)
        found = await (self._accepted(event_id, callback) if is_accepted else self._event(event_id))
        if isinstance(found, float):
            await self._put_off(member, found)
            return
        request = None if found is None else callback.request(found)
        if request is None:
            await self._end(member)
            return
        outcome = await self._poster.request(
            request.method, request.url, request.body, request.headers, allow_private=self._allow_private
        )
        if outcome.ok or outcome.status == _GONE:
            await self._surviving(partial(self._end, member))
        else:
            self._rests_until[host] = time.monotonic() + min(_RESTS_S, self._schedule_s[0])
            await self._surviving(partial(self._failed, member, outcome))

    async def _accepted(self, event_id: str, callback: Callback) -> ReportEvent | float | None:
        """That the vendor has a message; seconds until the next look, where it may come to that; None where not."""
        message_id = event_id.removeprefix(_ACCEPTED)
        age_s = (clock_ms() - callback.begins_ms) / 1000
        later_s = min(_MOST_RARELY_S, max(_FIRST_S, age_s / 2))
        try:
            shown = await self._show(message_id)
        except NoSuchJob:
            return None
        except StoreError:
            return later_s
        state, at = State(shown["state"]), shown["submitted_at"]
        if at is None:
            return None if state.final else later_s
        if state.final and not callback.tells_late:
            return None
        return ReportEvent(
            id=event_id,
            account=shown["account"],
            occurred_at=at,
            received_at=at,
            job_id=message_id.rpartition("-")[0],
            message_id=message_id,
            to=shown["to"],
            state=State.SUBMITTED,
            vendor_message_id=shown["vendor_message_id"],
        )

    async def _event(self, event_id: str) -> ReportEvent | None:
        account, entry_id, index = event_id.rsplit(":", 2)
        entry = await self._reader.at(account, entry_id)
        if entry is None:
            return None
        self._reader.forget()
        events, _ = await self._reader.events(entry, int(index), int(index) + 1, 1)
        return events[0] if events and isinstance(events[0], ReportEvent) else None

    async def _failed(self, member: str, outcome: Outcome) -> None:
        tries = int(await self._server.hincrby(self._name + ":tries", member, 1))
        log.warning("a callback was not taken", what=outcome.what, tries=tries)
        if tries > len(self._schedule_s):
            await self._end(member)
            return
        await self._put_off(member, outcome.retry_after_s or self._schedule_s[tries - 1])

    async def _put_off(self, member: str, wait_s: float) -> None:
        wait_ms = 1000 * wait_s * random.uniform(1.0, _LATEST)  # noqa: S311 - no secret
        await self._server.zadd(self._name + ":due", {member: clock_ms() + int(wait_ms)}, xx=True)

    async def _end(self, member: str) -> None:
        async with self._server.pipeline(transaction=True) as pipe:
            pipe.zrem(self._name + ":due", member)
            pipe.hdel(self._name + ":tries", member)
            await pipe.execute()

    async def _surviving(self, step: Callable[[], Awaitable[None]]) -> None:
        """Write what came of it, however long Redis is away."""
        while True:
            with contextlib.suppress(RedisAway):
                await step()
                return
            await asyncio.sleep(_AWAY_S)


def _ended_ms(event_id: str) -> int:
    return int(event_id.rsplit(":", 2)[1].partition("-")[0])
