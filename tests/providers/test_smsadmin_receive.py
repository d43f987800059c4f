"""smsadmin.cn: the reports and replies that its document describes, polled and pushed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from providers.base import Ack, Poll, Push, Received, Reply, Report, Request
from providers.clock import VENDOR_ZONE
from providers.smsadmin import Smsadmin, SmsadminSettings
from sendmill.errors import BadCredentials, OutcomeUnknown, ProviderError, PushRefused
from sendmill.states import State
from tests.providers.payload import answer, payload

VENDOR = "smsadmin"
API = "http://www.smsadmin.cn/smsmarketing/wwwroot/api"
REPORT = Poll("report", 5.0)
REPLY = Poll("reve", 5.0)
REPLY_ENCODED = Poll("reve_urlencode", 5.0)
AT = datetime(2014, 10, 11, 18, 39, 24, tzinfo=VENDOR_ZONE)


def _provider(**settings: Any) -> Smsadmin:
    table = {"provider": VENDOR, "uid": "10001", "pwd": "secret pwd", **settings}
    return Smsadmin("shop", SmsadminSettings.model_validate(table))


def _polled(poll: Poll, name: str) -> Received:
    return _provider().polled(poll, answer(payload(VENDOR, name)))


def _push(body: bytes, query: bytes = b"") -> Push:
    return Push("POST", query, {"content-type": "application/x-www-form-urlencoded"}, body)


def _pushed(name: str) -> Received:
    return _provider().pushed(_push(payload(VENDOR, name)))


# --- polls -----------------------------------------------------------------------------------------------------------


def test_reports_and_encoded_replies_are_polled_every_five_seconds() -> None:
    """§7, §8: 轮询间隔为 5 秒. The encoded form of the replies is the one that cannot be misread."""
    assert [REPORT, REPLY_ENCODED] == _provider().polls
    assert [REPLY] == _provider(polls=["reve"]).polls
    assert [] == _provider(polls=[]).polls


@pytest.mark.parametrize("polls", [["reve", "reve_urlencode"], ["report", "report"], ["mgz"]])
def test_no_two_polls_share_records(polls: list[str]) -> None:
    """Each record is given once, so one address would take what the other should have had."""
    with pytest.raises(ValidationError):
        _provider(polls=polls)


@pytest.mark.parametrize("path", ["report", "reve", "reve_urlencode"])
@pytest.mark.parametrize("style", ["plain", "md5", "urlencode"])
def test_polls_carry_uid_and_the_plain_password(path: str, style: str) -> None:
    """§7, §8 know no other style."""
    expected = Request("GET", f"{API}/{path}/?uid=10001&pwd=secret%20pwd")
    assert expected == _provider(style=style).poll_request(Poll(path, 5.0))


@pytest.mark.parametrize(
    ("poll", "name"), [(REPORT, "reports-160.bin"), (REPLY, "replies-150.bin"), (REPLY_ENCODED, "replies-150.bin")]
)
def test_nothing_to_fetch_is_nothing(poll: Poll, name: str) -> None:
    """§7 says 150, §8 says 160."""
    assert Received() == _polled(poll, name)


@pytest.mark.parametrize(
    ("poll", "body", "outcome"),
    [
        (REPORT, payload(VENDOR, "reports-1.bin"), BadCredentials),
        (REPLY, payload(VENDOR, "replies-1.bin"), BadCredentials),
        (REPLY_ENCODED, payload(VENDOR, "replies-1.bin"), BadCredentials),
        (REPORT, b"150", OutcomeUnknown),
        (REPLY, b"160", OutcomeUnknown),
        (REPORT, b"1600", OutcomeUnknown),
        (REPORT, b"", OutcomeUnknown),
        (REPLY, "8用户已冻结".encode("gbk"), OutcomeUnknown),
        (REPLY_ENCODED, b"<html>502 Bad Gateway</html>", OutcomeUnknown),
        (REPORT, b"13812345678", OutcomeUnknown),
        (REPORT, b"160 13812345678", OutcomeUnknown),
    ],
)
def test_what_cannot_be_read_is_never_nothing(poll: Poll, body: bytes, outcome: type[ProviderError]) -> None:
    """The vendor has already forgotten what it gave: only its exact word means that there was nothing."""
    with pytest.raises(outcome) as raised:
        _provider().polled(poll, answer(body))
    assert outcome is type(raised.value)
    assert "13812345678" not in str(raised.value)


def test_report_lines_are_read() -> None:
    """Both forms of a date, no time, a carrier's code, and a linkid that the platform made up."""
    expected = [
        Report(State.DELIVERED, "DELIVRD", number="+8613812345678", reference="abc123", occurred_at=AT),
        Report(
            State.UNDELIVERED,
            "UNDELIV",
            number="+8613812345679",
            reference="abc123",
            code="UNDELIV",
            occurred_at=AT.replace(second=25),
        ),
        Report(State.UNDELIVERED, "MK:0012", number="+8613812345670", code="MK:0012"),
    ]
    assert Received(reports=tuple(expected)) == _polled(REPORT, "reports.bin")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVRD", State.DELIVERED),
        ("delivrd", State.DELIVERED),
        ("EXPIRED", State.EXPIRED),
        ("DELETED", State.UNDELIVERED),
        ("UNDELIV", State.UNDELIVERED),
        ("REJECTD", State.REJECTED),
        ("UNKNOWN", State.UNKNOWN),
        ("MK:0012", State.UNDELIVERED),
        ("DTBLACK", State.REJECTED),
        ("MBBLACK", State.REJECTED),
        ("REJECT", State.REJECTED),
        ("NEUES", State.UNDELIVERED),
        ("GATEBLACK", State.UNDELIVERED),
        ("ACCEPTD", None),
        ("ENROUTE", None),
        ("失败", None),
        ("", None),
    ],
)
def test_each_state_word_has_its_state(word: str, state: State | None) -> None:
    """A word that stands in no table changes nothing and is kept."""
    body = f"13812345678/2014-10-11 18:39:24/abc123/{word}/56666".encode("gbk")
    (report,) = _provider().polled(REPORT, answer(body)).reports
    assert (state, word) == (report.state, report.raw_state)


