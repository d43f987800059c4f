"""What Redis holds of a job as a whole, and its upload: chunks first, then one script that makes the job exist."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
import redis

from sendmill.errors import KeyConflict, StoreError
from sendmill.ledger.connection import store_errors, store_full
from sendmill.ledger.format import FORMAT, OLDEST, LedgerFormat
from sendmill.ledger.keys import SMALL, SMALL_OTP, JobKeys
from sendmill.ledger.scripts import ledger_script
from sendmill.options import Lane
from sendmill.preparing.prepare import PreparedBatch, RefusedRow
from sendmill.states import State

SMALL_ROWS = 100
"""The most rows of a small job: those are planned together, by the processes that send."""

CHUNK_ROWS = 20_000
"""Accepted rows in a chunk: a multiple of every vendor's largest call, so that whole chunks make whole calls."""

CHUNK_BYTES = 1_000_000
"""A chunk of personalised rows ends where its values pass this."""

ABANDONED_UPLOAD_S = 3600
"""An upload that its producer never finished goes after this."""

COMMIT = ledger_script("commit")

_KEEP_EVERY_S = 600.0

ALL_EVENTS_ROWS = 1000
"""Jobs up to this many rows report every final state, longer ones failures only, where the producer did not say."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TWO = [high + low for high in _ALPHABET for low in _ALPHABET]


_SHORT = {
    "text": "t",
    "created_ms": "c",
    "expires_ms": "x",
    "kind": "k",
    "lane": "l",
    "fields": "f",
    "at_ms": "at",
    "account": "a",
    "route": "r",
    "sender": "s",
    "signature": "g",
    "ref": "n",
    "duplicates_ok": "d",
    "options": "o",
    "report_events": "e",
    "parts": "p",
    "trace": "tp",
}
"""What a JobMeta's fields are called in Redis, where every job has them."""


class JobMeta(msgspec.Struct, frozen=True, omit_defaults=True, rename=_SHORT):
    """What was asked for, as the producer gave it. Times are ms since the epoch.

    `kind` is a Kind's word; `parts` are what a kind has besides the text: `template_id`, `subject`, `image`, `audio`.
    `trace` is the job's place in a trace, where there is one: see `sendmill.monitoring.tracing`.
    `report_events` is "" until the upload ends, where the number of rows is to decide. `job` is stored as the name of
    its hash alone.
    """

    text: str
    created_ms: int
    expires_ms: int
    job: str = ""
    kind: str = "sms"
    lane: str = "normal"
    fields: tuple[str, ...] | None = None
    at_ms: int | None = None
    account: str | None = None
    route: str | None = None
    sender: str | None = None
    signature: str | None = None
    ref: str | None = None
    duplicates_ok: bool = False
    options: dict[str, Any] = {}
    report_events: str = "all"
    parts: dict[str, str] = {}
    trace: str | None = None

    def by_redis_clock(self, ahead_ms: int) -> JobMeta:
        """The same with times as Redis' clock has them, which is ahead of the producer's by that much.

        The gate compares with Redis' clock: a producer that is five minutes behind must not expire every otp at once.
        `at` is a time that somebody named, and stands.
        """
        created_ms = self.created_ms + ahead_ms
        if self.at_ms is not None:
            return msgspec.structs.replace(self, created_ms=created_ms)
        return msgspec.structs.replace(self, created_ms=created_ms, expires_ms=self.expires_ms + ahead_ms)


class Chunk(msgspec.Struct, array_like=True, frozen=True):
    """Rows of an upload: accepted ones as parallel arrays, refused ones as (row, to, state, code, reason)."""

    numbers: list[int]
    rows: list[int]
    values: list[tuple[str, ...]] | None
    refused: list[tuple[int, str, str, str, str]]


_CHUNK = msgspec.msgpack.Decoder(Chunk)
_META = msgspec.msgpack.Decoder(JobMeta)


def decode_chunk(raw: bytes) -> Chunk:
    """Read an uploaded chunk."""
    return _CHUNK.decode(raw)


def encode_meta(meta: JobMeta) -> bytes:
    """What a job asks for, as its hash has it."""
    return msgspec.msgpack.encode(msgspec.structs.replace(meta, job=""))


def decode_meta(raw: bytes, job: str) -> JobMeta:
    """Read what a job asks for."""
    return msgspec.structs.replace(_META.decode(raw), job=job)


