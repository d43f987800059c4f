"""One webhook: its receiver is told one batch after the other, by one process at a time.

A batch is noted before it is posted, by the names of what is in it, and its end is written when the receiver has
answered. A process that dies in between is followed by one that posts the same again, under the same `webhook-id`:
that is the only way in which a receiver hears something twice. While this process lives, an answer that was read is
written however long Redis is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sendmill.connecting.away import RedisAway
from sendmill.ledger.connection import Ledger
from sendmill.ledger.event_entries import plain
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.lock import Lock, try_lock_renewed
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.wait_for_events import Bell
from sendmill.ledger.webhooks import (
    AGAIN,
    AT,
    DELIVERIES_KEPT,
    Batch,
    Place,
    Replay,
    StoredDelivery,
    StoredWebhook,
    batch_decoder,
    group_of,
    replay_decoder,
    secrets_now,
    webhook_decoder,
)
from sendmill.messages import AnyEvent
from sendmill.moment import clock_ms
from sendmill.webhooks.client import WEBHOOK_DISABLED
from sendmill.webhooks.signing import signed_headers
from web.webhooks.next_events import Follower
from web.webhooks.posting import Outcome, Poster

SCHEDULE_S: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
"""Standard Webhooks' waits between one try and the next; the last one is repeated."""

GIVEN_UP_S: Final = 5 * 86_400.0
"""A receiver that took nothing for so long is not told any more."""

LOCK_MS: Final = 4_000
"""A process that dies is followed after this at the latest."""

_GONE: Final = 410
_LATEST: Final = 1.2
"""Times the wait: many webhooks of one host do not come back together."""
_LOOK_S: Final = 1.0
_WAIT_S: Final = 0.5
_AWAY_S: Final = 0.5
_AFTER_ANOTHER_S: Final = 1.5
"""Who takes over a batch waits so long before he posts it: a process that read its answer while Redis was away, and
lost its lock so, gets to write it."""

log = structlog.get_logger(__name__)


class _Lost(Exception):
    """Somebody else tells this receiver now, or nobody any more."""


