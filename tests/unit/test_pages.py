"""Slices of one row as they lie in pages: nothing is lost on the way there and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.ledger.format import NewerFormat
from sendmill.ledger.pages import fold, is_page, page_of, paged_id, rows_of, whole
from sendmill.ledger.slices import HEADER_BYTES, ORDER, SliceBody, decode, encode, pack_u64
from sendmill.states import MOVED

JOB = "1m8amdmak2gbb1xvjs"
ID = paged_id(JOB, "p17")
MS = st.integers(0, 2**48 - 1)


def _slice(state: bytes = b"q", **more: Any) -> bytes:
    body: dict[str, Any] = {"job": JOB, "lane": "normal", "text": "Hello", "numbers": pack_u64([86138]), "first_row": 1}
    body |= more
    return encode(SliceBody(**body), state, events="all", created_ms=1, expires_ms=2)


@given(
    state=st.sampled_from([*map(str.encode, ORDER), MOVED]),
    lane=st.sampled_from(["otp", "normal", "bulk"]),
    events=st.sampled_from(["none", "failures", "all"]),
    text=st.text(),
    number=st.integers(1, 10**15),
    ref=st.none() | st.text(max_size=80),
    trace=st.none() | st.text(max_size=60),
    signature=st.none() | st.text(max_size=40),
    created_ms=MS,
    expires_ms=MS,
)
def test_a_slice_comes_back_as_it_was(
    state: bytes,
    lane: str,
    events: str,
    text: str,
    number: int,
    ref: str | None,
    trace: str | None,
    signature: str | None,
    created_ms: int,
    expires_ms: int,
) -> None:
    """Byte by byte, whatever its body holds: one with many fields has a longer head."""
    body = SliceBody(
        JOB, lane, text, pack_u64([number]), 1, signature=signature, duplicates_ok=bool(ref), ref=ref, trace=trace
    )
    raw = encode(body, state, events=events, created_ms=created_ms, expires_ms=expires_ms)
    folded = fold(raw)
    assert len(folded) < len(raw) - 80
    assert raw == whole(ID, folded)
    assert raw[HEADER_BYTES : HEADER_BYTES + 9] == rows_of(ID, folded, HEADER_BYTES, HEADER_BYTES + 8)


def test_what_became_of_a_row_comes_back() -> None:
    """Its call, its lease, when it changed, how often it was put back, and that no report can follow."""
    raw = bytearray(_slice(b"s"))
    raw[8:16] = (7).to_bytes(4, "little") + (3).to_bytes(4, "little")
    raw[96:100] = (1).to_bytes(4, "little")
    raw[HEADER_BYTES + 1 : HEADER_BYTES + 9] = (2**32 - 1).to_bytes(4, "little") + (86_400_000).to_bytes(4, "little")
    read = decode(whole(ID, fold(bytes(raw))) or b"")
    assert (7, 3, 1) == (read.header.epoch, read.header.backoffs, read.header.unreported)
    assert (2**32 - 1, 86_400_001) == (read.call(0), read.changed_ms(0))
    assert bytes(raw) == whole(ID, fold(bytes(raw)))


def test_what_a_newer_version_folded_is_not_read() -> None:
    """Its reader says what to do."""
    with pytest.raises(NewerFormat, match="upgrade sendmill here"):
        decode(whole(ID, b"Q" + fold(_slice())[1:]) or b"")


def test_a_slice_with_a_key_of_its_own_is_as_it_lies_there() -> None:
    """And what is gone is gone."""
    assert (("p17", JOB), None, None) == (page_of(ID), page_of(f"{JOB}.0.0"), page_of(f"{JOB}.0.1f0c"))
    assert (True, False) == (is_page("p17"), is_page(ID))
    assert _slice() == whole(f"{JOB}.0.0", _slice())
    assert [None] * 4 == [whole(name, raw) for name in (ID, f"{JOB}.0.0") for raw in (None, b"")]
    assert b"" == rows_of(ID, None, 0, 9)


def test_a_body_keeps_fields_that_it_needs() -> None:
    """The text of a job's name is put back where the body had it."""
    folded = fold(_slice(options={"a": 1}, kind="voice"))
    body = msgspec.msgpack.decode(whole(ID, folded)[HEADER_BYTES + 9 :])  # type: ignore[index]
    assert [JOB, "normal", "Hello"] == body[:3]
    assert JOB.encode() not in folded
