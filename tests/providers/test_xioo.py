"""xioo: what its interface page says, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest

from providers.base import Accepted, Balance, Message, Request
from providers.xioo import Xioo
from providers.xioo.codes import BALANCE_CODES, SUBMIT_CODES
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    EmptyText,
    Frozen,
    InvalidOption,
    IpForbidden,
    NoBalance,
    NotEncodable,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
    TextTooLong,
    UnsupportedFeature,
)
from sendmill.segments import Segments
from tests.providers.contract import ProviderContract
from tests.providers.payload import answer, payload

VENDOR = "xioo"
URL = "https://sms.example/asmx/smsservice.aspx"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
SENDID = "20140821110353234137876543"
ACCESS_SECRET = "a-development-key"

REFUSALS = [
    ("submit-1.txt", "1", ContentRefused),
    ("submit-2.txt", "2", ContentRefused),
    ("submit-2-balance.txt", "2", NoBalance),
    ("submit-2-balance-gbk.txt", "2", NoBalance),
    ("submit-3.txt", "3", RecipientRefused),
    ("submit-4.txt", "4", ContentRefused),
    ("submit-10.txt", "10", BadCredentials),
    ("submit-11.txt", "11", Frozen),
    ("submit-12.txt", "12", Frozen),
    ("submit-13.txt", "13", IpForbidden),
    ("submit-14.txt", "14", ContentRefused),
    ("submit-minus-1.txt", "-1", OutcomeUnknown),
]
BALANCE_REFUSALS = [
    ("balance-10.txt", "10", BadCredentials),
    ("balance-11.txt", "11", Frozen),
    ("balance-12.txt", "12", Frozen),
    ("balance-13.txt", "13", IpForbidden),
]


class TestXioo(ProviderContract):
    """The promises of every vendor, then the page."""

    vendor = VENDOR
    provider_class = Xioo
    settings: ClassVar[dict[str, Any]] = {
        "provider": VENDOR,
        "url": URL,
        "name": "test",
        "pwd": "0C759A360WWBD5F5E0F5FF9F0597",
        "sign": "测试签名",
        "access_secret": ACCESS_SECRET,
        "push_name": "admin",
        "push_pwd": "push-password",
        "push_token": "push-token-one",
    }
    tables: ClassVar = {"send": SUBMIT_CODES, "balance": BALANCE_CODES}
    message = Message("您的验证码是 1125 + 1")
    too_long = Message("中" * 501)
    bad_numbers = (
        "+85298882844",
        "+861380013800",
        "+86138001380000",
        "+8612000138000",
        "13800138000",
        "+8602082345678",
    )
    good_answers: ClassVar = [
        payload(VENDOR, name)
        for name in (
            "submit-0-part.txt",
            "submit-14.txt",
            "balance-0.txt",
            "push-report-many.form",
            "push-replies.form",
            "push-replies-hazards.form",
        )
    ]

    def number(self, index: int) -> str:
        """A mainland mobile number."""
        return f"+86138{index:08d}"

    def numbers_in(self, request: Request) -> list[str]:
        """Every number of `mobile`, split as §1.6 says."""
        return [f"+86{mobile}" for mobile in _sent(request)["mobile"].split(",")]

    # --- requests ------------------------------------------------------------------------------------------------

    # The example of §1.8 is a GET with stime; §1.4 asks for POST, and nothing is scheduled at the vendor yet. The
    # fields that both have are those of the next test.
    def test_a_send_is_the_form_of_the_page(self) -> None:
        """Names, order and UTF-8 of §1.6, the numbers of §1.8 joined by a comma, the signature without brackets."""
        provider = self.provider(pwd="112345678", sign="【testsign】")
        call = self.call(provider.services()[0], 2, Message("test 消息"))
        body = (
            b"name=test&pwd=112345678&content=test%20%E6%B6%88%E6%81%AF&mobile=13800000000%2C13800000001"
            b"&sign=testsign&type=pt"
        )
        assert Request("POST", URL, FORM, body) == provider.submit_request(call)

    def test_the_balance_is_the_form_of_the_page(self) -> None:
        """§2.2 and the fields of §2.5, posted."""
        body = b"name=test&pwd=0C759A360WWBD5F5E0F5FF9F0597&type=balance"
        assert Request("POST", URL, FORM, body) == self.provider().balance_request(NOW)

    @pytest.mark.parametrize(
        ("settings", "message", "sign", "content"),
        [
            ({}, Message("你好"), "测试签名", "你好"),
            ({}, Message("你好", signature="【甲】"), "甲", "你好"),
            ({"sign": None, "signature": "【乙】"}, Message("你好"), "乙", "你好"),
            ({"sign": None}, Message("你好"), "", "你好"),
            ({}, Message("你好", signature=""), "", "你好"),
            ({"sign_in_content": True}, Message("你好"), "测试签名", "【测试签名】你好"),
            ({"sign_in_content": True}, Message("【测试签名】你好"), "测试签名", "【测试签名】你好"),
            ({"sign_in_content": True, "sign": None}, Message("你好"), "", "你好"),
            ({}, Message("【丙】你好"), "丙", "你好"),
            ({}, Message("你好【丙】"), "丙", "你好"),
            ({}, Message("【丙】你好", signature="【甲】"), "甲", "【丙】你好"),
            ({}, Message("【】你好"), "测试签名", "【】你好"),
            ({}, Message("你好【丙】!"), "测试签名", "你好【丙】!"),
            ({"sign_in_content": True}, Message("【丙】你好"), "丙", "【丙】你好"),
            ({"sign_in_content": True}, Message("你好【丙】"), "丙", "你好【丙】"),
        ],
    )
    def test_the_signature_is_a_field_of_its_own(
        self, settings: dict[str, Any], message: Message, sign: str, content: str
    ) -> None:
        """The job's before the account's, without brackets, empty where the vendor has bound one to the account; in the
        content only where the account says so."""
        provider = self.provider(**settings)
        sent = _sent(provider.submit_request(self.call(provider.services()[0], message=message)))
        assert (sign, content) == (sent["sign"], sent["content"])

    @pytest.mark.parametrize(
        ("settings", "options", "extno"),
        [
            ({}, {}, None),
            ({"extno": "123"}, {}, "123"),
            ({"extno": "123"}, {"extno": "456"}, "456"),
            ({}, {"extno": 7}, "7"),
        ],
    )
    def test_an_extension_is_sent_where_there_is_one(
        self, settings: dict[str, Any], options: dict[str, Any], extno: str | None
    ) -> None:
        """The message's before the account's."""
        provider = self.provider(**settings)
        message = Message("你好", options=options)
        provider.check(message)
        assert extno == _sent(provider.submit_request(self.call(provider.services()[0], message=message))).get("extno")

    def test_the_largest_call_is_a_setting(self) -> None:
        """The page names no limit; its example of success has 500 numbers."""
        assert 500 == self.provider().largest_call(self.message)
        assert 50 == self.provider(max_numbers_per_call=50).service_for(self.message, 100).max_numbers

    # --- checks --------------------------------------------------------------------------------------------------

    def test_a_signature_alone_is_no_message(self) -> None:
        """It would go as an empty content."""
        with pytest.raises(EmptyText):
            self.provider().check(Message(" 【丙】 "))

    def test_500_characters_pass_and_the_signature_does_not_count(self) -> None:
        """§1.6: 1-500 for content; an emoji is counted as two."""
        provider = self.provider()
        provider.check(Message("a" * 500))
        provider.check(Message("😀" * 250))
        with pytest.raises(TextTooLong, match="502 characters; xioo takes 500"):
            provider.check(Message("😀" * 251))

    @pytest.mark.parametrize("extno", ["", "12a", "１２", "1" * 21, None, 1.5])
    def test_an_extension_is_digits(self, extno: object) -> None:
        """§1.6: 只能为数字. None of a job is none."""
        message = Message("你好", options={"extno": extno})
        if extno is None:
            self.provider().check(message)
            return
        with pytest.raises(InvalidOption, match="extno"):
            self.provider().check(message)

    def test_senders_and_unknown_parameters_are_refused(self) -> None:
        """What cannot be said to this vendor is an error and not silently dropped."""
        with pytest.raises(UnsupportedFeature, match="sender"):
            self.provider().check(Message("hello", sender="Acme"))
        with pytest.raises(UnsupportedFeature, match="'dnc'"):
            self.provider().check(Message("hello", options={"dnc": "y"}))

    def test_half_an_emoji_is_refused(self) -> None:
        """Text that has no UTF-8 form is refused before a call is built."""
        with pytest.raises(NotEncodable, match=r"character 4 .*U\+D83D"):
            self.provider().check(Message("abc\ud83d"))

    @pytest.mark.parametrize(("letters", "parts"), [(64, 1), (65, 2), (128, 2), (129, 3)])
    def test_the_signature_is_billed(self, letters: int, parts: int) -> None:
        """The platform puts it in front of the text in brackets: 6 characters here."""
        assert Segments("UCS-2", letters + 6, parts) == self.provider().segments(Message("a" * letters))

    # --- answers -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("name", "counts"),
        [
            ("submit-0.txt", "invalid 0, accepted 500, blacklisted 0"),
            ("submit-0-as-printed.txt", "invalid 0, accepted 500, blacklisted 0"),
            ("submit-0-part.txt", "invalid 3, accepted 495, blacklisted 2"),
        ],
    )
    def test_one_sendid_names_the_whole_call(self, name: str, counts: str) -> None:
        """§1.7, with and without the space; a sendid of 26 digits stays text. The counts name no number, so none can
        be told as refused."""
        provider = self.provider()
        accepted = provider.submitted(self.call(provider.services()[0]), answer(payload(VENDOR, name)))
        assert Accepted(vendor_message_id=SENDID, answer=f"0: {counts}") == accepted

    def test_a_call_of_which_nothing_was_taken_is_refused(self) -> None:
        """Code 0 with a successcount of 0 is no success."""
        provider = self.provider()
        with pytest.raises(RecipientRefused, match="invalid 1, accepted 0, blacklisted 0"):
            provider.submitted(self.call(provider.services()[0]), answer(payload(VENDOR, "submit-0-none.txt")))

    @pytest.mark.parametrize(("name", "code", "outcome"), REFUSALS)
    def test_every_documented_refusal_has_its_class(self, name: str, code: str, outcome: type[ProviderError]) -> None:
        """Each code of §1.7.3 raises exactly its class, with the code; 2 by its words."""
        provider = self.provider()
        with pytest.raises(outcome) as raised:
            provider.submitted(self.call(provider.services()[0]), answer(payload(VENDOR, name)))
        assert (outcome, code, 200) == (type(raised.value), raised.value.vendor_code, raised.value.http_status)

    def test_every_code_has_a_row_above(self) -> None:
        """No code of a table goes without a payload."""
        assert set(SUBMIT_CODES) == {"0"} | {code for _, code, _ in REFUSALS}
        assert set(BALANCE_CODES) == {"0"} | {code for _, code, _ in BALANCE_REFUSALS}

    @pytest.mark.parametrize(
        "text",
        [
            "0",
            "0,",
            "0,提交成功",
            f"0,{SENDID}",
            f"0,{SENDID},0,500",
            f"0,{SENDID},0,many,0,提交成功",
            f"0,{SENDID},0,-1,0,提交成功",
            "0,,0,500,0,提交成功",
            "00,1,0,500,0,提交成功",
            "0 提交成功",
            "5,失败",
            "100,失败",
            "1含有敏感词汇",
            "13800138000,1",
            "<html>,0</html>",
        ],
    )
    def test_what_only_looks_like_a_code_is_an_unknown_outcome(self, text: str) -> None:
        """Codes are compared whole, and success has all its counts."""
        provider = self.provider()
        with pytest.raises(OutcomeUnknown) as raised:
            provider.submitted(self.call(provider.services()[0]), answer(text.encode()))
        assert "13800138000" not in str(raised.value)

    def test_a_code_alone_is_enough_for_a_refusal(self) -> None:
        """The words may be missing."""
        provider = self.provider()
        with pytest.raises(IpForbidden):
            provider.submitted(self.call(provider.services()[0]), answer(b"\xef\xbb\xbf13\r\n"))

    def test_the_system_error_is_not_sent_where_the_account_says_so(self) -> None:
        """`treat_as_not_sent` moves the uncertain code, and it alone: a listed acceptance stays one."""
        provider = self.provider(treat_as_not_sent=["-1", "0", "12"])
        call = self.call(provider.services()[0])
        with pytest.raises(NotSent) as raised:
            provider.submitted(call, answer(payload(VENDOR, "submit-minus-1.txt")))
        assert "-1" == raised.value.vendor_code
        assert SENDID == provider.submitted(call, answer(payload(VENDOR, "submit-0.txt"))).vendor_message_id
        with pytest.raises(Frozen):
            provider.submitted(call, answer(payload(VENDOR, "submit-12.txt")))

    @pytest.mark.parametrize(
        ("body", "amount"), [(payload(VENDOR, "balance-0.txt"), "12345"), (b"0, -1.50\n", "-1.50")]
    )
    def test_the_balance_is_read(self, body: bytes, amount: str) -> None:
        """`code,balance`."""
        assert Balance(amount, "credit") == self.provider().balance(answer(body))

    @pytest.mark.parametrize(("name", "code", "outcome"), BALANCE_REFUSALS)
    def test_every_refusal_of_the_balance_has_its_class(
        self, name: str, code: str, outcome: type[ProviderError]
    ) -> None:
        """§2.4."""
        with pytest.raises(outcome) as raised:
            self.provider().balance(answer(payload(VENDOR, name)))
        assert (outcome, code) == (type(raised.value), raised.value.vendor_code)

    @pytest.mark.parametrize("text", ["0", "0,", "0,many", "0,1,2", "1,含有敏感词汇", "-1,系统异常"])
    def test_no_other_answer_is_a_balance(self, text: str) -> None:
        """Codes of the submit are not in the table of the balance."""
        with pytest.raises(OutcomeUnknown):
            self.provider().balance(answer(text.encode()))

    def test_what_counts_as_not_sent_says_nothing_of_a_balance(self) -> None:
        """`treat_as_not_sent` is about submits alone."""
        with pytest.raises(OutcomeUnknown):
            self.provider(treat_as_not_sent=["-1"]).balance(answer("-1,系统异常".encode()))


def _sent(request: Request) -> dict[str, str]:
    """The form as a server reads it."""
    fields = parse_qs(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    return {name: values[0] for name, values in fields.items()}
