"""ihuyi, international: what its document says, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.base import Accepted, Ack, Balance, Message, Push, Report, Request
from providers.ihuyi import BALANCE_CODES, NEWER_CODES, SUBMIT, SUBMIT_CODES, Ihuyi
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    InvalidNumber,
    IpForbidden,
    NoBalance,
    NotEncodable,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    PushRefused,
    RecipientRefused,
    Throttled,
    UnsupportedFeature,
)
from sendmill.states import State
from tests.providers.contract import MADE_AT, ProviderContract
from tests.providers.payload import answer, payload

VENDOR = "ihuyi"
REPLIED_AT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

# The account of the document's §5.
DOCUMENT = {"account": "test", "api_key": "1q784322ba1d9bb88d50cf5cdfd89k7d"}
DOCUMENT_TEXT = "Your verification code is 1125"
DOCUMENT_TIME = "1451544941"


@dataclass(frozen=True)
class ReceiptRow:
    """One row of the table of receipts."""

    label: str
    body: bytes
    report: Report


def _report(state: State, code: str, detail: str | None, **fields: Any) -> Report:
    known: dict[str, Any] = {
        "number": "+85298882844",
        "vendor_message_id": "60495654",
        "code": None if state is State.DELIVERED else code,
        "detail": detail,
        "occurred_at": REPLIED_AT,
    }
    return Report(state, code, **(known | fields))


RECEIPTS = [
    ReceiptRow("2 is delivered", payload(VENDOR, "receipt-2.form"), _report(State.DELIVERED, "2", "发送成功")),
    ReceiptRow(
        "any other code is a failure", payload(VENDOR, "receipt-0.form"), _report(State.UNDELIVERED, "0", "发送失败")
    ),
    ReceiptRow(
        "smsid for ismsid",
        b"code=2&msg=&mobilephone=852+98882844&smsid=60495654&reply_time=",
        _report(State.DELIVERED, "2", None, occurred_at=None),
    ),
    ReceiptRow(
        "no number that makes sense",
        b"code=4030&msg=x&mobilephone=unknown&ismsid=60495654&reply_time=soon",
        _report(State.UNDELIVERED, "4030", "x", number=None, occurred_at=None),
    ),
    ReceiptRow(
        "no serial number",
        b"code=20&msg=x&mobilephone=%2B852+98882844&ismsid=0&reply_time=0000-00-00+00:00:00",
        _report(State.UNDELIVERED, "20", "x", vendor_message_id=None, occurred_at=None),
    ),
]


class TestIhuyi(ProviderContract):
    """The promises of every vendor, then the document."""

    vendor = VENDOR
    provider_class = Ihuyi
    settings: ClassVar[dict[str, Any]] = {
        "provider": VENDOR,
        "account": "cf_world",
        "api_key": "0123456789abcdef-key",
        "push_token": "push-token-one",
    }
    tables: ClassVar = {"Submit": SUBMIT_CODES, "GetNum": BALANCE_CODES}
    message = Message("您的验证码是:666666", signature="【Acme】")
    bad_numbers = ("+999123456789", "+0085298882844", "85298882844", "+852 98882844", "+123")
    good_answers: ClassVar = [
        payload(VENDOR, name) for name in ("submit-2.xml", "submit-2.json", "balance-405.xml", "receipt-2.form")
    ]

    def number(self, index: int) -> str:
        """A Hong Kong mobile number."""
        return f"+8529{index:07d}"

    def numbers_in(self, request: Request) -> list[str]:
        """The one number of `mobile`."""
        return [f"+{_form(request)['mobile'].replace(' ', '')}"]

    # --- request -------------------------------------------------------------------------------------------------

    def test_a_submit_is_a_posted_form_in_utf_8(self) -> None:
        """§2.2 and §2.3: address, names, and `mobile` with one space between country code and number."""
        provider = self.provider(dynamic_password=False)
        request = provider.submit_request(self.call(SUBMIT))
        assert "POST" == request.method
        assert "https://api.isms.ihuyi.com/webservice/isms.php?method=Submit" == request.url
        assert FORM == request.headers
        assert (
            b"account=cf_world&password=0123456789abcdef-key&mobile=852%2090000000"
            b"&content=%E3%80%90Acme%E3%80%91%E6%82%A8%E7%9A%84%E9%AA%8C%E8%AF%81%E7%A0%81%E6%98%AF%3A666666"
            b"&time=1772337906&format=json"
        ) == request.body

    def test_the_address_of_the_document_is_the_same_call_by_get(self) -> None:
        """§2.6: the example's parameters in a query, plus time and format."""
        provider = self.provider(
            base_url="http://api.isms.ihuyi.com/webservice/isms.php",
            account="APIID",
            api_key="APIKEY",
            method="get",
            format="xml",
            dynamic_password=False,
        )
        request = provider.submit_request(self.call(SUBMIT, message=Message(DOCUMENT_TEXT)))
        assert ("GET", b"") == (request.method, request.body)
        assert (
            "http://api.isms.ihuyi.com/webservice/isms.php?method=Submit&account=APIID&password=APIKEY"
            "&mobile=852%2090000000&content=Your%20verification%20code%20is%201125&time=1772337906&format=xml"
        ) == request.url

    def test_the_balance_address_of_the_document_is_ours(self) -> None:
        """§3.6, plus time and format."""
        provider = self.provider(
            base_url="http://api.isms.ihuyi.com/webservice/isms.php",
            account="APIID",
            api_key="APIKEY",
            method="get",
            dynamic_password=False,
        )
        assert (
            "http://api.isms.ihuyi.com/webservice/isms.php?method=GetNum&account=APIID&password=APIKEY"
            "&time=1772337906&format=json"
        ) == provider.balance_request(MADE_AT).url

    def test_the_dynamic_passwords_of_the_document_come_out(self) -> None:
        """§5 prints what is hashed: its number is a placeholder, so the hash is tested and not the whole request."""
        provider = self.provider(**DOCUMENT)
        assert isinstance(provider, Ihuyi)
        submit = provider._password("138xxxxxxxx", DOCUMENT_TEXT, DOCUMENT_TIME)
        assert "931874145e7849c617a286800ede9844" == submit
        assert "73f6e7a36e0fd30ad7eea940ca1896b2" == provider._password(DOCUMENT_TIME)

    def test_the_dynamic_password_hashes_what_is_sent_and_hides_the_key(self) -> None:
        """The hash covers `mobile` with its space and `content` with its signature; the key is not on the wire."""
        provider = self.provider()
        assert isinstance(provider, Ihuyi)
        request = provider.submit_request(self.call(SUBMIT))
        expected = provider._password("852 90000000", "【Acme】您的验证码是:666666", "1772337906")
        assert expected == _form(request)["password"]
        assert "0123456789abcdef-key" not in request.url + request.body.decode()

    @pytest.mark.parametrize(
        ("number", "mobile"),
        [
            ("+85298882844", "852 98882844"),
            ("+8613800138000", "86 13800138000"),
            ("+12025550123", "1 2025550123"),
            ("+390612345678", "39 0612345678"),
            ("+447911123456", "44 7911123456"),
            ("+6591234567", "65 91234567"),
            ("+85361236123", "853 61236123"),
            ("+77012345678", "7 7012345678"),
        ],
    )
    def test_a_number_is_cut_where_its_country_code_ends(self, number: str, mobile: str) -> None:
        """The cut comes from the numbering plan; an Italian zero stays."""
        call = self.call(SUBMIT)
        request = self.provider().submit_request(type(call)(SUBMIT, self.message, [number], "r", MADE_AT))
        assert mobile == _form(request)["mobile"]

    # --- checks --------------------------------------------------------------------------------------------------

    def test_half_an_emoji_is_refused(self) -> None:
        """Text without a UTF-8 form costs no call."""
        with pytest.raises(NotEncodable):
            self.provider().check(Message("\ude00"))

    def test_senders_and_unknown_parameters_are_refused(self) -> None:
        """The document has neither."""
        with pytest.raises(UnsupportedFeature):
            self.provider().check(Message("hello", sender="Acme"))
        with pytest.raises(UnsupportedFeature):
            self.provider().check(Message("hello", options={"rd": "1"}))

    def test_a_refused_number_is_not_repeated(self) -> None:
        """The error says what the vendor takes."""
        with pytest.raises(InvalidNumber, match="country code"):
            self.provider().check_number("+999123456789")

    # --- answers -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("name", "serial"),
        [
            ("submit-2.xml", "60495654"),
            ("submit-2-gbk.xml", "60495654"),
            ("submit-2.json", "16063783563405105174"),
        ],
    )
    def test_success_is_read_in_every_form(self, name: str, serial: str) -> None:
        """XML, XML in declared GBK, and JSON with an id above 2^63, whatever `format` was asked for."""
        for asked in ("json", "xml"):
            accepted = self.provider(format=asked).submitted(self.call(SUBMIT), answer(payload(VENDOR, name)))
            assert Accepted(vendor_message_id=serial, answer="2") == accepted

    @pytest.mark.parametrize(
        "body",
        [
            b'{"code":"2","msg":"","smsid":"7"}',
            b'{"code":2,"msg":"","smsid":7}',
            b'{"code":2,"msg":"","ismsid":"7"}',
            b'\xef\xbb\xbf\xef\xbb\xbf {"smsid":" 7 ","msg":"","code":2}\r\n',
            b"<SubmitResult><smsid>7</smsid><code>2</code><msg/></SubmitResult>",
            (
                b"\xef\xbb\xbf<?xml version='1.0'?><a:SubmitResult xmlns:a='http://121.199.16.178/'><a:code>2</a:code>"
                b"<a:ismsid>\n7\n</a:ismsid></a:SubmitResult>\n"
            ),
        ],
    )
    def test_order_namespace_and_type_of_the_fields_do_not_matter(self, body: bytes) -> None:
        """The document contradicts itself about names and order, so they are read by local name."""
        assert "7" == self.provider().submitted(self.call(SUBMIT), answer(body)).vendor_message_id

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("0", OutcomeUnknown),
            ("400", IpForbidden),
            ("401", BadCredentials),
            ("402", BadCredentials),
            ("403", RecipientRefused),
            ("4030", RecipientRefused),
            ("404", ContentRefused),
            ("405", BadCredentials),
            ("4050", Frozen),
            ("4051", NoBalance),
            ("4052", IpForbidden),
            ("406", RecipientRefused),
            ("407", ContentRefused),
            ("4071", ContentRefused),
            ("4072", ContentRefused),
            ("40722", ContentRefused),
            ("4073", ContentRefused),
            ("408", Frozen),
        ],
    )
    def test_every_documented_refusal_has_its_class(self, code: str, outcome: type[ProviderError]) -> None:
        """Each code of §2.5 raises exactly its class, with the code whole."""
        with pytest.raises(outcome) as raised:
            self.provider().submitted(self.call(SUBMIT), answer(payload(VENDOR, f"submit-{code}.xml")))
        assert (outcome, code) == (type(raised.value), raised.value.vendor_code)
        assert outcome is SUBMIT_CODES[code]

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("40501", BadCredentials),
            ("40502", BadCredentials),
            ("4070", ContentRefused),
            ("4074", ContentRefused),
            ("4075", ContentRefused),
            ("4080", Throttled),
            ("4082", Throttled),
            ("4085", Throttled),
        ],
    )
    def test_codes_of_newer_clients_have_their_class(self, code: str, outcome: type[ProviderError]) -> None:
        """These are not in the document; 4080 and its kin are limits, so the message may go again later."""
        with pytest.raises(outcome) as raised:
            self.provider().submitted(self.call(SUBMIT), answer(payload(VENDOR, f"submit-{code}.json")))
        assert outcome is type(raised.value)
        assert outcome is NEWER_CODES[code]

    def test_code_0_is_not_sent_where_the_account_says_so(self) -> None:
        """`treat_as_not_sent` moves the uncertain code."""
        with pytest.raises(NotSent):
            self.provider(treat_as_not_sent=["0"]).submitted(self.call(SUBMIT), answer(payload(VENDOR, "submit-0.xml")))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"code":2,"msg":"","smsid":"0"}',
            b'{"code":2,"msg":""}',
            b'{"code":405,"msg":"","smsid":"60495654"}',
            b'{"code":2.0,"msg":"","smsid":"7"}',
            b'{"code":true,"msg":"","smsid":"7"}',
            b'{"code":"02","msg":"","smsid":"7"}',
            b'{"code":409,"msg":"","smsid":"0"}',
            b"<SubmitResult><code>2</code></SubmitResult>",
            b"<!DOCTYPE a [<!ENTITY b '2'>]><SubmitResult><code>&b;</code><smsid>7</smsid></SubmitResult>",
            b"2",
        ],
    )
    def test_a_contradiction_or_a_new_code_is_an_unknown_outcome(self, body: bytes) -> None:
        """A success without a serial number, a failure with one, a code that is in no table, XML with an entity."""
        with pytest.raises(OutcomeUnknown):
            self.provider().submitted(self.call(SUBMIT), answer(body))

    # --- balance -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("name", "amount"), [("balance-2.xml", "0"), ("balance-2.json", "4211")])
    def test_a_balance_is_read(self, name: str, amount: str) -> None:
        """The document's own sample has a balance of 0, which is a balance."""
        assert Balance(amount, "messages") == self.provider().balance(answer(payload(VENDOR, name)))

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("400", IpForbidden),
            ("401", BadCredentials),
            ("402", BadCredentials),
            ("405", BadCredentials),
            ("4050", Frozen),
        ],
    )
    def test_every_documented_refusal_of_a_balance_has_its_class(self, code: str, outcome: type[ProviderError]) -> None:
        """§3.5 is a table of its own."""
        with pytest.raises(outcome):
            self.provider().balance(answer(payload(VENDOR, f"balance-{code}.xml")))
        assert outcome is BALANCE_CODES[code]

    @pytest.mark.parametrize("code", sorted(SUBMIT_CODES.keys() - BALANCE_CODES.keys()))
    def test_codes_of_a_submit_mean_nothing_in_a_balance(self, code: str) -> None:
        """No code is borrowed from §2.5."""
        with pytest.raises(OutcomeUnknown):
            self.provider().balance(answer(payload(VENDOR, f"submit-{code}.xml")))

    # --- receipts ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("row", RECEIPTS, ids=lambda row: row.label)
    def test_a_pushed_receipt_is_read(self, row: ReceiptRow) -> None:
        """Label, bytes pushed, report expected."""
        received = self.provider().pushed(Push("POST", b"", FORM, row.body))
        assert [row.report] == list(received.reports)
        assert [] == list(received.replies)

    @pytest.mark.parametrize(
        "body",
        [b"", b"msg=x&mobilephone=852+98882844&ismsid=7", b"code=2&msg=x", b"code=two&ismsid=7", b"code=2&ismsid=0"],
    )
    def test_a_push_of_another_shape_is_refused(self, body: bytes) -> None:
        """A receipt without a code, or about nobody, is none."""
        with pytest.raises(PushRefused):
            self.provider().pushed(Push("POST", b"", FORM, body))

    def test_the_acknowledgement_is_success_and_nothing_else(self) -> None:
        """§4.2: without quotes; a failure and a repeat are acknowledged the same way."""
        for name in ("receipt-2.form", "receipt-0.form"):
            assert Ack(b"success") == self.provider().ack(Push("POST", b"", FORM, payload(VENDOR, name)))


def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode() or urlsplit(request.url).query, strict_parsing=True))
