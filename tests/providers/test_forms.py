"""Forms in the vendors' charsets."""

from __future__ import annotations

import tracemalloc
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.base import Push
from providers.forms import decode_form, encode_form, encode_text, percent_decode, percent_encode, push_fields
from sendmill.errors import NotEncodable

CHARSETS = st.sampled_from(["utf-8", "gbk", "gb18030"])


def test_a_form_is_written_in_its_charset_and_order() -> None:
    """A space is %20, and everything that is no letter, digit or one of _.-~ is escaped."""
    assert "b=%C4%E3%20%2B%26%3D%3B%2C%2F&a=~._-" == encode_form([("b", "你 +&=;,/"), ("a", "~._-")], "gbk")
    assert "%E4%BD%A0" == percent_encode("你")


def test_a_character_outside_the_charset_is_named_without_the_text() -> None:
    """Neither the error nor what it was raised from holds the text."""
    with pytest.raises(NotEncodable) as refusal:
        encode_text("秘密\u00a0", "gbk")
    assert "character 3 (U+00A0 NO-BREAK SPACE) is not in GBK" == str(refusal.value)
    assert (None, None) == (refusal.value.__cause__, refusal.value.__context__)
    with pytest.raises(NotEncodable, match=r"character 1 \(U\+D83D no name\) is not in UTF-8"):
        percent_encode("\ud83d")


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=1& b =2", {"a": "1", "b": "2"}),
        (b"a=1&a=2", {"a": "1"}),
        (b"a=1&b&=3&&", {"a": "1", "b": ""}),
        (b"a=%C4%E3+%2B%", {"a": "你 +%"}),
        (b"a=%C4%zz%4", {"a": "\ufffd%zz%4"}),
        (b"a=\xc4\xe3=b", {"a": "你=b"}),
        (b"a=%C4A%94%39%FC%36", {"a": "腁😀"}),
        (b"\xef\xbb\xbfa=1", {"a": "1"}),
        (b"a= x \r\n", {"a": " x "}),
        (b"", {}),
    ],
)
def test_a_form_is_read_whatever_it_looks_like(raw: bytes, fields: dict[str, str]) -> None:
    """Names are trimmed, the first of two wins, bad escapes stay, raw and escaped GB18030 mean the same."""
    assert fields == decode_form(raw, "gb18030")


def test_fields_of_a_push_come_from_body_and_address() -> None:
    """Those of the body go first."""
    push = Push("POST", b"a=1&b=2", {}, b"b=3&c=4")
    assert {"a": "1", "b": "3", "c": "4"} == push_fields(push)


@given(st.dictionaries(st.text("ab你=&%+ ", min_size=1).filter(str.strip), st.text()), CHARSETS)
def test_what_is_written_is_read_back_here_and_elsewhere(fields: dict[str, str], charset: str) -> None:
    """By our reader and by the standard library's."""
    trimmed = {name.strip(): value for name, value in fields.items()}
    try:
        form = encode_form(trimmed.items(), charset)
    except NotEncodable:
        return
    assert form.isascii()
    assert trimmed == decode_form(form.encode(), charset)
    assert list(trimmed.items()) == parse_qsl(form, keep_blank_values=True, encoding=charset)


@given(st.binary(), CHARSETS)
def test_no_bytes_raise(raw: bytes, charset: str) -> None:
    """Anything that arrives is read as something."""
    assert isinstance(decode_form(raw, charset), dict)
    assert isinstance(percent_decode(raw, charset), str)


def test_a_hostile_form_costs_no_more_than_a_few_times_its_size() -> None:
    """A megabyte of separators, of escapes or of names stays within 200 MB of memory."""
    for raw in (b"&" * 1_000_000, b"%" * 1_000_000, b"+" * 1_000_000, b"=" * 1_000_000, b"a&" * 500_000):
        tracemalloc.start()
        decode_form(raw)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 200_000_000
