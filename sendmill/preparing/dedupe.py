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
from collections.abc import Iterable, Sequence
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

    __slots__ = ("buckets", "count", "quotient_bytes")

    def __init__(self, count: int, quotient_bytes: int) -> None:
        self.buckets = [b""] * count
        self.count = count
        self.quotient_bytes = quotient_bytes

    def add_many(self, keys: Iterable[int], room: int) -> tuple[int, list[int]]:
        """Note keys: how many are new, and the positions (from 0) of those that are not.

        Raises:
            InvalidOption: there is no room for so many new ones.
        """
        # Of a long job this takes most of the time: nothing is called that need not be.
        buckets, count, quotient_bytes = self.buckets, self.count, self.quotient_bytes
        new, repeated = 0, []
        for position, key in enumerate(keys):
            quotient, place = divmod(key, count)
            packed = quotient.to_bytes(quotient_bytes, "little")
            bucket = buckets[place]
            if packed in bucket and _holds(bucket, packed):
                repeated.append(position)
            elif new < room:
                buckets[place] = bucket + packed
                new += 1
            else:
                raise InvalidOption(
                    f"duplicates are removed in jobs of up to {LARGEST_JOB_ROWS:,} rows: give dedupe=False"
                )
        return new, repeated


class _Blocks(dict[int, int]):
    """What stands for a block of numbers, ahead of the place in it: the first ones that come are counted."""

    def __missing__(self, block: int) -> int:
        if len(self) == _BLOCKS:
            raise _TooManyBlocks
        counted = self[block] = len(self) << _BLOCK_BITS
        return counted


class _TooManyBlocks(Exception):
    """A number lies in a block that is not counted."""


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
        self._blocks = _Blocks()
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
        if self._salt is not None:
            return self._add_to_table(keys)
        numbers = list(keys)
        blocks = self._blocks
        try:
            counted = [blocks[number >> _BLOCK_BITS] | number & _BLOCK_MASK for number in numbers]
        except _TooManyBlocks:
            return self._add_apart(numbers)
        if self._counted is None:
            self._counted = _Table(_COUNTED_BUCKETS, _COUNTED_BYTES)
        new, repeated = self._counted.add_many(counted, LARGEST_JOB_ROWS - self._count)
        self._count += new
        return repeated

    def _add_apart(self, numbers: Sequence[int]) -> list[int]:
        """Note numbers of which some lie in blocks that are not counted: those in a table of their own."""
        known = [number >> _BLOCK_BITS in self._blocks for number in numbers]
        repeated = []
        for position, (number, is_counted) in enumerate(zip(numbers, known, strict=True)):
            again = self._add_to_tables((number,)) if is_counted else self._add_to_table((number,))
            if again:
                repeated.append(position)
        return repeated

    def _add_to_table(self, keys: Iterable[int]) -> list[int]:
        if self._others is None:
            is_number = self._salt is None
            count, quotient_bytes = (_NUMBER_BUCKETS, _NUMBER_BYTES) if is_number else (_HASH_BUCKETS, _HASH_BYTES)
            self._others = _Table(count, quotient_bytes)
        new, repeated = self._others.add_many(keys, LARGEST_JOB_ROWS - self._count)
        self._count += new
        return repeated


def _holds(bucket: bytes, packed: bytes) -> bool:
    """Whether `packed` stands in `bucket` as an entry: bytes may also match across the border of two."""
    width = len(packed)
    found = bucket.find(packed)
    while found >= 0 and found % width:
        found = bucket.find(packed, found + 1)
    return found >= 0
