"""From what is handed over to rows that can be stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.errors import EmptyText, InvalidMessage, InvalidNumber, InvalidTemplate, NotEncodable
from sendmill.messages import Sms, TemplateSms
from sendmill.options import SendOptions
from sendmill.preparing import prepare as module
from sendmill.preparing.prepare import PreparedRow, RefusedRow, prepare, prepare_batches
from sendmill.states import State

OPTIONS = SendOptions()
GOOD = "+85298882844"
OTHER = "+8613712345678"


def test_one_number_is_one_row() -> None:
    """A single recipient as a string."""
    assert [PreparedRow(1, 85298882844, None)] == list(prepare(Sms("hi", GOOD), OPTIONS))


def test_many_numbers_keep_their_row_numbers() -> None:
    """Refused rows leave a gap; the others go on, in order."""
    rows = list(prepare(Sms("hi", [GOOD, "nonsense", OTHER, "+852 9888 2844", "85298882844"]), OPTIONS))
    assert [
        PreparedRow(1, 85298882844, None),
        RefusedRow(
            2,
            "nonsense",
            State.FAILED,
            "invalid_number",
            "no**** is not a phone number: 'n' stands in it",
        ),
        PreparedRow(3, 8613712345678, None),
        RefusedRow(
            4, "+852 9888 2844", State.SUPPRESSED, "duplicate_row", "+852****44 has this text in an earlier row"
        ),
        RefusedRow(
            5,
            "85298882844",
            State.FAILED,
            "invalid_number",
            "8529****44 has no country code: write it with a plus sign (+852…) or name a region",
        ),
    ] == rows


def test_a_region_reads_numbers_without_country_code() -> None:
    """As `send(region=…)` says."""
    options = SendOptions(region="HK")
    assert [PreparedRow(1, 85298882844, None), PreparedRow(2, 8613712345678, None)] == list(
        prepare(Sms("hi", ["98882844", OTHER]), options)
    )


def test_duplicates_stay_where_they_are_wanted() -> None:
    """With dedupe off every row goes."""
    assert 3 == sum(isinstance(row, PreparedRow) for row in prepare(Sms("hi", [GOOD] * 3), SendOptions(dedupe=False)))


def test_template_rows_hold_their_values_in_field_order() -> None:
    """The same number may get two texts; the same number and text goes once."""
    rows: list[dict[str, object]] = [
        {"to": GOOD, "name": "Bo", "order": 7},
        {"to": GOOD, "name": "Bo", "order": 8},
        {"to": "+852 9888 2844", "name": "Bo", "order": "7"},
        {"to": OTHER, "name": "Ann"},
        {"name": "Ann", "order": 1},
    ]
    assert [
        PreparedRow(1, 85298882844, ("7", "Bo")),
        PreparedRow(2, 85298882844, ("8", "Bo")),
        RefusedRow(
            3, "+852 9888 2844", State.SUPPRESSED, "duplicate_row", "+852****44 has this text in an earlier row"
        ),
        RefusedRow(4, OTHER, State.FAILED, "invalid_template", "the row has no value for {order}"),
        RefusedRow(5, "", State.FAILED, "invalid_number", "the row has no value for to, the recipient"),
    ] == list(prepare(TemplateSms("{order} for {name}", rows), OPTIONS))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"to": OTHER, "a": ""}, "empty_text"),
        ({"to": OTHER, "a": " \n"}, "empty_text"),
        ({"to": OTHER, "a": "\ud83d"}, "not_encodable"),
        ({"to": OTHER, "a": None}, "invalid_template"),
        ({"to": 8613712345678, "a": "x"}, "invalid_number"),
        ({"to": None, "a": "x"}, "invalid_number"),
        ([OTHER, "x"], "invalid_message"),
    ],
)
def test_a_row_that_cannot_be_sent_is_refused_and_the_others_go_on(row: Any, code: str) -> None:
    """Each with its code."""
    given: list[Any] = [{"to": GOOD, "a": "x"}, row, {"to": OTHER, "a": "y"}]
    rows = list(prepare(TemplateSms("{a}", given), OPTIONS))
    assert (PreparedRow, RefusedRow, PreparedRow) == tuple(map(type, rows))
    refused = rows[1]
    assert isinstance(refused, RefusedRow)
    assert (2, State.FAILED, code) == (refused.row, refused.state, refused.code)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (Sms("", [GOOD, OTHER]), EmptyText),
        (Sms(" \n", GOOD), EmptyText),
        (Sms("\ud83d", GOOD), NotEncodable),
        (Sms(None, GOOD), InvalidMessage),  # type: ignore[arg-type]
        (Sms("hi", "12"), InvalidNumber),
        (Sms("hi", ["12"]), InvalidNumber),
        (Sms("hi", iter(["12"])), InvalidNumber),
        (Sms("hi", []), InvalidMessage),
        (Sms("hi", 85298882844), InvalidMessage),  # type: ignore[arg-type]
        (TemplateSms("{a", [{"to": GOOD}]), InvalidTemplate),
        (TemplateSms("", [{"to": GOOD}]), EmptyText),
        (TemplateSms("{a}", [{"to": GOOD}]), InvalidTemplate),
        (TemplateSms("{a}", [{"to": GOOD, "a": " "}]), EmptyText),
        (TemplateSms("{a}", []), InvalidMessage),
        ("hi", InvalidMessage),
    ],
)
def test_a_job_that_cannot_be_sent_at_all_raises_at_once(content: Any, error: type[InvalidMessage]) -> None:
    """Before a row is asked for: a sole recipient that is invalid counts as such."""
    with pytest.raises(InvalidMessage) as refusal:
        prepare(content, OPTIONS)
    assert error is type(refusal.value)


def test_a_long_recipient_is_cut() -> None:
    """What is no number may be anything; 64 characters of it are kept."""
    rows = list(prepare(Sms("hi", ["x" * 1000, GOOD]), OPTIONS))
    assert "x" * 64 == rows[0][1]


def test_rows_are_streamed() -> None:
    """An endless source is read a batch at a time."""
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for read in itertools.count(1):
            yield f"+86138{read:08}"

    rows = list(itertools.islice(prepare(Sms("hi", endless()), OPTIONS), 1500))
    assert 1500 == rows[-1].row
    assert 2 * module.BATCH_ROWS == read


NUMBERS = st.sampled_from([GOOD, OTHER, "+852 98882844", "+8613712345679", "12", "", "85298882844", None])


@given(st.lists(NUMBERS, min_size=2, max_size=30), st.booleans())
def test_batches_and_rows_say_the_same(numbers: list[Any], dedupe: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    """Every row is there once, in order, accepted or refused, however the batches fall."""
    options = SendOptions(dedupe=dedupe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH_ROWS", 4)
        rows = list(prepare(Sms("hi", numbers), options))
        batches = list(prepare_batches(Sms("hi", numbers), options).batches)
        by_template = list(prepare(TemplateSms("{x}", [{"to": number, "x": "hi"} for number in numbers]), options))
    assert list(range(1, len(numbers) + 1)) == [row.row for row in rows]
    assert len(numbers) == sum(batch.rows_read for batch in batches)
    assert [row for row in rows if isinstance(row, PreparedRow)] == [
        PreparedRow(row, number, None)
        for batch in batches
        for row, number in zip(batch.rows, batch.numbers, strict=True)
    ]
    assert [row for row in rows if isinstance(row, RefusedRow)] == sorted(
        (refused for batch in batches for refused in batch.refused), key=lambda refused: refused.row
    )
    assert [row[0] for row in rows if isinstance(row, PreparedRow)] == [
        row[0] for row in by_template if isinstance(row, PreparedRow)
    ]
    accepted = [row.number for row in rows if isinstance(row, PreparedRow)]
    assert not dedupe or len(set(accepted)) == len(accepted)
