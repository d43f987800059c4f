"""Rows of calls are found by number, and what is kept of calls stays within its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.ledger.slices import SliceBody, pack_u32, pack_u64
from tasks.process.lru_cache import LruCache
from tasks.report.call_lookup import CallRecord, Recipients, row_of
from tasks.report.vendor_report import VendorReport

# Numbers whose packed bytes hold each other at odd places, so that a search must look at whole numbers alone.
NUMBERS = st.sampled_from([1, 256, 65_536, 257, 65_537, 8_613_800_000_001, 8_613_800_000_001 << 8])


def recipients(numbers: list[int], rows: list[int] | None = None) -> Recipients:
    """A slice's recipients."""
    return Recipients("job1", "normal", "Hello", pack_u64(numbers), 7, pack_u32(rows) if rows else b"")


def report(number: str) -> VendorReport:
    """A report on a number."""
    return VendorReport("1-0.0", 1, "d", "DELIVRD", number=number)


@given(numbers=st.lists(NUMBERS, min_size=1, max_size=12), wanted=NUMBERS, data=st.data())
def test_a_number_is_found_where_it_stands_and_nowhere_else(
    numbers: list[int], wanted: int, data: st.DataObject
) -> None:
    """Between two offsets, the first one; as a list search finds it."""
    first = data.draw(st.integers(0, len(numbers) - 1))
    last = data.draw(st.integers(first, len(numbers) - 1))
    part = numbers[first : last + 1]
    expected = first + part.index(wanted) if wanted in part else None
    each = recipients(numbers)
    assert expected == each.offset_of(wanted, first, last)
    places = [(number, offset) for offset, number in enumerate(part, first) if number == wanted]
    assert places == list(each.offsets_of({wanted, None}, first, last))


def test_recipients_are_the_first_fields_of_a_slices_body() -> None:
    """They are read from its bytes without the values of its rows."""
    names = SliceBody.__struct_fields__
    assert Recipients.__struct_fields__ == names[: len(Recipients.__struct_fields__)]


@pytest.mark.parametrize(("rows", "expected"), [(None, "job1-8"), ([3, 90], "job1-90")])
def test_a_row_has_its_public_id(rows: list[int] | None, expected: str) -> None:
    """By the row's number in the job, whether the slice's rows follow one another or not."""
    assert expected == recipients([11, 12], rows).message_id(1)


RECORD = CallRecord(5, 0, "s", [["a", 0, 0, 2, 2], ["b", 1, 1]])
SLICES = {"a": recipients([11, 12, 13]), "b": recipients([12, 14])}


@pytest.mark.parametrize(
    ("number", "expected"),
    [("+11", ("a", 0)), ("+13", ("a", 2)), ("+14", ("b", 1)), ("+12", None), ("+99", None), ("+1x", None), ("", None)],
)
def test_only_rows_that_the_call_carried_are_found(number: str, expected: tuple[str, int] | None) -> None:
    """A recipient of the slice that went with another call is none of this one."""
    assert expected == row_of(RECORD, SLICES, report(number))


def test_without_a_number_only_a_call_of_one_row_is_found() -> None:
    """Of many, nobody knows which."""
    alone = CallRecord(5, 0, "s", [["a", 2, 2]])
    assert ("a", 2) == row_of(alone, {}, report(""))
    assert None is row_of(CallRecord(5, 0, "s", [["a", 1, 2]]), {}, report(""))


def test_a_slice_that_is_gone_has_no_rows() -> None:
    """Its job was removed."""
    assert None is row_of(RECORD, {}, report("+11"))


def test_what_was_used_last_is_kept_up_to_its_weight() -> None:
    """What was not asked for longest goes; one that alone is too heavy stays until the next."""
    kept: LruCache[str, int] = LruCache(10)
    for place, key in enumerate("abc"):
        kept.put(key, place, 4)
    assert [None, 1, 2] == [kept.get(key) for key in "abc"]
    kept.get("b")
    kept.put("d", 3, 4)
    assert [1, None, 3] == [kept.get(key) for key in "bcd"]
    kept.put("b", 9, 1)
    kept.put("e", 4, 5)
    assert [9, 3, 4] == [kept.get(key) for key in "bde"]
    kept.put("f", 5, 50)
    assert [None, 5] == [kept.get(key) for key in "ef"]
