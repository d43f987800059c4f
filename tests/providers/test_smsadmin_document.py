"""smsadmin.cn: every example of its document, and what an account offers of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from providers.base import Call, Message, Poll, Push, Received, Reply, Report, Request
from providers.smsadmin import Smsadmin, SmsadminSettings
from sendmill.errors import OutcomeUnknown
from sendmill.features import Feature
from sendmill.messages import Kind
from sendmill.states import State
from tests.providers.payload import answer, payload

VENDOR = "smsadmin"
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
ALL = {
    Feature.SMS,
    Feature.SCHEDULE,
    Feature.PERSONALISED,
    Feature.REPORTS_PUSHED,
    Feature.REPORTS_POLLED,
    Feature.REPLIES_PUSHED,
    Feature.REPLIES_POLLED,
    Feature.BALANCE,
    Feature.CHECK_WORDS,
}


def provider(**changes: Any) -> Smsadmin:
    """An account with the names that the document's examples use."""
    table = {"provider": VENDOR, "uid": "ID", "pwd": "密码", "push_token": "push-token", **changes}
    return Smsadmin("shop", SmsadminSettings.model_validate(table))


def call(account: Smsadmin, message: Message, *numbers: str) -> Call:
    """A call of plain text."""
    return Call(account.services()[0], message, numbers, "serial", NOW)


def fields(request: Request) -> dict[str, str]:
    """What the vendor reads, in order."""
    form = request.body.decode("ascii") or urlsplit(request.url).query
    return {name: values[0] for name, values in parse_qs(form, keep_blank_values=True, encoding="gbk").items()}


# --- the document's examples -----------------------------------------------------------------------------------------


def test_the_address_of_section_2_has_our_fields_but_for_its_two_misprints() -> None:
    """`?uid=ID&pwd=密码&mobile=手机号&msg=短信内容&dttime=时间&linked=流水号`.

    Its own tables, §3 and §4, write `dtime` and `linkid`, and so do all clients of the service: that is what is sent.
    """
    account = provider(method="get", style="plain")
    message = Message("短信内容【签】", send_at=NOW + timedelta(days=1))
    example = {"uid": "ID", "pwd": "密码", "mobile": "13800138000", "msg": "短信内容【签】"}
    corrected = {"dtime": "2026-03-02 12:05:06", "linkid": "serial"}
    assert example | corrected == fields(account.submit_request(call(account, message, "+8613800138000")))


def test_numbers_are_joined_by_a_semicolon_without_one_at_the_end() -> None:
    """§2 and §3: 二个号码之间用”;”英文分号区分, 末尾不需要加."""
    account = provider()
    request = account.submit_request(call(account, Message("短信【签】"), "+8613800138000", "+8613800138001"))
    assert "13800138000;13800138001" == fields(request)["mobile"]


def test_the_rows_of_section_4_are_ours_without_its_blanks() -> None:
    """`13712345678, 123456, 10;13745678910, 4567, 20;13714782356, 78912, 30` and its template.

    The template is cut to the two variables that the example has values for: it prints three (see
    `providers.smsadmin.personal`). The blanks are taken for the print's: the texts that it shows have none.
    """
    account = provider(signature="【签名内容】")
    message = Message(
        "您本次的注册验证码{code},在{minutes}分钟内输入有效。", kind=Kind.TEMPLATE, fields=("code", "minutes")
    )
    service = account.personal_service(message)
    assert service is not None
    numbers = ("+8613712345678", "+8613745678910", "+8613714782356")
    values = (("123456", "10"), ("4567", "20"), ("78912", "30"))
    assert all(account.fits_personal(message, number, row) for number, row in zip(numbers, values, strict=True))
    form = fields(account.submit_request(Call(service, message, numbers, "serial", NOW, values)))
    assert "13712345678,123456,10;13745678910,4567,20;13714782356,78912,30" == unquote(form["params"], "gbk")
    expected = "您本次的注册验证码{value0},在{value1}分钟内输入有效。【签名内容】"
    assert expected == unquote(form["msg"], "gbk")


