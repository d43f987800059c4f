"""xioo: the reports and replies that its page describes, and their proof."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from providers.base import Ack, Push, Received, Reply, Report
from providers.clock import VENDOR_ZONE
from providers.xioo import Xioo, XiooSettings
from sendmill.errors import PushRefused
from sendmill.states import State
from tests.providers.payload import payload

VENDOR = "xioo"
NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
SENDID = "20140821110353234137876543"
ACCESS_SECRET = "a-development-key"
SETTINGS = {
    "provider": VENDOR,
    "url": "https://sms.example/asmx/smsservice.aspx",
    "name": "test",
    "pwd": "0C759A360WWBD5F5E0F5FF9F0597",
    "access_secret": ACCESS_SECRET,
    "push_name": "admin",
    "push_pwd": "push-password",
}

REPORTED_AT = datetime(2013, 8, 20, 20, 11, 34, tzinfo=VENDOR_ZONE)
REPLIED_AT = datetime(2013, 8, 21, 21, 20, 11, tzinfo=VENDOR_ZONE)
REPLIED_LATER = datetime(2013, 8, 21, 21, 20, 30, tzinfo=VENDOR_ZONE)


def _push(body: bytes, query: bytes = b"") -> Push:
    return Push("POST", query, {"content-type": "application/x-www-form-urlencoded"}, body)


def _form(**fields: str) -> Push:
    return _push(urlencode(fields).encode())


def _signed(at: datetime | None = NOW, **changes: str) -> Push:
    """A report push whose name is made as §3.1 says."""
    timestamp = changes.pop("timestamp", str(int(at.timestamp())) if at else "")
    name = hashlib.md5(f"{ACCESS_SECRET}x7Yq{timestamp}".encode()).hexdigest()
    fields = {"name": name, "pwd": "", "random": "x7Yq", "timestamp": timestamp, "sendid": "1", "time": ""}
    return _form(**(fields | {"mobile": "13900210021", "state": "DELIVRD"} | changes))


def _provider(**changes: Any) -> Xioo:
    return Xioo("shop", XiooSettings.model_validate(SETTINGS | changes))


# --- pushes --------------------------------------------------------------------------------------------------


def test_a_report_is_read() -> None:
    """The example of §3.3."""
    report = Report(State.DELIVERED, "DELIVRD", "+8613900210021", vendor_message_id="12345", occurred_at=REPORTED_AT)
    assert Received(reports=(report,)) == _provider().pushed(_push(payload(VENDOR, "push-report.form")))
    in_address = _provider().pushed(_push(b"", query=payload(VENDOR, "push-report.form")))
    assert Received(reports=(report,)) == in_address


def test_a_report_of_several_numbers_is_one_for_each() -> None:
    """§3.1: one state for all of them, and the time of the first."""
    reports = tuple(
        Report(
            State.REJECTED,
            "DTBLACK",
            f"+861390021002{digit}",
            vendor_message_id=SENDID,
            code="DTBLACK",
            occurred_at=REPORTED_AT,
        )
        for digit in (1, 2, 3)
    )
    received = _provider().pushed(_push(payload(VENDOR, "push-report-many.form")))
    assert Received(reports=reports) == received


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVRD", State.DELIVERED),
        ("EXPIRED", State.EXPIRED),
        ("UNDELIV", State.UNDELIVERED),
        ("UNKNOWN", State.UNKNOWN),
        ("REJECTD", State.REJECTED),
        ("DTBLACK", State.REJECTED),
        ("ERR:104", State.UNDELIVERED),
        ("REJECT", State.REJECTED),
        ("MK:0012", State.UNDELIVERED),
        ("delivrd", State.DELIVERED),
        ("ACCEPTD", None),
        ("ENROUTE", None),
        ("什么", None),
    ],
)
def test_each_state_word_has_its_state(word: str, state: State | None) -> None:
    """§3.2; 其他 is undelivered, but a word that ends nothing and what is no word change nothing."""
    (report,) = _provider().pushed(_form(sendid="1", mobile="13900210021", state=word)).reports
    code = None if state is State.DELIVERED else word
    assert (state, word, code) == (report.state, report.raw_state, report.code)


@pytest.mark.parametrize("prefix_chars", [0, 3, 9])
def test_replies_are_read_and_their_extension_is_cut(prefix_chars: int) -> None:
    """The example of §4: 008 is the system's, what follows is ours."""
    extnos = [extno[prefix_chars:] or None for extno in ("008123", "008456")]
    replies = (
        Reply("+8613800210021", "content1", extnos[0], occurred_at=REPLIED_AT),
        Reply("+8613978767656", "content2", extnos[1], occurred_at=REPLIED_LATER),
    )
    provider = _provider(extno_prefix_chars=prefix_chars)
    assert Received(replies=replies) == provider.pushed(_push(payload(VENDOR, "push-replies.form")))


def test_separators_inside_a_text_break_nothing() -> None:
    """An empty extension before the joint, separators that a person wrote, an empty text, a joint at the end."""
    replies = (
        Reply("+8613800210021", "a#@#b, #@@# 好", None, occurred_at=REPLIED_AT),
        Reply("+8613978767656", "", "008", occurred_at=REPLIED_LATER),
    )
    received = _provider().pushed(_push(payload(VENDOR, "push-replies-hazards.form")))
    assert Received(replies=replies) == received


