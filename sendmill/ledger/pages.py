"""Pages: slices of one row, of many small jobs, in one hash.

A key of its own costs Redis more than such a slice holds. So the slice `<job>.0.p<n>` is field `<job>` of the account's
`p<n>`, without what is always the same of a slice of one row: folded, as pages.lua has it. Readers unfold it, and see a
slice as `sendmill.ledger.slices` describes it.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.slices import FORMAT, HEADER_BYTES, LANE_BYTES, ORDER

PAGED_FORMAT = 3
"""The ledger's format that has them."""

_PAGED = re.compile(r"([^.]+)\.0\.(p\d+)")
_FOLDED = struct.Struct("<cccc B I H 6s 6s I I H d")
FOLDED_BYTES = _FOLDED.size
"""Before the body."""

_HEADER = struct.Struct("<2x cc I I I Q Q d")
_HEADER_FIELDS = struct.Struct("<cc I I I Q Q d")
_END_OF_HEADER = struct.Struct("<I B 7x")
_END_AT = HEADER_BYTES - _END_OF_HEADER.size
_ROW = struct.Struct("<c I I")
_BODY_AT = HEADER_BYTES + _ROW.size
_MS_BYTES = 6
_STATES = [byte.encode() for byte in ORDER]
_ONE, _NONE = struct.pack("<I", 1), struct.pack("<I", 0)
_LANES = {byte: lane.encode() for lane, byte in LANE_BYTES.items()}
_MANY_FIELDS = 0xDC
_SHORT_TEXT = 0xA0
_UNKNOWN = b"?" * HEADER_BYTES
_UNREPORTED = 2


def page_of(slice_id: str) -> tuple[str, str] | None:
    """The page of a slice and the field that it is there, its job; None where it has a key of its own."""
    match = _PAGED.fullmatch(slice_id)
    return (match[2], match[1]) if match is not None else None


def is_page(name: str) -> bool:
    """Whether a name of `horizon` is a page's, and not a slice's."""
    return "." not in name


def paged_id(job: str, page: str) -> str:
    """The id of a job's slice in a page."""
    return f"{job}.0.{page}"


def reading(keys: AccountKeys, slice_id: str) -> tuple[Any, ...]:
    """The command that reads a whole slice; its answer goes through `whole`."""
    page = page_of(slice_id)
    return ("HGET", keys.page(page[0]), page[1]) if page is not None else ("GET", keys.slice(slice_id))


def reading_header(keys: AccountKeys, slice_id: str) -> tuple[Any, ...]:
    """The command that reads a slice's header, and perhaps more; its answer goes through `whole`."""
    return reading_rows(keys, slice_id, 0, HEADER_BYTES - 1)


def reading_rows(keys: AccountKeys, slice_id: str, first: int, last: int) -> tuple[Any, ...]:
    """The command that reads some bytes of a slice, both included; its answer goes through `rows_of`."""
    if page_of(slice_id) is not None:
        return reading(keys, slice_id)
    return ("GETRANGE", keys.slice(slice_id), first, last)


def rows_of(slice_id: str, raw: bytes | None, first: int, last: int) -> bytes:
    """Those bytes of what Redis answered; none where the slice is gone."""
    if page_of(slice_id) is not None:
        return (whole(slice_id, raw) or b"")[first : last + 1]
    return raw or b""


def whole(slice_id: str, raw: bytes | None) -> bytes | None:
    """A slice of what Redis answered; None where it is gone."""
    page = page_of(slice_id)
    if page is None or not raw:
        return raw or None
    return _unfolded(page[1].encode(), raw)


def read_one(server: Any, keys: AccountKeys, slice_id: str) -> bytes | None:
    """A whole slice of an account, None where it is gone: `server` is a redis.Redis."""
    return whole(slice_id, server.execute_command(*reading(keys, slice_id)))