def test_carriers_codes_are_kept_raw_where_the_account_says_so() -> None:
    """That they mean failure is a reading of ours."""
    body = b"13812345678/2014-10-11 18:39:24/abc123/MK:0012/56666"
    (report,) = _provider(carrier_codes="keep").polled(REPORT, answer(body)).reports
    assert (None, "MK:0012") == (report.state, report.raw_state)


def test_twenty_records_mean_that_more_may_wait() -> None:
    """§8: an answer holds 20 at most."""
    received = _polled(REPORT, "reports-20.bin")
    assert (20, True) == (len(received.reports), received.more)
    nineteen = payload(VENDOR, "reports-20.bin").rsplit(b"\n", 2)[0]
    assert not _provider().polled(REPORT, answer(nineteen)).more


def test_a_byte_order_mark_hides_no_record() -> None:
    """One or more of them may stand in front."""
    body = b"\xef\xbb\xbf\xef\xbb\xbf" + payload(VENDOR, "reports.bin")
    assert _polled(REPORT, "reports.bin") == _provider().polled(REPORT, answer(body))


@pytest.mark.parametrize("garbage", [b"what is this\n%b", b"%b\nwhat is this", b"%b\n13812345678/2014-10-11 18:39:24/"])
def test_a_line_that_fits_no_record_is_reported_beside_the_others(garbage: bytes) -> None:
    """Nineteen good records are not lost to a bad one, and the bad one raises an alert as a report without a state."""
    line = b"13812345678/2014-10-11 18:39:24/abc123/DELIVRD/56666"
    reports = _provider().polled(REPORT, answer(garbage % line)).reports
    assert 1 == sum(report.state is State.DELIVERED and report.reference == "abc123" for report in reports)
    assert ["unreadable"] == [report.raw_state for report in reports if report.state is None]


REPLIES = [
    (
        "replies-as-printed.bin",
        REPLY,
        [
            Reply("+8613812345678", "收到", "56666", "abc123", occurred_at=AT),
            Reply("+8613812345679", "好的", "56667", "abc124", occurred_at=AT.replace(minute=40, second=0)),
        ],
    ),
    ("replies-plain.bin", REPLY, [Reply("+8613812345678", "收到", "56666", occurred_at=AT)]),
    (
        "replies-hazards.bin",
        REPLY,
        [
            Reply("+8613812345678", "2026/03/01 我来,\n退订", "56666", occurred_at=AT),
            Reply("+8615012345678", "150", occurred_at=AT.replace(minute=40, second=0)),
        ],
    ),
    (
        "replies-encoded.bin",
        REPLY_ENCODED,
        [Reply("+8613812345678", "收到, 1/2+\n谢谢", "56666", "abc123", occurred_at=AT)],
    ),
]


