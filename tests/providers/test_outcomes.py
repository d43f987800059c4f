"""From a vendor's code to an outcome, and from its bytes to fields: what all providers share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import AccountSettings
from providers.base import Message
from providers.content import bracketed_text, signed_text
from providers.outcomes import CodeTable, judge
from providers.reading import Unreadable, fields_of, text_of, xml_fields, xml_root
from sendmill.errors import ContentRefused, NotSent, OutcomeUnknown, ProviderError
from tests.providers.contract import FUZZ

TABLE: CodeTable = {"0": None, "4072": ContentRefused, "7": OutcomeUnknown}


# --- codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome", "shown"),
    [
        ("4072", ContentRefused, "4072"),
        ("7", OutcomeUnknown, "7"),
        ("40722", OutcomeUnknown, "40722"),
        ("407", OutcomeUnknown, "407"),
        ("-1", OutcomeUnknown, "-1"),
        ("00", OutcomeUnknown, "00"),
        ("85298882844", OutcomeUnknown, None),
        ("Your code is 1125", OutcomeUnknown, None),
        ("sms-password", OutcomeUnknown, None),
        ("", OutcomeUnknown, None),
    ],
)
def test_a_code_is_compared_whole_and_shown_only_where_it_is_one(
    code: str, outcome: type[ProviderError], shown: str | None
) -> None:
    """An unlisted "code" may be an echo of the number, the text or the password: it does not reach the error."""
    with pytest.raises(outcome) as raised:
        judge("vendor", code, TABLE, http_status=200)
    assert (outcome, shown) == (type(raised.value), raised.value.vendor_code)
    assert bool(shown) == (bool(code) and code in str(raised.value))


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("7", NotSent), ("8", NotSent), ("4072", ContentRefused)],
)
def test_a_setting_moves_open_outcomes_alone(code: str, outcome: type[ProviderError]) -> None:
    """`treat_as_not_sent` reaches codes that are uncertain or in no table, never a refusal or an acceptance."""
    with pytest.raises(outcome):
        judge("vendor", code, TABLE, not_sent=["7", "8", "4072", "0"])
    judge("vendor", "0", TABLE, not_sent=["0"])


# --- bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (
            b'\xef\xbb\xbf\xef\xbb\xbf{"id": 16063783563405105174, "a": " b "}\r\n',
            {"id": "16063783563405105174", "a": "b"},
        ),
        (b'{"a": 1.10, "b": 1e400, "c": null, "d": true, "e": {}}', {"a": "1.10", "b": "1e400"}),
        (b"<x><a>1</a></x><y><b> 2 </b></y>", {"a": "1", "b": "2"}),
        (b"<x><a>1</a><a>2</a></x>", {"a": "1"}),
        (b"<r xmlns='http://106.ihuyi.com/'><code>2</code></r>", {"code": "2"}),
        ("<?xml version='1.0' encoding='GBK'?><r><m>提交成功</m></r>".encode("gbk"), {"m": "提交成功"}),
        ("<?xml version='1.0' encoding='utf-8'?><r><m>提交成功</m></r>".encode(), {"m": "提交成功"}),
        (b"<?xml version='1.0' encoding='rot13'?><r><m>a</m></r>", {"m": "a"}),
    ],
)
def test_an_answer_says_by_itself_what_it_is(body: bytes, fields: dict[str, str]) -> None:
    """Marks and white space go, numbers keep their digits, namespaces are ignored, a declared GBK is honoured."""
    assert fields == fields_of(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain",
        b"{",
        b"[1]",
        b"<x>",
        b"<x>&b;</x>",
        b'<!DOCTYPE x SYSTEM "http://elsewhere.example/x.dtd"><x/>',
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        b'{"a":' + b"[" * 200_000,
        b'{"a":' + b"9" * 5000,
    ],
)
def test_what_is_neither_json_nor_xml_is_unreadable(body: bytes) -> None:
    """Entities, document types and nesting beyond reason are refused, and the reason quotes nothing."""
    with pytest.raises(Unreadable) as raised:
        fields_of(body)
    assert str(raised.value) in {
        "is empty",
        "is neither JSON nor XML",
        "begins like JSON and is none",
        "begins like XML and is none",
    }
    assert raised.value.__context__ is None


def test_a_deep_but_well_formed_answer_is_read() -> None:
    """Depth alone is no reason to break."""
    body = "<a>" * 5000 + "1" + "</a>" * 5000
    assert {"a": "1"} == xml_fields(xml_root(body))


@FUZZ
@given(body=st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Any bytes are fields or unreadable."""
    assert isinstance(text_of(body), str)
    try:
        fields = fields_of(body)
    except Unreadable:
        return
    assert all(isinstance(value, str) for value in fields.values())


# --- signatures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signature", "default", "text", "plain", "bracketed"),
    [
        (None, None, "hello", "hello", "hello"),
        (None, "【Acme】", "hello", "【Acme】hello", "【Acme】hello"),
        ("【Shop】", "【Acme】", "hello", "【Shop】hello", "【Shop】hello"),
        ("", "【Acme】", "hello", "hello", "hello"),
        ("Shop", None, "hello", "Shophello", "【Shop】hello"),
        (None, "【Acme】", "【Own】hello", "【Acme】【Own】hello", "【Own】hello"),
        ("【Shop】", None, "【Own】hello", "【Shop】【Own】hello", "【Shop】【Own】hello"),
    ],
)
def test_a_signature_stands_in_front(
    *, signature: str | None, default: str | None, text: str, plain: str, bracketed: str
) -> None:
    """The job's goes before the account's, an empty one is none, and a text that brings its own gets no default."""
    settings = AccountSettings(provider="x", signature=default)
    message = Message(text, signature=signature)
    assert (plain, bracketed) == (signed_text(message, settings), bracketed_text(message, settings))
