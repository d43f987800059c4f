"""The inbox: what a vendor gives once is stored raw here, before it is parsed or acknowledged.

It is folded within a second or so (`report/fold.py`), in the order in which it came, and deleted only then; folding an
entry twice is harmless. It has an end: a push that finds it full hears 503 and goes to disk, and nothing is polled.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio

from providers.base import Proof, Push, Response
from sendmill.connecting.away import RedisAway
from sendmill.errors import StoreError
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.scripts import Script
from sendmill.moment import clock_ms

MOST_ENTRIES = 50_000
"""Reports that nobody folds are 16 s of the 3,000 a second that one account may push: by then something is wrong, and
a vendor that repeats its pushes keeps them better than our memory does."""

MOST_BYTES = 64_000_000
"""The same in memory: replies and pushes of many reports are larger than 1 kB."""

STORED_AT_ONCE = 200
"""Entries in one script; those of 1 MB end it sooner by the inbox's own bound."""

BATCH_ENTRIES = 500
"""Entries that are folded together."""

PUSH = "push"
POLL_PREFIX = "poll:"

_ENTRY_BYTES = 100
"""What an entry takes besides its fields."""

_KEPT_HEADERS = frozenset({"content-type"})
_BAD_KEPT = 500

_LUA = Path(__file__).parent / "lua"
_STORE = Script(_LUA / "store.lua")
_DROP = Script(_LUA / "drop.lua")


class InboxFull(StoreError):
    """The account's inbox has no room: nothing was stored."""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """What came, as it came. `kind` is `push` or `poll:<name of the address>`; `at_ms` is when.

    `entry_id` is that of the stream, empty before it is stored. `proof` and `proof_ms` are a push's proof and how long
    it is remembered; empty where it has none.
    """

    kind: str
    at_ms: int
    method: str = ""
    query: bytes = b""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    entry_id: str = ""
    proof: str = ""
    proof_ms: int = 0

    @property
    def size_bytes(self) -> int:
        """Roughly what it takes in the inbox."""
        headers = sum(len(name) + len(value) for name, value in self.headers.items())
        return _ENTRY_BYTES + len(self.kind) + len(self.query) + len(self.body) + headers

    @property
    def push(self) -> Push:
        """What a provider reads where a vendor pushed it."""
        return Push(self.method, self.query, self.headers, self.body)

    @property
    def response(self) -> Response:
        """What a provider reads where a vendor answered a poll. Other answers than these are not stored."""
        return Response(200, self.headers, self.body)


def entry_of_push(push: Push, proof: Proof | None = None) -> Entry:
    """A push that came now, under a proof where its vendor gives one."""
    entry = Entry(PUSH, clock_ms(), push.method, push.query, _few(push.headers), push.body)
    if proof is None:
        return entry
    return msgspec.structs.replace(entry, proof=proof.mark, proof_ms=math.ceil(proof.valid_s * 1000))


def entry_of_poll(name: str, response: Response) -> Entry:
    """What a poll brought now."""
    return Entry(POLL_PREFIX + name, clock_ms(), headers=_few(response.headers), body=response.body)


