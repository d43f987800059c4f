"""`sendmill send --dry-run`: what a job would come to."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sendmill.cli import cli
from sendmill.errors import StoreError
from sendmill.estimates.tariff import Tariff
from tests.support.desk import GOOD, OTHER, Desk, objects, run

LONDON = "+447400123456"


def test_a_dry_run_counts_and_sends_nothing(desk: Desk) -> None:
    """Segments include the signature."""
    result = run(desk, "send", "--text", "您" * 68, GOOD, OTHER, "--signature", "【Acme】", "--dry-run", "--json")
    told: dict[str, object] = {
        "job": None,
        "total": 2,
        "accepted": 2,
        "refused": [],
        "segments": 4,
        "cost": {},
        "unpriced": 2,
    }
    assert [told] == objects(result)
    assert (0, []) == (result.exit_code, desk.sent)


def test_a_dry_run_counts_each_row_of_a_template(desk: Desk, tmp_path: Path) -> None:
    """Every row has its own length."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,x\n{GOOD},{'a' * 161}\n{OTHER},a\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--template", "{x}", "--dry-run")
    assert "nothing was sent: 2 rows, 2 would go, segments: 3\n" == result.stdout


def test_a_dry_run_counts_and_prices_as_the_accounts_of_the_rows(published: Desk) -> None:
    """71 letters are one part at AccessYou and two where every character counts, the account's signature included."""
    result = run(published, "send", "--text", "a" * 71, GOOD, OTHER, LONDON, "--dry-run", "--json")
    (told,) = objects(result)
    assert (3, 3, 5) == (told["total"], told["accepted"], told["segments"])
    assert ({"CNY": "0.09", "HKD": "0.60"}, 1) == (told["cost"], told["unpriced"])
    assert ("", []) == (result.stderr, published.sent)


def test_a_dry_run_tells_a_person_the_cost(published: Desk) -> None:
    """With the rows that have no known price; a named account takes all rows."""
    result = run(published, "send", "--text", "hi", GOOD, OTHER, LONDON, "--dry-run")
    cost = "segments: 3, cost: 0.60 HKD + 0.045 CNY (1 rows have no known price)"
    assert f"nothing was sent: 3 rows, 3 would go, {cost}\n" == result.stdout
    named = run(published, "send", "--text", "hi", GOOD, OTHER, LONDON, "--dry-run", "--account", "hk")
    assert "nothing was sent: 3 rows, 3 would go, segments: 3, cost: 2.10 HKD\n" == named.stdout


def test_costs_are_added_up_without_a_binary_error(published: Desk, tmp_path: Path) -> None:
    """A thousand times 0.045 is 45, to the last digit."""
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+86138{row:08}\n" for row in range(1000)), encoding="utf-8")
    (told,) = objects(run(published, "send", "--file", str(people), "--text", "hi", "--dry-run", "--json"))
    assert {"CNY": "45.00"} == told["cost"]


def test_a_dry_run_refuses_rows_that_no_route_takes(published: Desk) -> None:
    """As the plan would, with the same code."""
    result = run(published, "send", "--text", "hi", GOOD, "+6591234567", "--dry-run", "--json")
    assert [(2, "unknown_account")] == [(each["row"], each["code"]) for each in objects(result)[0]["refused"]]
    assert 1 == objects(result)[0]["accepted"]


def test_a_dry_run_chooses_an_account_that_can(published: Desk) -> None:
    """An MMS to a mainland number skips the account without MMS, and is one message whatever it says."""
    mms = ("--mms-image", "http://example.com/a.jpg", "--subject", "Hi", "--text", "a" * 500)
    (told,) = objects(run(published, "send", *mms, OTHER, "--dry-run", "--json"))
    assert (1, {"HKD": "0.75"}) == (told["segments"], told["cost"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--voice", "1", "--account", "cn"], "cn (smsadmin) cannot send voice messages: no configured account can"),
        (["--text", "hi", "--account", "cn", "--sender", "Acme"], "cn (smsadmin) cannot set a sender ID: hk can"),
        (["--text", "hi", "--account", "no"], "no account no is configured: there are cn, hk"),
        (["--text", "hi", "--route", "no"], "no route no is configured: there are default"),
    ],
)
def test_a_dry_run_refuses_what_the_named_account_cannot_do(
    published: Desk, arguments: list[str], sentence: str
) -> None:
    """In the words of `send`."""
    result = run(published, "send", *arguments, GOOD, "--dry-run")
    assert (f"sendmill: {sentence}\n", 1) == (result.stderr, result.exit_code)


