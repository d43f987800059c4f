"""Rows seen before, exactly and in few bytes."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.errors import InvalidOption
from sendmill.preparing import dedupe
from sendmill.preparing.dedupe import SeenRows

MEASURE = """
import random, resource
from sendmill.preparing.dedupe import SeenRows

seen = SeenRows(by_text={by_text})
numbers = random.Random(1)
before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(1000):
    batch = [8613000000000 + numbers.randrange(7 * 10**9) for _ in range(1000)]
    seen.add_many(batch, ["text %d" % number for number in batch] if {by_text} else None)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) * 1024, len(seen))
"""


@pytest.mark.parametrize("by_text", [False, True])
def test_a_million_rows_take_at_most_twelve_bytes_each(by_text: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The peak of a process of its own, its scattered heap included."""
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE.format(by_text=by_text)], capture_output=True, text=True, check=True
    )
    peak_bytes, rows = map(int, measured.stdout.split())
    assert rows > 999_000
    assert peak_bytes / rows < 12


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(0, 8))
def test_batches_answer_like_a_set(numbers: list[int], small_job_rows: int) -> None:
    """Whatever the batches, and wherever the set gives way to buckets."""
    seen = SeenRows()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedupe, "_SMALL_JOB_ROWS", small_job_rows)
        known: set[int] = set()
        for start in range(0, len(numbers), 7):
            batch = numbers[start : start + 7]
            expected = []
            for position, number in enumerate(batch):
                if number in known:
                    expected.append(position)
                known.add(number)
            assert expected == seen.add_many(batch)
        assert len(known) == len(seen)


def test_large_jobs_answer_like_a_set() -> None:
    """200,000 numbers of 15 digits and fewer, a third of them repeated; none is taken for another."""
    numbers = random.Random(7)
    pool = [numbers.randrange(10**6, 10 ** numbers.choice((8, 12, 15))) for _ in range(120_000)]
    known: set[int] = set()
    seen = SeenRows()
    for _ in range(200):
        batch = numbers.choices(pool, k=1000)
        expected = []
        for position, number in enumerate(batch):
            if number in known:
                expected.append(position)
            known.add(number)
        assert expected == seen.add_many(batch)
    assert len(known) == len(seen)


@pytest.mark.parametrize(
    ("counted_blocks", "buckets", "quotients", "absent"),
    [
        (512, dedupe._COUNTED_BUCKETS, [0x01, 0x0200, 0x0100], 0),
        (0, dedupe._NUMBER_BUCKETS, [0x01_00_00_00_00, 0x01, 0x02_01_00_00_00, 0x0100, 0x010000], 0x0101),
    ],
)
def test_an_entry_is_not_found_across_the_border_of_two_others(
    monkeypatch: pytest.MonkeyPatch, counted_blocks: int, buckets: int, quotients: list[int], absent: int
) -> None:
    """The bytes of two entries side by side contain those of others."""
    monkeypatch.setattr(dedupe, "_SMALL_JOB_ROWS", -1)
    monkeypatch.setattr(dedupe, "_BLOCKS", counted_blocks)
    seen = SeenRows()
    assert all(seen.add(quotient * buckets) for quotient in quotients)
    assert not seen.add(0x0100 * buckets)
    assert seen.add(absent * buckets)


def test_rows_of_a_template_differ_by_number_or_text() -> None:
    """The same number may get two texts, and the same text may go to two numbers."""
    seen = SeenRows(by_text=True)
    assert [2] == seen.add_many([1, 1, 1, 2], ["a", "b", "a", "a"])
    assert not seen.add(2, "a")
    assert seen.add(2, "b")


def test_the_largest_number_and_hash_fit() -> None:
    """No key of 15 digits, and no hash, overflows its bytes."""
    largest = (dedupe._BLOCKS << dedupe._BLOCK_BITS) - 1
    assert largest // dedupe._COUNTED_BUCKETS < 1 << 8 * dedupe._COUNTED_BYTES
    assert (10**15 - 1) // dedupe._NUMBER_BUCKETS < 1 << 8 * dedupe._NUMBER_BYTES
    assert dedupe._HASH_MASK // dedupe._HASH_BUCKETS < 1 << 8 * dedupe._HASH_BYTES


def test_the_row_after_the_last_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated rows are still told from new ones; a new one is refused with the way out."""
    monkeypatch.setattr(dedupe, "LARGEST_JOB_ROWS", 20_000)
    seen = SeenRows()
    seen.add_many(range(1, 20_001))
    assert [0] == seen.add_many([5])
    with pytest.raises(InvalidOption, match="give dedupe=False"):
        seen.add(20_001)
