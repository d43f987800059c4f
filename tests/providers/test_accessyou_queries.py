"""AccessYou: the delivery log, the account's balance, and replies by SMS2API."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from providers.accessyou import codes
from providers.accessyou.inbound import decode_hex
from providers.base import Ack, Balance, Bill, Push, Reply, Report
from sendmill.errors import BadCredentials, Frozen, IpForbidden, NoBalance, OutcomeUnknown, ProviderError, PushRefused
from sendmill.states import State
from tests.providers.accessyou import SETTINGS, VENDOR, build
from tests.providers.contract import MADE_AT
from tests.providers.payload import answer, payload

ID = "854998103"
LOGGED_AT = datetime(2017, 12, 1, 8, 9, 14, tzinfo=UTC)
LOG = payload(VENDOR, "log-delivered.xml")
BILL = Bill(1, Decimal("0.10"), "HKD")


def _queried(body: bytes, asked: str = ID) -> Report | None:
    """The report on a message; None where there is nothing final."""
    received = build().queried(asked, answer(body))
    assert bool(received.reports) is not received.more
    return received.reports[0] if received.reports else None


# --- delivery log ------------------------------------------------------------------------------------------------


def test_the_log_is_asked_with_its_own_user_and_password() -> None:
    """p.49: `?accountno=&user=&pwd=&msgid=`, and Note 1: not the password of the submits."""
    request = build().query_request(ID)
    assert ("GET", b"") == (request.method, request.body)
    assert (
        "https://check.example/sms/check_msginfo.php?accountno=10000023&user=api-log&pwd=log-password&msgid=854998103"
    ) == request.url


def test_the_id_may_go_under_both_names_of_the_document() -> None:
    """The address on p.49 says `msgid`, the table on p.50 `id`."""
    check = {**SETTINGS["check"], "msginfo_id_names": ["msgid", "id"]}
    assert build(check=check).query_request(ID).url.endswith("&msgid=854998103&id=854998103")


def test_the_sample_of_the_document_is_delivered() -> None:
    """p.53: two roots side by side, a masked destination, UTC+8."""
    assert Report(State.DELIVERED, "DELIVERED", None, ID, occurred_at=LOGGED_AT, bill=BILL) == _queried(LOG)


def test_one_root_around_both_is_read_too() -> None:
    """As add_senderid answers on p.57; a whole destination is the recipient."""
    expected = Report(State.EXPIRED, "expired", "+85298882844", ID, code="expired", occurred_at=LOGGED_AT, bill=BILL)
    assert expected == _queried(payload(VENDOR, "log-wrapped.xml"))


def test_sent_is_not_final() -> None:
    """p.52: SENT waits for the delivery status, and a message that is not in the log yet does too."""
    assert _queried(payload(VENDOR, "log-sent.xml")) is None
    assert _queried(payload(VENDOR, "log-empty.xml")) is None
    assert _queried(LOG.replace(b"DELIVERED", b"sent")) is None
    assert _queried(LOG.replace(b"DELIVERED", b"")) is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("DELIVERED", State.DELIVERED),
        ("UNDELIVERED", State.UNDELIVERED),
        ("FAILED", State.UNDELIVERED),
        ("REJECTED", State.REJECTED),
        ("EXPIRED", State.EXPIRED),
        ("Download", State.DELIVERED),
        ("READ", State.DELIVERED),
    ],
)
def test_every_documented_state_is_mapped_in_either_case(word: str, state: State) -> None:
    """p.34, p.51 (small letters), p.52, p.116 (an MMS's)."""
    for written in (word, word.lower()):
        report = _queried(LOG.replace(b"DELIVERED", written.encode()))
        assert report is not None
        assert (state, written) == (report.state, report.raw_state)
    assert state is codes.STATES[word.upper()]


def test_a_word_that_is_not_in_the_table_changes_nothing() -> None:
    """It is kept raw, with no state."""
    report = _queried(LOG.replace(b"DELIVERED", b"PENDING_REVIEW"))
    assert report is not None
    assert (None, "PENDING_REVIEW", "PENDING_REVIEW") == (report.state, report.raw_state, report.code)


@pytest.mark.parametrize(
    ("printed", "bill"),
    [
        (b"<charge>0.30</charge>\n<noofmsg>3</noofmsg>", Bill(3, Decimal("0.30"), "HKD")),
        (b"<noofmsg>2</noofmsg>", Bill(2, None, "HKD")),
        (b"<charge>free</charge><noofmsg>2</noofmsg>", Bill(2, None, "HKD")),
        (b"<charge>0.30</charge>", None),
        (b"<charge>0.30</charge><noofmsg>many</noofmsg>", None),
        (b"<charge>0.30</charge><noofmsg>0</noofmsg>", None),
    ],
)
def test_what_a_message_came_to_is_read_where_the_log_says_it(printed: bytes, bill: Bill | None) -> None:
    """p.51 and p.53: `noofmsg` and `charge`; "some parameters are not applicable to your account plan"."""
    report = _queried(LOG.replace(b"<charge>0.10</charge>\n<noofmsg>1</noofmsg>", printed))
    assert report is not None
    assert bill == report.bill


@pytest.mark.parametrize("printed", [b"", b"0000-00-00 00:00:00", b"soon"])
def test_an_empty_date_is_no_time(printed: bytes) -> None:
    """The state counts all the same."""
    report = _queried(LOG.replace(b"2017-12-01 16:09:14", printed))
    assert report is not None
    assert (State.DELIVERED, None) == (report.state, report.occurred_at)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(LOG.replace(b"854998103", b"854998104"), id="another message"),
        pytest.param(LOG[LOG.index(b"<msginfo>") :], id="no authentication"),
        pytest.param(LOG[: LOG.index(b"</msginfo>")], id="half an answer"),
        pytest.param(b"854998103", id="an id"),
        pytest.param(b'{"msg_status":"100","msg_id":854998103}', id="JSON"),
        pytest.param(LOG.replace(b"<auth_status>100", b"<auth_status>999"), id="a new status"),
        pytest.param(b"<!DOCTYPE a [<!ENTITY b 'DELIVERED'>]>" + LOG.replace(b"DELIVERED", b"&b;"), id="an entity"),
    ],
)
def test_an_unreadable_log_is_never_a_state(body: bytes) -> None:
    """Neither "delivered" nor "not yet"."""
    with pytest.raises(OutcomeUnknown):
        _queried(body)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("101", BadCredentials),
        ("104", IpForbidden),
        ("105", BadCredentials),
        ("106", Frozen),
        ("107", NoBalance),
        ("too_many_login_failure", Frozen),
    ],
)
def test_a_refused_login_of_a_query_has_its_class(status: str, outcome: type[ProviderError]) -> None:
    """The login codes of `msg_status` (p.75), in `auth_status` (inferred)."""
    body = payload(VENDOR, "log-105.xml").replace(b">105<", f">{status}<".encode())
    with pytest.raises(outcome):
        _queried(body)
    with pytest.raises(outcome):
        build().balance(answer(body))
    assert outcome is codes.AUTH[status]


