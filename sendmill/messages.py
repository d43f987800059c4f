"""What an application hands over and what it gets back. Values only: nothing here talks to Redis.

Numbers are E.164 with the plus sign except where a row shows what was given. Times are aware. `message_id` is ours,
`<job id>-<row>`; `vendor_message_id` is the vendor's. A repr may reach a log, so it shows no text and no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal, NamedTuple

from sendmill.eta import Eta
from sendmill.states import State

# --- handed over -------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    """What a job sends."""

    SMS = "sms"
    TEMPLATE = "template"
    VENDOR_TEMPLATE = "vendor_template"
    MMS = "mms"
    VOICE = "voice"


@dataclass(frozen=True, slots=True)
class Sms:
    """One text to one number, or to each of any iterable of numbers, which is streamed."""

    text: str = field(repr=False)
    to: str | Iterable[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TemplateSms:
    """One template, filled here from each row. A row is a mapping with `to` and the template's fields; streamed."""

    text: str = field(repr=False)
    rows: Iterable[Mapping[str, object]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class VendorTemplateSms:
    """A template that is kept at the vendor, by the id that the vendor gave it; filled there from each row.

    A row is a mapping with `to` and the template's variables by the vendor's own names (AccessYou: `a` to `f`). The
    first row says which there are; streamed.
    """

    template_id: str
    rows: Iterable[Mapping[str, object]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mms:
    """A picture with a subject and a text, to one number or to each of any iterable of numbers, which is streamed.

    `image` is the http(s) address of a picture, which the vendor fetches once, or the name that `sendmill upload` gave;
    None sends no picture.
    """

    subject: str = field(repr=False)
    text: str = field(repr=False)
    image: str | None
    to: str | Iterable[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Voice:
    """A recording that is played to one number, or to each of any iterable of numbers, which is streamed.

    `audio` is the http(s) address of a WAV file, which the vendor fetches once, or the name that `sendmill upload`
    gave.
    """

    audio: str
    to: str | Iterable[str] = field(repr=False)


Content = Sms | TemplateSms | VendorTemplateSms | Mms | Voice
"""What `send` takes."""


# --- got back by send --------------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """A row that will not be sent: its number from 1, the recipient as it was given, a stable code and one sentence."""

    row: int
    to: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job that the ledger has. `total` rows were read; `accepted` of them go out, `refused` names the others.

    `repeated`: its key named it already, and nothing new was stored.
    """

    id: str
    total: int
    accepted: int
    refused: Sequence[Refusal] = field(default=(), repr=False)
    repeated: bool = field(default=False, compare=False)


FORGOTTEN = "forgotten"
"""The recipient of a message whose number was forgotten."""


# --- asked for ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How many rows of a job are in which state. `segments` counts those of rows that an account took, as
    its vendor bills; `cost` is what they come to by currency, where accounts name their prices.

    `done` says that every row is final (or `submitted`, where the account has no reports). `account` is the one that it
    named.
    """

    job_id: str
    total: int
    states: Mapping[State, int]
    segments: int
    done: bool
    cost: Mapping[str, Decimal] = field(default_factory=dict)
    lane: str | None = field(default=None, compare=False)
    ref: str | None = field(default=None, compare=False)
    account: str | None = field(default=None, compare=False)
    created_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class JobEta:
    """When the last message of a job will have been handed over: `waiting` are those that were not.

    `at` is None where that cannot be said: all are gone, nothing is known yet, the job has its own time still to come,
    or the account that takes longest (`account`) is `held` until it is resumed: then `seconds` count from that.
    `binds` names the limit that decides. `too_late`: some will have expired by then.
    """

    job_id: str
    waiting: int
    at: datetime | None = None
    seconds: float | None = None
    account: str | None = None
    binds: str | None = None
    held: str | None = None
    too_late: bool = False


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One line of the list of jobs."""

    job_id: str
    created_at: datetime
    lane: str
    total: int
    ref: str | None
    done: bool


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """One message. `code` and `detail` say why, where there is something to say; `code` is the vendor's own or ours."""

    message_id: str
    to: str = field(repr=False)
    state: State
    account: str | None = None
    vendor_message_id: str | None = None
    code: str | None = None
    detail: str | None = None
    submitted_at: datetime | None = None
    updated_at: datetime | None = None


class JobPage(NamedTuple):
    """Some of the jobs, newest first. `after` is where the next page goes on, None behind the last job."""

    jobs: Sequence[JobSummary]
    after: str | None


class MessagePage(NamedTuple):
    """Some of a job's messages, in row order. `after` is where the next page goes on, None behind the last message."""

    messages: Sequence[MessageInfo]
    after: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would come to: nothing was sent. `cost` is by currency; `unpriced` rows have no known price.

    `beyond` are the characters that make texts longer than they look, `by_account` how many rows each would take.
    """

    total: int
    accepted: int
    refused: Sequence[Refusal] = field(repr=False)
    segments: int
    cost: Mapping[str, Decimal]
    unpriced: int
    beyond: Sequence[str] = field(default=(), repr=False)
    by_account: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CancelResult:
    """What a cancellation reached: `cancelled` rows will not go, `gone` rows had been handed to a vendor.

    `on_the_wire` of those that had gone wait for the vendor's answer; where it says that it took nothing they are
    cancelled after all. Rows that were refused or suppressed before they could go are neither.
    """

    cancelled: int
    gone: int
    on_the_wire: int = 0


class Verdict(StrEnum):
    """What a person says of a message whose answer was never read."""

    SENT = "sent"
    RESEND = "resend"
    GIVE_UP = "give_up"


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A message that the vendor may have taken: no usable answer was read. `code` and `detail` say why."""

    message_id: str
    to: str = field(repr=False)
    account: str
    since: datetime
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a verdict reached: `left` messages stay unconfirmed, because they have expired or their job is cancelled."""

    settled: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed of a person: `messages` rows, `cancelled` of them before they went; `replies`; `raw` answers of
    vendors that were not read yet or could not be. `opted_out`: they are still not written to.

    `left` names what may still hold the number, because it did not answer in time or is under way: forget it again.
    """

    messages: int
    cancelled: int
    replies: int
    raw: int
    opted_out: bool
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """How much a sweep has found in all that should not have been there; no account for what is of the jobs."""

    sweep: str
    account: str | None
    found: int
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account as its workers publish it. `backlog` counts rows by lane.

    `rate_used` and `rate_allowed` are per second, of the limit that binds first; None where the vendor publishes none.
    `rate_limit` is that limit's name, such as `recipients_per_h`, and `rate_window_s` the seconds that it counts over:
    `rate_used` is the average of the last so many. `events_kept` are the entries of its event stream, `events_trimmed`
    those that were cut off at its end since the stream began, whether somebody had read them or not. `push_warning`
    says why somebody else than the vendor might push to it; None where nobody could. `eta` says, for each lane in which
    something waits, when the last of it will have gone; `oldest_at` since when the first in line waits.
    `unconfirmed_calls` are those whose answer was never read.
    """

    name: str
    provider: str
    state: str
    state_reason: str | None = None
    backlog: Mapping[str, int] = field(default_factory=dict)
    in_flight: int = 0
    rate_used: float | None = None
    rate_allowed: float | None = None
    rate_limit: str | None = None
    rate_window_s: int | None = None
    last_error: str | None = None
    balance: str | None = None
    events_kept: int = 0
    events_trimmed: int = 0
    push_warning: str | None = None
    eta: Mapping[str, Eta] = field(default_factory=dict)
    oldest_at: Mapping[str, datetime] = field(default_factory=dict)
    unconfirmed_calls: int = 0
    last_error_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlertInfo:
    """An alert of an account that is open. `causes` are sentences, the first one first."""

    account: str
    code: str
    causes: Sequence[str]
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on an account at a time, in the vendor's own unit. `amount` is the vendor's text."""

    account: str
    amount: str
    unit: str
    at: datetime


# --- told --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened. Seen at least once by each group; `ack` ends that."""

    kind: ClassVar[str]

    id: str
    account: str | None = None
    occurred_at: datetime | None = None
    received_at: datetime
    acknowledge: Callable[[], Any] | None = field(default=None, repr=False, compare=False)

    def ack(self) -> Any:
        """Say that the event has been dealt with: its group will not see it again.

        From `AsyncClient` the result is a coroutine: await it.

        Raises:
            StoreError: Redis did not hear it; the event comes again, which a consumer must bear anyway.
        """
        return None if self.acknowledge is None else self.acknowledge()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEvent(Event):
    """A message changed into a final state, or a late report corrected one."""

    kind: ClassVar[Literal["report"]] = "report"

    job_id: str
    message_id: str
    to: str = field(repr=False)
    state: State
    previous_state: State | None = None
    ref: str | None = None
    vendor_message_id: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyEvent(Event):
    """A text from a handset. `message_id` is the message that it seems to answer, `matched_by` how that was found."""

    kind: ClassVar[Literal["reply"]] = "reply"

    from_: str = field(repr=False)
    text: str = field(repr=False)
    extno: str | None = None
    message_id: str | None = None
    matched_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent(Event):
    """Something that a person should see. `code` is stable (`gap`, …); `open` turns False when it is over."""

    kind: ClassVar[Literal["alert"]] = "alert"

    code: str
    detail: str
    open: bool = True


AnyEvent = ReportEvent | ReplyEvent | AlertEvent
"""What `Client.events` yields: `match` on the class or compare `kind`."""


class EventBatch(NamedTuple):
    """Events that were taken together. `receipt` acknowledges all of them, from any process; None where none came."""

    events: Sequence[AnyEvent]
    receipt: str | None
