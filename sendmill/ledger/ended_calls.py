"""Calls that have ended, as the ledger keeps them: their outcome, and for rows that failed every attempt.

How a record lies in Redis stands in `ledger/lua/past.lua`, which writes it.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.refs import unpack_id

_NAMES = "s"
"""The field of a hash of the past that has the names of slices."""


class PastCall(msgspec.Struct, frozen=True):
    """An ended call: the state it left its rows in, when it began, the vendor's id, code and answer, its rows.

    `rows` has [slice id, first, last, first, last, …] for each slice. `unreported`: its endpoint reports nothing.
    """

    state: str
    at_ms: int
    vmid: str
    code: str
    answer: str
    rows: list[list[Any]]
    unreported: bool = False


class _Rest(msgspec.Struct, array_like=True, frozen=True):
    """The end of a record: a slice is called by its place among the names of the hash, or by its name."""

    rows: list[list[Any]]
    answer: str = ""
    code: str = ""
    unreported: bool = False


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


_HEAD = struct.Struct("<cIHB")
_REST = msgspec.msgpack.Decoder(_Rest)
_ATTEMPT = msgspec.msgpack.Decoder(Attempt)


def past_fields(numbers: Iterable[int]) -> list[str | int]:
    """The fields of a hash of the past that `past_calls` is to be given, for calls that lie in it."""
    return [_NAMES, *(AccountKeys.past_field(number) for number in numbers)]


def past_calls(numbers: Iterable[int], raws: Sequence[bytes | None]) -> dict[int, PastCall]:
    """The calls of `past_fields` by number, from the values of these fields; those that are not kept are left out."""
    names = (raws[0] or b"").decode().split()
    return {number: _past_call(raw, names) for number, raw in zip(numbers, raws[1:], strict=True) if raw is not None}


def _past_call(raw: bytes, names: Sequence[str]) -> PastCall:
    state, low, high, size = _HEAD.unpack_from(raw)
    rest = _REST.decode(memoryview(raw)[_HEAD.size + size :])
    for of_slice in rest.rows:
        if isinstance(of_slice[0], int):
            of_slice[0] = names[of_slice[0]]
    return PastCall(
        state=state.decode(),
        at_ms=low + (high << 32),
        vmid=unpack_id(raw[_HEAD.size : _HEAD.size + size]),
        code=rest.code,
        answer=rest.answer,
        rows=rest.rows,
        unreported=rest.unreported,
    )


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
            pipe.hmget(key, past_fields(fields))
        answers = pipe.execute()
    calls: dict[int, PastCall] = {}
    for fields, raws in zip(by_hash.values(), answers, strict=True):
        calls.update(past_calls(fields, raws))
    return calls


def read_attempts(ledger: Ledger, keys: AccountKeys, slice_id: str) -> list[Attempt]:
    """The attempts that are kept of a slice, oldest first.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raws = ledger.server.lrange(keys.history(slice_id), 0, -1)
    return [_ATTEMPT.decode(raw) for raw in raws]
