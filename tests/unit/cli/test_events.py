"""`sendmill events` and `replies`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from sendmill.errors import StoreError
from sendmill.messages import AlertEvent, ReplyEvent, Sms
from tests.support.desk import GOOD, NOW, OTHER, Desk, objects, run


def test_events_are_shown_once_to_a_group(desk: Desk) -> None:
    """Acknowledged once they are printed; kinds can be chosen."""
    job = desk.send(Sms("hi", GOOD), ref="r1")
    desk.report(f"{job.id}-1", code="0")
    desk.reply(GOOD, "STOP \x1b[31m")
    told = objects(run(desk, "events", "--group", "a", "--json"))
    assert ["report", "reply"] == [event["kind"] for event in told]
    assert {
        "id": told[0]["id"],
        "kind": "report",
        "account": "fake",
        "occurred_at": "2026-03-01T12:00:00.123Z",
        "received_at": "2026-03-01T12:00:00.123Z",
        "job_id": job.id,
        "message_id": f"{job.id}-1",
        "to": GOOD,
        "state": "delivered",
        "previous_state": "submitted",
        "ref": "r1",
        "vendor_message_id": None,
        "code": "0",
        "detail": None,
    } == told[0]
    assert (GOOD, "STOP \x1b[31m") == (told[1]["from"], told[1]["text"])
    assert [] == objects(run(desk, "events", "--group", "a", "--json"))
    assert (
        f"2026-03-01 20:00:00  reply from +852****44  STOP ·[31m  fake  answers {job.id}-1\n"
        == run(desk, "events", "--group", "b", "--kind", "reply").stdout
    )


def test_alerts_read_as_sentences(desk: Desk) -> None:
    """With what to look at."""
    desk._events.append(
        AlertEvent(id="9-0", received_at=NOW, account="hk", code="gap", detail="5 entries were trimmed")
    )
    assert "2026-03-01 20:00:00  alert gap  5 entries were trimmed  hk\n" == run(desk, "events").stdout


def test_replies_are_shown_as_often_as_asked(desk: Desk) -> None:
    """They belong to no group."""
    desk.reply(GOOD, "yes")
    for _ in range(2):
        assert ["yes"] == [reply["text"] for reply in objects(run(desk, "replies", "--json"))]
    assert "" == run(desk, "replies", "--since", (NOW + timedelta(days=1)).isoformat()).stdout


def test_replies_are_followed_each_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of one moment; a store that goes away is waited for, and said once."""
    desk.reply(GOOD, "one")
    pauses = [lambda: desk.reply(GOOD, "two"), None, None, lambda: desk.reply(OTHER, "three")]
    away = iter([False, False, True, True, False])
    replies = desk.replies

    def some(since: datetime | None = None) -> Iterator[ReplyEvent]:
        if next(away):
            raise StoreError("Redis is away")
        return replies(since)

    def pause(_: float) -> None:
        if not pauses:
            raise KeyboardInterrupt
        happens = pauses.pop(0)
        if happens is not None:
            happens()

    monkeypatch.setattr(desk, "replies", some)
    monkeypatch.setattr("sendmill.cli.events.time.sleep", pause)
    result = run(desk, "replies", "--follow", "--json")
    assert ["one", "two", "three"] == [reply["text"] for reply in objects(result)]
    said = [line for line in result.stderr.splitlines() if line]
    assert (["sendmill: waiting: Redis is away", "sendmill: interrupted"], 130) == (said, result.exit_code)


def test_an_event_that_cannot_be_acknowledged_comes_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower says so and goes on; without --follow it is an error."""

    def away() -> None:
        raise StoreError("Redis is away")

    event = AlertEvent(id="9-0", received_at=NOW, code="gap", detail="5 entries", acknowledge=away)
    monkeypatch.setattr(desk, "events", lambda *_, **__: iter([event, event]))
    followed = run(desk, "events", "--follow")
    assert (["sendmill: 9-0 will come again: Redis is away"] * 2, 0) == (
        followed.stderr.splitlines(),
        followed.exit_code,
    )
    assert 1 == run(desk, "events").exit_code
