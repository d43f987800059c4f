"""`sendmill jobs`, `status`, `show`, `cancel`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from sendmill.cli import jobs as jobs_module
from sendmill.cli.output import print_table
from sendmill.errors import StoreError
from sendmill.messages import JobStatus, Sms
from tests.support.desk import GOOD, NOW, OTHER, Desk, objects, run


def test_status_counts_states(desk: Desk) -> None:
    """As a JSON object and as a table."""
    job = desk.send(Sms("hi", [GOOD, OTHER, "12"]))
    desk.report(f"{job.id}-1")
    assert [
        {
            "job": job.id,
            "total": 3,
            "states": {"delivered": 1, "submitted": 1, "failed": 1},
            "segments": 2,
            "cost": {},
            "done": False,
        }
    ] == objects(run(desk, "status", job.id, "--json"))
    shown = run(desk, "status", job.id).stdout
    assert ["job fake1", "submitted 1", "delivered 1", "failed 1", "total 3", "segments 2", "done no"] == [
        " ".join(line.split()) for line in shown.splitlines()
    ]


def test_messages_are_masked_for_people_and_whole_for_programs(desk: Desk) -> None:
    """Whole numbers stand in --json and behind --reveal alone; times are local in tables, UTC in JSON."""
    job = desk.send(Sms("hi", [GOOD, OTHER]), account="hk")
    shown = run(desk, "status", job.id, "--messages").stdout
    assert "+852****44" in shown
    assert "2026-03-01 20:00:00" in shown
    assert GOOD not in shown
    assert GOOD in run(desk, "status", job.id, "--messages", "--reveal").stdout
    desk.report(f"{job.id}-2", code="0")
    assert [
        {
            "message_id": f"{job.id}-2",
            "to": OTHER,
            "state": "delivered",
            "account": "hk",
            "vendor_message_id": None,
            "code": "0",
            "detail": None,
            "submitted_at": "2026-03-01T12:00:00.123Z",
            "updated_at": "2026-03-01T12:00:00.123Z",
        }
    ] == objects(run(desk, "status", job.id, "--state", "delivered", "--json"))
    assert "no messages\n" == run(desk, "status", job.id, "--state", "failed").stdout


def test_a_long_table_keeps_its_columns(desk: Desk) -> None:
    """It is printed in pieces, with one header; a later piece is no narrower than the first."""
    job = desk.send(Sms("hi", [f"+86138{row:08}" for row in range(2500)]))
    header, *rows = run(desk, "status", job.id, "--messages").stdout.splitlines()
    assert 2500 == len(rows)
    assert {header.index("STATE")} == {row.index("submitted") for row in rows}


def test_a_table_cuts_nothing_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message id is there to be copied: lines run over the edge instead."""
    screen = StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    print_table(["MESSAGE", "DETAIL"], [["1m80gshgqp5t6wjehr-1", "x" * 300]], empty="")
    assert f"1m80gshgqp5t6wjehr-1  {'x' * 300}" == screen.getvalue().splitlines()[1].rstrip()


def test_watch_ends_when_the_job_is_done(desk: Desk) -> None:
    """One line for each change."""
    job = desk.send(Sms("hi", GOOD))
    desk.report(f"{job.id}-1")
    assert [True] == [told["done"] for told in objects(run(desk, "status", job.id, "--watch", "--json"))]


def test_a_watch_outlives_a_store_that_goes_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once and goes on; a job that is not there at first is an error."""
    job = desk.send(Sms("hi", GOOD))
    open_status = desk.status(job.id)
    desk.report(f"{job.id}-1")
    answers: list[Any] = [open_status, StoreError("Redis is away"), StoreError("Redis is away"), desk.status(job.id)]

    def status(_: str) -> JobStatus:
        answer = answers.pop(0)
        if isinstance(answer, StoreError):
            raise answer
        assert isinstance(answer, JobStatus)
        return answer

    monkeypatch.setattr(desk, "status", status)
    monkeypatch.setattr(jobs_module, "_WATCH_S", 0)
    result = run(desk, "status", job.id, "--watch", "--json")
    assert [False, True] == [told["done"] for told in objects(result)]
    assert ("sendmill: waiting: Redis is away\n", 0) == (result.stderr, result.exit_code)


def test_jobs_are_listed(desk: Desk) -> None:
    """Latest first, since a time or a span."""
    desk.send(Sms("hi", [GOOD, OTHER]), ref="r1", lane="bulk")
    desk.send(Sms("ho", GOOD))
    told = objects(run(desk, "jobs", "--json"))
    assert ["fake2", "fake1"] == [job["job"] for job in told]
    assert {
        "job": "fake1",
        "created_at": "2026-03-01T12:00:00.123Z",
        "lane": "bulk",
        "total": 2,
        "ref": "r1",
        "done": False,
    } == told[1]
    assert "r1" in run(desk, "jobs").stdout
    assert "no jobs\n" == run(desk, "jobs", "--since", (NOW + timedelta(days=1)).isoformat()).stdout


def test_show_tells_all_of_a_message(desk: Desk) -> None:
    """Its fields, attempts and reports, the number masked."""
    job = desk.send(Sms("hi", GOOD))
    desk.report(f"{job.id}-1", code="DELIVRD")
    shown = run(desk, "show", f"{job.id}-1")
    assert GOOD not in shown.stdout
    assert "+852****44" in shown.stdout
    assert "DELIVRD" in shown.stdout
    assert GOOD == objects(run(desk, "show", f"{job.id}-1", "--json"))[0]["to"]


def test_cancel_says_what_it_reached(desk: Desk) -> None:
    """Both counts."""
    job = desk.send(Sms("hi", GOOD))
    assert "0 messages cancelled, 1 had gone\n" == run(desk, "cancel", job.id).stdout
    assert [{"job": job.id, "cancelled": 0, "gone": 1, "on_the_wire": 0}] == objects(
        run(desk, "cancel", job.id, "--json")
    )