class Inbox:
    """One account's inbox.

    Args:
        server: where it is.
        keys: whose.
        replicas: how many of them have what is stored before it counts: what a vendor was told is stored it tells
            nobody again.
    """

    def __init__(self, server: redis.asyncio.Redis, keys: AccountKeys, *, replicas: int = 0) -> None:
        self._replicas = replicas
        self._server = server
        self._keys = keys

    async def store(self, entries: Sequence[Entry]) -> int:
        """Store entries in one step; returns how many there was room for: the first so many.

        What came before under its proof counts as stored and is not stored again.

        Raises:
            redis.RedisError: nobody knows whether they are stored. Storing them again is harmless.
        """
        args: list[bytes | str | float] = [MOST_ENTRIES, MOST_BYTES]
        for entry in entries:
            headers = msgspec.msgpack.encode(entry.headers)
            args += (entry.size_bytes, entry.kind, entry.at_ms, entry.method, entry.query, headers, entry.body)
            args += (entry.proof, entry.proof_ms)
        return int(await _STORE.aconfirmed(self._server, self._replicas, self._keys.state, *args))

    async def read(self, most: int = BATCH_ENTRIES) -> list[Entry]:
        """The oldest entries."""
        found: Any = await self._server.xrange(self._keys.inbox, count=most)
        return [_entry(entry_id.decode(), fields) for entry_id, fields in found]

    async def drop(self, entries: Sequence[Entry]) -> None:
        """Delete entries that have been folded."""
        if entries:
            flat = [part for entry in entries for part in (entry.entry_id, entry.size_bytes)]
            await _DROP.arun(self._server, self._keys.state, *flat)

    async def waiting(self) -> int:
        """Entries that are to be folded."""
        return int(await self._server.xlen(self._keys.inbox))

    async def quarantine(self, entry: Entry, why: str) -> None:
        """Keep what could not be read where a person finds it; the oldest goes where there are too many."""
        fields: dict[Any, Any] = {
            "kind": entry.kind,
            "at": entry.at_ms,
            "why": why,
            "method": entry.method,
            "query": entry.query,
            "headers": msgspec.msgpack.encode(entry.headers),
            "body": entry.body,
        }
        await self._server.xadd(self._keys.bad, fields, maxlen=_BAD_KEPT, approximate=True)


class Writer:
    """Stores entries that come at the same time together: those that come while a store is under way go with the next.

    Args:
        inbox: where to.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting: deque[tuple[Entry, asyncio.Future[bool]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def store(self, entry: Entry) -> None:
        """Store an entry; it is safe when this returns.

        Raises:
            InboxFull: there is no room, nothing was stored.
            redis.RedisError: nobody knows whether it is stored. Storing it again is harmless.
        """
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, stored))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        if not await stored:
            raise InboxFull("the inbox of the account is full: is a worker folding reports?")

    async def close(self) -> None:
        """Give up a store that hangs, and what waits behind it; who waits for them hears that they were cancelled."""
        writing, waiting = self._writing, list(self._waiting)
        self._waiting.clear()
        if writing is not None:
            writing.cancel()
            await asyncio.wait([writing])
        for _, stored in waiting:
            stored.cancel()

    async def _write(self) -> None:
        try:
            while self._waiting:
                together = [self._waiting.popleft() for _ in range(min(len(self._waiting), STORED_AT_ONCE))]
                await self._write_together(together)
        finally:
            self._writing = None

    async def _write_together(self, together: Sequence[tuple[Entry, asyncio.Future[bool]]]) -> None:
        error: Exception | None = None
        count = 0
        try:
            count = await self._store([entry for entry, _ in together])
        except asyncio.CancelledError:
            for _, stored in together:
                stored.cancel()
            raise
        except Exception as raised:  # noqa: BLE001 - each who waits hears it
            error = raised
        for place, (_, stored) in enumerate(together):
            if stored.done():
                continue  # it was not waited for so long
            if error is not None:
                stored.set_exception(error)
            else:
                stored.set_result(place < count)

    async def _store(self, entries: Sequence[Entry]) -> int:
        try:
            return await self._inbox.store(entries)
        except RedisAway:
            # A connection that stood idle over a restart of Redis breaks at its first use.
            return await self._inbox.store(entries)


def _entry(entry_id: str, fields: Mapping[bytes, bytes]) -> Entry:
    return Entry(
        kind=fields[b"kind"].decode(),
        at_ms=int(fields[b"at"]),
        method=fields[b"method"].decode(),
        query=fields[b"query"],
        headers=msgspec.msgpack.decode(fields[b"headers"], type=dict[str, str]),
        body=fields[b"body"],
        entry_id=entry_id,
    )


def _few(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
