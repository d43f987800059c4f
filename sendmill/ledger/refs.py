"""The index of vendors' message ids: which call an id is of.

Ids lie in small hashes, which Redis packs tightly: some 16 bytes an id, where an ordinary hash takes 70. So that they
are well filled with ten thousand messages and no fuller with a hundred million, call numbers are divided into spans:
the first 8,192, then as many as there were before, up to 8 million at a time. A span has a hash for each 64 of its
calls, and `refs` counts the ids of each span: an id is looked for in the spans that have any, the newest first. An id
of digits alone is kept as a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import msgspec

_FIRST_SPAN_BITS = 13
_LARGEST_SPAN_BITS = 23
_CALLS_PER_HASH_BITS = 6

_MOST_DIGITS = 70
_MOST_BYTES = 200
_STR8 = 0xD9
_NUMBER_BITS = 6
_NUMBER_MARK = 0b10
"""The two highest bits of an id that is a number. No UTF-8 begins with them."""


def pack_id(vendor_message_id: str) -> bytes:
    """An id as it is kept: decimal digits as a number, everything else as UTF-8, cut at 200 bytes."""
    digits = vendor_message_id.isdigit() and vendor_message_id.isascii()
    if not digits or vendor_message_id[0] == "0" or len(vendor_message_id) > _MOST_DIGITS:
        return vendor_message_id.encode()[:_MOST_BYTES]
    number = int(vendor_message_id)
    size = (number.bit_length() + 8 - _NUMBER_BITS - 1) // 8 + 1
    return (number | _NUMBER_MARK << 8 * size - 2).to_bytes(size, "big")


def unpack_id(packed: bytes) -> str:
    """The id again."""
    if packed and packed[0] >> _NUMBER_BITS == _NUMBER_MARK:
        return str(int.from_bytes(packed, "big") & (1 << 8 * len(packed) - 2) - 1)
    return packed.decode(errors="ignore")


def span_of(call: int) -> int:
    """The span of a call, by its first number in units of the first span."""
    bits = call.bit_length() - 1
    if bits < _FIRST_SPAN_BITS:
        return 0
    return call >> min(bits, _LARGEST_SPAN_BITS) << min(bits, _LARGEST_SPAN_BITS) - _FIRST_SPAN_BITS


def ref_name(packed: bytes, span: int) -> str:
    """The hash that an id of a span's call is kept in, without the account's prefix."""
    size_bits = min(max(_FIRST_SPAN_BITS, (span << _FIRST_SPAN_BITS).bit_length() - 1), _LARGEST_SPAN_BITS)
    return f"ref:{span}:{crc32(packed) & (1 << size_bits - _CALLS_PER_HASH_BITS) - 1}"


def ref_of(vendor_message_id: str, call: int) -> tuple[str, msgspec.Raw]:
    """What finish.lua is told of an id: the name of its hash, and the id, packed, as Lua's msgpack reads bytes."""
    packed = pack_id(vendor_message_id)
    return ref_name(packed, span_of(call)), _as_text(packed)


def ref_triples(ids: Iterable[tuple[str, int]]) -> list[str | bytes | int]:
    """Arguments of refs.lua and dropcalls.lua for ids and their calls: hash, id, call, hash, …."""
    triples: list[str | bytes | int] = []
    for vendor_message_id, call in ids:
        packed = pack_id(vendor_message_id)
        triples += (ref_name(packed, span_of(call)), packed, call)
    return triples


def _as_text(packed: bytes) -> msgspec.Raw:
    """Lua's msgpack has one kind of bytes: that which is text elsewhere."""
    return msgspec.Raw(bytes((_STR8, len(packed))) + packed)