def test_without_redis_a_dry_run_counts_by_the_standard_and_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing published, no Redis, or no address of one: each in a line on stderr."""

    def away() -> Tariff:
        raise StoreError("Redis is away: connection refused")

    arguments = ("send", "--text", "hi", GOOD, "--dry-run")
    told = "nothing was sent: 1 rows, 1 would go, segments: 1\n"
    said = "sendmill: counted as the GSM standard does, without cost: "
    unpublished = run(desk, *arguments)
    assert (told, f"{said}no account is published: is a worker running?\n") == (unpublished.stdout, unpublished.stderr)
    monkeypatch.setattr(desk, "tariff", away)
    alone = run(desk, *arguments)
    assert (told, f"{said}Redis is away: connection refused\n") == (alone.stdout, alone.stderr)
    monkeypatch.delenv("SENDMILL_REDIS_URL", raising=False)
    unset = CliRunner().invoke(cli, arguments)
    assert told == unset.stdout
    assert unset.stderr.startswith(f"{said}SENDMILL_REDIS_URL is not set")


def test_characters_that_make_a_text_longer_are_named(desk: Desk) -> None:
    """A typographic quote costs three parts instead of one, and looks like a plain one."""
    result = run(desk, "send", "--text", "It’s " + "a" * 150, GOOD, "--dry-run")
    assert "because of ’ (U+2019 RIGHT SINGLE QUOTATION MARK)\n" in result.stdout
    assert "because" not in run(desk, "send", "--text", "您好，您的验证码是 1125", GOOD, "--dry-run").stdout


def test_what_was_guessed_of_a_file_is_said(desk: Desk, tmp_path: Path) -> None:
    """With its first row, where it is not what every program writes."""
    people = tmp_path / "people.csv"
    people.write_bytes(f"phone;name\n{GOOD};陈大文\n".encode("gb18030"))
    asked = ("send", "--file", str(people), "--to", "phone", "--template", "{name}您好")
    said = "people.csv read as gb18030, cells parted by semicolons; its first row: phone: +852****44; name: 陈大文"
    assert f"sendmill: {said}\n" == run(desk, *asked).stderr
    people.write_text(f"phone,name\n{GOOD},Ann\n", encoding="utf-8")
    assert "" == run(desk, *asked).stderr


@pytest.mark.parametrize(
    ("option", "text", "named"),
    [
        ("--template", "Dear [name]", "[name]"),
        ("--template", "Dear {{name}}", "{{name}}"),
        ("--text", "Dear {name}", "{name}"),
    ],
)
def test_a_text_with_another_tools_place_is_refused(
    desk: Desk, tmp_path: Path, option: str, text: str, named: str
) -> None:
    """Unless it is meant so."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,name\n{GOOD},Ann\n", encoding="utf-8")
    refused = run(desk, "send", "--file", str(people), option, text)
    assert (1, []) == (refused.exit_code, desk.sent)
    assert named in refused.stderr
    assert 0 == run(desk, "send", "--file", str(people), option, text, "--literal").exit_code


def test_refused_rows_of_a_file_name_the_cell(desk: Desk, tmp_path: Path) -> None:
    """Each by its row, and the others go."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,name,order\n{GOOD},Chan, Tai Man,7\n{GOOD},,8\n{OTHER},Ann,9\n", encoding="utf-8")
    asked = ("send", "--file", str(people), "--template", "Dear {name}, {order}", "--json")
    (told,) = objects(run(desk, *asked, "--dry-run"))
    assert (3, 1) == (told["total"], told["accepted"])
    reasons = [each["reason"] for each in told["refused"]]
    assert [True, True] == ["4 cells" in reasons[0], "'name' is blank" in reasons[1]]
    (told,) = objects(run(desk, *asked, "--dry-run", "--allow-blank"))
    assert 2 == told["accepted"]
