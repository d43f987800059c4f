"""smsadmin.cn's sensitive words, mgz (§6)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Request
from providers.smsadmin import Smsadmin, SmsadminSettings
from providers.smsadmin.codes import WORDS_CODES
from sendmill.errors import BadCredentials, NotEncodable, OutcomeUnknown, ProviderError, TextTooLong
from sendmill.features import Feature
from tests.providers.payload import answer, payload

VENDOR = "smsadmin"
API = "http://www.smsadmin.cn/smsmarketing/wwwroot/api"


def provider(**changes: Any) -> Smsadmin:
    """An account."""
    return Smsadmin(
        "shop", SmsadminSettings.model_validate({"provider": VENDOR, "uid": "用-1", "pwd": "p&w", **changes})
    )


@pytest.mark.parametrize("style", ["plain", "md5", "urlencode"])
def test_words_are_asked_for_by_get_with_the_plain_password(style: str) -> None:
    """§6 knows one address and no style of its own: uid, pwd, msg."""
    expected = Request("GET", f"{API}/mgz/?uid=%D3%C3-1&pwd=p%26w&msg=%B7%A2%C6%B1%20%2B%201%0A")
    assert expected == provider(style=style).words_request("发票 + 1\n")


def test_the_password_is_hashed_where_the_account_says_so() -> None:
    """One client of the live service does it; the document does not say."""
    url = provider(words_pwd="md5").words_request("a").url
    assert f"{API}/mgz/?uid=%D3%C3-1&pwd=5d8d6e095c03f117b93426b1c30264d2&msg=a" == url


def test_a_text_that_an_address_cannot_hold_is_refused_in_one_line() -> None:
    """A Chinese character takes six characters of it: 1,300 pass, 1,400 do not, and the text is not repeated."""
    assert len(provider().words_request("票" * 1_300).url) <= 8_000
    with pytest.raises(TextTooLong) as refusal:
        provider().words_request("票" * 1_400)
    told = str(refusal.value)
    assert "1400 characters" in told
    assert "ask about parts" in told
    assert "票" not in told
    assert "\n" not in told


def test_a_character_outside_gbk_is_refused() -> None:
    """The vendor could not be asked for this text at all."""
    with pytest.raises(NotEncodable, match="U\\+1F600"):
        provider().words_request("发票😀")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (payload(VENDOR, "words-found.bin"), ["发票", "贷款"]),
        (payload(VENDOR, "words-found-as-printed.bin"), ["敏感字 1", "敏感字 2", "敏感字 3"]),
        (payload(VENDOR, "words-none.bin"), []),
        (b"\r\n" + payload(VENDOR, "words-none.bin") + b"\n", []),
        ("敏感字: 发票 ；贷款".encode("gbk"), ["发票", "贷款"]),
        ("敏感字：不含敏感字;".encode("gbk"), ["不含敏感字"]),
    ],
)
def test_the_words_are_read(body: bytes, words: list[str]) -> None:
    """`敏感字:a;b;` or `不含敏感字`; full-width marks and spaces around are no part of a word."""
    assert words == list(provider().words(answer(body)))


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (payload(VENDOR, "words-1.bin"), BadCredentials),
        ("敏感字:".encode("gbk"), OutcomeUnknown),
        ("敏感字:;;".encode("gbk"), OutcomeUnknown),
        ("敏感字".encode("gbk"), OutcomeUnknown),
        ("文中不含敏感字吗".encode("gbk"), OutcomeUnknown),
        ("8用户已冻结".encode("gbk"), OutcomeUnknown),
        (b"0", OutcomeUnknown),
        (b"", OutcomeUnknown),
        (b"<html>502 Bad Gateway</html>", OutcomeUnknown),
    ],
)
def test_no_other_answer_says_that_a_text_is_clean(body: bytes, outcome: type[ProviderError]) -> None:
    """§6 lists code 1 alone; words that are announced and not there are no answer."""
    with pytest.raises(outcome) as raised:
        provider().words(answer(body))
    assert outcome is type(raised.value)


def test_the_table_has_the_two_sentences_and_one_code() -> None:
    """Each of them has a payload above."""
    assert {"敏感字": None, "不含敏感字": None, "1": BadCredentials} == dict(WORDS_CODES)
    assert Feature.CHECK_WORDS in provider().offers()