def bare_meta(raw: bytes) -> bytes:
    """What a job asks for without what a slice of it holds too: text, sender, options."""
    return encode_meta(msgspec.structs.replace(_META.decode(raw), text="", sender=None, options={}))


def chunks_left(planned: bytes | None, chunks: bytes | None) -> range:
    """The chunks of a job that are not planned yet, from two fields of its hash. What is not there is 0, and 1."""
    return range(int(planned or 0), int(chunks or 1))


def own_slices(job: str, only: bytes | None, listed: Iterable[bytes]) -> list[tuple[str, str, int]]:
    """The slices that a job was cut into: account, slice id, rows of it that `send` had accepted.

    Most jobs have one: then it stands in their hash, as `only`, and nothing is listed.
    """
    slices: list[tuple[str, str, int]] = [tuple(msgspec.msgpack.decode(raw)) for raw in listed]
    if only is not None:
        account, rows, *page = msgspec.msgpack.decode(only)
        slices.append((account, f"{job}.0.{page[0] if page else 0}", rows))
    return slices


def key_digest(key: str) -> str:
    """What an idempotency key is called in Redis."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def new_job_id(now_s: float | None = None) -> str:
    """A fresh id: 18 of `[0-9a-z]`, those of later milliseconds sort behind those of earlier ones."""
    ms = int((time.time() if now_s is None else now_s) * 1000)
    return _nine(ms) + _nine(int.from_bytes(os.urandom(6)))


def _nine(number: int) -> str:
    """The lowest 45 bits of a number as nine characters, two at a time."""
    return "".join(_TWO[number >> shift & 1023] for shift in (35, 25, 15, 5)) + _ALPHABET[number & 31]


class Uploaded(msgspec.Struct, frozen=True):
    """How an upload ended. `known` is the earlier job that the idempotency key already names.

    `wake`: nobody knows of the job yet, as the broker is another server. `small`: it is planned with other small ones.
    `replicas`: how many have to confirm it before it counts as stored.
    """

    job: str
    total: int
    accepted: int
    refused: list[RefusedRow]
    known: str | None = None
    wake: bool = False
    small: bool = False
    replicas: int = 0


class Bell(Protocol):
    """What wakes a planner from within the script that makes a job exist."""

    def wake_up(self, job: str, *, small: bool) -> tuple[str, bytes]:
        """The list of the ledger's own server and what is to be put on it; "" where the broker is another server."""