@pytest.mark.parametrize(("name", "poll", "replies"), REPLIES)
def test_reply_lines_are_read(name: str, poll: Poll, replies: list[Reply]) -> None:
    """Slashes, line breaks and dates inside a text, and the line break as the document prints it."""
    assert Received(replies=tuple(replies)) == _polled(poll, name)


def test_a_reply_from_a_short_code_keeps_its_number() -> None:
    """Not every sender is a mobile of eleven digits."""
    body = "10086/2014-10-11 18:39:24/abc123/余额/56666".encode("gbk")
    (reply,) = _provider().polled(REPLY, answer(body)).replies
    assert Reply("10086", "余额", "56666", "abc123", occurred_at=AT) == reply


@pytest.mark.parametrize("linkid", ["", "0", "1", "a b", "x" * 33])
def test_a_linkid_that_cannot_be_ours_is_none(linkid: str) -> None:
    """§7: where none was given the platform makes one up; nothing may be matched by it."""
    body = f"13812345678/2014-10-11 18:39:24/{linkid}/DELIVRD/56666".encode()
    (report,) = _provider().polled(REPORT, answer(body)).reports
    assert report.reference is None


# --- pushes ----------------------------------------------------------------------------------------------------------

PUSHED_AT = datetime(2017, 9, 28, 10, 11, 12, tzinfo=VENDOR_ZONE)
PUSHES = [
    ("push-reply.form", Received(replies=(Reply("+8613802102102", "test", reference="123456789"),))),
    (
        "push-reply-gbk.form",
        Received(replies=(Reply("+8613802102102", "收到 & 退订", reference="abc123", occurred_at=PUSHED_AT),)),
    ),
    (
        "push-reply-raw.form",
        Received(replies=(Reply("+8613802102102", "收到", reference="abc123", occurred_at=PUSHED_AT),)),
    ),
    ("push-reply-1.0.4.form", Received(replies=(Reply("+8613802102102", "test"),))),
    ("push-report.form", Received(reports=(Report(State.DELIVERED, "DELIVRD", reference="123456789"),))),
    (
        "push-report-real.form",
        Received(
            reports=(
                Report(
                    State.REJECTED,
                    "REJECTD",
                    number="+8613802102102",
                    reference="abc123",
                    code="REJECTD",
                    occurred_at=PUSHED_AT,
                ),
            )
        ),
    ),
]


@pytest.mark.parametrize(("name", "received"), PUSHES)
def test_each_push_is_read(name: str, received: Received) -> None:
    """§9 and §10, their own examples first: names with a space, no time, no linkid, Chinese escaped and raw."""
    assert received == _pushed(name)


@pytest.mark.parametrize(("name", "received"), PUSHES)
def test_a_push_may_come_in_the_address_and_with_other_capitals(name: str, received: Received) -> None:
    """The document says POST and prints an address with a query; a refused push never comes again."""
    body = payload(VENDOR, name).replace(b"Class", b"class").replace(b"LinkId", b"linkid")
    assert received == _provider().pushed(_push(b"", query=body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Class=mo",
        b"Class=mo&Mobile=13802102102",
        b"Class=mo&Message=test",
        b"Class=mo&Mobile=nobody&Message=test",
        b"Class=rpt&Mobile=13802102102",
        b"Class=rpt&Report=DELIVRD",
        b"Class=other&Mobile=13802102102&Report=DELIVRD&Message=x",
        b"Mobile=13802102102&Report=DELIVRD",
        b'{"Class":"mo"}',
    ],
)
def test_a_push_of_another_shape_is_refused(body: bytes) -> None:
    """It is answered with 4xx and nothing is stored."""
    with pytest.raises(PushRefused):
        _provider().pushed(_push(body))


def test_sms_name_is_compared_where_the_account_says_so() -> None:
    """The document offers no other proof; without the setting any name passes."""
    push = _push(payload(VENDOR, "push-report-real.form"))
    _provider().authenticate_push(push, PUSHED_AT)
    _provider(push_name="10001").authenticate_push(push, PUSHED_AT)
    for push_name in ("10002", "1000", ""):
        with pytest.raises(PushRefused):
            _provider(push_name=push_name).authenticate_push(push, PUSHED_AT)
    with pytest.raises(PushRefused):
        _provider(push_name="10001").authenticate_push(_push(b"Class=mo"), PUSHED_AT)


def test_the_acknowledgement_is_a_setting() -> None:
    """The document asks for none."""
    push = _push(payload(VENDOR, "push-reply.form"))
    assert Ack(b"OK") == _provider().ack(push)
    assert Ack(b"0") == _provider(ack="0").ack(push)