def test_a_record_that_cannot_be_read_is_reported_beside_the_others() -> None:
    """A good reply is not lost to a bad one, and the bad one raises an alert as a report without a state."""
    args = "13800210021#@#short#@@#13978767656#@#好#@#2013-08-21 21:20:30#@#"
    received = _provider().pushed(_form(args=args))
    assert ["好"] == [reply.text for reply in received.replies]
    assert [(None, "unreadable")] == [(report.state, report.raw_state) for report in received.reports]


@pytest.mark.parametrize(
    "push",
    [
        _push(b""),
        _form(mobile="13900210021"),
        _form(state="DELIVRD"),
        _form(state="DELIVRD", mobile=" , "),
        _form(args=""),
        _form(args="13800210021#@#short"),
        _form(args="nobody#@#a#@#2013-08-21 21:20:30#@#"),
        _push(b'{"state":"DELIVRD"}'),
    ],
)
def test_a_push_of_another_shape_is_refused(push: Push) -> None:
    """It is answered with 4xx and nothing is stored."""
    with pytest.raises(PushRefused):
        _provider().pushed(push)


def test_the_acknowledgement_is_a_setting() -> None:
    """The page asks for none."""
    assert Ack(b"OK") == _provider().ack(_signed())
    assert Ack(b"0") == _provider(ack="0").ack(_signed())


# --- proof of a push -----------------------------------------------------------------------------------------


def test_a_signed_report_passes() -> None:
    """§3.1: MD5(AccessSecret + random + timestamp), in either case."""
    provider = _provider(push_pwd=None)
    provider.authenticate_push(_signed(), NOW)
    signed = _signed()
    provider.authenticate_push(_push(signed.body.replace(signed.body[5:37], signed.body[5:37].upper())), NOW)


@pytest.mark.parametrize(
    "timestamp",
    ["1772337906", "1772337906000", "20260301120506", "2026-03-01 12:05:06", "in no form that is known"],
)
def test_a_timestamp_may_have_any_form(timestamp: str) -> None:
    """The page does not say which; where it cannot be read, the signature alone decides."""
    _provider(push_pwd=None).authenticate_push(_signed(timestamp=timestamp), NOW)


@pytest.mark.parametrize("off_s", [-901, 901, 86_400])
def test_a_push_outside_the_window_is_refused(off_s: int) -> None:
    """Somebody who read a push cannot repeat it for ever."""
    with pytest.raises(PushRefused, match="timestamp"):
        _provider(push_pwd=None).authenticate_push(_signed(NOW + timedelta(seconds=off_s)), NOW)
    wide = _provider(push_pwd=None, push_window_s=100_000)
    wide.authenticate_push(_signed(NOW + timedelta(seconds=off_s)), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "admin"},
        {"name": ""},
        {"name": "名"},
        {"random": "x7Yr"},
        {"random": ""},
        {"timestamp": ""},
        {"name": hashlib.md5(b"x7Yq1772337906").hexdigest()},
    ],
)
def test_a_push_with_another_signature_is_refused(changes: dict[str, str]) -> None:
    """Every part of the hash counts, and push_name is no way around it."""
    with pytest.raises(PushRefused) as refusal:
        _provider(push_pwd=None).authenticate_push(_signed(NOW, **changes), NOW)
    assert ACCESS_SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "push", "passes"),
    [
        ({}, _form(name="admin", pwd="push-password", state="x"), True),
        ({}, _form(name="admin", pwd="other", state="x"), False),
        ({}, _form(name="other", pwd="push-password", state="x"), False),
        ({}, _form(state="x"), False),
        ({"push_name": None}, _form(name="any", pwd="push-password", state="x"), True),
        ({"push_pwd": None}, _form(name="admin", state="x"), True),
        ({"push_name": None, "push_pwd": None}, _form(state="x"), True),
        ({"access_secret": ACCESS_SECRET}, _form(name="admin", pwd="push-password", args="x"), True),
        ({"access_secret": ACCESS_SECRET}, _form(name="other", pwd="push-password", args="x"), False),
        ({"access_secret": ACCESS_SECRET}, _signed(pwd="push-password"), True),
        ({"reply_pwd": "of-replies"}, _form(name="admin", pwd="of-replies", args="x"), True),
        ({"reply_pwd": "of-replies"}, _form(name="admin", pwd="push-password", args="x"), False),
        ({"reply_pwd": "of-replies"}, _form(name="admin", pwd="push-password", state="x"), True),
        ({"reply_pwd": "of-replies"}, _form(name="admin", pwd="of-replies", state="x"), False),
        ({"push_pwd": None, "reply_pwd": "of-replies"}, _form(name="admin", state="x"), True),
        ({"access_secret": ACCESS_SECRET}, _signed(pwd="other"), False),
    ],
)
def test_name_and_pwd_are_compared_where_they_are_set(settings: dict[str, Any], push: Push, *, passes: bool) -> None:
    """§3.3 and §4.1: constants of the account; the name of a reply is one even where reports are signed."""
    provider = _provider(**({"access_secret": None} | settings))
    if passes:
        provider.authenticate_push(push, NOW)
        return
    with pytest.raises(PushRefused) as refusal:
        provider.authenticate_push(push, NOW)
    assert "push-password" not in str(refusal.value)


def test_the_examples_of_the_page_pass_with_their_name_and_pwd() -> None:
    """§3.3 and §4: name=admin, pwd=12345."""
    provider = _provider(access_secret=None, push_name="admin", push_pwd="12345")
    for name in ("push-report.form", "push-replies.form"):
        provider.authenticate_push(_push(payload(VENDOR, name)), NOW)
