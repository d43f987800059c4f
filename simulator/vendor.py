"""What a simulated vendor is: it names a call, answers it, and forms its pushes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from simulator.accounts import Account, Option
from simulator.journal import Journal, Parts
from simulator.wire import Request, Response


@dataclass(slots=True)
class Call:
    """A request understood so far: its endpoint, its fields (bytes), whose it is.

    `claimed` is the account name as sent, `account` the account when there is one, `sequence` the
    row that the journal will give the call.
    """

    request: Request
    vendor: str
    endpoint: str
    fields: dict[str, bytes]
    claimed: str = ""
    account: Account | None = None
    submit: bool = False
    sequence: int = 0

    def text(self, name: str) -> str:
        """A field as UTF-8, empty when absent; wrong bytes become U+FFFD."""
        return self.fields.get(name, b"").decode("utf-8", "replace")


@dataclass(slots=True)
class Answer:
    """A response and what it means: `numbers` (E.164) are accepted only when `accepted`.

    `texts` holds one text, or one for each number; `detail` is a small number the vendor keeps;
    `start_ns` is when a scheduled message is to be sent, 0 for at once; `states` are the numbers whose
    end the vendor has decided already, with its word (empty: they never get a report); `parts` is
    what else the journal shows.
    """

    response: Response
    outcome: str
    accepted: bool = False
    numbers: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    reference: str = ""
    detail: int = 0
    cost: float = 0.0
    refused: int = 0
    swallowed: int = 0
    start_ns: int = 0
    states: dict[int, str] = field(default_factory=dict)
    parts: Parts = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """A delivery report that is due; `position` is the message's place in its call."""

    sequence: int
    number: int
    state: str
    at_ns: int
    position: int = 0


@dataclass(slots=True)
class Reply:
    """A handset's reply that is due; `sequence` is the call it answers, -1 for none."""

    sequence: int
    number: int
    text: str
    at_ns: int


@dataclass(slots=True)
class Push:
    """One POST to the customer. `retries_s` are the waits before each repeat of a failed push.

    With `in_query` the fields travel behind the address and not in the body. `reports` are those that it carries.
    """

    account: Account
    url: str
    body: bytes
    count: int
    kind: str
    acknowledgement: bytes | None = None
    retries_s: tuple[float, ...] = ()
    content_type: str = "application/x-www-form-urlencoded"
    in_query: bool = False
    attempts: int = 0
    reports: list[Report] = field(default_factory=list)


class Desk(Protocol):
    """What a vendor may ask of the simulator."""

    journal: Journal

    def account(self, vendor: str, name: str) -> Account | None:
        """The account of that name."""

    def accounts_of(self, vendor: str) -> list[Account]:
        """All accounts of a vendor."""

    def breach(self, call: Call, kind: str, detail: str) -> None:
        """Note a violation of the document."""

    def refusal(self, call: Call, number: int) -> str:
        """Why this number is refused at submission; empty when it is not."""

    def polled(self, call: Call, account: Account, interval_s: float) -> None:
        """Note a poll, which may come too soon after the last one of this endpoint."""

    def final_state(self, sequence: int, position: int, now_ns: int) -> tuple[str, int]:
        """State word and time (ns) of a message, ("", 0) while it is on its way."""

    def take_reports(self, account: Account, most: int) -> list[Report]:
        """Reports left for polling; they are gone afterwards."""

    def take_replies(self, account: Account, most: int) -> list[Reply]:
        """Replies left for polling; they are gone afterwards."""


class Vendor(Protocol):
    """One simulated vendor."""

    name: ClassVar[str]
    options: ClassVar[dict[str, Option]]
    delivered: ClassVar[str]
    failed: ClassVar[list[str]]
    one_at_a_time: ClassVar[bool]
    can_poll: ClassVar[bool]
    keeps_log: ClassVar[bool]

    def __init__(self, desk: Desk) -> None: ...

    def identify(self, request: Request, path: str) -> Call:
        """Which endpoint and account a request is for; never fails."""

    def answer(self, call: Call) -> Answer:
        """Judge the call and answer as the document says."""

    def error(self, call: Call, code: str) -> Response:
        """The documented answer for an error code, for faults on request."""

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """The POSTs that carry these reports of one account."""

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """The POSTs that carry these replies to one account."""


@runtime_checkable
class FetchesFiles(Protocol):
    """A vendor that fetches files from its customers, and keeps them for a while."""

    def wanted_file(self, request: Request, path: str) -> tuple[str, int] | None:
        """The address to fetch before the request can be judged, and the port to take for its own (0: that one)."""

    def age_files(self, account: str, age_s: float) -> int:
        """Let an account's files grow older; returns how many there are."""


@runtime_checkable
class TakesMail(Protocol):
    """A vendor that takes messages as mails."""

    def addressed(self, request: Request, recipient: str) -> Call:
        """Whose mail this is going to be; never fails."""

    def recipient_error(self, call: Call) -> str:
        """Why this recipient is refused, in a word; empty when it is not."""

    def take_mail(self, call: Call) -> Answer:
        """Judge the mail that is the body of the call's request."""


def check_names(desk: Desk, call: Call, known: frozenset[str], required: frozenset[str] | tuple[str, ...]) -> list[str]:
    """Record parameters that the document has not, or that it demands and are absent.

    Returns the absent ones.
    """
    if not call.fields.keys() <= known:
        for name in sorted(call.fields.keys() - known):
            desk.breach(call, "parameter_unknown", name[:40])
    missing = [name for name in required if name not in call.fields]
    for name in missing:
        desk.breach(call, "parameter_missing", name)
    return missing


def check_utf8(desk: Desk, call: Call) -> bool:
    """Record fields that are not UTF-8; False when there are any."""
    for name, value in call.fields.items():
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            desk.breach(call, "charset", f"{name} is not UTF-8")
            return False
    return True


def split_numbers(
    desk: Desk, call: Call, written: str, separator: str, read: Callable[[str], int]
) -> tuple[list[int], int]:
    """The numbers of a list in E.164, and how many entries are none.

    Wrong separators, spaces, a trailing separator and wrong formats are breaches.
    """
    if not written:
        return [], 0
    entries = written.split(separator)
    numbers = [read(entry) for entry in entries]
    if all(numbers):
        return numbers, 0
    invalid = 0
    for entry, number in zip(entries, numbers, strict=True):
        if number:
            continue
        if read(entry.strip()) or not entry.strip():
            desk.breach(call, "separator", f"space or empty entry between {separator!r}")
        elif any(mark in entry for mark in ",;|\r\n \uff0c\uff1b"):
            desk.breach(call, "separator", f"the separator is {separator!r}")
        else:
            desk.breach(call, "number_format", f"{len(entry)} characters")
        if entry.strip():
            invalid += 1
    return [number for number in numbers if number], invalid
