"""Pushes in whichever charset their vendor's servers happen to write."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest

from providers.base import Push
from providers.forms import push_fields
from providers.mainland import to_e164

TEXT = "退订,谢谢！"
FORM = "application/x-www-form-urlencoded"

READ = [
    (FORM, "utf-8", "utf-8"),
    (FORM, "gb18030", "utf-8"),
    (FORM, "gb18030", "gb18030"),
    (f"{FORM}; charset=GBK", "gb18030", "utf-8"),
    (f"{FORM}; charset=gb2312", "gb18030", "utf-8"),
    (f'{FORM}; charset="UTF-8"', "utf-8", "gb18030"),
    (f"{FORM};charset=big5", "big5", "utf-8"),
    (f"{FORM}; charset=no-such", "utf-8", "utf-8"),
    ("", "utf-8", "utf-8"),
]
"""Content-Type, the charset of the bytes, the vendor's own. A line more is a case more."""


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize(("content_type", "written", "own"), READ)
def test_a_form_is_read_in_its_own_charset(content_type: str, written: str, own: str, *, escaped: bool) -> None:
    """What Content-Type says, else the vendor's own, else the other of UTF-8 and GB18030; escaped or raw."""
    text = TEXT.replace("订", "訂").replace("谢", "謝") if written == "big5" else TEXT
    raw = text.encode(written)
    body = b"Content=" + (quote_from_bytes(raw).encode() if escaped else raw)
    assert {"Content": text} == push_fields(Push("POST", b"", {"content-type": content_type}, body), own)


@pytest.mark.parametrize("written", ["utf-8", "gb18030"])
def test_a_query_is_read_in_either(written: str) -> None:
    """It has no Content-Type of its own."""
    query = b"Content=" + TEXT.encode(written)
    assert {"Content": TEXT} == push_fields(Push("GET", query, {"content-type": "text/plain; charset=latin-1"}, b""))


@pytest.mark.parametrize(
    "mobile",
    [
        *("13800138000", "8613800138000", "+8613800138000", "008613800138000"),
        *("+86 138 0013 8000", "0086-138-0013-8000"),
        *("%2B8613800138000", "%2b86 13800138000", " 8613800138000 ", "+86-13800138000", "(86)13800138000"),
    ],
)
def test_numbers_as_vendors_write_them(mobile: str) -> None:
    """With and without country code, parted, and with a plus sign that was escaped twice."""
    assert "+8613800138000" == to_e164(mobile)


@pytest.mark.parametrize("mobile", ["", "1380013800", "138001380000", "+85298882844", "10086", "1380013800x", "138.1"])
def test_what_is_no_mainland_number_is_none(mobile: str) -> None:
    """Nobody else's."""
    assert to_e164(mobile) is None
