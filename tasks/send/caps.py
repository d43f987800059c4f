"""Logs of recent messages: how many went to one number, or of one text to one number.

What a log decides stands in caps.lua. Its key holds a keyed digest, so that neither a number nor a text stands in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.personal_traces import CapDigester
from sendmill.ledger.scripts import Script

AT_ONCE = 500
"""Messages in one script, which then runs for one to three milliseconds."""

_CAPS = Script(Path(__file__).parent / "lua" / "caps.lua")
_DIGEST_BYTES = 8


class Cap(msgspec.Struct, frozen=True):
    """At most `most` messages with one of these marks in any `window_ms`; one that `tells` lets what is over go."""

    most: int
    window_ms: int
    marks: str
    tells: bool = False


class Over(NamedTuple):
    """A message over a cap: its place among those asked for, and the cap's place among the caps.

    `at_ms` is when the oldest of those in its way went, `free_ms` when there is room again if nothing else comes.
    """

    place: int
    cap: int
    at_ms: float
    free_ms: float


class Verdict(NamedTuple):
    """What the logs said at `now_ms`, by Redis' clock."""

    now_ms: float
    over: list[Over]


Entry = tuple[str, bytes]
"""What a message counts against, as `Logs.against` names it, and the message, as `message` does."""


class Logs:
    """The logs of one account.

    Args:
        server: where they lie.
        keys: the account's.
        secret: the key of the digests; the same in all processes.
    """

    def __init__(self, server: Any, keys: AccountKeys, secret: str) -> None:
        self._server = server
        self._state = keys.state
        self._digester = CapDigester(secret)

    def against(self, number: str, text: str = "") -> str:
        """The log of a number, or of a text to a number."""
        return AccountKeys.cap_name(self._digester.digest(number, text))

    async def note(self, entries: Iterable[Entry], caps: Sequence[Cap], mark: str, keep_ms: int) -> Verdict:
        """Note those messages that no cap stands against with a mark of one letter, for `keep_ms`; tell the others."""
        over: list[Over] = []
        now_ms, start = 0.0, 0
        asked = {"caps": caps, "mark": mark, "keep_ms": keep_ms, "until_ms": 0}
        for flat in _flat(entries):
            now, *rest = await self._run(asked, flat)
            now_ms = float(now)
            for place, cap, at_ms, free_ms in zip(rest[::4], rest[1::4], rest[2::4], rest[3::4], strict=True):
                over.append(Over(start + place, cap, float(at_ms), float(free_ms)))
            start += len(flat) // 2
        return Verdict(now_ms, over)

    async def strike(self, entries: Iterable[Entry], keep_ms: int, until_ms: float) -> None:
        """Strike messages out that did not go after all, unless they were noted again after `until_ms`."""
        asked = {"caps": [], "mark": "", "keep_ms": keep_ms, "until_ms": until_ms}
        for flat in _flat(entries):
            await self._run(asked, flat)

    async def _run(self, asked: dict[str, Any], flat: Sequence[str | bytes]) -> list[Any]:
        answer: list[Any] = await _CAPS.arun(self._server, self._state, msgspec.msgpack.encode(asked), *flat)
        return answer


def _flat(entries: Iterable[Entry]) -> Iterator[list[str | bytes]]:
    """Entries as scripts take them, digested a script's worth at a time: a digest costs a microsecond or two."""
    waiting = iter(entries)
    while flat := [part for entry in islice(waiting, AT_ONCE) for part in entry]:
        yield flat


def message(slice_id: str, offset: int) -> bytes:
    """A message's own digest: 12 bytes."""
    return _slice_digest(slice_id) + offset.to_bytes(4, "little")


@lru_cache(maxsize=256)
def _slice_digest(slice_id: str) -> bytes:
    return hashlib.blake2b(slice_id.encode(), digest_size=_DIGEST_BYTES).digest()
