"""Vendors' ids come back as they were, and their index stays well filled however many calls there were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.ledger.refs import pack_id, ref_name, span_of, unpack_id

MOST_CALLS = 2**32


@given(st.one_of(st.text(max_size=40), st.integers(0, 10**30).map(str), st.from_regex(r"[0-9]{1,30}", fullmatch=True)))
def test_an_id_comes_back_as_it_was(vendor_message_id: str) -> None:
    """Zeros at its head, digits of other scripts, bytes that begin like those of a number."""
    assert vendor_message_id == unpack_id(pack_id(vendor_message_id))


@given(st.lists(st.one_of(st.text(max_size=3), st.integers(0, 300).map(str)), unique=True, max_size=20))
def test_two_ids_are_never_kept_as_one(ids: list[str]) -> None:
    """A report on one must not find the other's message."""
    assert len(ids) == len({pack_id(each) for each in ids})


@pytest.mark.parametrize(
    ("vendor_message_id", "most"), [("16063783563405105174", 9), ("20260301120000234000000001", 12), ("800000", 3)]
)
def test_an_id_of_digits_takes_less_than_half(vendor_message_id: str, most: int) -> None:
    """Those of ihuyi, xioo and 467890."""
    assert most >= len(pack_id(vendor_message_id))


def test_a_long_id_is_cut_to_what_a_record_can_hold() -> None:
    """Its length is one byte there, and half of a letter is none."""
    assert b"x" * 200 == pack_id("x" * 1000)
    assert "x" + "é" * 99 == unpack_id(pack_id("x" + "é" * 200))


@given(st.integers(0, MOST_CALLS - 1))
def test_a_span_begins_no_later_than_its_calls_and_holds_at_most_eight_million(call: int) -> None:
    """Whoever looks in all spans that have ids finds those of every call; a hash has 64 of them in the mean."""
    span = span_of(call)
    first = span << 13
    size = 1 << 23 if first >= 1 << 23 else max(first, 1 << 13)
    assert first <= call < first + size
    assert {span} == {span_of(first), span_of(first + size - 1)}
    assert span != span_of(first + size)
    hashes = {int(ref_name(str(n).encode(), span).rsplit(":", 1)[1]) for n in range(2000)}
    assert max(hashes) < size // 64
    assert len(hashes) > min(size // 64, 1000) // 2


def test_ten_thousand_and_ten_million_calls_fill_their_hashes_alike() -> None:
    """As many hashes are made as there are 64 calls, so that none is larger than Redis packs."""
    for last in (10_000, 10_000_000):
        spans = {span_of(call) for call in range(0, last, 1000)}
        hashes = sum(max(1 << 13, min(span << 13, 1 << 23)) // 64 for span in spans)
        assert last / 128 <= hashes <= last / 32
