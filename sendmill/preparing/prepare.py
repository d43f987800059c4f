"""From what an application hands over to rows that can be stored: checked, normalised, each number and text once.

`Client.send` and `sendmill.testing.FakeClient` both read jobs through here, so an application's tests meet the same
refusals as its users. Rows are streamed: nothing grows with the length of the job but the memory of duplicates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import NamedTuple, Self, TypeVar

from sendmill.errors import EmptyText, InvalidMessage, InvalidNumber, InvalidTemplate, NotEncodable
from sendmill.messages import Content, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.numbers import NumberCheck, mask, normalise, pack
from sendmill.options import SendOptions
from sendmill.preparing.dedupe import SeenRows
from sendmill.preparing.template import Template, row_values
from sendmill.states import State

_Value = TypeVar("_Value")

BATCH_ROWS = 1000

SHOWN_CHARS = 64
"""How much of a recipient that is no number is kept for the refusal."""

LONGEST_NAME_CHARS = 1000
"""Of a template's id, and of an image's or a recording's name or address."""

DUPLICATE_ROW = "duplicate_row"

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All but tab and line ends: they come of files that were read wrongly, and no vendor says what becomes of them."""

_UNSEEN = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0"
)
_VISIBLE = re.compile(rf"[^\s{_UNSEEN}]")

_ERROR_BY_CODE = {
    error.code: error for error in (InvalidMessage, InvalidNumber, EmptyText, NotEncodable, InvalidTemplate)
}


class UnusableRecipient(str):
    """A recipient as it was given, in a row that cannot be sent: `problem` says why, in one sentence."""

    __slots__ = ("problem",)

    def __new__(cls, given: str, problem: str) -> Self:
        """A text that says why its row is refused."""
        made = super().__new__(cls, given)
        made.problem = problem
        return made

    problem: str


class PreparedRow(NamedTuple):
    """A row that can be stored: its number from 1, the packed phone number, the template's values in field order.

    `values` is None where all rows share one text.
    """

    row: int
    number: int
    values: tuple[str, ...] | None


class RefusedRow(NamedTuple):
    """A row that will not be sent: `failed` with the error's code, or `suppressed` as a duplicate.

    `to` is the recipient as it was given, cut to 64 characters; `reason` is one sentence that shows it masked.
    """

    row: int
    to: str
    state: State
    code: str
    reason: str


class PreparedBatch(NamedTuple):
    """Rows that follow each other, as columns: what `PreparedRow` and `RefusedRow` say row by row.

    `rows`, `numbers` and `values` run in parallel; `rows_read` counts accepted and refused ones together.
    """

    rows_read: int
    rows: Sequence[int]
    numbers: Sequence[int]
    values: Sequence[tuple[str, ...]] | None
    refused: Sequence[RefusedRow]


class Prepared(NamedTuple):
    """A job that is being read: `fields` are the names of each row's values, None where all rows share one content.

    `batches` is an iterator: it is read once.
    """

    fields: tuple[str, ...] | None
    batches: Iterator[PreparedBatch]


def prepare(content: Content, options: SendOptions) -> Iterator[PreparedRow | RefusedRow]:
    """Read a job row by row, in order. Like `prepare_batches`, a row at a time."""
    return in_order(prepare_batches(content, options))


def prepare_batches(content: Content, options: SendOptions) -> Prepared:
    """Read a job in batches of up to 1,000 rows, in order: what an upload needs, without an object for each row.

    What concerns the whole job is checked at once: the text or template, that there is a recipient at all, and the
    first row where it is the only one. The first batch is read for that.

    Args:
        content: what to send.
        options: how; `region`, `check_numbers` and `dedupe` matter here.

    Raises:
        InvalidMessage: the job cannot be sent: EmptyText, NotEncodable, InvalidTemplate, a sole recipient's error.
            While rows are read: InvalidOption, where the job is too long to remove duplicates.
    """
    _check_kind(content)
    fields: tuple[str, ...] | None = None
    match content:
        case Sms() | Mms() | Voice():
            _check_parts(content)
            recipients = (content.to,) if isinstance(content.to, str) else content.to
            batches = _sms_batches(_streamed(recipients, "to"), options)
        case TemplateSms():
            check_text(content.text)
            template = Template(content.text)
            fields = template.fields
            batches = _template_batches(_Filled(template), _streamed(content.rows, "rows"), options)
        case _:
            check_name("template_id", content.template_id)
            rows = _streamed(content.rows, "rows")
            first_row = next(rows, None)
            fields = variables_of(first_row)
            rows = rows if first_row is None else chain((first_row,), rows)
            batches = _template_batches(_AtVendor(fields), rows, options)
    first = next(batches, None)
    if first is None:
        raise InvalidMessage("the job has no recipients")
    if first.rows_read == 1 and first.refused:
        sole = first.refused[0]
        raise _ERROR_BY_CODE[sole.code](sole.reason)
    return Prepared(fields, chain((first,), batches))


def _check_kind(content: object) -> None:
    if not isinstance(content, Content):
        takes = ", ".join(kind.__name__ for kind in (Sms, TemplateSms, VendorTemplateSms, Mms, Voice))
        raise InvalidMessage(f"a job's content is one of {takes}, not {type(content).__name__}")


def variables_of(row: object) -> tuple[str, ...]:
    """The variables of a vendor's template, as its first row has them.

    Raises:
        InvalidTemplate: a name that is no text.
    """
    names = [name for name in row if name != "to"] if isinstance(row, Mapping) else []
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= SHOWN_CHARS:
            raise InvalidTemplate(f"a template's variable must have a printable name, not {str(name)[:SHOWN_CHARS]!r}")
    return tuple(names)


def _check_parts(content: Sms | Mms | Voice) -> None:
    match content:
        case Sms():
            check_text(content.text)
        case Mms():
            check_text(content.subject)
            if content.text:
                check_text(content.text)
            if content.image is not None:
                check_name("image", content.image)
        case Voice():
            check_name("audio", content.audio)


def check_name(part: str, value: object) -> None:
    """Refuse what is no name or address: it must be short, printable, without spaces. Raises InvalidMessage."""
    if not isinstance(value, str):
        raise InvalidMessage(f"{part} must be a str, not {type(value).__name__}")
    if not 0 < len(value) <= LONGEST_NAME_CHARS or not value.isprintable() or any(map(str.isspace, value)):
        raise InvalidMessage(f"{part} must be a name or an address of 1 to {LONGEST_NAME_CHARS} characters, no spaces")


def check_text(text: object) -> None:
    """Refuse a text that no vendor can be given.

    Raises:
        EmptyText: nothing, or nothing that can be seen.
        NotEncodable: half of a surrogate pair, which no encoding has.
        InvalidMessage: not a text at all, or one with control characters.
    """
    if not isinstance(text, str):
        raise InvalidMessage(f"the text must be a str, not {type(text).__name__}")
    if not text or text.isspace() or not _VISIBLE.search(text):
        raise EmptyText("the text is empty")
    control = _CONTROL.search(text)
    if control is not None:
        raise InvalidMessage(f"the text has the control character U+{ord(control[0]):04X} at {control.start() + 1}")
    check_encodable(text)


def check_encodable(text: str) -> None:
    """Raises NotEncodable where a text has half of a surrogate pair, which no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotEncodable(f"the text has half of a surrogate pair at character {error.start + 1}") from None


