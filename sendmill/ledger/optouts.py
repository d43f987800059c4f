"""Opt-outs in Redis: who must not be written to, under a digest that tells nothing without the ledger's own key.

They hold for all accounts, so they lie with the jobs. Each change has a version, and a log of the last version of each
digest, by which worker processes keep a copy of their own up to date.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from sendmill.errors import InvalidNumber
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.rows import moment
from sendmill.ledger.scripts import ledger_script
from sendmill.numbers import pack, possible, unpack
from sendmill.optouts import OptOut, OptOutImport, Source

CHANGED_AT_ONCE = 500
"""Changes in one script: it then runs for about a millisecond."""

_LISTED_AT_ONCE = 1000
_KEY_BYTES = 32
_DIGEST_BYTES = 16
_NUMBER_BYTES = 8

OPTED_IN = b""
"""The value of a change that takes an opt-out back."""


class StoredOptOut(msgspec.Struct, array_like=True, frozen=True):
    """An opt-out as it is kept: `number` is packed, None once it was forgotten."""

    number: int | None
    at_ms: int
    account: str
    word: str
    source: str


_STORED = msgspec.msgpack.Decoder(StoredOptOut)


def decode_stored(raw: bytes) -> StoredOptOut:
    """Read an opt-out."""
    return _STORED.decode(raw)


class Digester:
    """Digests of packed numbers, keyed, so that only who has the ledger's key can tell whose they are."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=_DIGEST_BYTES)

    def digest(self, number: int) -> bytes:
        """The digest of a packed number."""
        made = self._keyed.copy()
        made.update(number.to_bytes(_NUMBER_BYTES, "little"))
        return made.digest()

    def keyed(self, changes: Iterable[tuple[int, bytes]]) -> list[bytes]:
        """Changes as optouts.lua takes them: a digest and an encoded StoredOptOut, or OPTED_IN, for each number."""
        return [part for number, value in changes for part in (self.digest(number), value)]


def new_key() -> bytes:
    """A key for a ledger that has none."""
    return secrets.token_bytes(_KEY_BYTES)


def read_optouts(ledger: Ledger) -> Iterator[OptOut]:
    """Every opt-out, the oldest change first.

    Raises:
        StoreError: Redis is away.
    """
    jobs, last = ledger.jobs, "-inf"
    while True:
        with store_errors():
            logged = ledger.server.zrangebyscore(
                jobs.optouts_log, last, "+inf", start=0, num=_LISTED_AT_ONCE, withscores=True
            )
            values = ledger.server.hmget(jobs.optouts, [digest for digest, _ in logged]) if logged else []
        yield from (_told(decode_stored(raw)) for raw in values if raw is not None)
        if len(logged) < _LISTED_AT_ONCE:
            return
        last = f"({int(logged[-1][1])}"


def latest_optouts(ledger: Ledger, most: int) -> tuple[int, list[OptOut]]:
    """How many there are, and the latest of them, newest first.

    Raises:
        StoreError: Redis is away.
    """
    jobs = ledger.jobs
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hlen(jobs.optouts)
        pipe.zrange(jobs.optouts_log, -most, -1)
        count, digests = pipe.execute()
        values = ledger.server.hmget(jobs.optouts, digests) if digests else []
    return count, [_told(decode_stored(raw)) for raw in reversed(values) if raw is not None]


def optout_of(ledger: Ledger, number: str) -> OptOut | None:
    """The opt-out of an E.164 number, None where it has none.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        key = ledger.server.get(ledger.jobs.optouts_key)
        raw = ledger.server.hget(ledger.jobs.optouts, Digester(key).digest(pack(number))) if key else None
    return None if raw is None else _told(decode_stored(raw))


def _told(stored: StoredOptOut) -> OptOut:
    return OptOut(
        number=None if stored.number is None else unpack(stored.number),
        at=moment(stored.at_ms),
        account=stored.account or None,
        word=stored.word or None,
        source=stored.source,
    )


def add_optout(ledger: Ledger, number: str, region: str | None) -> bool:
    """Let a number opt out; False where it had.

    Raises:
        InvalidNumber: it is none.
        StoreError: Redis is away.
    """
    return bool(_change(ledger, [_stored(pack(possible(number, region)), Source.OPERATOR)]))


def remove_optout(ledger: Ledger, number: str, region: str | None) -> bool:
    """Let a number opt in again; False where it had not opted out.

    Raises:
        InvalidNumber: it is none.
        StoreError: Redis is away.
    """
    return bool(_change(ledger, [(pack(possible(number, region)), OPTED_IN)]))


def import_optouts(
    ledger: Ledger, numbers: Iterable[str], region: str | None, on_refused: Callable[[int, str], None] | None
) -> OptOutImport:
    """Let many numbers opt out; they are streamed. One that is none stops no other.

    Args:
        ledger: where to.
        numbers: the numbers.
        region: ISO code for numbers without a country code.
        on_refused: called for each that is no number, with its place from 1 and one sentence that shows it masked.

    Raises:
        StoreError: Redis is away; those before may be stored: import them again.
    """
    counts = {"added": 0, "known": 0, "refused": 0}

    def valid() -> Iterator[int]:
        for place, raw in enumerate((numbers,) if isinstance(numbers, str) else numbers, 1):
            try:
                yield pack(possible(raw, region))
            except InvalidNumber as error:
                counts["refused"] += 1
                if on_refused is not None:
                    on_refused(place, str(error))

    left = valid()
    while part := list(islice(left, CHANGED_AT_ONCE)):
        added = _change(ledger, [_stored(number, Source.IMPORT) for number in part])
        counts["added"] += added
        counts["known"] += len(part) - added
    return OptOutImport(**counts)


def _stored(number: int, source: Source) -> tuple[int, bytes]:
    return number, msgspec.msgpack.encode(StoredOptOut(number, time.time_ns() // 1_000_000, "", "", source.value))


def _change(ledger: Ledger, changes: Sequence[tuple[int, bytes]]) -> int:
    jobs = ledger.jobs
    with store_errors():
        pipe: Any = ledger.server.pipeline(transaction=False)
        pipe.set(jobs.optouts_key, new_key(), nx=True)
        pipe.get(jobs.optouts_key)
        digester = Digester(pipe.execute()[1])
        return int(ledger_script("optouts").run(ledger.server, jobs.optouts, *digester.keyed(changes)))
