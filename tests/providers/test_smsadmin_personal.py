"""smsadmin.cn's personalised interface, post_send_ddt (§4): which rows it carries, what is sent, what it answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from providers.base import Accepted, Call, Message, Request
from providers.smsadmin import Smsadmin, SmsadminSettings
from providers.smsadmin.codes import PERSONALISED_CODES
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    NoBalance,
    ProviderError,
    TooManyRecipients,
    UnsupportedFeature,
)
from sendmill.features import Feature
from sendmill.messages import Kind
from sendmill.preparing.template import Template
from tests.providers.payload import answer, payload

VENDOR = "smsadmin"
API = "http://www.smsadmin.cn/smsmarketing/wwwroot/api"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
NUMBERS = ("+8613712345678", "+8613745678910", "+8613714782356")


def provider(**changes: Any) -> Smsadmin:
    """An account that signs with 【甲】."""
    table = {"provider": VENDOR, "uid": "用-1", "pwd": "p&w", "signature": "【甲】", **changes}
    return Smsadmin("shop", SmsadminSettings.model_validate(table))


def template(text: str, **changes: Any) -> Message:
    """A template as the flow gives it to a provider."""
    return Message(text, kind=Kind.TEMPLATE, fields=Template(text).fields, **changes)


def call(message: Message, *values: tuple[str, ...]) -> Call:
    """A call of one row for each tuple of values."""
    service = provider().personal_service(message)
    assert service is not None
    return Call(service, message, NUMBERS[: len(values)], "ref1", NOW, values)


def sent(request: Request) -> dict[str, str]:
    """The form as the vendor reads it: decoded as a form, and what is encoded twice once more."""
    fields = {
        name: values[0]
        for name, values in parse_qs(request.body.decode("ascii"), keep_blank_values=True, encoding="gbk").items()
    }
    return fields | {name: unquote(fields[name], "gbk") for name in ("msg", "params")}


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_the_request_is_that_of_section_4() -> None:
    """POST, the password hashed whatever the style, msg and params encoded a second time, uid not."""
    expected = (
        "uid=%D3%C3-1&pwd=5d8d6e095c03f117b93426b1c30264d2"
        "&msg=%25C2%25EB%257Bvalue0%257D%25A1%25BE%25BC%25D7%25A1%25BF"
        "&params=13712345678%252Ca%252Bb%253B13745678910%252C100%2525&dtime=&linkid=ref1"
    )
    for style in ("md5", "plain", "urlencode"):
        request = provider(style=style).submit_request(call(template("码{a}"), ("a+b",), ("100%",)))
        assert Request("POST", f"{API}/post_send_ddt/", FORM, expected.encode()) == request


def test_values_are_encoded_once_where_the_account_says_so() -> None:
    """The same setting as at the other addresses that ask for it."""
    request = provider(urlencode_twice=False).submit_request(call(template("码{a}"), ("1",)))
    assert b"&params=13712345678%2C1&" in request.body


@pytest.mark.parametrize(
    ("settings", "message", "text"),
    [
        ({}, template("{a}码"), "{value0}码【甲】"),
        ({"signature_placement": "prefix"}, template("{a}码"), "【甲】{value0}码"),
        ({}, template("{a}码", signature="【乙】"), "{value0}码【乙】"),
        ({}, template("{a}码【乙】"), "{value0}码【乙】"),
        ({}, template("【{a}】码"), "【{value0}】码"),
    ],
)
def test_the_template_is_signed_as_a_text_is(settings: dict[str, Any], message: Message, text: str) -> None:
    """The signature stands in it once, where the account wants it."""
    assert text == sent(provider(**settings).submit_request(call(message, ("x",))))["msg"]


def test_a_name_that_stands_twice_is_two_variables_of_one_value() -> None:
    """变量标识符号不能重复: no `{value0}` twice; values are put in the order of the places."""
    form = sent(provider().submit_request(call(template("{b}{a}{b}"), ("B", "A"), ("b", "a"))))
    assert "{value0}{value1}{value2}【甲】" == form["msg"]
    assert "13712345678,B,A,B;13745678910,b,a,b" == form["params"]


def test_variables_are_counted_from_where_the_account_says() -> None:
    """The example contradicts its own words, so that `{value0}` may be the number: a setting."""
    form = sent(provider(first_value=1).submit_request(call(template("{a}{b}"), ("A", "B"))))
    assert ("{value1}{value2}【甲】", "13712345678,A,B") == (form["msg"], form["params"])


def test_a_time_to_come_is_told_to_the_vendor() -> None:
    """dtime, as at the other addresses."""
    message = template("{a}", send_at=NOW + timedelta(hours=1))
    assert "2026-03-01 13:05:06" == sent(provider().submit_request(call(message, ("x",))))["dtime"]


def test_a_template_that_cannot_go_is_never_sent_by_mistake() -> None:
    """Nothing chooses the endpoint for it; where something did, no request would come out."""
    with pytest.raises(UnsupportedFeature):
        provider(personalised=False).submit_request(call(template("{a}"), ("x",)))


# --- which templates and rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message", "fits"),
    [
        ({}, template("{a}码"), True),
        ({}, template("名，{a}；订单，码,;"), True),
        ({"personalised": False}, template("{a}码"), False),
        ({"method": "get"}, template("{a}码"), False),
        ({}, template("{{value0}} {a}"), False),
        ({}, template("{a} }}"), False),
        ({}, template("{a}", signature="【{a}】"), False),
        ({}, template("{a}", signature="【{】"), False),
        ({}, template("{a}😀"), False),
        ({}, Message("码", kind=Kind.TEMPLATE), False),
        ({"max_text_chars": 11}, template("{a}"), True),
        ({"max_text_chars": 10}, template("{a}"), False),
    ],
)
def test_only_a_template_that_cannot_be_misread_goes_there(
    settings: dict[str, Any], message: Message, *, fits: bool
) -> None:
    """No brace besides the places, all of it in GBK, no longer than a text may be; separators in it are harmless."""
    account = provider(**settings)
    assert fits == (account.personal_service(message) is not None)
    assert fits == account.fits_personal(message, NUMBERS[0], ("x",) * len(message.fields))


def test_the_largest_call_has_a_thousand_rows() -> None:
    """支持最多 1000 个参数记录."""
    service = provider().personal_service(template("{a}"))
    assert service is not None
    assert 1000 == service.max_numbers
    assert service in provider().services()


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("王", True),
        ("A-1+2 %&=#/\\|", True),
        ("第 1 号", True),
        ("100%", True),
        ("￥5", True),
        ("乕", True),
        ("", False),
        ("1,5", False),
        ("a;b", False),
        ("1，5", False),
        ("a；b", False),
        (" a", False),
        ("a ", False),
        ("\u3000a", False),
        ("a\nb", False),
        ("a\tb", False),
        ("a\0b", False),
        ("{value1}", False),
        ("a{", False),
        ("}a", False),
        ("【乙", False),
        ("乙】", False),
        ("😀", False),
        ("नाम", False),
    ],
)
def test_only_a_value_that_cannot_be_misread_goes_there(value: str, *, fits: bool) -> None:
    """Separators, white space at the ends, control characters, braces, brackets of signatures, what GBK lacks."""
    assert fits == provider().fits_personal(template("{a}码{b}"), NUMBERS[0], ("x", value))


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (template("【{a}】码", signature="【乙】"), "乙"),
        (template("码【{a}】", signature="【乙】"), "乙"),
    ],
)
def test_a_row_that_would_be_signed_otherwise_does_not_go_there(message: Message, value: str) -> None:
    """A filled text that bears the wanted signature already is not signed again; the template would be."""
    account = provider()
    assert not account.fits_personal(message, NUMBERS[0], (value,))
    assert account.fits_personal(message, NUMBERS[0], ("丙",))


@pytest.mark.parametrize("values", [("王", "A-1"), ("x", "y z"), ("丙", "1+1 %")])
@pytest.mark.parametrize(
    "message",
    [
        template("{a}的{b}，{a}"),
        template("【{a}】{b}", signature="【乙】"),
        template("{b}{a}【丁】"),
    ],
)
def test_what_goes_there_becomes_the_text_that_any_other_address_would_get(
    message: Message, values: tuple[str, ...]
) -> None:
    """The vendor's filling, done here by §4's words, gives the text of a post of the same row."""
    account = provider()
    assert account.fits_personal(message, NUMBERS[0], values)
    form = sent(account.submit_request(call(message, values)))
    mobile, *given = form["params"].split(",")
    made = form["msg"]
    for place, value in enumerate(given):
        made = made.replace(f"{{value{place}}}", value)
    filled = Message(Template(message.text).fill(values), signature=message.signature)
    post = account.submit_request(Call(account.services()[0], filled, NUMBERS[:1], "ref1", NOW))
    expected = parse_qs(post.body.decode("ascii"), encoding="gbk")
    assert (expected["mobile"], expected["msg"]) == ([mobile], [made])


# --- what is answered --------------------------------------------------------------------------------------------

REFUSALS = {
    "1": BadCredentials,
    "2": NoBalance,
    "3": TooManyRecipients,
    "4": Frozen,
    "5": ContentRefused,
    "6": ContentRefused,
    "7": ContentRefused,
    "8": Frozen,
}


def test_success_has_no_id() -> None:
    """Reports come back with our linkid."""
    accepted = provider().submitted(call(template("{a}"), ("x",)), answer(payload(VENDOR, "ddt-0.bin")))
    assert Accepted(answer="0 发送成功!") == accepted


@pytest.mark.parametrize(("code", "outcome"), REFUSALS.items())
def test_every_documented_refusal_has_its_class(code: str, outcome: type[ProviderError]) -> None:
    """Each code of §4's table, and 6, raises exactly its class, with the code."""
    with pytest.raises(outcome) as raised:
        provider().submitted(call(template("{a}"), ("x",)), answer(payload(VENDOR, f"ddt-{code}.bin")))
    assert (outcome, code) == (type(raised.value), raised.value.vendor_code)
    assert outcome is PERSONALISED_CODES[code]


def test_every_code_of_the_table_has_a_payload() -> None:
    """No code goes without."""
    assert set(PERSONALISED_CODES) == {"0", *REFUSALS}


# --- what is offered ---------------------------------------------------------------------------------------------


def test_the_feature_is_offered_where_it_is_used() -> None:
    """Switched off, or by GET, it is not there."""
    assert Feature.PERSONALISED in provider().offers()
    for changes in ({"personalised": False}, {"method": "get"}):
        assert Feature.PERSONALISED not in provider(**changes).offers()
        assert 1 == len(provider(**changes).services())
