"""What came over the wire, one row a request, in columns so that a million messages stay small.

A message costs about 8 bytes for its number, 2 for its fate and, where each message is a call of
its own, about 30 for the call. Vendor message ids are computed from the row (see identifiers), so
they cost nothing.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

KERNEL_STAMP = 1
ACCEPTED = 2
SUBMIT = 4
_INTERN_LIMIT = 100_000

# What became of a message's report, one byte a message.
NOT_TOLD, PUSHED, PUSH_FAILED, FETCHED = range(4)
Item = TypeVar("Item")
Parts = dict[str, str | list[str]]
"""What a call carries besides its text, by the names of the document: a subject, an image, a template's id."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where a call went."""

    vendor: str
    account: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Row:
    """One call read back; `numbers` in E.164 without `+`, `texts` one or one a number."""

    sequence: int
    arrival_ns: int
    key: Key
    flags: int
    outcome: str
    numbers: array[int]
    texts: list[str]
    reference: str
    detail: int
    start_ns: int
    parts: Parts
    fault: str
    answered_ns: int


class Table(Generic[Item]):
    """Values numbered in the order of their first appearance."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._index: dict[Item, int] = {}

    def index_of(self, item: Item) -> int:
        """The number of `item`, which is added when new."""
        found = self._index.get(item)
        if found is None:
            found = self._index[item] = len(self.items)
            self.items.append(item)
        return found


class Journal:
    """Append-only columns; the position of a call is its sequence number, from 0."""

    def __init__(self) -> None:
        self.keys = Table[Key]()
        self.outcomes = Table[str]()
        self.texts: list[bytes] = [b""]
        self._text_index: dict[str, int] = {"": 0}
        self.arrivals_ns = array("q")
        self.answered_ns = array("q")
        self.key_of = array("H")
        self.outcome_of = array("H")
        self.flags = array("B")
        self.detail = array("B")
        self.text_of = array("I")
        self.ends = array("Q")
        self.numbers = array("Q")
        self.fates = array("H")
        self.told = bytearray()
        self.faults: dict[int, str] = {}
        self.references: dict[int, str] = {}
        self._starts_ns: dict[int, int] = {}
        self.parts: dict[int, Parts] = {}
        self.texts_of: dict[int, array[int]] = {}

    def __len__(self) -> int:
        return len(self.arrivals_ns)

    def append(
        self,
        *,
        arrival_ns: int,
        key: int,
        flags: int,
        outcome: str,
        numbers: list[int],
        fates: array[int],
        texts: list[str],
        reference: str,
        detail: int,
        start_ns: int = 0,
        parts: Parts | None = None,
        fault: str = "",
    ) -> int:
        """Add a call; `texts` holds one text, or one for each number, `fault` names what struck it. Returns its
        sequence."""
        sequence = len(self.arrivals_ns)
        self.arrivals_ns.append(arrival_ns)
        self.answered_ns.append(0)
        self.key_of.append(key)
        self.flags.append(flags)
        self.outcome_of.append(self.outcomes.index_of(outcome))
        self.detail.append(detail)
        self.text_of.append(self._text(texts[0]) if texts else 0)
        if len(texts) > 1:
            self.texts_of[sequence] = array("I", [self._text(text) for text in texts])
        self.numbers.extend(numbers)
        self.fates.extend(fates)
        self.told.extend(bytes(len(numbers)))
        self.ends.append(len(self.numbers))
        if start_ns > arrival_ns:
            self._starts_ns[sequence] = start_ns
        if reference:
            self.references[sequence] = reference
        if parts:
            self.parts[sequence] = parts
        if fault:
            self.faults[sequence] = fault
        return sequence

    def _text(self, text: str) -> int:
        index = self._text_index.get(text)
        if index is None:
            # Texts that are all different must not be kept twice: the index starts anew.
            if len(self._text_index) >= _INTERN_LIMIT:
                self._text_index.clear()
            index = self._text_index[text] = len(self.texts)
            self.texts.append(text.encode("utf-8", "surrogatepass"))
        return index

    def start_ns(self, sequence: int) -> int:
        """When the call's messages are sent: at arrival, unless they are scheduled."""
        return self._starts_ns.get(sequence) or self.arrivals_ns[sequence]

    def first_number(self, sequence: int) -> int:
        """The position of the call's first number in `numbers` and `fates`."""
        return self.ends[sequence - 1] if sequence else 0

    def tell(self, sequence: int, position: int, told: int) -> None:
        """Note what became of a report; one that once arrived has arrived."""
        at = self.first_number(sequence) + position
        if self.told[at] not in (PUSHED, FETCHED):
            self.told[at] = told

    def told_of(self, sequence: int) -> bytes:
        """What became of the reports of a call's messages."""
        return bytes(self.told[self.first_number(sequence) : self.ends[sequence]])

    def text_index(self, sequence: int, position: int) -> int:
        """The index into `texts` of the message at `position` in the call."""
        several = self.texts_of.get(sequence)
        return several[position] if several is not None else self.text_of[sequence]

    def row(self, sequence: int) -> Row:
        """Read one call back."""
        first, end = self.first_number(sequence), self.ends[sequence]
        several = self.texts_of.get(sequence, array("I", [self.text_of[sequence]]))
        return Row(
            sequence=sequence,
            arrival_ns=self.arrivals_ns[sequence],
            key=self.keys.items[self.key_of[sequence]],
            flags=self.flags[sequence],
            outcome=self.outcomes.items[self.outcome_of[sequence]],
            numbers=self.numbers[first:end],
            texts=[self.texts[index].decode("utf-8", "surrogatepass") for index in several],
            reference=self.references.get(sequence, ""),
            detail=self.detail[sequence],
            start_ns=self.start_ns(sequence),
            parts=self.parts.get(sequence, {}),
            fault=self.faults.get(sequence, ""),
            answered_ns=self.answered_ns[sequence],
        )

    def rows(self, after: int = -1) -> Iterator[Row]:
        """The calls with a sequence above `after`, as long as the journal is when reached."""
        sequence = after + 1
        while sequence < len(self):
            yield self.row(sequence)
            sequence += 1
