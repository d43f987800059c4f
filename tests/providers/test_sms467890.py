"""467890.com: what its page says, row by row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from providers.base import Accepted, Ack, Balance, Message, Push, Report, Request
from providers.sms467890 import BALANCE_CODES, MAX_NUMBERS, SEND, SEND_CODES, Sms467890
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    NoBalance,
    NotEncodable,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    PushRefused,
    RecipientRefused,
    TextTooLong,
    UnsupportedFeature,
)
from sendmill.states import State
from tests.providers.contract import ProviderContract
from tests.providers.payload import answer, payload

VENDOR = "sms467890"
PUSHED_AT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


@dataclass(frozen=True)
class PushRow:
    """One row of the table of pushes."""

    label: str
    body: bytes
    reports: list[Report]


def _report(state: State | None, word: str, **fields: Any) -> Report:
    known: dict[str, Any] = {"number": "+8613800138000", "vendor_message_id": "800000", "occurred_at": PUSHED_AT}
    return Report(state, word, code=None if state is State.DELIVERED else word, **(known | fields))


DELIVERED = _report(State.DELIVERED, "DELIVRD")
REPORTS = [
    PushRow("DELIVRD", payload(VENDOR, "report-delivrd.txt"), [DELIVERED]),
    PushRow("UNKNOWN means failed", payload(VENDOR, "report-unknown.txt"), [_report(State.UNDELIVERED, "UNKNOWN")]),
    PushRow("percent-encoded", payload(VENDOR, "report-encoded.txt"), [_report(State.UNDELIVERED, "MK:0001")]),
    PushRow(
        "two lines",
        b"Report=800000,13800138000,DELIVRD,1772337906\r\nReport=800000,13800138001,DELIVRD,1772337906\r\n",
        [DELIVERED, _report(State.DELIVERED, "DELIVRD", number="+8613800138001")],
    ),
    PushRow("with country code", b"Report=800000,8613800138000,DELIVRD,1772337906", [DELIVERED]),
    PushRow("small letters", b"report=800000,13800138000,delivrd,1772337906", [_report(State.DELIVERED, "delivrd")]),
    PushRow("no time", b"Report=800000,13800138000,DELIVRD,", [_report(State.DELIVERED, "DELIVRD", occurred_at=None)]),
    PushRow("not final", b"Report=800000,13800138000,ACCEPTD,1772337906", [_report(None, "ACCEPTD")]),
    PushRow("no status word", b"Report=800000,13800138000,\xe5\xa4\xb1,1772337906", [_report(None, "\u5931")]),
]


class TestSms467890(ProviderContract):
    """The promises of every vendor, then the page."""

    vendor = VENDOR
    provider_class = Sms467890
    settings: ClassVar[dict[str, Any]] = {
        "provider": VENDOR,
        "uid": "10086",
        "pwd": "bulk-password",
        "push_token": ["push-token-one", "push-token-two"],
    }
    tables: ClassVar = {"send": SEND_CODES, "balance": BALANCE_CODES}
    message = Message("您的包裹已经到达 5 号站", signature="【城市快递】")
    too_long = Message("中" * 263, signature="【城市快递】")
    bad_numbers = ("+85298882844", "+861380013800", "+86138001380000", "+8602082345678", "13800138000")
    good_answers: ClassVar = [payload(VENDOR, name) for name in ("send-0.json", "balance-2.json", "report-unknown.txt")]

    def number(self, index: int) -> str:
        """A mainland mobile number."""
        return f"+86138{index:08d}"

    def numbers_in(self, request: Request) -> list[str]:
        """Every number of `mobile`."""
        return [f"+86{mobile}" for mobile in json.loads(request.body)["mobile"].split(",")]

    # --- request -------------------------------------------------------------------------------------------------

    def test_a_send_is_the_json_object_of_the_page_in_lower_case_names(self) -> None:
        """Endpoint, method, names, separator and signature are those that the vendor's clients use."""
        request = self.provider().submit_request(self.call(SEND, 2))
        assert "POST" == request.method
        assert "http://www.467890.com/Admin/index.php/Message/send" == request.url
        assert {"Content-Type": "application/json; charset=utf-8"} == request.headers
        assert (
            '{"uid":"10086","pwd":"bulk-password","mobile":"13800000000,13800000001",'
            '"content":"【城市快递】您的包裹已经到达 5 号站"}'
        ) == request.body.decode()

    def test_the_account_signature_stands_in_where_the_job_names_none(self) -> None:
        """An account's default signature is sent, and an empty one of the job overrides it."""
        provider = self.provider(signature="【默认】")
        by_default = provider.submit_request(self.call(SEND, message=Message("你好")))
        without = provider.submit_request(self.call(SEND, message=Message("你好", signature="")))
        assert ("【默认】你好", "你好") == (_content(by_default), _content(without))

    def test_another_address_is_used_as_it_is_configured(self) -> None:
        """`base_url` with or without the slash at its end gives the same addresses."""
        for base_url in ("https://sms.example/Message", "https://sms.example/Message/"):
            provider = self.provider(base_url=base_url)
            assert "https://sms.example/Message/send" == provider.submit_request(self.call(SEND)).url
            assert "https://sms.example/Message/balance" == provider.balance_request(PUSHED_AT).url

    def test_a_hundred_thousand_numbers_are_twenty_calls(self) -> None:
        """A call takes 5,000 numbers, as the page says."""
        assert 20 == -(-100_000 // self.provider().largest_call(self.message))
        assert MAX_NUMBERS == self.provider().service_for(self.message, 100_000).max_numbers

    # --- checks --------------------------------------------------------------------------------------------------

    def test_268_characters_pass_with_their_signature(self) -> None:
        """The limit is the page's, counted with the signature, an emoji as two."""
        provider = self.provider()
        provider.check(Message("a" * 262, signature="【城市快递】"))
        provider.check(Message("😀" * 134))
        with pytest.raises(TextTooLong, match="270 characters"):
            provider.check(Message("😀" * 135))

    def test_half_an_emoji_is_refused(self) -> None:
        """Text that has no UTF-8 form is refused before a call is built, and the text is not in the error."""
        with pytest.raises(NotEncodable, match=r"character 4 .*U\+D83D"):
            self.provider().check(Message("abc\ud83d"))

    def test_senders_and_unknown_parameters_are_refused(self) -> None:
        """What cannot be said to this vendor is an error and not silently dropped."""
        with pytest.raises(UnsupportedFeature, match="sender"):
            self.provider().check(Message("hello", sender="Acme"))
        with pytest.raises(UnsupportedFeature, match="'dnc'"):
            self.provider().check(Message("hello", options={"dnc": "y"}))

    # --- answers -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ["send-0.json", "send-0-as-printed.json", "send-0-numbers.json"])
    def test_success_is_read_in_every_form(self, name: str) -> None:
        """The proper form, the page's misprint and numbers for strings all name the same call."""
        accepted = self.provider().submitted(self.call(SEND), answer(payload(VENDOR, name)))
        assert Accepted(vendor_message_id="800000", answer="respCode 0") == accepted

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("1", BadCredentials),
            ("2", RecipientRefused),
            ("3", ContentRefused),
            ("4", ContentRefused),
            ("5", NoBalance),
            ("6", RecipientRefused),
            ("7", OutcomeUnknown),
            ("8", Frozen),
        ],
    )
    def test_every_documented_refusal_has_its_class(self, code: str, outcome: type[ProviderError]) -> None:
        """Each code of the page's table of Message/send raises exactly its class, with the code."""
        with pytest.raises(outcome) as raised:
            self.provider().submitted(self.call(SEND), answer(payload(VENDOR, f"send-{code}.json")))
        assert (outcome, code, 200) == (type(raised.value), raised.value.vendor_code, raised.value.http_status)
        assert outcome is SEND_CODES[code]

    def test_code_7_is_not_sent_where_the_account_says_so(self) -> None:
        """`treat_as_not_sent` moves the uncertain code, and it alone: a listed acceptance stays one."""
        provider = self.provider(treat_as_not_sent=["7", "0", "8"])
        with pytest.raises(NotSent) as raised:
            provider.submitted(self.call(SEND), answer(payload(VENDOR, "send-7.json")))
        assert "7" == raised.value.vendor_code
        assert "800000" == provider.submitted(self.call(SEND), answer(payload(VENDOR, "send-0.json"))).vendor_message_id
        with pytest.raises(Frozen):
            provider.submitted(self.call(SEND), answer(payload(VENDOR, "send-8.json")))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"status":"success","respCode":"7","respMsg":"","msgid":"800000"}',
            b'{"status":"error","respCode":"0","respMsg":"","msgid":"800000"}',
            b'{"status":"success","respCode":"0","respMsg":"","msgid":""}',
            b'{"status":"success","respMsg":"","msgid":"800000"}',
            b'{"respCode":"0","respMsg":"","msgid":"800000"}',
            b'{"status":"error","respCode":"9","respMsg":"","msgid":""}',
            b'{"status":"success","respCode":"00","respMsg":"","msgid":"800000"}',
        ],
    )
    def test_a_contradiction_or_a_new_code_is_an_unknown_outcome(self, body: bytes) -> None:
        """Neither field alone makes a success or a failure."""
        with pytest.raises(OutcomeUnknown):
            self.provider().submitted(self.call(SEND), answer(body))

    def test_an_id_of_twenty_digits_keeps_every_digit(self) -> None:
        """A number in JSON does not pass through a double."""
        body = b'{"status":"success","respCode":0,"respMsg":"","msgid":16063783563405105174}'
        assert "16063783563405105174" == self.provider().submitted(self.call(SEND), answer(body)).vendor_message_id

    # --- balance -------------------------------------------------------------------------------------------------

    def test_a_balance_is_asked_for_with_uid_and_pwd_alone(self) -> None:
        """The request of the page's table of Message/balance."""
        request = self.provider().balance_request(PUSHED_AT)
        assert ("POST", b'{"uid":"10086","pwd":"bulk-password"}') == (request.method, request.body)

    def test_a_balance_is_the_number_in_respmsg(self) -> None:
        """`respMsg` shows the balance."""
        assert Balance("12345", "messages") == self.provider().balance(answer(payload(VENDOR, "balance-0.json")))

    @pytest.mark.parametrize(("code", "outcome"), [("1", BadCredentials), ("2", Frozen)])
    def test_a_balance_has_a_code_table_of_its_own(self, code: str, outcome: type[ProviderError]) -> None:
        """2 is a frozen account here, while it is a bad mobile in a send."""
        with pytest.raises(outcome):
            self.provider().balance(answer(payload(VENDOR, f"balance-{code}.json")))
        assert outcome is BALANCE_CODES[code]

    @pytest.mark.parametrize("code", ["3", "4", "5", "6", "7", "8"])
    def test_codes_of_a_send_mean_nothing_in_a_balance(self, code: str) -> None:
        """No code is borrowed from another endpoint's table."""
        with pytest.raises(OutcomeUnknown):
            self.provider().balance(answer(payload(VENDOR, f"send-{code}.json")))

    # --- reports -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("row", REPORTS, ids=lambda row: row.label)
    def test_a_pushed_report_is_read(self, row: PushRow) -> None:
        """Label, bytes pushed, reports expected."""
        assert row.reports == list(self.provider().pushed(_pushed(row.body)).reports)

    @pytest.mark.parametrize(
        "body",
        [
            b"800000,13800138000,DELIVRD,1772337906",
            b"Report=800000,13800138000,DELIVRD",
            b"Report=,13800138000,DELIVRD,1772337906",
            b"Report=800000,mobile number,DELIVRD,timestamp",
        ],
    )
    def test_a_push_of_another_shape_is_refused(self, body: bytes) -> None:
        """The last one is the page's own example, which has words in place of a number and a time."""
        with pytest.raises(PushRefused):
            self.provider().pushed(_pushed(body))

    def test_the_acknowledgement_is_a_setting(self) -> None:
        """The page names no body, so HTTP 200 with `OK` unless the account says otherwise."""
        push = _pushed(payload(VENDOR, "report-delivrd.txt"))
        assert Ack(b"OK") == self.provider().ack(push)
        assert Ack(b"0") == self.provider(ack="0").ack(push)


def _content(request: Request) -> str:
    return str(json.loads(request.body)["content"])


def _pushed(body: bytes) -> Push:
    return Push("POST", b"", {}, body)
