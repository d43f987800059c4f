"""AccessYou: what is refused, which service takes a call, and what goes over the wire."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from providers.accessyou import AccessYou, AccessYouSettings
from providers.accessyou.codes import TABLES
from providers.base import Call, Message, Request, Service
from sendmill.errors import InvalidOption, NotEncodable, SenderNotAllowed, TextTooLong, UnsupportedFeature
from sendmill.messages import Kind
from sendmill.segments import Segments, count_accessyou
from tests.providers.accessyou import SENDING, SETTINGS, VENDOR, build, sms
from tests.providers.contract import FUZZ, GARBAGE, MADE_AT, REFERENCE, ProviderContract
from tests.providers.payload import payload

OTHER_MESSAGES = {
    "otp": Message("", kind=Kind.VENDOR_TEMPLATE, template_id="12ab", values={"a": "1125"}),
    "vercode": Message("Your code is 1125", options={"service": "vercode"}),
    "mms": Message("陳大文", kind=Kind.MMS, subject="Spring", image="spring.gif"),
    "voice": Message("", kind=Kind.VOICE, audio="888"),
}


class TestAccessYou(ProviderContract):
    """The promises of every vendor."""

    vendor = VENDOR
    provider_class = AccessYou
    settings: ClassVar[dict[str, Any]] = SETTINGS
    tables: ClassVar = TABLES
    message = Message("Your code is 1125, 陳大文", signature="【Acme】", sender="Acme 852", options={"dnc": "y"})
    bad_numbers = ("+0085298882844", "85298882844", "+852 98882844", "+1234567890123456")
    # A bare number is an id here (p.43), so an unknown code comes in the form that carries codes.
    garbage: ClassVar = {**GARBAGE, "an undocumented code": b'{"msg_status":"98765"}', "a code for an id": b"888"}
    good_answers: ClassVar = [
        payload(VENDOR, name)
        for name in ("sent.json", "sent.txt", "sent.xml", "status-107.json", "log-delivered.xml", "reply.form")
    ]

    def message_for(self, service: Service) -> Message:
        """A template, an MMS, a recording, or the text."""
        return OTHER_MESSAGES.get(service.name, self.message)

    def number(self, index: int) -> str:
        """A Hong Kong mobile number."""
        return f"+8529{index:07d}"

    def numbers_in(self, request: Request) -> list[str]:
        """`phone`, which sendsms-batch takes many of, joined by CR LF (p.63)."""
        return [f"+{phone}" for phone in _fields(request)["phone"].split("\r\n")]


# --- sendsms -----------------------------------------------------------------------------------------------------


def test_the_example_address_of_the_document_comes_out() -> None:
    """p.45, with values for the stars: `tid=1&a=hello&phone=…&pwd=…&accountno=…&user=…&from=ABC`."""
    request = _submit(build(), Message("hello", sender="ABC"), "+85223886700")
    assert ("GET", b"", {}) == (request.method, request.body, request.headers)
    assert (
        "https://sms.example/sms/sendsms.php?tid=1&a=hello&phone=85223886700"
        "&pwd=sms-password&accountno=10000023&user=api&from=ABC"
    ) == request.url


def test_the_older_form_of_the_document_comes_out() -> None:
    """p.35: `accountno`, `pwd`, `phone`, `msg`, and neither `user` (p.10) nor `tid` nor `a`."""
    request = _submit(build(sms=sms(style="msg", user=None)), Message("hello"), "+85223886700")
    assert (
        "https://sms.example/sms/sendsms.php?accountno=10000023&pwd=sms-password&phone=85223886700&msg=hello"
    ) == request.url


def test_the_two_generations_are_never_mixed() -> None:
    """One address takes both; a request has the names of one."""
    older = _fields(_submit(build(sms=sms(style="msg")), Message("hello"), "+85223886700"))
    newer = _fields(_submit(build(), Message("hello"), "+85223886700"))
    assert {"accountno", "pwd", "phone", "msg"} == set(older)
    assert {"accountno", "user", "pwd", "phone", "tid", "a"} == set(newer)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("測試", "%E6%B8%AC%E8%A9%A6"),
        ("Testing again", "Testing%20again"),
        ("a\rb\rc", "a%0Db%0Dc"),
        ("a\nb", "a%0Ab"),
        ("a\r\nb", "a%0Ab"),
        ("1+1", "1%2B1"),
        ("#1", "%231"),
        ("a&b=c", "a%26b%3Dc"),
        ("100%", "100%25"),
    ],
)
def test_a_text_is_encoded_as_the_document_shows(text: str, encoded: str) -> None:
    """p.38 (plus sign, line breaks), p.59 (UTF-8, space), p.60 (hash); CR LF is one line break and not two."""
    assert f"&a={encoded}&phone=" in _submit(build(), Message(text), "+85223886700").url


def test_signature_sender_option_and_cookie_go_where_they_belong() -> None:
    """The signature stands before the text, the sender in `from`, `dnc` as given, the cookie in its header (p.35)."""
    provider = build(sms=sms(tid="12ab", cookie="dynamic=sms", ref=True), signature="【Acme】")
    request = _submit(provider, Message("hello", sender="Acme", options={"dnc": "y"}), "+85223886700")
    assert {
        "tid": "12ab",
        "a": "【Acme】hello",
        "phone": "85223886700",
        "pwd": "sms-password",
        "accountno": "10000023",
        "user": "api",
        "from": "Acme",
        "dnc": "y",
        "ref": REFERENCE,
    } == _fields(request)
    assert {"Cookie": "dynamic=sms"} == request.headers


# --- sendsms-batch -----------------------------------------------------------------------------------------------


def test_a_batch_is_a_posted_form_with_numbers_joined_by_cr_lf() -> None:
    """p.62 and p.63, with the numbers of its own example; user and password are the batch service's."""
    provider = build()
    batch = provider.services()[1]
    call = Call(batch, Message("hello 1+1", sender="Acme"), ["+85298882844", "+8613229966221"], REFERENCE, MADE_AT)
    request = provider.submit_request(call)
    assert ("POST", "https://batch.example/sms/sendsms-batch.php") == (request.method, request.url)
    assert {"Content-Type": "application/x-www-form-urlencoded"} == request.headers
    assert (
        b"accountno=10000023&user=api-batch&pwd=batch-password&msg=hello%201%2B1&from=Acme"
        b"&phone=85298882844%0D%0A8613229966221"
    ) == request.body