class Writer:
    """Takes a job's rows and stores each chunk but the last as it is full: up to a chunk nothing is asked of Redis.

    Then `commit_args` are what commit.lua is told, which makes the job exist, and `committed` reads its answer. Memory
    is that of one chunk, and of the refused rows, of which the first `keep_refused` are kept, or all.
    """

    def __init__(self, server: redis.Redis, keys: JobKeys, meta: JobMeta, keep_refused: int | None = None) -> None:
        self._server = server
        self._keys = keys
        self._meta = meta
        self._digest = hashlib.blake2b(_identity(meta), digest_size=16)
        self._chunks = 0
        self._accepted = 0
        self._failed = 0
        self._suppressed = 0
        self._small = False
        self._refused: list[RefusedRow] = []
        self._keep_refused = keep_refused
        self._kept_at = time.monotonic()
        self._new_chunk()

    def _new_chunk(self) -> None:
        self._numbers: list[int] = []
        self._rows: list[int] = []
        self._values: list[tuple[str, ...]] = []
        self._out: list[tuple[int, str, str, str, str]] = []
        self._bytes = 0

    def add(self, batch: PreparedBatch) -> None:
        """Take the next rows.

        Raises:
            StoreError: Redis is away or full; nothing exists yet.
        """
        self._accepted += len(batch.rows)
        self._numbers.extend(batch.numbers)
        self._rows.extend(batch.rows)
        if batch.values is not None:
            self._values.extend(batch.values)
            self._bytes += sum(len(value) for values in batch.values for value in values)
        for row in batch.refused:
            if self._keep_refused is None or len(self._refused) < self._keep_refused:
                self._refused.append(row)
            self._out.append((row.row, _storable(row.to), row.state.value, row.code, _storable(row.reason)))
            if row.state is State.SUPPRESSED:
                self._suppressed += 1
            else:
                self._failed += 1
        full = len(self._numbers) >= CHUNK_ROWS or len(self._out) >= CHUNK_ROWS or self._bytes >= CHUNK_BYTES
        if full:
            self._store(self._pack())

    def _pack(self) -> bytes:
        values = self._values if self._meta.fields is not None else None
        raw = msgspec.msgpack.encode(Chunk(self._numbers, self._rows, values, self._out))
        self._digest.update(raw)
        self._new_chunk()
        return raw

    def _store(self, raw: bytes) -> None:
        with store_errors():
            stored, *full = ledger_script("put").run(
                self._server, self._keys.chunk(self._meta.job, self._chunks), raw, ABANDONED_UPLOAD_S
            )
            if stored == b"full":
                self._forget()
                raise store_full(*full)
            self._chunks += 1
            if time.monotonic() - self._kept_at > _KEEP_EVERY_S:
                self._keep()

    def _keep(self) -> None:
        """A producer that reads its rows from something slow has not abandoned them."""
        pipe = self._server.pipeline(transaction=False)
        for number in range(self._chunks):
            pipe.expire(self._keys.chunk(self._meta.job, number), ABANDONED_UPLOAD_S)
        pipe.execute()
        self._kept_at = time.monotonic()

    def abandon(self) -> None:
        """Give up what was stored of a job that will not be: its rows came to no end. A Redis that is away lets it go
        within the hour."""
        with suppress(StoreError), store_errors():
            self._forget()

    def _forget(self) -> None:
        """A full server needs the room of an upload that it does not take to its end."""
        for number in range(self._chunks):
            self._server.unlink(self._keys.chunk(self._meta.job, number))

    def commit_args(self, key: str | None, plan_at_ms: int, bell: Bell) -> list[bytes | str | int]:
        """What commit.lua is told once every row was added."""
        only = b""
        if self._numbers or self._out or not self._chunks:
            raw = self._pack()
            if self._chunks:
                self._store(raw)
            else:
                only = raw
                self._chunks = 1
        meta = self._meta
        total = self._accepted + self._failed + self._suppressed
        if not meta.report_events:
            meta = msgspec.structs.replace(meta, report_events="all" if total <= ALL_EVENTS_ROWS else "failures")
        self._small = bool(only) and total <= SMALL_ROWS and not plan_at_ms
        small = "" if not self._small else SMALL_OTP if meta.lane == Lane.OTP else SMALL
        woken, wake_up = bell.wake_up(meta.job, small=self._small)
        return [
            meta.job,
            encode_meta(meta),
            plan_at_ms,
            int(time.time() * 1000),
            self._accepted,
            self._failed,
            self._suppressed,
            self._chunks,
            key_digest(key) if key is not None else "",
            self._digest.hexdigest(),
            only,
            FORMAT,
            OLDEST,
            small,
            woken,
            wake_up,
        ]

    def committed(self, told: Sequence[bytes]) -> Uploaded:
        """What commit.lua answered.

        Raises:
            KeyConflict: the key names a job with other content.
            StoreError: Redis is full, or lost a part of the upload; nothing exists. Or its workers are of a version
                that would misread the job.
        """
        answer, *rest = told
        if answer == b"format":
            LedgerFormat.read(rest[0]).check_producer()
        if answer == b"full":
            raise store_full(*rest)
        known = rest[0].decode() if rest else None
        meta, total = self._meta, self._accepted + self._failed + self._suppressed
        match answer:
            case b"conflict":
                raise KeyConflict(f"the key names job {known}, which has other content: use a new key for a new job")
            case b"lost":
                raise StoreError("Redis lost a part of the upload: nothing was sent, send the job again")
            case b"same":
                job, replicas = known or "", int(rest[1])
                return Uploaded(job, total, self._accepted, self._refused, known=known, replicas=replicas)
            case _:
                wake, replicas = rest[1] == b"1", int(rest[2])
                return Uploaded(
                    meta.job, total, self._accepted, self._refused, wake=wake, small=self._small, replicas=replicas
                )


def _storable(shown: str) -> str:
    """What was given as a recipient may be anything, half of a surrogate pair too, which no encoding has."""
    return shown.encode("utf-8", "replace").decode("utf-8")


def _identity(meta: JobMeta) -> bytes:
    """What makes two jobs of one key the same: all that was asked for, but for when it was asked."""
    expires_in_ms = meta.expires_ms - (meta.at_ms or meta.created_ms)
    same = msgspec.structs.replace(meta, job="", created_ms=0, expires_ms=expires_in_ms)
    # With its defaults: a key must know its job again when there is one field more to leave out.
    told = msgspec.structs.asdict(same)
    del told["trace"]  # where it was asked from makes no other job of it
    return msgspec.msgpack.encode(told)
