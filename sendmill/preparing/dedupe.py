"""Which rows of a job were seen before, in few bytes a row.

A Python set of 10 million numbers takes well over 500 MB. Here a row's key is divided by a number of buckets: the
remainder chooses the bucket, and the quotient, which is short, is appended to that bucket's bytes. That is exact,
because bucket and quotient give the key back. The number of buckets is a prime, so that numbers in steps of 10 or 1,000
use them all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sendmill.errors import InvalidOption

LARGEST_JOB_ROWS = 10_000_000
"""Above this a job must say `dedupe=False`."""

_NUMBER_BUCKETS = 32_771
_NUMBER_QUOTIENT_BYTES = 5
"""Any E.164 number fits: 10^15 / 32,771 is below 2^40."""

_HASH_BITS = 61
_HASH_BUCKETS = 8_209
_HASH_QUOTIENT_BYTES = 6
"""Any hash fits: 2^61 / 8,209 is below 2^48."""

_SMALL_JOB_ROWS = 10_000
"""Up to here a set does: the empty buckets alone would cost a job of one message 0.5 MB."""

_HASH_MASK = (1 << _HASH_BITS) - 1


class SeenRows:
    """The rows of one job.

    Rows of one text are told apart by their number, exactly. Rows of a template are told apart by a 61-bit hash of
    number and text, keyed anew for each job: among 10 million rows, two different ones are taken for the same with a
    probability of 2 in 100,000.

    Costs at most 12 bytes a row, or 12 MB where that is more.

    Args:
        by_text: True where rows have texts of their own.
    """

    __slots__ = ("_bucket_count", "_buckets", "_count", "_quotient_bytes", "_salt", "_small")

    def __init__(self, *, by_text: bool = False) -> None:
        self._salt = secrets.randbits(62) if by_text else None
        self._bucket_count = _HASH_BUCKETS if by_text else _NUMBER_BUCKETS
        self._quotient_bytes = _HASH_QUOTIENT_BYTES if by_text else _NUMBER_QUOTIENT_BYTES
        self._small: set[int] | None = set()
        self._buckets: list[bytes] = []
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
            return self._add_to_buckets(keys)
        repeated = self._add_to_set(self._small, keys)
        if len(self._small) > _SMALL_JOB_ROWS:
            small, self._small = self._small, None
            self._buckets = [b""] * self._bucket_count
            self._count = 0
            self._add_to_buckets(small)
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

    def _add_to_buckets(self, keys: Iterable[int]) -> list[int]:
        repeated: list[int] = []
        buckets, bucket_count, width = self._buckets, self._bucket_count, self._quotient_bytes
        new_rows = 0
        room_rows = LARGEST_JOB_ROWS - self._count
        for position, key in enumerate(keys):
            quotient, place = divmod(key, bucket_count)
            packed = quotient.to_bytes(width, "little")
            bucket = buckets[place]
            if packed in bucket and _holds(bucket, packed):
                repeated.append(position)
            elif new_rows < room_rows:
                buckets[place] = bucket + packed
                new_rows += 1
            else:
                raise InvalidOption(
                    f"duplicates are removed in jobs of up to {LARGEST_JOB_ROWS:,} rows: give dedupe=False"
                )
        self._count += new_rows
        return repeated


def _holds(bucket: bytes, packed: bytes) -> bool:
    """Whether `packed` stands in `bucket` as an entry: bytes may also match across the border of two."""
    width = len(packed)
    found = bucket.find(packed)
    while found >= 0 and found % width:
        found = bucket.find(packed, found + 1)
    return found >= 0