def test_a_query_refused_in_the_forms_of_a_submit_has_its_class() -> None:
    """p.20 and p.71 show the refused address for any service."""
    for name in ("status-104.json", "status-104.xml", "word-IP_authentication_failure.txt"):
        with pytest.raises(IpForbidden):
            _queried(payload(VENDOR, name))
        with pytest.raises(IpForbidden):
            build().balance(answer(payload(VENDOR, name)))


# --- delivery log of a batch -------------------------------------------------------------------------------------

RECORD = LOG[LOG.index(b"<msginfo>") :]
FIRST = RECORD.replace(b"8613*****09", b"8613800138000")
SECOND = RECORD.replace(b"8613*****09", b"8613800138001").replace(b"DELIVERED", b"FAILED")
LATER = RECORD.replace(b"8613*****09", b"8613800138002").replace(b"DELIVERED", b"SENT")


@pytest.mark.parametrize(
    ("records", "reports", "more"),
    [
        pytest.param(FIRST + SECOND, [("+8613800138000", "d"), ("+8613800138001", "n")], False, id="a record each"),
        pytest.param(FIRST, [("+8613800138000", "d")], False, id="the first alone"),
        pytest.param(RECORD, [(None, "d")], False, id="one record, masked"),
        pytest.param(FIRST + LATER, [("+8613800138000", "d")], True, id="one is not final yet"),
        pytest.param(FIRST + RECORD, [("+8613800138000", "d")], True, id="one of several is masked"),
        pytest.param(b"", [], True, id="not in the log yet"),
    ],
)
def test_the_log_of_a_batch_is_read_however_it_answers(
    *, records: bytes, reports: list[tuple[str | None, str]], more: bool
) -> None:
    """No document says what a batch's id brings: a report goes to its number, and nobody gets another's state."""
    received = build().queried(ID, answer(payload(VENDOR, "log-empty.xml") + records))
    assert reports == [
        (report.number, report.state.byte.decode() if report.state else "") for report in received.reports
    ]
    assert (more, ()) == (received.more, tuple(received.replies))


