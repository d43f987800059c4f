"""`sendmill send --wait`."""

from __future__ import annotations

from typing import Any

import pytest

from sendmill.cli import accounts as accounts_module
from sendmill.cli import jobs as jobs_module
from sendmill.messages import AccountInfo, JobStatus, Sms
from sendmill.states import State
from tests.support.desk import GOOD, OTHER, Desk, objects, run


@pytest.mark.parametrize(("states", "exit_code"), [(["delivered", None], 0), (["undelivered", "delivered"], 1)])
def test_wait_ends_when_every_row_is_submitted_or_final(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, states: list[str | None], exit_code: int
) -> None:
    """The exit code says whether all were submitted or delivered; the counts are told with the job."""
    desk.send(Sms("before", GOOD))
    send = desk.send

    def send_and_report(*arguments: Any, **options: Any) -> Any:
        job = send(*arguments, **options)
        for row, state in enumerate(states, 1):
            if state is not None:
                desk.report(f"{job.id}-{row}", state)
        return job

    monkeypatch.setattr(desk, "send", send_and_report)
    result = run(desk, "send", "--text", "hi", GOOD, OTHER, "--wait", "--json")
    (told,) = objects(result)
    assert exit_code == result.exit_code
    assert 2 == sum(told["states"].values())
    assert {"job", "total", "accepted", "refused", "states", "segments", "cost", "done"} == told.keys()


def test_wait_tells_each_row_that_did_not_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `send` refused and what was refused behind it stand on stderr, each row once, with its reason."""
    send = desk.send

    def send_and_refuse(*arguments: Any, **options: Any) -> Any:
        job = send(*arguments, **options)
        desk.report(f"{job.id}-1", "failed", code="not_encodable", detail="character 1 is not in GBK")
        desk.report(f"{job.id}-3", "rejected", code="4")
        desk.report(f"{job.id}-4", "delivered")
        return job

    monkeypatch.setattr(desk, "send", send_and_refuse)
    result = run(desk, "send", "--text", "hi", GOOD, "12", OTHER, "+6591234567", GOOD, "--wait", "--account", "cn")
    assert [
        "row 2: invalid_number: 12**** has no country code: write it with a plus sign (+852…) or name a region",
        "row 5: duplicate_row: +852****44 has this text in an earlier row",
        "2 rows refused: invalid_number 1, duplicate_row 1",
        "row 3: cn rejected: 4",
        "row 1: cn failed: not_encodable: character 1 is not in GBK",
    ] == result.stderr.splitlines()
    assert 1 == result.exit_code


def test_wait_tells_the_first_of_many_rows_that_did_not_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the others how many they are, and the command that lists them."""
    send = desk.send

    def send_and_refuse(*arguments: Any, **options: Any) -> Any:
        job = send(*arguments, **options)
        for row in range(1, 26):
            desk.report(f"{job.id}-{row}", "failed", code="not_encodable")
        return job

    monkeypatch.setattr(desk, "send", send_and_refuse)
    result = run(desk, "send", "--text", "hi", *(f"+86138{row:08}" for row in range(25)), "--wait", "--reveal")
    *rows, last = result.stderr.splitlines()
    assert 20 == len(rows)
    assert "row 1 (+8613800000000): fake failed: not_encodable" == rows[0]
    assert "… and 5 rows more that are failed: sendmill status fake1 --messages --state failed" == last


def test_wait_says_once_which_accounts_stand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are not active while messages lie there: otherwise nobody learns why nothing moves."""
    waiting = JobStatus("fake1", 1, {State.QUEUED: 1}, 0, done=False)
    done = JobStatus("fake1", 1, {State.DELIVERED: 1}, 1, done=True)
    answers = [waiting, waiting, waiting, done]
    stands = AccountInfo("cn", "smsadmin", "suspended", state_reason="NoBalance", backlog={"otp": 1})
    monkeypatch.setattr(desk, "status", lambda _: answers.pop(0))
    monkeypatch.setattr(desk, "accounts", lambda: [AccountInfo("hk", "accessyou", "active"), stands])
    monkeypatch.setattr(jobs_module, "_WATCH_S", 0)
    monkeypatch.setattr(accounts_module, "_LOOK_EVERY_S", 0)
    result = run(desk, "send", "--text", "hi", OTHER, "--wait")
    assert "sendmill: cn is suspended: NoBalance: its messages wait until sendmill resume cn\n" == result.stderr
    assert ("job fake1: 1 of 1 rows accepted\ndelivered 1\n", 0) == (result.stdout, result.exit_code)
