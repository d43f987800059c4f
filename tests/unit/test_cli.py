"""The command line, over a client without Redis. With Redis it is tested in tests/integration."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from sendmill.cli import accounts as accounts_module
from sendmill.cli import cli
from sendmill.cli import jobs as jobs_module
from sendmill.cli import send as send_module
from sendmill.cli.output import print_table
from sendmill.errors import BadCredentials, StoreError
from sendmill.messages import AccountInfo, AlertEvent, Balance, JobStatus, ReplyEvent, Sms
from sendmill.states import State
from sendmill.testing import FakeClient

GOOD = "+85298882844"
OTHER = "+8613712345678"
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Desk(FakeClient):
    """A fake with accounts, as workers publish them."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.said: list[tuple[Any, ...]] = []

    def accounts(self) -> list[AccountInfo]:
        """Two accounts: one busy, one suspended."""
        backlog = {"otp": 1, "bulk": 120_000}
        return [
            AccountInfo(
                "hk",
                "accessyou",
                "active",
                backlog=backlog,
                in_flight=1,
                rate_used=4.5,
                rate_allowed=5,
                rate_limit="recipients_per_h",
                rate_window_s=3600,
            ),
            AccountInfo("cn", "smsadmin", "suspended", state_reason="NoBalance", last_error="2 余额不足"),
        ]

    def balance(self, account: str, timeout_s: float = 15) -> Balance:
        """What is left."""
        return Balance(account, "1000", "messages", NOW)

    def pause(self, account: str) -> None:
        """Noted."""
        self.said.append(("pause", account))

    def resume(self, account: str) -> None:
        """Noted."""
        self.said.append(("resume", account))

    def limit(self, account: str, name: str, value: int) -> None:
        """Noted."""
        self.said.append(("limit", account, name, value))


@pytest.fixture
def desk() -> Desk:
    """A client that the commands work on."""
    return Desk()


@pytest.fixture(autouse=True)
def _local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's clock is Hong Kong's."""
    monkeypatch.setenv("TZ", "Asia/Hong_Kong")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def run(desk: Desk, *arguments: str) -> Result:
    """Run a command on that client."""
    return CliRunner().invoke(cli, arguments, obj=lambda: desk, catch_exceptions=False)


def objects(result: Result) -> list[dict[str, Any]]:
    """The JSON objects that a command printed, one a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]


# --- send ------------------------------------------------------------------------------------------------------------


def test_send_hands_a_text_to_its_numbers(desk: Desk) -> None:
    """Options reach the client; refused rows stand on stderr; the exit code is 0."""
    result = run(
        desk,
        "send",
        "--text",
        "Your code is 1125",
        GOOD,
        "nonsense",
        *("--lane", "otp", "--ref", "r1", "--sender", "Acme", "--expires-in", "60", "--vendor", "dnc=1", "--json"),
    )
    (told,) = objects(result)
    assert ("fake1", 2, 1) == (told["job"], told["total"], told["accepted"])
    assert [{"row": 2, "to": "nonsense", "code": "invalid_number"}] == [
        {name: refusal[name] for name in ("row", "to", "code")} for refusal in told["refused"]
    ]
    first, second = result.stderr.splitlines()
    assert first.startswith("row 2: invalid_number: no**** is not a phone number")
    assert "1 row refused: invalid_number 1" == second
    assert 0 == result.exit_code
    (sent,) = desk.sent
    assert ("Your code is 1125", GOOD, "otp", "r1") == (sent.text, sent.to, sent.options.lane, sent.options.ref)
    assert ("Acme", 60.0, {"dnc": "1"}) == (sent.options.sender, sent.options.expires_in_s, sent.options.vendor)


def test_send_says_the_job_to_a_person(desk: Desk) -> None:
    """On stdout, with how to see the rows that no account can send: which account takes a row is decided later."""
    result = run(desk, "send", "--text", "hi", GOOD, OTHER)
    first, second = result.stdout.splitlines()
    assert ("job fake1: 2 of 2 rows accepted", "", 0) == (first, result.stderr, result.exit_code)
    assert second.endswith(": sendmill status fake1 --messages --state failed")


def test_send_fails_where_every_row_is_refused(desk: Desk) -> None:
    """The job is kept with its reasons, but nothing goes: the exit code is 1."""
    result = run(desk, "send", "--text", "hi", "12", "13")
    assert ("job fake1: 0 of 2 rows accepted\n", 1) == (result.stdout, result.exit_code)
    assert "2 rows refused: invalid_number 2" == result.stderr.splitlines()[-1]


