"""The client for applications' own tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sendmill.errors import (
    EmptyText,
    InvalidNumber,
    InvalidOption,
    KeyConflict,
    NoSuchJob,
    StoreError,
    UnsupportedFeature,
)
from sendmill.messages import (
    CancelResult,
    JobStatus,
    Mms,
    ReplyEvent,
    ReportEvent,
    Sms,
    TemplateSms,
    VendorTemplateSms,
    Voice,
)
from sendmill.states import State
from sendmill.testing import FakeClient

GOOD = "+85298882844"
OTHER = "+8613712345678"


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def client(clock: Clock) -> FakeClient:
    """A client on that clock."""
    return FakeClient(now=clock)


def test_sent_holds_what_would_have_gone(client: FakeClient) -> None:
    """Text with its values filled in, number normalised, options as they were checked."""
    rows: list[dict[str, Any]] = [{"to": "+852 9888 2844", "n": "Bo"}, {"to": "12", "n": "x"}, {"to": OTHER, "n": "Al"}]
    job = client.send(TemplateSms("Hi {n}", rows), lane="bulk", ref="c7")
    assert (3, 2) == (job.total, job.accepted)
    assert [(2, "12", "invalid_number")] == [refusal[:3] for refusal in job.refused]
    assert [(GOOD, "Hi Bo"), (OTHER, "Hi Al")] == [(sent.to, sent.text) for sent in client.sent]
    assert ("bulk", "c7") == (client.sent[0].options.lane, client.sent[0].options.ref)
    assert JobStatus(job.id, 3, {State.SUBMITTED: 2, State.FAILED: 1}, 2, done=False) == client.status(job.id)
    assert [f"{job.id}-1", f"{job.id}-3"] == [m.message_id for m in client.messages(job.id, "submitted")]


@pytest.mark.parametrize(
    ("content", "options", "error"),
    [
        (Sms("hi", "12"), {}, InvalidNumber),
        (Sms("", GOOD), {}, EmptyText),
        (Sms("hi", GOOD), {"lane": "fast"}, InvalidOption),
        (Sms("hi", GOOD), {"at": datetime(2026, 3, 2)}, InvalidOption),  # noqa: DTZ001 - the point of it
        (Sms("hi", GOOD), {"at": datetime(2026, 2, 1, tzinfo=UTC)}, InvalidOption),
    ],
)
def test_a_fake_refuses_what_the_real_client_refuses(
    client: FakeClient, content: Sms, options: dict[str, Any], error: type[Exception]
) -> None:
    """The same checks, and nothing is kept of what was refused."""
    with pytest.raises(error):
        client.send(content, **options)
    assert ([], []) == (client.sent, list(client.jobs()))


def test_one_key_is_one_job(client: FakeClient) -> None:
    """A repeat returns the job and sends nothing; other content under the key is a conflict."""
    job = client.send(Sms("hi", [GOOD, OTHER]), key="k")
    assert job == client.send(Sms("hi", iter([GOOD, OTHER])), key="k")
    assert 2 == len(client.sent)
    with pytest.raises(KeyConflict):
        client.send(Sms("ho", [GOOD, OTHER]), key="k")


def test_reports_reach_each_group_until_it_acknowledges_them(client: FakeClient) -> None:
    """Unacknowledged events come again; another group sees them too."""
    client.send(Sms("hi", [GOOD, OTHER]), ref="r1")
    client.report(client.sent[0])
    client.report(client.sent[1], "undelivered", code="DTBLACK", detail="blacklisted")
    first, second = client.events("billing")
    assert isinstance(first, ReportEvent)
    assert isinstance(second, ReportEvent)
    assert (GOOD, State.DELIVERED, State.SUBMITTED, "r1") == (first.to, first.state, first.previous_state, first.ref)
    assert ("DTBLACK", "blacklisted") == (second.code, second.detail)
    first.ack()
    assert [second] == list(client.events("billing"))
    assert [first, second] == list(client.events("audit", kinds=["report"]))
    assert [] == list(client.events("audit", kinds=["reply"]))
    assert client.status(first.job_id).done


def test_a_final_state_stays_but_for_late_truth(client: FakeClient) -> None:
    """As in earnest: expired and unknown yield to a report, the others do not."""
    client.send(Sms("hi", [GOOD, OTHER]))
    first, second = client.sent
    client.report(first, "delivered")
    assert client.report(first, "undelivered") is None
    client.report(second, "unknown")
    assert client.report(second, "delivered") is not None
    assert [State.DELIVERED] * 2 == [message.state for message in client.messages(first.job_id)]
    with pytest.raises(StoreError):
        client.report(first, "submitted")


def test_report_events_may_be_left_out(client: FakeClient) -> None:
    """As `send(report_events=…)` says."""
    client.send(Sms("hi", [GOOD, OTHER]), report_events="failures")
    client.send(Sms("ho", [GOOD, OTHER]), report_events="none")
    for sent in client.sent:
        client.report(sent, "delivered" if sent.to == GOOD else "undelivered")
    (event,) = client.events("g")
    assert isinstance(event, ReportEvent)
    assert State.UNDELIVERED is event.state


def test_a_reply_answers_the_latest_message_to_its_number(client: FakeClient, clock: Clock) -> None:
    """Within seven days; later it stands alone."""
    client.send(Sms("one", GOOD))
    job = client.send(Sms("two", [OTHER, GOOD]), account="hk")
    reply = client.reply(GOOD, "STOP")
    assert (f"{job.id}-2", "number", "hk") == (reply.message_id, reply.matched_by, reply.account)
    clock.now += timedelta(days=8)
    assert client.reply(GOOD, "hello").message_id is None
    assert ["hello"] == [event.text for event in client.replies(since=clock.now)]
    assert ["STOP", "hello"] == [event.text for event in client.events("g") if isinstance(event, ReplyEvent)]


def test_what_is_due_later_can_be_cancelled(client: FakeClient, clock: Clock) -> None:
    """Scheduled messages go from `sent`; submitted ones have gone."""
    later = client.send(Sms("hi", [GOOD, OTHER]), at=clock.now + timedelta(hours=1))
    gone = client.send(Sms("hi", GOOD))
    assert {State.SCHEDULED: 2} == client.status(later.id).states
    assert CancelResult(cancelled=2, gone=0) == client.cancel(later.id)
    assert CancelResult(cancelled=0, gone=1) == client.cancel(gone.id)
    assert [gone.id] == [sent.job_id for sent in client.sent]
    assert [gone.id, later.id] == [job.job_id for job in client.jobs()]


def test_what_is_not_kept_is_said(client: FakeClient) -> None:
    """Jobs and messages alike."""
    with pytest.raises(NoSuchJob, match="no job nine is kept"):
        client.status("nine")
    job = client.send(Sms("hi", GOOD))
    with pytest.raises(NoSuchJob, match=f"no message {job.id}-2 is kept"):
        client.show(f"{job.id}-2")


def test_show_has_the_message_and_its_reports(client: FakeClient) -> None:
    """What `sendmill show` prints."""
    job = client.send(Sms("hi", GOOD))
    client.report(f"{job.id}-1", code="0")
    shown = client.show(f"{job.id}-1")
    assert (GOOD, State.DELIVERED, []) == (shown["to"], shown["state"], shown["attempts"])
    assert ["0"] == [report["code"] for report in shown["reports"]]


@pytest.mark.parametrize(("lane", "gone"), [("normal", [OTHER]), ("bulk", [OTHER]), ("otp", [GOOD, OTHER])])
def test_a_number_that_opted_out_is_suppressed_in_two_lanes(client: FakeClient, lane: str, gone: list[str]) -> None:
    """As workers do: its row has code and detail, consumers hear of it, the others go."""
    client.reply(GOOD, " Ｓtop. ", account="hk")
    job = client.send(Sms("hi", [GOOD, OTHER]), lane=lane)
    assert gone == [sent.to for sent in client.sent]
    suppressed = [(m.to, m.code) for m in client.messages(job.id, "suppressed")]
    assert ([] if GOOD in gone else [(GOOD, "opted_out")]) == suppressed
    assert len(suppressed) == len(list(client.events("g", kinds=("report",))))
    assert (2, 2) == (job.accepted, client.status(job.id).total)


def test_a_number_opts_in_again_by_its_word_or_an_operator(client: FakeClient) -> None:
    """The latest word counts."""
    client.reply(GOOD, "TD")
    client.reply(GOOD, "hello")
    assert [(GOOD, "td", "reply", "fake")] == [(o.number, o.word, o.source, o.account) for o in client.optouts()]
    client.reply(GOOD, "订阅")
    assert [] == list(client.optouts())
    assert (True, False) == (client.add_optout(GOOD), client.add_optout("98882844", region="HK"))
    assert (True, False) == (client.remove_optout(GOOD), client.remove_optout(GOOD))


def test_opt_outs_are_imported(client: FakeClient) -> None:
    """What is no number is told with its place."""
    bad: list[int] = []
    done = client.import_optouts(iter([GOOD, "12", OTHER, GOOD]), on_refused=lambda place, _: bad.append(place))
    assert ((2, 1, 1), [2]) == ((done.added, done.known, done.refused), bad)


def test_a_reply_to_an_extension_answers_what_was_sent_with_it(client: FakeClient) -> None:
    """Though a later message went to the number."""
    job = client.send(Sms("vote", GOOD), vendor={"extno": "12"})
    later = client.send(Sms("hi", GOOD))
    assert (f"{job.id}-1", "extno") == _match(client.reply(GOOD, "Y", extno="12"))
    assert (f"{later.id}-1", "number") == _match(client.reply(GOOD, "Y", extno="13"))


def _match(reply: ReplyEvent) -> tuple[str | None, str | None]:
    return reply.message_id, reply.matched_by


def test_messages_are_found_by_number(client: FakeClient) -> None:
    """Of all jobs, the latest first; refused ones as they were given."""
    first = client.send(Sms("hi", [GOOD, OTHER, "9888 2844"]))
    second = client.send(Sms("ho", GOOD), region="HK")
    assert [f"{second.id}-1", f"{first.id}-1", f"{first.id}-3"] == [
        message.message_id for message in client.find("9888 2844", region="HK")
    ]


ACCOUNTS: dict[str, dict[str, Any]] = {
    "cn": {"provider": "smsadmin", "features": ["sms"], "options": [], "prices": {"+86": "0.045"}, "currency": "CNY"},
    "hk": {
        "provider": "accessyou",
        "features": ["sms", "mms", "voice", "vendor_template", "sender"],
        "options": ["dnc"],
        "counting": "accessyou",
        "prices": {"": "0.1"},
        "currency": "HKD",
    },
}


def test_accounts_refuse_what_they_cannot_do(clock: Clock) -> None:
    """As workers would have published them; an account that the test did not describe is believed."""
    client = FakeClient(now=clock, accounts=ACCOUNTS)
    mms = Mms("New", "Look", "a1", GOOD)
    with pytest.raises(UnsupportedFeature, match=r"cn \(smsadmin\) cannot send MMS: hk can"):
        client.send(mms, account="cn")
    with pytest.raises(UnsupportedFeature, match="does not know the parameter 'dnc'"):
        client.send(Sms("hi", GOOD), account="cn", vendor={"dnc": "y"})
    assert [] == client.sent
    client.send(mms, account="hk")
    client.send(mms, account="other")
    client.send(mms)
    assert ["hk", "other", "hk"] == [next(client.messages(sent.job_id)).account for sent in client.sent]


def test_accounts_with_prices_tell_the_cost(clock: Clock) -> None:
    """By currency and without a binary error; what has no price adds nothing."""
    client = FakeClient(now=clock, accounts=ACCOUNTS)
    priced = client.send(Sms("é" * 71, [GOOD, OTHER, "+447400123456"]), account="hk")
    assert ({"HKD": Decimal("0.6")}, 6) == (client.status(priced.id).cost, client.status(priced.id).segments)
    unpriced = client.send(Sms("hi", GOOD), account="cn")
    assert {} == client.status(unpriced.id).cost


def test_what_has_no_text_is_kept_by_its_parts(client: FakeClient) -> None:
    """Names of pictures, recordings and templates, and the values of each row; each is one segment."""
    job = client.send(VendorTemplateSms("T1", [{"to": GOOD, "a": "1"}, {"to": OTHER, "a": "2"}]))
    client.send(Voice("1125", GOOD))
    first, second, voice = client.sent
    assert ({"template_id": "T1"}, {"a": "1"}, {"a": "2"}) == (first.parts, first.values, second.values)
    assert ({"audio": "1125"}, {}, "") == (voice.parts, voice.values, voice.text)
    assert 2 == client.status(job.id).segments


def test_a_forgotten_person_is_nowhere(client: FakeClient, clock: Clock) -> None:
    """Their messages stay without them, what waits is cancelled, their replies go; an opt-out stays in force."""
    numbers = ["+85298882844", "+85298882845"]
    job = client.send(Sms("Hello", numbers))
    later = client.send(Sms("Hello", numbers), at=clock() + timedelta(hours=1))
    client.report(f"{job.id}-1")
    client.reply(numbers[0], "STOP")
    done = client.forget(numbers[0])
    assert (2, 1, 1, 0, True, ()) == (
        done.messages,
        done.cancelled,
        done.replies,
        done.raw,
        done.opted_out,
        done.left,
    )
    assert [("forgotten", State.DELIVERED), (numbers[1], State.SUBMITTED)] == [
        (each.to, each.state) for each in client.messages(job.id)
    ]
    assert {State.CANCELLED: 1, State.SCHEDULED: 1} == dict(client.status(later.id).states)
    assert [] == list(client.replies())
    assert ["forgotten"] == [event.to for event in client.events("all") if isinstance(event, ReportEvent)]
    assert {numbers[1]} == {sent.to for sent in client.sent}
    assert [None] == [each.number for each in client.optouts()]
    again = client.send(Sms("Hello", numbers[0]))
    assert {State.SUPPRESSED: 1} == dict(client.status(again.id).states)
