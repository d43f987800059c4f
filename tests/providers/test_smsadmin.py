"""smsadmin.cn: what its document says about submits and balance, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import Accepted, Balance, Message, Request
from providers.smsadmin import Smsadmin, SmsadminSettings
from providers.smsadmin.codes import (
    BALANCE_CODES,
    PERSONALISED_CODES,
    REPLY_POLL_CODES,
    REPORT_POLL_CODES,
    SUBMIT_CODES,
    WORDS_CODES,
)
from sendmill.errors import (
    BadCredentials,
    ConfigError,
    ContentRefused,
    Frozen,
    InvalidOption,
    NoBalance,
    NotEncodable,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    TextTooLong,
    TooManyRecipients,
    UnsupportedFeature,
)
from sendmill.segments import Segments
from tests.providers.contract import REFERENCE, ProviderContract
from tests.providers.payload import answer, payload

VENDOR = "smsadmin"
API = "http://www.smsadmin.cn/smsmarketing/wwwroot/api"
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)

PWD = "correct horse&"
PWD_MD5 = "f16cdd11b20d6dcef5d8b931feb4989e"
MOBILE = "13800000000%3B13800000001"
TEXT = "%C4%E3%BA%C3%20a%2Bb%0A%A1%BEAcme%A1%BF"  # 你好 a+b, a line break, 【Acme】
TEXT_TWICE = "%25C4%25E3%25BA%25C3%2520a%252Bb%250A%25A1%25BEAcme%25A1%25BF"


@dataclass(frozen=True)
class Wire:
    """One row of the table of requests: settings, and what stands on the wire."""

    label: str
    settings: dict[str, Any]
    url: str
    form: str
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/x-www-form-urlencoded"})


def _form(uid: str, pwd: str, text: str) -> str:
    return f"uid={uid}&pwd={pwd}&mobile={MOBILE}&msg={text}&dtime=&linkid={REFERENCE}"


PLAIN_PWD = "correct%20horse%26"
WIRES = [
    Wire(
        "§3, address 1", {"method": "post", "style": "plain"}, f"{API}/post_send/", _form("%D3%C3-1", PLAIN_PWD, TEXT)
    ),
    Wire(
        "§3, address 2",
        {"method": "post", "style": "md5"},
        f"{API}/post_send_md5/",
        _form("%D3%C3-1", PWD_MD5, TEXT),
    ),
    Wire(
        "§3, address 3: uid and msg encoded twice",
        {"method": "post", "style": "urlencode"},
        f"{API}/post_send_urldecode/",
        _form("%25D3%25C3-1", PLAIN_PWD, TEXT_TWICE),
    ),
    Wire(
        "§3, address 3, encoded once",
        {"method": "post", "style": "urlencode", "urlencode_twice": False},
        f"{API}/post_send_urldecode/",
        _form("%D3%C3-1", PLAIN_PWD, TEXT),
    ),
    Wire(
        "§2, address 1",
        {"method": "get", "style": "plain"},
        f"{API}/get_send/?{_form('%D3%C3-1', PLAIN_PWD, TEXT)}",
        "",
        "GET",
        {},
    ),
    Wire(
        "§2, address 2",
        {"method": "get", "style": "md5"},
        f"{API}/get_send_md5/?{_form('%D3%C3-1', PWD_MD5, TEXT)}",
        "",
        "GET",
        {},
    ),
    Wire(
        "§2, address 3: msg alone encoded twice",
        {"method": "get", "style": "urlencode"},
        f"{API}/get_send_urldecode/?{_form('%D3%C3-1', PLAIN_PWD, TEXT_TWICE)}",
        "",
        "GET",
        {},
    ),
    Wire(
        "another host",
        {"base_url": "http://sms.example/api/"},
        "http://sms.example/api/post_send_md5/",
        _form("%D3%C3-1", PWD_MD5, TEXT),
    ),
]

REFUSALS = [
    ("submit-1.bin", "1", BadCredentials),
    ("submit-2.bin", "2", NoBalance),
    ("submit-3-get.bin", "3", TooManyRecipients),
    ("submit-3-post.bin", "3", TooManyRecipients),
    ("submit-4.bin", "4", Frozen),
    ("submit-5.bin", "5", ContentRefused),
    ("submit-6.bin", "6", ContentRefused),
    ("submit-7.bin", "7", ContentRefused),
    ("submit-7-as-printed.bin", "7", ContentRefused),
    ("submit-8.bin", "8", Frozen),
]


class TestSmsadmin(ProviderContract):
    """The promises of every vendor, then the document."""

    vendor = VENDOR
    provider_class = Smsadmin
    settings: ClassVar[dict[str, Any]] = {
        "provider": VENDOR,
        "uid": "用-1",
        "pwd": PWD,
        "push_token": ["push-token-one", "push-token-two"],
    }
    tables: ClassVar = {
        "get_send, post_send": SUBMIT_CODES,
        "post_send_ddt": PERSONALISED_CODES,
        "user_info": BALANCE_CODES,
        "mgz": WORDS_CODES,
        "reve": REPLY_POLL_CODES,
        "report": REPORT_POLL_CODES,
    }
    message = Message("你好 a+b\n", signature="【Acme】")
    too_long = Message("中" * 495, signature="【Acme】")
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
            "submit-0.bin",
            "submit-7.bin",
            "balance-one-line.bin",
            "replies-hazards.bin",
            "replies-encoded.bin",
            "reports.bin",
            "push-reply-gbk.form",
            "push-report-real.form",
        )
    ]

    def number(self, index: int) -> str:
        """A mainland mobile number."""
        return f"+86138{index:08d}"

    def numbers_in(self, request: Request) -> list[str]:
        """Every number of `mobile`, split as §2 says."""
        form = request.body.decode("ascii") or urlsplit(request.url).query
        return [f"+86{mobile}" for mobile in parse_qs(form, encoding="gbk")["mobile"][0].split(";")]

    # --- requests ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.label)
    def test_each_address_gets_the_request_that_the_document_describes(self, wire: Wire) -> None:
        """Method, address, headers and every byte of the form, for six addresses and their settings."""
        provider = self.provider(**wire.settings)
        request = provider.submit_request(self.call(provider.services()[0], 2))
        assert Request(wire.method, wire.url, wire.headers, wire.form.encode()) == request

    @pytest.mark.parametrize(("method", "numbers", "calls"), [("post", 1000, 100), ("get", 100, 1000)])
    def test_a_hundred_thousand_numbers(self, method: str, numbers: int, calls: int) -> None:
        """§3 takes 1,000 numbers a call, §2 takes 100."""
        provider = self.provider(method=method)
        assert numbers == provider.largest_call(self.message)
        assert calls == -(-100_000 // provider.service_for(self.message, 100_000).max_numbers)

    @pytest.mark.parametrize(
        ("settings", "message", "text"),
        [
            ({}, Message("你好", signature="【甲】"), "你好【甲】"),
            ({}, Message("你好", signature="甲"), "你好【甲】"),
            ({"signature_placement": "prefix"}, Message("你好", signature="【甲】"), "【甲】你好"),
            ({"signature": "【乙】"}, Message("你好"), "你好【乙】"),
            ({"signature": "【乙】"}, Message("你好", signature="【甲】"), "你好【甲】"),
            ({"signature": "【乙】"}, Message("你好【甲】"), "你好【甲】"),
            ({"signature": "【乙】"}, Message("【甲】你好"), "【甲】你好"),
            ({"signature": "【乙】"}, Message("【乙】你好", signature="【乙】"), "【乙】你好"),
            ({"signature": "【乙】"}, Message("打开【设置】看看"), "打开【设置】看看【乙】"),
        ],
    )
    def test_the_signature_stands_once_where_the_account_wants_it(
        self, settings: dict[str, Any], message: Message, text: str
    ) -> None:
        """The job's signature before the account's, behind the text as in §4's example unless set otherwise; the
        account's stays away from a text that is signed already."""
        provider = self.provider(**settings)
        request = provider.submit_request(self.call(provider.services()[0], message=message))
        assert text == parse_qs(request.body.decode("ascii"), encoding="gbk")["msg"][0]

    # --- checks --------------------------------------------------------------------------------------------------

    def test_a_text_without_a_signature_is_refused(self) -> None:
        """The vendor takes no such text, so it costs no call; an empty signature of the job is none."""
        for provider, message in (
            (self.provider(), Message("你好")),
            (self.provider(), Message("打开【】看看")),
            (self.provider(signature="【甲】"), Message("你好", signature="")),
        ):
            with pytest.raises(InvalidOption, match="signature"):
                provider.check(message)

    def test_a_character_outside_gbk_is_named_without_the_text(self) -> None:
        """The reason says which character and where, and neither the text nor its neighbours."""
        with pytest.raises(NotEncodable) as refusal:
            self.provider().check(Message("秘密 😀 文字", signature="【甲】"))
        assert "character 4 (U+1F600 GRINNING FACE) is not in GBK" == str(refusal.value)
        with pytest.raises(NotEncodable, match="signature"):
            self.provider().check(Message("你好", signature="【😀】"))

    def test_the_longest_text_is_a_setting(self) -> None:
        """The vendor publishes none; the signature counts."""
        provider = self.provider(max_text_chars=70)
        provider.check(Message("a" * 67, signature="【甲】"))
        with pytest.raises(TextTooLong, match="71 characters with the signature; this account takes 70"):
            provider.check(Message("a" * 68, signature="【甲】"))

    def test_senders_and_unknown_parameters_are_refused(self) -> None:
        """What cannot be said to this vendor is an error and not silently dropped."""
        with pytest.raises(UnsupportedFeature, match="sender"):
            self.provider().check(Message("hello【甲】", sender="Acme"))
        with pytest.raises(UnsupportedFeature, match="'extno'"):
            self.provider().check(Message("hello【甲】", options={"extno": "1"}))

    @pytest.mark.parametrize(
        ("letters", "segments"),
        [(67, Segments("UCS-2", 70, 1)), (68, Segments("UCS-2", 71, 2)), (132, Segments("UCS-2", 135, 3))],
    )
    def test_every_character_counts_alike_and_the_signature_counts(self, letters: int, segments: Segments) -> None:
        """§2: 一个英文字符和汉字占相同字数. 70 in one part, 67 in each of several."""
        assert segments == self.provider().segments(Message("a" * letters, signature="【甲】"))

    @pytest.mark.parametrize("key", ["uid", "pwd"])
    def test_credentials_outside_gbk_are_a_wrong_configuration(self, key: str) -> None:
        """The error names the key and not the value."""
        with pytest.raises(ConfigError) as refusal:
            self.provider(**{key: "geheim😀geheim"})
        assert f"accounts.shop.{key}" in str(refusal.value)
        assert "geheim" not in str(refusal.value)

    def test_the_hashed_password_is_a_secret_too(self) -> None:
        """It logs in as well as the plain one, and so do both as they stand in an address."""
        assert {PWD, PWD_MD5, PLAIN_PWD} <= set(self.provider().secrets())

    # --- answers -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "body", [payload(VENDOR, "submit-0.bin"), payload(VENDOR, "submit-0-as-printed.bin"), b"0"]
    )
    def test_success_is_read_with_and_without_the_space(self, body: bytes) -> None:
        """The vendor gives no id: reports come back with our linkid."""
        provider = self.provider()
        accepted = provider.submitted(self.call(provider.services()[0]), answer(body))
        assert Accepted(answer="0 发送成功!") == accepted

    @pytest.mark.parametrize(("name", "code", "outcome"), REFUSALS)
    def test_every_documented_refusal_has_its_class(self, name: str, code: str, outcome: type[ProviderError]) -> None:
        """Each code of §2 and §3 raises exactly its class, with the code."""
        provider = self.provider()
        with pytest.raises(outcome) as raised:
            provider.submitted(self.call(provider.services()[0]), answer(payload(VENDOR, name)))
        assert (outcome, code, 200) == (type(raised.value), raised.value.vendor_code, raised.value.http_status)
        assert outcome is SUBMIT_CODES[code]

    def test_every_submit_code_has_a_row_above(self) -> None:
        """No code of the table goes without a payload."""
        assert set(SUBMIT_CODES) == {"0"} | {code for _, code, _ in REFUSALS}

    @pytest.mark.parametrize(
        ("name", "limit"),
        [("submit-3-get.bin", "100 numbers"), ("submit-3-post.bin", "1000 numbers"), ("submit-7.bin", "70 characters")],
    )
    def test_a_limit_that_the_vendor_names_stands_in_the_error(self, name: str, limit: str) -> None:
        """Codes 3 and 7 say how much the channel takes."""
        provider = self.provider()
        with pytest.raises(ProviderError, match=limit):
            provider.submitted(self.call(provider.services()[0]), answer(payload(VENDOR, name)))

    @pytest.mark.parametrize(
        "text",
        [
            "0 发送失败!",
            "0.5",
            "0 OK",
            "00",
            "10发送成功!",
            "9 其他错误",
            "150",
            "160",
            "-1",
            "发送成功!",
            "３超过",
            "13800138000",
        ],
    )
    def test_what_only_looks_like_a_code_is_an_unknown_outcome(self, text: str) -> None:
        """Codes are compared whole and stand alone or before Chinese words; a success says that it is one."""
        provider = self.provider()
        with pytest.raises(OutcomeUnknown) as raised:
            provider.submitted(self.call(provider.services()[0]), answer(text.encode("gb18030")))
        assert "13800138000" not in str(raised.value)

    def test_a_setting_makes_an_unlisted_code_not_sent(self) -> None:
        """`treat_as_not_sent` moves a code that the document leaves open, and no other."""
        provider = self.provider(treat_as_not_sent=["9", "0", "8"])
        call = self.call(provider.services()[0])
        with pytest.raises(NotSent):
            provider.submitted(call, answer("9系统忙".encode("gbk")))
        with pytest.raises(Frozen):
            provider.submitted(call, answer(payload(VENDOR, "submit-8.bin")))
        assert provider.submitted(call, answer(payload(VENDOR, "submit-0.bin"))).answer

    # --- balance -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("style", "url"),
        [
            ("plain", f"{API}/user_info/?uid=%D3%C3-1&pwd={PLAIN_PWD}"),
            ("md5", f"{API}/user_info/?uid=%D3%C3-1&pwd={PLAIN_PWD}"),
            ("urlencode", f"{API}/user_info_urldecode/?uid=%25D3%25C3-1&pwd={PLAIN_PWD}"),
        ],
    )
    def test_the_balance_is_asked_at_the_address_of_the_style(self, style: str, url: str) -> None:
        """§5: two addresses, the plain password at both."""
        assert Request("GET", url) == self.provider(style=style).balance_request(NOW)

    @pytest.mark.parametrize(
        ("name", "amount"), [("balance-one-line.bin", "1500"), ("balance-two-lines.bin", "1500.5")]
    )
    def test_the_balance_is_read_from_one_line_or_two(self, name: str, amount: str) -> None:
        """§5 prints one line, clients of the service read two."""
        assert Balance(amount, "credit") == self.provider().balance(answer(payload(VENDOR, name)))

    @pytest.mark.parametrize(
        ("body", "outcome"),
        [
            (payload(VENDOR, "balance-1.bin"), BadCredentials),
            ("用户ID=1 剩余资费=".encode("gbk"), OutcomeUnknown),
            ("剩余资费=1.2.3".encode("gbk"), OutcomeUnknown),
            ("8用户已冻结".encode("gbk"), OutcomeUnknown),
            ("剩余资费".encode("gbk"), OutcomeUnknown),
        ],
    )
    def test_no_other_answer_is_a_balance(self, body: bytes, outcome: type[ProviderError]) -> None:
        """§5 lists code 1 alone; a sentence without its number is none."""
        with pytest.raises(outcome) as raised:
            self.provider().balance(answer(body))
        assert outcome is type(raised.value)


def test_an_account_needs_only_uid_and_pwd() -> None:
    """Everything else has a default: the documented address, post, md5, the signature behind the text."""
    settings = SmsadminSettings.model_validate({"provider": VENDOR, "uid": "1", "pwd": "p"})
    assert (API, "post", "md5", "suffix") == (
        settings.base_url,
        settings.method,
        settings.style,
        settings.signature_placement,
    )