def _streamed(rows: Iterable[object], name: str) -> Iterator[object]:
    try:
        return iter(rows)
    except TypeError:
        raise InvalidMessage(f"{name} must be an iterable, not {type(rows).__name__}") from None


def _sms_batches(recipients: Iterator[object], options: SendOptions) -> Iterator[PreparedBatch]:
    seen = SeenRows() if options.dedupe else None
    first_row = 1
    while given := list(islice(recipients, BATCH_ROWS)):
        rows: Sequence[int] = range(first_row, first_row + len(given))
        refused: list[RefusedRow] = []
        try:
            numbers = _all_numbers(given, options)
        except InvalidNumber:
            rows, numbers, refused = _valid_numbers(rows, given, options)
        repeated = seen.add_many(numbers) if seen is not None else None
        if repeated:
            refused += [_duplicate(rows[position], given[rows[position] - first_row]) for position in repeated]
            rows, numbers = _without(rows, repeated), _without(numbers, repeated)
        yield PreparedBatch(len(given), rows, numbers, None, refused)
        first_row += len(given)


def _all_numbers(given: Sequence[object], options: SendOptions) -> list[int]:
    """The usual case, in one comprehension: every row is a number."""
    if {*map(type, given)} != {str}:
        raise InvalidNumber("a row is no text")
    # int() reads the plus sign too, and spares a call to `pack` for each row.
    region, check = options.region, options.check_numbers or NumberCheck.ASSIGNED
    return [int(normalise(raw, region, check)) for raw in given]  # type: ignore[arg-type]


def _valid_numbers(
    rows: Sequence[int], given: Sequence[object], options: SendOptions
) -> tuple[list[int], list[int], list[RefusedRow]]:
    """Row by row: the rows with valid numbers, these numbers, and the rest."""
    valid_rows: list[int] = []
    numbers: list[int] = []
    refused: list[RefusedRow] = []
    for row, raw in zip(rows, given, strict=True):
        try:
            numbers.append(_number(raw, options))
            valid_rows.append(row)
        except InvalidMessage as error:
            refused.append(_failed(row, raw, error))
    return valid_rows, numbers, refused