def test_a_hundred_thousand_numbers_are_five_calls() -> None:
    """p.63: max 20,000 numbers."""
    assert 20_000 == build().largest_call(Message("hello"))
    assert 5 == -(-100_000 // build().service_for(Message("hello"), 100_000).max_numbers)


# --- which service -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "recipients", "service"),
    [
        ((), 1, "sms"),
        ((), 2, "batch"),
        (("sms",), 1, "batch"),
        (("sms",), 20_000, "batch"),
        (("batch",), 1, "sms"),
        (("batch",), 20_000, "sms"),
    ],
)
def test_one_recipient_goes_by_sms_and_many_by_batch(without: tuple[str, ...], recipients: int, service: str) -> None:
    """Where only one of the two is configured, it takes everything."""
    provider = build(**dict.fromkeys(without))
    assert service == provider.service_for(Message("hello"), recipients).name
    assert ("batch" in without) == (provider.largest_call(Message("hello")) == 1)


def test_each_service_has_one_slot_of_its_own() -> None:
    """p.43: the id must be there before the next message is sent."""
    slots = {service.name: service.max_in_flight for service in build().services()}
    assert {"sms": 1, "batch": 1, "otp": 1, "vercode": 1, "mms": 1, "voice": 1, "email": None} == slots


def test_reports_are_promised_only_where_the_log_can_be_asked() -> None:
    """The log answers about one id (p.50): a batch has one where the account says so, voice and mail have none."""
    asked = {"sms", "otp", "vercode", "mms"}
    expected: list[tuple[dict[str, Any], set[str]]] = [
        ({}, asked),
        ({"batch": {**SETTINGS["batch"], "reports": True}}, asked | {"batch"}),
        ({"check": None}, set()),
        ({"sms": None}, asked - {"sms"}),
    ]
    for changes, promised in expected:
        provider = build(**changes)
        assert promised == {service.name for service in provider.services() if service.reports}
        assert bool(promised) == provider.reports


def test_a_text_that_no_address_can_hold_goes_by_batch_or_is_refused() -> None:
    """A GET of more than `max_url_bytes` would be refused by most web servers; a POST has no such end."""
    long = Message("中" * 1000)
    assert "batch" == build().service_for(long, 1).name
    build().check(long)
    with pytest.raises(TextTooLong, match="max_url_bytes"):
        build(batch=None).check(long)
    build(batch=None).check(Message("中" * 800))


# --- checks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sender", ["Acme", "Abc123", "Acme Shop", "ABC", "abcdefghijk", "Acme 852", "85298882844", "1" * 16]
)
def test_a_sender_within_the_rules_passes(sender: str) -> None:
    """3 to 11 letters and spaces, digits behind them (p.56), or up to 16 digits (p.44)."""
    build().check(Message("hello", sender=sender))


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        ("", "at least 3"),
        ("AB", "at least 3"),
        ("abcdefghijkl", "at most 11"),
        ("1" * 17, "at most 16"),
        ("1Acme", "a letter first"),
        (" Acme", "a letter first"),
        ("Acme ", "a letter first"),
        ("Acme!", "a letter first"),
        ("易通訊", "a letter first"),
        ("Acmé", "a letter first"),
        ("Ac\nme", "a letter first"),
    ],
)
def test_a_sender_against_the_rules_is_refused(sender: str, reason: str) -> None:
    """The error says which rule."""
    with pytest.raises(SenderNotAllowed, match=reason):
        build().check(Message("hello", sender=sender))


def test_parameters_that_the_vendor_does_not_know_are_refused() -> None:
    """`dnc` is y or n (p.42); everything else is another vendor's."""
    for value in ("y", "n"):
        build().check(Message("hello", options={"dnc": value}))
    with pytest.raises(InvalidOption, match="dnc is y or n"):
        build().check(Message("hello", options={"dnc": ["y"]}))
    with pytest.raises(UnsupportedFeature, match=r"'Senddate'.*it takes: dnc, service"):
        build().check(Message("hello", options={"Senddate": "1"}))