class Telling:
    """Tells one receiver, as long as its webhook is there.

    Args:
        ledger: with a server for coroutines.
        poster: posts.
        name: the webhook's.
        secrets: what is signed with, where a configuration file has them.
        stopping: is set when nothing more may be begun.
        schedule_s: waits between tries.
        given_up_s: see GIVEN_UP_S.
    """

    def __init__(
        self,
        ledger: Ledger,
        poster: Poster,
        name: str,
        *,
        secrets: Sequence[str] = (),
        stopping: asyncio.Event,
        schedule_s: Sequence[float] = SCHEDULE_S,
        given_up_s: float = GIVEN_UP_S,
    ) -> None:
        self._ledger = ledger
        self._server = ledger.server
        self._poster = poster
        self._name = name
        self._key = ledger.jobs.webhook(name)
        self._secrets = secrets
        self._stopping = stopping
        self._schedule_s = schedule_s
        self._given_up_s = given_up_s
        self._token = ""
        self._webhook: StoredWebhook | None = None
        self._looked_at = 0.0
        self._next_ms = 0
        self._batch: Batch | None = None
        self._events: list[AnyEvent] | None = None
        """Those of the batch. None while it waits for its next try, when a person may be forgotten."""
        self._bell = Bell(ledger)
        self._follower: Follower | None = None
        self._replay: Replay | None = None

    async def run(self) -> None:
        """Tell it until the webhook is gone or nothing more may be begun. Redis may be away in between."""
        away = False
        while not self._stopping.is_set():
            try:
                raw = await self._server.hget(self._ledger.jobs.webhooks, self._name)
                if raw is None:
                    return
                if webhook_decoder.decode(raw).by_file and not self._secrets:
                    return  # it stands in the configuration file of another process
                async with (
                    try_lock_renewed(self._server, self._key + ":lock", LOCK_MS) as held,
                    Bell(self._ledger) as self._bell,
                ):
                    away = False
                    if held is not None:
                        await self._tell(held)
            except _Lost:
                pass
            except RedisError as error:
                if not away:
                    log.warning("a webhook waits for Redis", webhook=self._name, error=type(error).__name__)
                away = True
            await self._rest(_AWAY_S if away else _LOOK_S)

    async def _rest(self, longest_s: float) -> None:
        """Sleep until there is nothing more to be done, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), longest_s)

    # --- one after the other -------------------------------------------------------------------------------------

    async def _tell(self, held: Lock) -> None:
        self._token, self._looked_at = held.token, 0.0
        await self._take_over()
        while not self._stopping.is_set():
            await self._look()
            if not await self._step():
                await self._rest(_WAIT_S)

    async def _step(self) -> bool:
        """Do the next thing; returns False where there is nothing to do."""
        webhook, follower = self._known
        if webhook.disabled or clock_ms() < self._next_ms:
            return False
        if self._batch is None:
            made = await follower.batch()
            if made is None:
                if self._replay is not None:
                    await self._end_replay()
                else:
                    await follower.wait(_WAIT_S)
                return True
            self._batch, self._events = made
        if self._events is None:
            self._events = await follower.again(self._batch)
        await self._note(self._batch)
        await self._tell_of(webhook, follower, self._batch, self._events)
        return True

    async def _note(self, batch: Batch) -> None:
        noted = await ledger_script("begintelling").arun(
            self._server, self._key, self._token, batch.id, msgspec.msgpack.encode(batch)
        )
        if not noted:
            raise _Lost

    async def _tell_of(
        self, webhook: StoredWebhook, follower: Follower, batch: Batch, events: Sequence[AnyEvent]
    ) -> None:
        if not events:
            await self._told(follower, batch, None)
            return
        began_ms = clock_ms()
        outcome = await self._posted(webhook, batch.id, _body("events", batch.made_ms, events))
        tries = int(await self._surviving(lambda: self._server.hget(self._key, "tries")) or 0)
        delivery = _delivery(batch.id, began_ms, outcome, what="events", events=len(events), attempt=tries + 1)
        if outcome.ok:
            await self._told(follower, batch, delivery)
        else:
            await self._failed(batch, delivery, outcome)

    async def _told(self, follower: Follower, batch: Batch, delivery: StoredDelivery | None) -> None:
        places = batch.places()
        await self._written(batch, "told", delivery, places if delivery is None else {**places, "told_ms": clock_ms()})
        self._batch = self._events = None
        self._next_ms = 0
        follower.told(batch)
        await follower.keep_group(places)

    async def _failed(self, batch: Batch, delivery: StoredDelivery, outcome: Outcome) -> None:
        self._events = None
        self._next_ms = clock_ms() + int(1000 * self._wait_s(delivery.attempt - 1, outcome))
        log.warning("a webhook took nothing", webhook=self._name, what=outcome.what, tries=delivery.attempt)
        await self._written(batch, "failed", delivery, {"next_ms": self._next_ms})
        failing_ms = int(await self._server.hget(self._key, "failing_ms") or clock_ms())
        if outcome.status == _GONE:
            await self._disable("its receiver answered 410: it wants nothing any more")
        elif clock_ms() - failing_ms >= 1000 * self._given_up_s:
            await self._disable(f"its receiver took nothing since {_minute(failing_ms)}: the last time {outcome.what}")

    async def _posted(self, webhook: StoredWebhook, message_id: str, body: bytes) -> Outcome:
        at_s = int(time.time())
        secrets = self._secrets if webhook.by_file else secrets_now(webhook.secrets, at_s * 1000)
        headers = {"Content-Type": "application/json", **signed_headers(secrets, message_id, at_s, body)}
        return await self._poster.post(webhook.url, body, headers, allow_private=webhook.allow_private)

    async def _written(
        self, batch: Batch, what: str, delivery: StoredDelivery | None, fields: Mapping[str, str | int]
    ) -> None:
        """Write what came of a batch, however long Redis is away: nobody else knows it."""
        pairs = [each for pair in fields.items() for each in pair]
        stored = b"" if delivery is None else msgspec.json.encode(delivery)
        args = (batch.id, what, stored, DELIVERIES_KEPT, clock_ms(), *pairs)
        await self._surviving(lambda: ledger_script("endtelling").arun(self._server, self._key, *args))

    async def _surviving(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return await step()
            except RedisAway:
                await asyncio.sleep(_AWAY_S)

    def _wait_s(self, tries: int, outcome: Outcome) -> float:
        """How long until the next try: what the receiver asks for, or the schedule, never all at the same moment."""
        planned_s = self._schedule_s[min(tries, len(self._schedule_s) - 1)]
        return (outcome.retry_after_s or planned_s) * random.uniform(1.0, _LATEST)  # noqa: S311 - no secret

    async def _disable(self, why: str) -> None:
        """Tell it nothing more, and tell somebody so. The batch stays noted: who enables it has it told first."""
        log.error("a webhook is told nothing any more", webhook=self._name, why=why)
        while True:
            raw = await self._server.hget(self._ledger.jobs.webhooks, self._name)
            if raw is None:
                raise _Lost
            known = webhook_decoder.decode(raw)
            new = msgspec.structs.replace(known, disabled=why, disabled_ms=clock_ms())
            script = ledger_script("hashswap")
            if await script.arun(self._server, self._ledger.jobs.webhooks, self._name, raw, msgspec.json.encode(new)):
                break
        alerts = self._ledger.account(REFUSED).state
        await ledger_script("openalert").arun(self._server, alerts, WEBHOOK_DISABLED, f"webhook {self._name}: {why}")
        self._looked_at = 0.0

    # --- what is asked for ---------------------------------------------------------------------------------------

    @property
    def _known(self) -> tuple[StoredWebhook, Follower]:
        if self._webhook is None or self._follower is None:
            raise _Lost
        return self._webhook, self._follower

    async def _take_over(self) -> None:
        """Go on where whoever told it before has stopped."""
        raw = await self._server.hget(self._ledger.jobs.webhooks, self._name)
        if raw is None:
            raise _Lost
        self._webhook = webhook_decoder.decode(raw)
        state = await self._state()
        if b"batch" in state and (self._batch is None or state[b"batch_id"] != self._batch.id.encode()):
            await self._rest(_AFTER_ANOTHER_S)
            state = await self._state()
        self._next_ms = int(state.get(b"next_ms", 0))
        self._replay = replay_decoder.decode(state[b"replay"]) if b"replay" in state else None
        self._follow(state)
        self._batch = batch_decoder.decode(state[b"batch"]) if b"batch" in state else None
        self._events = None

    async def _state(self) -> dict[bytes, bytes]:
        state: dict[bytes, bytes] = await self._server.hgetall(self._key)
        return state

    def _follow(self, state: dict[bytes, bytes]) -> None:
        webhook = self._webhook
        if webhook is None:
            raise _Lost
        places = {
            name.decode(): value.decode() for name, value in state.items() if name.decode().startswith((AT, AGAIN))
        }
        self._follower = Follower(self._ledger, self._bell, group_of(self._name), webhook, places, self._replay)

    async def _look(self) -> None:
        """Once a second: whether the webhook is still there and as it was, and what somebody wants of it."""
        if time.monotonic() - self._looked_at < _LOOK_S:
            return
        self._looked_at = time.monotonic()
        raw = await self._server.hget(self._ledger.jobs.webhooks, self._name)
        if raw is None:
            raise _Lost
        self._webhook = webhook_decoder.decode(raw)
        test, since, next_ms = await self._server.hmget(self._key, "wants_test", "wants_replay", "next_ms")
        self._next_ms = int(next_ms or 0)
        if test is not None:
            await self._test(self._webhook, test.decode())
        if since is not None and self._batch is None:
            await self._begin_replay(int(since))

    async def _test(self, webhook: StoredWebhook, test_id: str) -> None:
        began_ms = clock_ms()
        await self._server.hdel(self._key, "wants_test")
        outcome = await self._posted(webhook, test_id, _body("test", began_ms, []))
        delivery = _delivery(test_id, began_ms, outcome, what="test", events=0, attempt=1)
        told = self._key + ":told"
        await self._server.lpush(told, msgspec.json.encode(delivery))
        await self._server.ltrim(told, 0, DELIVERIES_KEPT - 1)
        if outcome.ok:
            # It is there again: what waits for it need not wait for its time.
            await self._server.hdel(self._key, "next_ms")
            self._next_ms = 0

    async def _begin_replay(self, since_ms: int) -> None:
        state = await self._state()
        up_to = {
            name.decode().removeprefix(AT): Place.read(value).whole.entry_id
            for name, value in state.items()
            if name.startswith(AT.encode())
        }
        self._replay = Replay(since_ms, up_to)
        async with self._server.pipeline(transaction=True) as pipe:
            pipe.hdel(self._key, "wants_replay", *(name for name in state if name.startswith(AGAIN.encode())))
            pipe.hset(self._key, "replay", msgspec.msgpack.encode(self._replay))
            await pipe.execute()
        self._follow({name: value for name, value in state.items() if not name.startswith(AGAIN.encode())})

    async def _end_replay(self) -> None:
        state = await self._state()
        await self._server.hdel(self._key, "replay", *(name for name in state if name.startswith(AGAIN.encode())))
        self._replay = None
        self._follow(state)


def _body(what: str, at_ms: int, events: Sequence[AnyEvent]) -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode({"type": what, "timestamp": at, "events": [plain(event) for event in events]})


def _delivery(message_id: str, at_ms: int, outcome: Outcome, *, what: str, events: int, attempt: int) -> StoredDelivery:
    status, error = outcome.status or 0, outcome.error or ""
    return StoredDelivery(message_id, at_ms, what, events, attempt, outcome.took_ms, status, error)


def _minute(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