def test_a_template_needs_its_columns(desk: Desk, tmp_path: Path) -> None:
    """One line for the file, and no job, instead of a refusal for every row."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,name\n{GOOD},Ann\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--template", "{name}, {to}, {order}")
    assert ("sendmill: people.csv has no column 'order': it has to, name\n", 1) == (result.stderr, result.exit_code)
    assert [] == desk.sent


def test_send_fills_a_template_from_a_file(desk: Desk, tmp_path: Path) -> None:
    """Each line of the file is a row; --to is short for --to-column."""
    people = tmp_path / "people.csv"
    people.write_bytes(f"phone,name\n{GOOD},陈\n{OTHER},Ann\n{GOOD},陈\n".encode("gb18030"))
    result = run(desk, "send", "--file", str(people), "--to", "phone", "--template", "{name}, hi", "--json")
    assert [(GOOD, "陈, hi"), (OTHER, "Ann, hi")] == [(sent.to, sent.text) for sent in desk.sent]
    assert ["duplicate_row"] == [refusal["code"] for refusal in objects(result)[0]["refused"]]


def test_send_takes_one_text_to_a_file_of_numbers(desk: Desk, tmp_path: Path) -> None:
    """A broadcast."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{GOOD}\n{OTHER}\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--file", str(people), "--text", "hi").exit_code
    assert [(GOOD, "hi"), (OTHER, "hi")] == [(sent.to, sent.text) for sent in desk.sent]


def test_a_bar_is_shown_on_a_terminal_while_a_file_is_read(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches the end of the file, on stderr: stdout belongs to the result."""
    screen = StringIO()
    monkeypatch.setattr(
        send_module, "console", lambda *, stderr: Console(file=screen, force_terminal=stderr, width=100)
    )
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+86138{row:08}\n" for row in range(3000)), encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--text", "hi", "--json")
    assert 1 == len(objects(result))
    assert "people.csv" in screen.getvalue()
    assert "100%" in screen.getvalue()


def test_strict_sends_nothing_where_a_row_is_refused(desk: Desk, tmp_path: Path) -> None:
    """The file is read first; with nothing refused it goes."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{GOOD}\n12\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--text", "hi", "--strict", "--json")
    assert (1, []) == (result.exit_code, desk.sent)
    assert (None, 2, 1) == tuple(objects(result)[0][name] for name in ("job", "total", "accepted"))
    people.write_text(f"to\n{GOOD}\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--file", str(people), "--text", "hi", "--strict").exit_code
    assert 1 == len(desk.sent)


def test_a_dry_run_counts_and_sends_nothing(desk: Desk) -> None:
    """Segments include the signature."""
    result = run(desk, "send", "--text", "您" * 68, GOOD, OTHER, "--signature", "【Acme】", "--dry-run", "--json")
    assert [{"job": None, "total": 2, "accepted": 2, "refused": [], "segments": 4}] == objects(result)
    assert (0, []) == (result.exit_code, desk.sent)


def test_a_dry_run_counts_each_row_of_a_template(desk: Desk, tmp_path: Path) -> None:
    """Every row has its own length."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,x\n{GOOD},{'a' * 161}\n{OTHER},a\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--template", "{x}", "--dry-run")
    assert "nothing was sent: 2 rows, 2 would go, segments: 3\n" == result.stdout


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
    assert {"job", "total", "accepted", "refused", "states", "segments", "done"} == told.keys()


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


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (
            ["send", "--text", "hi"],
            2,
            "sendmill send: give the numbers to send to, or --file (see sendmill send --help)",
        ),
        (["send", GOOD], 2, "sendmill send: give --text, or --file with --template (see sendmill send --help)"),
        (["send", "--template", "x", GOOD], 2, "sendmill send: --template needs --file"),
        (["send", "--text", "x", "--file", "p.csv", GOOD], 2, "sendmill send: numbers and --file exclude each other"),
        (["send", "--file", "p.csv"], 2, "sendmill send: give --file with either --template or --text"),
        (
            ["send", "--text", "hi", GOOD, "--lane", "fast"],
            2,
            "sendmill: lane 'fast' is unknown: it is one of otp, normal, bulk",
        ),
        (
            ["send", "--text", "hi", GOOD, "--at", "2026-03-02T12:00"],
            2,
            "sendmill: at 2026-03-02T12:00:00 has no time zone",
        ),
        (["send", "--text", "hi", GOOD, "--at", "soon"], 2, "sendmill: --at 'soon' is no time: write it as 2026-"),
        (["send", "--text", "hi", GOOD, "--vendor", "dnc"], 2, "sendmill: --vendor 'dnc' is no NAME=VALUE"),
        (["send", "--text", "hi", GOOD, "--nonsense"], 2, "sendmill send: No such option"),
        (["send", "--text", "hi", "85298882844"], 1, "sendmill: 8529****44 has no country code"),
        (["send", "--text", " ", GOOD], 1, "sendmill: the text is empty"),
        (
            ["send", "--text", "hi", "--file", "none.csv"],
            1,
            "sendmill: none.csv cannot be read: No such file or directory",
        ),
        (["status", "nine"], 1, "sendmill: no job nine is kept"),
        (["limit", "hk", "calls_per_s"], 2, "sendmill: calls_per_s is no limit: write it as calls_per_s=20"),
        (["limit", "hk", "calls_per_s=0"], 2, "sendmill: calls_per_s=0 is no limit"),
        (["jobs", "--since", "never"], 2, "sendmill: --since 'never' is no time"),
        (["nonsense"], 2, "sendmill: No such command 'nonsense'"),
    ],
)
def test_errors_are_one_line_on_stderr(desk: Desk, arguments: list[str], exit_code: int, sentence: str) -> None:
    """Wrong use is 2, everything else 1; nothing is sent, and stdout stays empty."""
    result = run(desk, *arguments)
    assert result.stderr.startswith(sentence)
    assert 1 == len(result.stderr.splitlines())
    assert (exit_code, "", []) == (result.exit_code, result.stdout, desk.sent)


def test_a_store_that_is_away_is_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every error of sendmill."""

    def away(*_: Any, **__: Any) -> None:
        raise StoreError("Redis is away:\nconnection refused")

    monkeypatch.setattr(desk, "send", away)
    result = run(desk, "send", "--text", "hi", GOOD)
    assert ("sendmill: Redis is away: connection refused\n", 1) == (result.stderr, result.exit_code)


