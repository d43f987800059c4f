"""What the vendors of mainland China have in common: numbers, signatures, billed parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.mainland import check_mainland, sender_of_reply, to_e164, to_national
from providers.signatures import bare, bracketed, is_signed
from sendmill.errors import InvalidNumber
from sendmill.segments import Segments, count_characters


@pytest.mark.parametrize("number", ["+8613000000000", "+8619999999999"])
def test_mobile_numbers_pass_and_lose_their_country_code(number: str) -> None:
    """Eleven digits on the wire, and back again."""
    check_mainland(number)
    assert number == to_e164(to_national(number))


@pytest.mark.parametrize(
    "number", ["+8612000000000", "+861300000000", "+86130000000000", "8613000000000", "+85298882844"]
)
def test_other_numbers_are_refused_in_one_sentence_without_the_number(number: str) -> None:
    """Landlines, other regions, and what is not E.164."""
    with pytest.raises(InvalidNumber) as refusal:
        check_mainland(number)
    assert "mainland China" in str(refusal.value)
    assert number not in str(refusal.value)


@pytest.mark.parametrize(
    ("mobile", "number", "sender"),
    [
        ("13800138000", "+8613800138000", "+8613800138000"),
        (" 8613800138000 ", "+8613800138000", "+8613800138000"),
        ("+8613800138000", "+8613800138000", "+8613800138000"),
        ("008613800138000", "+8613800138000", "+8613800138000"),
        ("10086", None, "10086"),
        ("138xxxxxxx", None, None),
        ("1380013800", None, "1380013800"),
        ("１３８００１３８０００", None, None),
        ("", None, None),
    ],
)
def test_numbers_are_read_as_vendors_write_them(mobile: str, number: str | None, sender: str | None) -> None:
    """A report needs one of our recipients, a reply may come from a short code."""
    assert (number, sender) == (to_e164(mobile), sender_of_reply(mobile))


@pytest.mark.parametrize("signature", ["Acme", "【Acme】", " 【 Acme 】 "])
def test_a_signature_may_come_with_or_without_brackets(signature: str) -> None:
    """Both are the same signature."""
    assert ("Acme", "【Acme】") == (bare(signature), bracketed(signature))


def test_an_empty_signature_has_no_brackets() -> None:
    """None is wanted."""
    assert ["", "", ""] == [bracketed(signature) for signature in ("", " ", "【】")]


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("【甲】你好", True),
        ("你好【甲】", True),
        (" 你好【甲】\n", True),
        ("【甲】", True),
        ("打开【甲】看看", False),
        ("【】你好", False),
        ("你好【】", False),
        ("【甲你好", False),
        ("你好甲】", False),
        ("", False),
    ],
)
def test_a_text_is_signed_at_either_end(text: str, signed: bool) -> None:  # noqa: FBT001
    """Brackets in the middle, empty or alone are no signature."""
    assert signed is is_signed(text)


@given(st.text(), st.text().filter(lambda name: bare(name) != "" and not set("【】") & set(name)))
def test_a_text_with_a_signature_put_to_it_is_signed(text: str, name: str) -> None:
    """In front or behind, whatever the text; and no text raises."""
    is_signed(text)
    assert is_signed(bracketed(name) + text)
    assert is_signed(text + bracketed(name))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", Segments("UCS-2", 0, 0)),
        ("a", Segments("UCS-2", 1, 1)),
        ("中" * 70, Segments("UCS-2", 70, 1)),
        ("a" * 71, Segments("UCS-2", 71, 2)),
        ("a" * 134, Segments("UCS-2", 134, 2)),
        ("a" * 135, Segments("UCS-2", 135, 3)),
        ("😀" * 35, Segments("UCS-2", 70, 1)),
    ],
)
def test_parts_are_of_70_and_67_in_any_script(text: str, segments: Segments) -> None:
    """An English letter counts like a Chinese one."""
    assert segments == count_characters(text)