class _Filled:
    """Rows of a template that is filled here."""

    def __init__(self, template: Template) -> None:
        self.fields = template.fields
        self._template = template

    def read(self, row: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
        """A row's values, and its text. Raises InvalidMessage."""
        values = self._template.values(row)
        text = self._template.fill(values)
        check_text(text)
        return values, text


class _AtVendor:
    """Rows of a template that is filled at the vendor: here its text is known by the values alone."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields

    def read(self, row: Mapping[str, object]) -> tuple[tuple[str, ...], str]:
        """A row's values, and what makes its text differ from others. Raises InvalidMessage."""
        values = row_values(self.fields, row)
        if len(row) != len(self.fields) + 1:
            extra = next(name for name in row if name != "to" and name not in self.fields)
            raise InvalidTemplate(f"the row has a value for {str(extra)[:SHOWN_CHARS]!r}, which the first row has not")
        joined = "\0".join(values)
        if any(map(_CONTROL.search, values)):
            raise InvalidMessage("a value has a control character")
        check_encodable(joined)
        return values, joined


def _template_batches(
    template: _Filled | _AtVendor, given: Iterator[object], options: SendOptions
) -> Iterator[PreparedBatch]:
    seen = SeenRows(by_text=bool(template.fields)) if options.dedupe else None
    first_row = 1
    while batch := list(islice(given, BATCH_ROWS)):
        rows: list[int] = []
        numbers: list[int] = []
        values: list[tuple[str, ...]] = []
        texts: list[str] = []
        refused: list[RefusedRow] = []
        for row, mapping in enumerate(batch, first_row):
            try:
                number, filled, text = _template_row(template, mapping, options)
            except InvalidMessage as error:
                refused.append(_failed(row, _recipient(mapping), error))
                continue
            rows.append(row)
            numbers.append(number)
            values.append(filled)
            texts.append(text)
        repeated = seen.add_many(numbers, texts) if seen is not None else None
        if repeated:
            refused += [
                _duplicate(rows[position], _recipient(batch[rows[position] - first_row])) for position in repeated
            ]
            rows, numbers = _without(rows, repeated), _without(numbers, repeated)
            values = _without(values, repeated)
        yield PreparedBatch(len(batch), rows, numbers, values, refused)
        first_row += len(batch)


def _template_row(template: _Filled | _AtVendor, row: object, options: SendOptions) -> tuple[int, tuple[str, ...], str]:
    if not isinstance(row, Mapping):
        raise InvalidMessage(f"the row must be a mapping, not {type(row).__name__}")
    if "to" not in row:
        raise InvalidNumber("the row has no value for to, the recipient")
    number = _number(row["to"], options)
    values, text = template.read(row)
    return number, values, text


def _number(raw: object, options: SendOptions) -> int:
    if not isinstance(raw, str):
        raise InvalidNumber(f"a number must be a str such as '+85298882844', not {type(raw).__name__}")
    if isinstance(raw, UnusableRecipient):
        raise InvalidTemplate(raw.problem)
    return pack(normalise(raw, options.region, options.check_numbers or NumberCheck.ASSIGNED))


def _recipient(row: object) -> object:
    return row.get("to", "") if isinstance(row, Mapping) else ""


def _failed(row: int, to: object, error: InvalidMessage) -> RefusedRow:
    return RefusedRow(row, str(to)[:SHOWN_CHARS], State.FAILED, error.code, str(error))


def _duplicate(row: int, to: object) -> RefusedRow:
    reason = f"{mask(str(to))} has this text in an earlier row"
    return RefusedRow(row, str(to)[:SHOWN_CHARS], State.SUPPRESSED, DUPLICATE_ROW, reason)


def _without(column: Sequence[_Value], positions: Iterable[int]) -> list[_Value]:
    left_out = set(positions)
    return [value for position, value in enumerate(column) if position not in left_out]


def in_order(prepared: Prepared) -> Iterator[PreparedRow | RefusedRow]:
    """The rows of a job one by one, in order."""
    return chain.from_iterable(map(_in_order, prepared.batches))


def _in_order(batch: PreparedBatch) -> Iterable[PreparedRow | RefusedRow]:
    values = repeat(None) if batch.values is None else batch.values
    accepted = map(PreparedRow, batch.rows, batch.numbers, values)
    if not batch.refused:
        return accepted
    return sorted(chain(accepted, batch.refused), key=itemgetter(0))
