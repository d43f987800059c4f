"""Calls that have ended, as the ledger keeps them: their outcome, and for rows that failed every attempt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import AccountKeys


class PastCall(msgspec.Struct, array_like=True, frozen=True):
    """An ended call, without its rows: the state it left them in, when it began, the vendor's id, code and answer."""

    state: str
    at_ms: int
    vmid: str
    code: str
    answer: str


class Attempt(msgspec.Struct, array_like=True, frozen=True):
    """An attempt that was not simply accepted, as `h:<slice>` holds it.

    `at_ms` is when it ended; `run` is [slice id, first, last, first, last, …].
    """

    at_ms: int
    call: int
    state: str
    code: str
    detail: str
    answer: str
    run: list[Any]

    @property
    def settled(self) -> bool:
        """Whether a person said this, and no vendor."""
        return self.code.startswith("settled_")

    def has(self, offset: int) -> bool:
        """Whether a row was part of it."""
        bounds = islice(self.run, 1, None)
        return any(first <= offset <= last for first, last in zip(bounds, bounds, strict=True))


_PAST = msgspec.msgpack.Decoder(PastCall)
_ATTEMPT = msgspec.msgpack.Decoder(Attempt)


def read_calls(ledger: Ledger, keys: AccountKeys, numbers: Iterable[int]) -> dict[int, PastCall]:
    """Ended calls by number; those that are open or gone are left out, and 0, which is none.

    Raises:
        StoreError: Redis is away.
    """
    by_hash: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        if number:
            by_hash[keys.past(number)].append(number)
    if not by_hash:
        return {}
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for key, fields in by_hash.items():
            pipe.hmget(key, fields)
        answers = pipe.execute()
    pairs = (
        (number, raw)
        for fields, raws in zip(by_hash.values(), answers, strict=True)
        for number, raw in zip(fields, raws, strict=True)
    )
    return {number: _PAST.decode(raw) for number, raw in pairs if raw is not None}


def read_attempts(ledger: Ledger, keys: AccountKeys, slice_id: str) -> list[Attempt]:
    """The attempts that are kept of a slice, oldest first.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raws = ledger.server.lrange(keys.history(slice_id), 0, -1)
    return [_ATTEMPT.decode(raw) for raw in raws]
