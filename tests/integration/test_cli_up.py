"""The command line as somebody uses it, against a whole system with all five accounts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.system import ROOT, System
from tests.support.shell import COMMAND_S, SENDMILL, run, run_here

HONG_KONG = "+85298882844"
MAINLAND = "+8613712345678"
SINGAPORE = "+6591234567"
TOO_LONG = "x" * 5000
DONE_S = 30.0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Everything that runs; every message is delivered."""
    with System.start() as started:
        for vendor in ("accessyou", "smsadmin", "ihuyi", "sms467890", "xioo"):
            started.simulator.add_fates({"vendor": vendor, "delivered_share": 1.0})
        yield started


def test_accounts_and_balances_are_told(system: System) -> None:
    """All five, in the vendors' own units; afterwards `accounts` knows the balance too."""
    names = ["bulk", "hk", "mainland", "world", "xi"]
    balances = run_here(system, "balance", "--json")
    assert (0, []) == (balances.exit_code, balances.err)
    assert names == [balance["account"] for balance in balances.objects()]
    accounts = run_here(system, "accounts", "--json").objects()
    assert [(name, "active") for name in names] == [(account["name"], account["state"]) for account in accounts]
    hk = next(account for account in accounts if account["name"] == "hk")
    assert hk["balance"].endswith(" HKD")
    assert 200_000 / 3600 == pytest.approx(hk["rate_allowed"])


def test_a_job_is_sent_waited_for_and_shown(system: System) -> None:
    """Submitted at two vendors; later delivered, with an attempt and a report for each message and an event."""
    sent = run(system, "send", "--text", "hi", MAINLAND, SINGAPORE, *("--key", "k1", "--ref", "r1"), "--wait", "--json")
    assert (0, []) == (sent.exit_code, sent.err)
    (told,) = sent.objects()
    job = told["job"]
    assert (2, 2, [], 2) == (told["total"], told["accepted"], told["refused"], told["segments"])
    counts = run(system, "status", job, "--watch", "--json").objects()[-1]
    assert ({"delivered": 2}, True) == (counts["states"], counts["done"])
    messages = run(system, "status", job, "--messages", "--json").objects()
    assert [(MAINLAND, "mainland"), (SINGAPORE, "world")] == [
        (message["to"], message["account"]) for message in messages
    ]
    (shown,) = run(system, "show", f"{job}-2", "--json").objects()
    assert ["submitted"] == [attempt["outcome"] for attempt in shown["attempts"]]
    assert ["delivered"] == [report["state"] for report in shown["reports"]]
    events = run(system, "events", "--group", "cli", "--kind", "report", "--json").objects()
    assert {f"{job}-{row}": "delivered" for row in (1, 2)} == {
        event["message_id"]: event["state"] for event in events if event["ref"] == "r1"
    }
    assert MAINLAND not in run(system, "status", job, "--messages").out
    assert [{"job": job, "cancelled": 0, "gone": 2, "on_the_wire": 0}] == run(system, "cancel", job, "--json").objects()


def test_a_reply_is_shown_with_the_message_that_it_answers(system: System) -> None:
    """Whole for programs, masked for people."""
    sent = run_here(system, "send", "--text", "ho", MAINLAND, "--account", "mainland", "--wait", "--json")
    job = sent.objects()[0]["job"]
    system.simulator.reply("smsadmin", system.accounts["mainland"]["uid"], MAINLAND, "TD")
    system.wait_until(lambda: run_here(system, "replies", "--json").out, timeout_s=DONE_S, what="the reply is there")
    (reply,) = run_here(system, "replies", "--json").objects()
    assert (MAINLAND, "TD", "mainland", f"{job}-1") == (
        reply["from"],
        reply["text"],
        reply["account"],
        reply["message_id"],
    )
    assert f"reply from +861****78  TD  mainland  answers {job}-1" in run_here(system, "replies").out


def test_a_job_for_later_is_cancelled(system: System) -> None:
    """It stands as scheduled, then as cancelled."""
    later = (datetime.now(UTC) + timedelta(days=300)).isoformat()
    sent = run_here(system, "send", "--text", "hi", HONG_KONG, "--at", later, "--json")
    assert 0 == sent.exit_code
    job = sent.objects()[0]["job"]
    assert {"scheduled": 1} == run_here(system, "status", job, "--json").objects()[0]["states"]
    (told,) = run_here(system, "cancel", job, "--json").objects()
    assert {"job": job, "cancelled": 1, "gone": 0, "on_the_wire": 0} == told

    def states() -> object:
        return run_here(system, "status", job, "--json").objects()[0]["states"]

    system.wait_until(lambda: {"cancelled": 1} == states(), timeout_s=DONE_S, what="a worker has written it down")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["--text", "hi", "12"], 1, "12**** has no country code"),
        (["--text", "", HONG_KONG], 1, "the text is empty"),
        (["--text", "hi", HONG_KONG, "--account", "nope"], 1, "no account nope is configured: there are bulk, hk,"),
        (["--text", "hi", HONG_KONG, "--route", "nope"], 1, "no route nope is configured"),
        (["--text", "hi", HONG_KONG, "--at", "2020-01-01T00:00:00+08:00"], 2, "is past"),
        (["--text", "hi", HONG_KONG, "--at", "2099-01-01T00:00:00+08:00"], 2, "more than a year ahead"),
        (["--text", "hi", HONG_KONG, "--at", "2099-01-01T00:00:00"], 2, "has no time zone"),
    ],
)
def test_what_cannot_be_sent_is_one_line(system: System, arguments: list[str], exit_code: int, sentence: str) -> None:
    """With the reason, and no job."""
    said = run_here(system, "send", *arguments)
    assert (exit_code, "", 1) == (said.exit_code, said.out, len(said.err))
    assert sentence in said.err[0]


