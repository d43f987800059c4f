"""Which rows of a job were seen before, in few bytes a row.

A Python set of 10 million numbers takes well over 500 MB. Here a row's key is divided by a number of buckets: the
remainder chooses the bucket, and the quotient, which is short, is appended to that bucket's bytes. That is exact,
because bucket and quotient give the key back. The number of buckets is a prime, so that numbers in steps of 10 or 1,000
use them all.

The numbers of a job lie in few blocks of 4 billion, a whole country's mobiles in one to five. The first blocks that
come are counted, and a number there is known by its block's count and its place in it: a quotient of three bytes. What
lies in others keeps its five.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

from sendmill.errors import InvalidOption

LARGEST_JOB_ROWS = 10_000_000
"""Above this a job must say `dedupe=False`."""

_BLOCK_BITS: Final = 32
_BLOCKS: Final = 512
"""Counted ones."""

_COUNTED_BUCKETS: Final = 131_101
_COUNTED_BYTES: Final = 3
"""Any number in a counted block fits: 512 x 2^32 / 131,101 is below 2^24."""

_NUMBER_BUCKETS: Final = 32_771
_NUMBER_BYTES: Final = 5
"""Any E.164 number fits: 10^15 / 32,771 is below 2^40."""

_HASH_BITS: Final = 61
_HASH_BUCKETS: Final = 8_209
_HASH_BYTES: Final = 6
"""Any hash fits: 2^61 / 8,209 is below 2^48."""

_SMALL_JOB_ROWS = 10_000
"""Up to here a set does: the empty buckets alone would cost a job of one message 1 MB."""

_BLOCK_MASK: Final = (1 << _BLOCK_BITS) - 1
_HASH_MASK: Final = (1 << _HASH_BITS) - 1


class _Table:
    """Keys, whose quotients have so many bytes."""

    __slots__ = ("_buckets", "_count", "_quotient_bytes")

    def __init__(self, count: int, quotient_bytes: int) -> None:
        self._buckets = [b""] * count
        self._count = count
        self._quotient_bytes = quotient_bytes

    def add(self, key: int, *, has_room: bool) -> bool:
        """Note a key; True where it is new. Raises InvalidOption: a new one, and there is no room."""
        quotient, place = divmod(key, self._count)
        packed = quotient.to_bytes(self._quotient_bytes, "little")
        bucket = self._buckets[place]
        if packed in bucket and _holds(bucket, packed):
            return False
        if not has_room:
            raise InvalidOption(f"duplicates are removed in jobs of up to {LARGEST_JOB_ROWS:,} rows: give dedupe=False")
        self._buckets[place] = bucket + packed
        return True


class SeenRows:
    """The rows of one job.

    Rows of one text are told apart by their number, exactly. Rows of a template are told apart by a 61-bit hash of
    number and text, keyed anew for each job: among 10 million rows, two different ones are taken for the same with a
    probability of 2 in 100,000.

    Costs at most 12 bytes a row, or 12 MB where that is more.

    Args:
        by_text: True where rows have texts of their own.
    """

    __slots__ = ("_blocks", "_count", "_counted", "_others", "_salt", "_small")

    def __init__(self, *, by_text: bool = False) -> None:
        self._salt = secrets.randbits(62) if by_text else None
        self._small: set[int] | None = set()
        self._blocks: dict[int, int] = {}
        """What stands for a counted block, ahead of the place in it."""
        self._counted: _Table | None = None
        self._others: _Table | None = None
        self._count = 0

    def __len__(self) -> int:
        """The number of different rows seen."""
        return self._count

    def add(self, number: int, text: str | None = None) -> bool:
        """Note a row; True where it is new.

        Args:
            number: the packed number.
            text: the row's rendered text, where rows have texts of their own.

        Raises:
            InvalidOption: this would be the row after the 10 millionth.
        """
        return not self.add_many((number,), None if text is None else (text,))

    def add_many(self, numbers: Iterable[int], texts: Iterable[str] | None = None) -> list[int]:
        """Note rows; the positions (from 0) of those that were seen before, inside the batch included.

        Raises:
            InvalidOption: as `add`.
        """
        if self._salt is not None and texts is not None:
            salt = self._salt
            return self._add_keys(
                hash((salt, number, text)) & _HASH_MASK for number, text in zip(numbers, texts, strict=True)
            )
        return self._add_keys(numbers)

    def _add_keys(self, keys: Iterable[int]) -> list[int]:
        if self._small is None:
            return self._add_to_tables(keys)
        repeated = self._add_to_set(self._small, keys)
        if len(self._small) > _SMALL_JOB_ROWS:
            small, self._small = self._small, None
            self._count = 0
            self._add_to_tables(small)
        return repeated

    def _add_to_set(self, seen: set[int], keys: Iterable[int]) -> list[int]:
        repeated = []
        for position, key in enumerate(keys):
            if key in seen:
                repeated.append(position)
            else:
                seen.add(key)
        self._count = len(seen)
        return repeated

    def _add_to_tables(self, keys: Iterable[int]) -> list[int]:
        add = self._add_number if self._salt is None else self._add_other
        repeated: list[int] = []
        for position, key in enumerate(keys):
            if add(key):
                self._count += 1
            else:
                repeated.append(position)
        return repeated

    def _add_number(self, number: int) -> bool:
        block = self._blocks.get(number >> _BLOCK_BITS)
        if block is None:
            if len(self._blocks) == _BLOCKS:
                return self._add_other(number)
            block = self._blocks[number >> _BLOCK_BITS] = len(self._blocks) << _BLOCK_BITS
        if self._counted is None:
            self._counted = _Table(_COUNTED_BUCKETS, _COUNTED_BYTES)
        return self._counted.add(block | number & _BLOCK_MASK, has_room=self._count < LARGEST_JOB_ROWS)

    def _add_other(self, key: int) -> bool:
        if self._others is None:
            is_number = self._salt is None
            count, quotient_bytes = (_NUMBER_BUCKETS, _NUMBER_BYTES) if is_number else (_HASH_BUCKETS, _HASH_BYTES)
            self._others = _Table(count, quotient_bytes)
        return self._others.add(key, has_room=self._count < LARGEST_JOB_ROWS)


def _holds(bucket: bytes, packed: bytes) -> bool:
    """Whether `packed` stands in `bucket` as an entry: bytes may also match across the border of two."""
    width = len(packed)
    found = bucket.find(packed)
    while found >= 0 and found % width:
        found = bucket.find(packed, found + 1)
    return found >= 0