@pytest.mark.parametrize(
    ("send_at", "dtime"),
    [
        (None, ""),
        (NOW, ""),
        (NOW - timedelta(hours=1), ""),
        (NOW + timedelta(milliseconds=400), ""),
        (NOW + timedelta(seconds=1, milliseconds=400), "2026-03-01 12:05:07"),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), "2027-01-01 00:00:00"),
    ],
)
@pytest.mark.parametrize(
    "settings", [{"method": m, "style": s} for m in ("get", "post") for s in ("plain", "urlencode")]
)
def test_dtime_has_the_form_0000_00_00_00_00_00(settings: dict[str, Any], send_at: datetime | None, dtime: str) -> None:
    """Wall clock of China at every address; 时间为空为立即发送 where the time is not to come."""
    account = provider(**settings)
    request = account.submit_request(call(account, Message("短信【签】", send_at=send_at), "+8613800138000"))
    assert dtime == fields(request)["dtime"]


@pytest.mark.parametrize(
    ("name", "received"),
    [
        ("push-reply.form", Received(replies=(Reply("+8613802102102", "test", reference="123456789"),))),
        # The number is printed as 138xxxxxxx, which no phone has: the report is known by its linkid.
        (
            "push-report.form",
            Received(reports=(Report(State.DELIVERED, "DELIVRD", number=None, reference="123456789"),)),
        ),
    ],
)
def test_the_pushes_of_sections_9_and_10_are_read_as_printed(name: str, received: Received) -> None:
    """Both addresses, the stray blank before RevertTime too; 0000-00-00 00:00:00 is no time."""
    for push in (Push("POST", b"", {}, payload(VENDOR, name)), Push("GET", payload(VENDOR, name), {}, b"")):
        assert received == provider().pushed(push)


def test_the_lines_of_section_7_are_read_with_the_break_that_is_printed() -> None:
    r"""`手机号 1/日期 1/流水号 1/回复内容 1/子码 1 \n …`, with values for its placeholders."""
    received = provider().polled(Poll("reve", 5.0), answer(payload(VENDOR, "replies-as-printed.bin")))
    assert [True] * len(received.replies) == [bool(reply.text) for reply in received.replies]
    assert len(received.replies) > 1
    assert () == tuple(received.reports)


def test_the_balance_of_section_5_needs_a_number_in_place_of_its_placeholder() -> None:
    """`用户 ID=uid 剩余资费=XXX`: read with a number, with the blank that is printed; XXX itself is none."""
    assert "1500" == provider().balance(answer("用户 ID=uid 剩余资费=1500".encode("gbk"))).amount
    with pytest.raises(OutcomeUnknown):
        provider().balance(answer("用户 ID=uid 剩余资费=XXX".encode("gbk")))


# --- what is offered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "missing", "reports"),
    [
        ({}, set(), True),
        ({"push_token": ()}, {Feature.REPORTS_PUSHED, Feature.REPLIES_PUSHED}, True),
        ({"polls": ["reve"]}, {Feature.REPORTS_POLLED}, True),
        ({"polls": ["report"]}, {Feature.REPLIES_POLLED}, True),
        ({"polls": []}, {Feature.REPORTS_POLLED, Feature.REPLIES_POLLED}, True),
        (
            {"polls": ["reve"], "push_token": ()},
            {Feature.REPORTS_POLLED, Feature.REPORTS_PUSHED, Feature.REPLIES_PUSHED},
            False,
        ),
        ({"personalised": False}, {Feature.PERSONALISED}, True),
    ],
)
def test_an_account_offers_what_it_is_configured_for(
    settings: dict[str, Any], missing: set[Feature], *, reports: bool
) -> None:
    """Of all that the document offers; without any way for a report to come, `submitted` is the end."""
    account = provider(**settings)
    assert ALL == set(account.features)
    assert ALL - missing == set(account.offers())
    assert reports == account.reports