# --- jobs and messages -----------------------------------------------------------------------------------------------


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
    assert [{"job": job.id, "cancelled": 0, "gone": 1}] == objects(run(desk, "cancel", job.id, "--json"))


# --- events and replies ----------------------------------------------------------------------------------------------


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


# --- accounts --------------------------------------------------------------------------------------------------------


def test_accounts_show_state_backlog_and_rate(desk: Desk) -> None:
    """A line each."""
    header, hk, cn = run(desk, "accounts").stdout.splitlines()
    assert ["ACCOUNT", "PROVIDER", "STATE", "OTP", "NORMAL", "BULK"] == header.split()[:6]
    assert "hk accessyou active 1 0 120,000 1 16,200 of 18,000 recipients/h – –" == " ".join(hk.split())
    assert "cn smsadmin suspended: NoBalance 0 0 0 0 no limit – 2 余额不足" == " ".join(cn.split())
    told = objects(run(desk, "accounts", "--json"))
    assert ({"otp": 1, "bulk": 120_000}, 4.5) == (told[0]["backlog"], told[0]["rate_used"])


def test_balance_asks_one_account_or_all(desk: Desk) -> None:
    """The vendor's own unit."""
    assert [{"account": "hk", "amount": "1000", "unit": "messages", "at": "2026-03-01T12:00:00.123Z"}] == objects(
        run(desk, "balance", "hk", "--json")
    )
    assert ["hk", "cn"] == [balance["account"] for balance in objects(run(desk, "balance", "--json"))]
    assert "1000" in run(desk, "balance").stdout


def test_a_balance_that_cannot_be_read_leaves_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line on stderr for it, and exit code 1."""
    balance = desk.balance

    def one_refuses(account: str) -> Balance:
        if account == "hk":
            raise BadCredentials("the vendor does not know this user and password", vendor_code="101")
        return balance(account)

    monkeypatch.setattr(desk, "balance", one_refuses)
    result = run(desk, "balance", "--json")
    assert ["cn"] == [told["account"] for told in objects(result)]
    assert "sendmill: hk: the vendor does not know this user and password\n" == result.stderr
    assert 1 == result.exit_code


def test_accounts_are_paused_resumed_and_limited(desk: Desk) -> None:
    """Each says what holds now."""
    assert run(desk, "pause", "hk").stdout.startswith("hk is paused")
    assert "hk is active\n" == run(desk, "resume", "hk").stdout
    assert "hk: calls_per_s is 20\n" == run(desk, "limit", "hk", "calls_per_s=20").stdout
    assert [("pause", "hk"), ("resume", "hk"), ("limit", "hk", "calls_per_s", 20)] == desk.said


# --- texts -----------------------------------------------------------------------------------------------------------


def test_segments_are_counted(desk: Desk) -> None:
    """For people and programs."""
    assert "2 segments: 71 16-bit units of UCS-2\n" == run(desk, "segments", "您" * 71).stdout
    assert [{"encoding": "GSM-7", "units": 2, "segments": 1}] == objects(run(desk, "segments", "€", "--json"))


def test_help_and_version_need_nothing() -> None:
    """No Redis, no variable."""
    assert 0 == CliRunner().invoke(cli, ["--help"]).exit_code
    assert 0 == CliRunner().invoke(cli, ["send", "--help"]).exit_code
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("sendmill ")