async def read_whole(server: Any, keys: AccountKeys, slice_ids: Sequence[str]) -> list[bytes | None]:
    """Whole slices of an account, None for those that are gone, in a round trip: `server` is a redis.asyncio.Redis."""
    if not slice_ids:
        return []
    own = [slice_id for slice_id in slice_ids if page_of(slice_id) is None]
    by_page = in_pages(slice_ids)
    async with server.pipeline(transaction=False) as pipe:
        for slice_id in own:
            pipe.get(keys.slice(slice_id))
        for page, jobs in by_page.items():
            pipe.hmget(keys.page(page), jobs)
        answers = await pipe.execute()
    found = dict(zip(own, answers, strict=False))
    for (page, jobs), raws in zip(by_page.items(), answers[len(own) :], strict=True):
        found.update(zip(slices_in(page, jobs), raws, strict=True))
    return [whole(slice_id, found[slice_id]) for slice_id in slice_ids]


def in_pages(slice_ids: Iterable[str]) -> dict[str, list[str]]:
    """Jobs by page, of those of some slices that lie in one."""
    found: dict[str, list[str]] = defaultdict(list)
    for page, job in filter(None, map(page_of, slice_ids)):
        found[page].append(job)
    return found


async def is_there(server: Any, keys: AccountKeys, slice_id: str) -> bool:
    """Whether a slice of an account is there: `server` is a redis.asyncio.Redis."""
    page = page_of(slice_id)
    return bool(await (server.hexists(keys.page(page[0]), page[1]) if page else server.exists(keys.slice(slice_id))))


def slices_in(page: str, jobs: Iterable[str]) -> Iterator[str]:
    """The ids of a page's slices, of the names of its fields."""
    yield from map(paged_id, jobs, repeat(page))


def fold(slice_: bytes) -> bytes:
    """A slice of one row as it lies in a page."""
    lane, events, _, epoch, aside, created_ms, expires_ms, start = _HEADER.unpack_from(slice_)
    unreported, again = _END_OF_HEADER.unpack_from(slice_, _END_AT)
    state, call, passed = _ROW.unpack_from(slice_, HEADER_BYTES)
    return _FOLDED.pack(
        b"P",
        lane,
        events,
        state,
        again + (_UNREPORTED if unreported else 0),
        epoch,
        aside,
        _ms(created_ms),
        _ms(expires_ms),
        call,
        passed,
        0,
        start,
    ) + fold_body(slice_[_BODY_AT:])


def fold_body(body: bytes) -> bytes:
    """A slice's body without its first two fields, job and lane, both texts of up to 31 bytes."""
    head = _head_of(body)
    lane_at = head + 1 + body[head] - _SHORT_TEXT
    return body[:head] + body[lane_at + 1 + body[lane_at] - _SHORT_TEXT :]


def _unfolded(job: bytes, raw: bytes) -> bytes:
    if raw[:1] != b"P":
        return _UNKNOWN  # of a newer version: `check_format` says so
    _, lane, events, state, flags, epoch, aside, created, expires, call, passed, _, start = _FOLDED.unpack_from(raw)
    body = raw[FOLDED_BYTES:]
    head = _head_of(body)
    counts = b"".join(_ONE if byte == state else _NONE for byte in _STATES)
    return b"".join(
        (
            FORMAT,
            _HEADER_FIELDS.pack(lane, events, 1, epoch, aside, _from_ms(created), _from_ms(expires), start),
            counts,
            _END_OF_HEADER.pack(flags // _UNREPORTED, flags % _UNREPORTED),
            _ROW.pack(state, call, passed),
            body[:head],
            _text(job),
            _text(_LANES[lane]),
            body[head:],
        )
    )


def _head_of(body: bytes) -> int:
    """The bytes that say how many fields a body has."""
    return 3 if body[0] == _MANY_FIELDS else 1


def _ms(ms: int) -> bytes:
    return ms.to_bytes(_MS_BYTES, "little")


def _from_ms(packed: bytes) -> int:
    return int.from_bytes(packed, "little")


def _text(text: bytes) -> bytes:
    """As msgpack has a text of up to 31 bytes."""
    return bytes((_SHORT_TEXT + len(text),)) + text
