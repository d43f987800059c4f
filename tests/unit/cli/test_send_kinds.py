"""`sendmill send` of other messages than texts: vendors' templates, MMS, recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.desk import GOOD, OTHER, Desk, run

IMAGE = "http://example.com/a.jpg"


def test_a_vendor_template_is_filled_from_the_line(desk: Desk) -> None:
    """The same values for all numbers; a value may hold an equals sign."""
    result = run(desk, "send", "--template-id", "T1", "--value", "a=1125", "--value", "b=x=y", GOOD, OTHER)
    assert 0 == result.exit_code
    assert [
        (GOOD, {"template_id": "T1"}, {"a": "1125", "b": "x=y"}),
        (OTHER, {"template_id": "T1"}, {"a": "1125", "b": "x=y"}),
    ] == [(sent.to, sent.parts, sent.values) for sent in desk.sent]


def test_a_vendor_template_may_have_no_variables(desk: Desk) -> None:
    """Numbers alone."""
    assert 0 == run(desk, "send", "--template-id", "T1", GOOD).exit_code
    assert [{}] == [sent.values for sent in desk.sent]


def test_the_columns_of_a_file_fill_the_variables_of_their_names(desk: Desk, tmp_path: Path) -> None:
    """Every column but that of the numbers; a row that lacks one is refused, and the next are not."""
    people = tmp_path / "people.csv"
    people.write_text(f"phone,a,b,\n{GOOD},1\n{OTHER},2,x,\n", encoding="utf-8")
    result = run(desk, "send", "--template-id", "T1", "--file", str(people), "--to", "phone")
    assert [(OTHER, {"a": "2", "b": "x"})] == [(sent.to, sent.values) for sent in desk.sent]
    assert result.stderr.startswith("row 1: invalid_template: the row's value for {b} is null")


def test_fields_name_the_columns_that_fill_a_template(desk: Desk, tmp_path: Path) -> None:
    """Other columns stay out; a column that is not there is one line for the file."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,code,name\n{GOOD},1125,Ann\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--template-id", "T1", "--file", str(people), "--field", "a=code").exit_code
    assert [{"a": "1125"}] == [sent.values for sent in desk.sent]
    missing = run(desk, "send", "--template-id", "T1", "--file", str(people), "--field", "a=order")
    assert ("sendmill: people.csv has no column 'order': it has to, code, name\n", 1) == (
        missing.stderr,
        missing.exit_code,
    )


def test_an_mms_has_a_subject_a_picture_and_perhaps_a_text(desk: Desk) -> None:
    """The picture by address or by the name that upload gave; a subject alone is an MMS without one."""
    assert 0 == run(desk, "send", "--mms-image", IMAGE, "--subject", "New", "--text", "Look", GOOD).exit_code
    assert 0 == run(desk, "send", "--mms-image", "a1", "--subject", "New", GOOD).exit_code
    assert 0 == run(desk, "send", "--subject", "New", "--text", "Look", GOOD).exit_code
    assert [
        ("Look", {"subject": "New", "image": IMAGE}),
        ("", {"subject": "New", "image": "a1"}),
        ("Look", {"subject": "New"}),
    ] == [(sent.text, sent.parts) for sent in desk.sent]


def test_a_recording_goes_to_the_numbers_of_a_file(desk: Desk, tmp_path: Path) -> None:
    """As every content does."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{GOOD}\n{OTHER}\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--voice", "12", "--file", str(people)).exit_code
    assert [(GOOD, {"audio": "12"}), (OTHER, {"audio": "12"})] == [(sent.to, sent.parts) for sent in desk.sent]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--voice", "1", "--template-id", "T", GOOD], "--template-id and --voice exclude each other: a job sends one"),
        (["--voice", "1", "--mms-image", "a", "--subject", "s", GOOD], "--voice and --mms-image exclude each other"),
        (["--voice", "1", "--text", "hi", GOOD], "--voice and --text exclude each other: the vendor has what is sent"),
        (["--template-id", "T", "--text", "hi", GOOD], "--template-id and --text exclude each other"),
        (["--voice", "1", "--subject", "hi", GOOD], "--subject belongs to an MMS: leave it out beside --voice"),
        (["--mms-image", "a", GOOD], "--mms-image needs --subject"),
        (["--text", "hi", "--value", "a=1", GOOD], "--value and --field fill a vendor's template: name it with"),
        (["--template-id", "T", "--file", "p.csv", "--value", "a=1"], "--value is for numbers on the line: with"),
        (["--template-id", "T", "--field", "a=b", GOOD], "--field needs --file"),
        (["--template-id", "T", "--value", "to=1", GOOD], "a template's variable cannot be called to"),
        (["--template-id", "T"], "give the numbers to send to, or --file"),
        (["--voice", "1", "--file", "p.csv", GOOD], "numbers and --file exclude each other"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(desk: Desk, arguments: list[str], sentence: str) -> None:
    """Before anything is read or sent; wrong use is exit code 2."""
    result = run(desk, "send", *arguments)
    assert result.stderr.startswith(f"sendmill send: {sentence}")
    assert (2, 1, "", []) == (result.exit_code, len(result.stderr.splitlines()), result.stdout, desk.sent)


@pytest.mark.parametrize(("pair", "why"), [("a", "'a' is no NAME=VALUE"), ("=1", "'=1' is no NAME=VALUE")])
def test_a_value_that_is_no_pair_is_refused(desk: Desk, pair: str, why: str) -> None:
    """With what was given."""
    result = run(desk, "send", "--template-id", "T", "--value", pair, GOOD)
    assert (f"sendmill: --value {why}\n", 2) == (result.stderr, result.exit_code)


def test_a_value_that_is_given_twice_is_refused(desk: Desk) -> None:
    """Which of both was meant, nobody knows."""
    result = run(desk, "send", "--template-id", "T", "--value", "a=1", "--value", "a=2", GOOD)
    assert ("sendmill: --value names 'a' twice\n", 2) == (result.stderr, result.exit_code)