def test_half_an_emoji_is_refused() -> None:
    """Text without a UTF-8 form costs no call."""
    with pytest.raises(NotEncodable):
        build().check(Message("hello \udc00"))


# --- units -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", "ASCII", 0, 1),
        ("a" * 160, "ASCII", 160, 1),
        ("a" * 161, "ASCII", 161, 2),
        ("a" * 306, "ASCII", 306, 2),
        ("a" * 307, "ASCII", 307, 3),
        ("a" * 459, "ASCII", 459, 3),
        ("a" * 460, "ASCII", 460, 4),
        ("a" * 612, "ASCII", 612, 4),
        ("a" * 613, "ASCII", 613, 5),
        ("^{}\\[]~|" * 10, "ASCII", 160, 1),
        ("^{}\\[]~|" * 10 + "a", "ASCII", 161, 2),
        ("陳大文 ABC", "UCS-2", 7, 1),
        ("中" * 70, "UCS-2", 70, 1),
        ("中" * 71, "UCS-2", 71, 2),
        ("中" * 134, "UCS-2", 134, 2),
        ("中" * 135, "UCS-2", 135, 3),
        ("中" * 201, "UCS-2", 201, 3),
        ("中" * 202, "UCS-2", 202, 4),
        ("中" * 268, "UCS-2", 268, 4),
        ("中" * 269, "UCS-2", 269, 5),
        ("don’t", "UCS-2", 5, 1),
        ("é" * 71, "UCS-2", 71, 2),
        ("😀", "UCS-2", 2, 1),
    ],
)
def test_units_are_counted_as_the_vendor_prints_them(text: str, encoding: str, units: int, parts: int) -> None:
    """p.27 and p.29, both ends of every row of their tables."""
    assert Segments(encoding, units, parts) == count_accessyou(text)


def test_segments_count_the_signature_and_one_line_break_for_cr_lf() -> None:
    """What is counted is what is sent."""
    assert Segments("UCS-2", 9, 1) == build().segments(Message("a\r\nb", signature="【Acme】"))
    assert Segments("ASCII", 3, 1) == build(signature="【Acme】").segments(Message("a\r\nb", signature=""))


@FUZZ
@given(text=st.text(max_size=400), more=st.text(min_size=1, max_size=5))
def test_a_longer_text_never_has_fewer_parts(text: str, more: str) -> None:
    """Also across the border between ASCII and Unicode."""
    assert count_accessyou(text).segments <= count_accessyou(text + more).segments


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (dict.fromkeys(SENDING), "no service is there that sends"),
        ({"sms": sms(user=None)}, "user is missing"),
        ({"sms": sms(style="both")}, "sms.style"),
        ({"sms": sms(tid="")}, "sms.tid"),
        ({"sms": sms(cookie="a=b\r\nX: y")}, "sms.cookie"),
        ({"sms": sms(url="https://sms.example/sendsms.php?pwd=x")}, "without user, query and fragment"),
        ({"sms": sms(url="https://api:x@sms.example/")}, "without user, query and fragment"),
        ({"sms": sms(url="ftp://sms.example/")}, "write https://host/path"),
        ({"sms": sms(url="https://sms.example:port/")}, "write https://host/path"),
        ({"sms": sms(url="https://短信.example/")}, "ASCII without spaces"),
        ({"check": {"msginfo_url": "https://check.example/m.php"}}, "msginfo_user is missing"),
        ({"check": {"msginfo_id_names": []}}, "msginfo_id_names"),
        ({"inbound": {"mode": "guess"}}, "inbound.mode"),
        ({"accountno": ""}, "accountno"),
        ({"whatsapp": {}}, "whatsapp"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(changes: dict[str, Any], problem: str) -> None:
    """A wrong table stops the worker; the text names what is wrong."""
    table = {name: value for name, value in (SETTINGS | changes).items() if value is not None}
    with pytest.raises(ValidationError) as raised:
        AccessYouSettings.model_validate(table)
    assert problem in str(raised.value)


def test_an_account_of_one_service_needs_no_other_table() -> None:
    """The smallest account: a number, an address, a user, a password."""
    smallest = {name: SETTINGS[name] for name in ("provider", "accountno", "sms")}
    provider = AccessYou("hk", AccessYouSettings.model_validate(smallest))
    assert ["sms"] == [service.name for service in provider.services()]
    assert not provider.queries
    with pytest.raises(UnsupportedFeature, match="no such query"):
        provider.balance_request(MADE_AT)
    with pytest.raises(UnsupportedFeature, match="no such query"):
        provider.query_request("854998103")


def _submit(provider: AccessYou, message: Message, number: str) -> Request:
    service = provider.service_for(message, 1)
    return provider.submit_request(Call(service, message, [number], REFERENCE, MADE_AT))


def _fields(request: Request) -> dict[str, str]:
    form = request.body.decode("ascii") or urlsplit(request.url).query
    return dict(parse_qsl(form, strict_parsing=True, max_num_fields=20))
