"""What passes between an application and sendmill."""

from __future__ import annotations

from datetime import UTC, datetime

from sendmill.messages import AlertEvent, Job, MessageInfo, Refusal, ReplyEvent, ReportEvent, Sms, TemplateSms
from sendmill.states import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_kinds_tell_events_apart() -> None:
    """The word that JSON and filters use."""
    assert ("report", "reply", "alert") == (ReportEvent.kind, ReplyEvent.kind, AlertEvent.kind)


def test_ack_calls_what_the_client_put_there() -> None:
    """And returns its result, so that an asyncio program can await it; without a client it does nothing."""
    event = AlertEvent(id="1-0", received_at=NOW, code="gap", detail="5 entries", acknowledge=lambda: "done")
    assert "done" == event.ack()
    assert AlertEvent(id="1-0", received_at=NOW, code="gap", detail="5 entries").ack() is None


def test_no_repr_shows_a_text_or_a_number() -> None:
    """A repr may reach a log."""
    number = "+85298882844"
    shown = [
        Sms("SECRET", to=number),
        TemplateSms("SECRET", [{"to": number}]),
        Job("j", 1, 0, [Refusal(1, number, "invalid_number", "SECRET")]),
        MessageInfo("j-1", number, State.DELIVERED),
        ReportEvent(id="1-0", received_at=NOW, job_id="j", message_id="j-1", to=number, state=State.DELIVERED),
        ReplyEvent(id="1-0", received_at=NOW, from_=number, text="SECRET"),
    ]
    assert "SECRET" not in repr(shown)
    assert number not in repr(shown)


def test_a_refusal_is_a_tuple_of_four() -> None:
    """(row, to, code, reason), as published."""
    assert (2, "12", "invalid_number", "too short") == Refusal(2, "12", "invalid_number", "too short")


def test_events_compare_by_what_they_say() -> None:
    """Not by the way in which they are acknowledged."""
    report = ReportEvent(
        id="1-0", received_at=NOW, job_id="j", message_id="j-1", to="+85298882844", state=State.DELIVERED
    )
    assert report == ReportEvent(
        id="1-0",
        received_at=NOW,
        job_id="j",
        message_id="j-1",
        to="+85298882844",
        state=State.DELIVERED,
        acknowledge=print,
    )