def test_the_log_of_a_batch_speaks_of_no_other_call() -> None:
    """One foreign record makes the whole answer unreadable."""
    foreign = FIRST + SECOND.replace(b"854998103", b"854998104")
    with pytest.raises(OutcomeUnknown):
        build().queried(ID, answer(payload(VENDOR, "log-empty.xml") + foreign))


# --- balance -----------------------------------------------------------------------------------------------------


def test_the_account_is_asked_with_its_own_user_and_password() -> None:
    """p.54: `?accountno=&user=&pwd=`, and Note 1: neither the log's password nor the submits'."""
    assert (
        "https://check.example/sms/check_accinfo.php?accountno=10000023&user=api-account&pwd=account-password"
    ) == build().balance_request(MADE_AT).url


def test_a_balance_is_read_as_it_is_printed() -> None:
    """The unit is a setting, because the answer names none."""
    response = answer(payload(VENDOR, "account.xml"))
    assert Balance("1234.50", "HKD") == build().balance(response)
    check = {**SETTINGS["check"], "accinfo_unit": "USD"}
    assert Balance("1234.50", "USD") == build(check=check).balance(response)


def test_an_answer_without_a_balance_is_none() -> None:
    """A passed login alone says nothing about the balance."""
    for body in (payload(VENDOR, "log-empty.xml"), payload(VENDOR, "account.xml").replace(b"1234.50", b"n/a")):
        with pytest.raises(OutcomeUnknown):
            build().balance(answer(body))


# --- SMS2API -----------------------------------------------------------------------------------------------------


def _post(body: bytes) -> Push:
    return Push("POST", b"", {"content-type": "application/x-www-form-urlencoded"}, body)


def test_a_reply_is_hex_of_utf_16() -> None:
    """p.126 and p.127: sender, receiver, time, message; an emoji is a pair of words."""
    received = build().pushed(_post(payload(VENDOR, "reply.form")))
    assert [] == list(received.reports)
    assert [
        Reply("+85298882844", "測試 Y😀", "85264501234", occurred_at=datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC))
    ] == list(received.replies)


def test_a_reply_without_a_time_or_a_country_code_is_read() -> None:
    """p.126: the time may be empty. Eight digits are a number of Hong Kong, where the virtual number is."""
    [reply] = build().pushed(_post(payload(VENDOR, "reply-no-time.form"))).replies
    assert Reply("+85298882844", "Y", "64501234") == reply


def test_the_names_of_the_fields_are_the_portal_s() -> None:
    """The customer types them in (p.126)."""
    inbound = {"sender_field": "from", "receiver_field": "to", "message_field": "text", "mode": "plain", "ack": "OK"}
    provider = build(inbound=inbound)
    push = _post(b"from=%2B85298882844&to=1&text=1234&time=")
    assert [Reply("+85298882844", "1234", "1")] == list(provider.pushed(push).replies)
    assert Ack(b"OK") == provider.ack(push)
    with pytest.raises(PushRefused, match="'from' and 'text'"):
        provider.pushed(_post(payload(VENDOR, "reply.form")))


@pytest.mark.parametrize(
    ("sender", "number"),
    [
        ("85298882844", "+85298882844"),
        ("0085298882844", "+85298882844"),
        ("%2B6591234567", "+6591234567"),
        ("HSBC", "HSBC"),
    ],
)
def test_a_sender_becomes_e164_where_it_is_a_number(sender: str, number: str) -> None:
    """A bank's name stays a name."""
    [reply] = build().pushed(_post(f"sender={sender}&message=0059".encode())).replies
    assert number == reply.number


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("0059", "Y"),
        ("6e2c8A66", "測試"),
        (" 0059\r\n", "Y"),
        ("Yes", "Yes"),
        ("005", "005"),
        ("00590", "00590"),
        ("D83D", "D83D"),
        ("", ""),
        ("好", "好"),
    ],
)
def test_what_is_not_hex_of_utf_16_stays_as_it_came(message: str, text: str) -> None:
    """Nothing is lost: not in fours, not hex, or half a pair."""
    assert text == decode_hex(message)


def test_the_reply_is_acknowledged_with_1() -> None:
    """p.126: return 1."""
    assert Ack(b"1") == build().ack(_post(payload(VENDOR, "reply.form")))
