"""`sendmill unconfirmed` and `sendmill settle`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sendmill import InvalidOption, NoSuchJob, ReportEvent, State, UnknownAccount
from sendmill.cli import cli
from sendmill.messages import Sms
from tests.support.desk import GOOD, OTHER, Desk, objects, run


def _lost(desk: Desk) -> str:
    """A job of two messages whose answer was lost."""
    job = desk.send(Sms("hi", [GOOD, OTHER]), account="hk").id
    for row in (1, 2):
        desk.lose_answer(f"{job}-{row}")
    return job


def test_the_list_is_masked_for_people_and_whole_for_programs(desk: Desk) -> None:
    """As everywhere."""
    job = _lost(desk)
    shown = run(desk, "unconfirmed").stdout
    assert [
        "MESSAGE TO ACCOUNT SINCE CODE DETAIL",
        f"{job}-1 +852****44 hk 2026-03-01 20:00:00 no_answer –",
        f"{job}-2 +861****78 hk 2026-03-01 20:00:00 no_answer –",
    ] == [" ".join(line.split()) for line in shown.splitlines()]
    assert GOOD in run(desk, "unconfirmed", "--reveal", "--account", "hk").stdout
    at = "2026-03-01T12:00:00.123Z"
    whole = {"to": GOOD, "account": "hk", "since": at, "code": "no_answer", "detail": None}
    assert {"message_id": f"{job}-1", **whole} == objects(run(desk, "unconfirmed", "--json"))[0]


@pytest.mark.parametrize(
    ("option", "state", "said"),
    [
        ("--sent", State.SUBMITTED, "2 messages are submitted\n"),
        ("--resend", State.SUBMITTED, "2 messages are queued\n"),
        ("--give-up", State.UNKNOWN, "2 messages are unknown\n"),
    ],
)
def test_a_job_is_settled_as_a_whole(desk: Desk, option: str, state: State, said: str) -> None:
    """Without a question where that was said; the fake submits at once what goes again."""
    job = _lost(desk)
    assert said == run(desk, "settle", job, option, "--yes").stdout
    assert {state: 2} == desk.status(job).states
    assert "nothing is unconfirmed\n" == run(desk, "unconfirmed").stdout
    again = run(desk, "settle", job, option, "--yes")
    assert (1, "nothing was settled\n") == (again.exit_code, again.stdout)


def test_a_person_is_asked_first(desk: Desk) -> None:
    """No leaves everything as it is; the question says how many, and what may come of it."""
    job = _lost(desk)
    runner = CliRunner()
    no = runner.invoke(cli, ["settle", job, "--resend"], obj=lambda: desk, input="n\n")
    assert 130 == no.exit_code
    assert f"Send {job} (2 unconfirmed) again? The vendor may have taken it already" in no.stderr
    assert {State.UNCONFIRMED: 2} == desk.status(job).states
    yes = runner.invoke(cli, ["settle", f"{job}-1", "--give-up"], obj=lambda: desk, input="y\n")
    assert (0, "1 message is unknown\n") == (yes.exit_code, yes.stdout)
    assert ["settled_give_up"] == [each.code for each in desk.events("g") if isinstance(each, ReportEvent)]
    gone = run(desk, "settle", f"{job}-1", "--sent")
    assert (1, f"sendmill: nothing of {job}-1 is unconfirmed\n") == (gone.exit_code, gone.stderr)


def test_a_verdict_must_be_said(desk: Desk) -> None:
    """There is no default for what only a person knows."""
    result = run(desk, "settle", _lost(desk))
    assert 2 == result.exit_code
    assert "--sent, --resend or --give-up" in result.stderr


def test_programs_hear_the_numbers(desk: Desk) -> None:
    """One object."""
    job = _lost(desk)
    said = objects(run(desk, "settle", job, "--sent", "--yes", "--json"))
    assert [{"target": job, "verdict": "sent", "settled": 2, "left": 0}] == said


def test_what_there_is_not_cannot_be_settled(desk: Desk) -> None:
    """As with the client."""
    with pytest.raises(NoSuchJob):
        desk.settle("nothing", "sent")
    with pytest.raises(NoSuchJob):
        desk.lose_answer("nothing-1")
    with pytest.raises(InvalidOption):
        desk.settle(_lost(desk), "perhaps")
    with pytest.raises(UnknownAccount):
        list(desk.unconfirmed("nobody"))