@pytest.mark.parametrize(
    ("text", "numbers", "options", "reason"),
    [
        ("😀 hi", [MAINLAND, "+8613712345679"], ["--account", "mainland"], "not_encodable: character 1 (U+1F600 "),
        (TOO_LONG, [MAINLAND], [], "text_too_long: 5000 characters"),
    ],
)
def test_a_row_that_no_account_can_send_is_told_with_its_reason(
    system: System, text: str, numbers: list[str], options: list[str], reason: str
) -> None:
    """Only routing can tell: `--wait` says which row and why, and the command that `send` names lists them."""
    waited = run_here(system, "send", "--text", text, *numbers, *options, "--wait")
    assert 1 == waited.exit_code
    assert [f"row {row}: failed: {reason}" for row, _ in enumerate(numbers, 1)] == [
        line[: len(f"row {row}: failed: {reason}")] for row, line in enumerate(waited.err, 1)
    ]
    sent = run_here(system, "send", "--text", text, *numbers, *options)
    assert 0 == sent.exit_code
    command = sent.out.splitlines()[-1].partition(": sendmill ")[2].split()
    system.wait_until(
        lambda: len(run_here(system, *command, "--json").objects()) == len(numbers),
        timeout_s=DONE_S,
        what="all are failed",
    )
    listed = run_here(system, *command).out
    assert [] == [part for part in reason.split(": ") if part not in listed]


def test_the_other_rows_of_a_file_go_on(system: System, tmp_path: Path) -> None:
    """A bad number and a text for which no account is: each told once, in order of the file, the others submitted."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,name\n{HONG_KONG},Ann\n12,Bo\n{MAINLAND},{TOO_LONG}\n{SINGAPORE},Di\n", encoding="utf-8")
    said = run_here(system, "send", "--file", str(people), "--template", "{name}, hi", "--wait", "--json")
    (told,) = said.objects()
    assert (1, 4, 3) == (said.exit_code, told["total"], told["accepted"])
    assert [
        "row 2: invalid_number: 12**** has no country code: write it with a plus sign (+852…) or name a region",
        "1 row refused: invalid_number 1",
        "row 3: failed: text_too_long: 5004 characters; xioo takes 500",
    ] == said.err
    assert 2 == told["states"]["failed"]


def test_a_wait_says_that_an_account_stands(system: System) -> None:
    """The job's id first, then why nothing moves; the wait goes on, and ends when the account is let go."""
    assert 0 == run_here(system, "pause", "world").exit_code
    with subprocess.Popen(
        [*SENDMILL, "send", "--text", "waits", SINGAPORE, "--wait"],
        cwd=ROOT,
        env={**system.environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stderr is not None
        assert waiting.stdout.readline().endswith(": 1 of 1 rows accepted\n")
        assert "sendmill: world is paused: by a person: its messages wait until sendmill resume world\n" == (
            waiting.stderr.readline()
        )
        assert 0 == run_here(system, "resume", "world").exit_code
        assert 0 == waiting.wait(COMMAND_S)


def test_a_paused_account_keeps_its_messages(system: System) -> None:
    """`accounts` shows who stopped it and what waits; `resume` lets it go."""
    assert 0 == run_here(system, "pause", "hk").exit_code
    assert 0 == run_here(system, "send", "--text", "paused", HONG_KONG, "--lane", "otp").exit_code

    def hk() -> dict[str, Any]:
        return next(one for one in run_here(system, "accounts", "--json").objects() if one["name"] == "hk")

    system.wait_until(lambda: hk()["backlog"]["otp"] == 1, timeout_s=DONE_S, what="the message waits")
    assert "paused" == hk()["state"]
    assert 0 == run_here(system, "resume", "hk").exit_code
    system.wait_until(lambda: hk()["backlog"]["otp"] == 0, timeout_s=DONE_S, what="the message is gone")
    assert "active" == hk()["state"]
