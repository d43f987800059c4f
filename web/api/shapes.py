"""What requests and answers look like: the types that are decoded and encoded, and that the document is made of.

Times are RFC 3339 in UTC with milliseconds. Numbers are E.164 with the plus sign, masked for a key without the scope
`read:numbers`. A field that may be null says nothing where it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from sendmill.access.apikeys import Scope
from sendmill.messages import Verdict
from sendmill.numbers import NumberCheck
from sendmill.options import KEY_CHARS, NAME_CHARS, REF_CHARS, Durability, Lane, ReportEvents
from sendmill.states import State

FinalState = Literal["delivered", "undelivered", "expired", "rejected", "failed", "suppressed", "cancelled", "unknown"]
"""A state after which nothing more is expected."""

MOST_ROWS: Final = 1_000
"""Of a job that comes as one JSON document."""

MOST_REFUSED: Final = 100
"""Refusals that an answer names."""

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Row = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Number = Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["+85298882844"])]
Numbers = Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]
Value = str | int | float | bool | None
Values = Annotated[dict[str, Value], msgspec.Meta(extra_json_schema={"required": ["to"]})]
Rows = Annotated[list[Values], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """Something that is asked: a field that is not here is refused."""


class Reply(msgspec.Struct):
    """Something that is answered."""


# --- jobs --------------------------------------------------------------------------------------------------------


class SmsContent(Request, kw_only=True, tag_field="kind", tag="sms"):
    """One text for one number or many."""

    text: Text
    to: Number | Numbers


class TemplateContent(Request, kw_only=True, tag_field="kind", tag="template"):
    """A text with places such as {name}, filled from each row; a row has `to` and a value for each place."""

    text: Text
    rows: Rows


class VendorTemplateContent(Request, kw_only=True, tag_field="kind", tag="vendor_template"):
    """A template that is kept at the vendor, filled there from each row."""

    template_id: Text
    rows: Rows


class MmsContent(Request, kw_only=True, tag_field="kind", tag="mms"):
    """A picture, by its address or the name that an upload gave, with a subject and a text."""

    subject: Text
    text: str = ""
    image: str | None = None
    to: Number | Numbers


class VoiceContent(Request, kw_only=True, tag_field="kind", tag="voice"):
    """A recording that is played, by its address or the name that an upload gave."""

    audio: Text
    to: Number | Numbers


class SmsHead(Request, kw_only=True, tag_field="kind", tag="sms"):
    """One text for all rows."""

    text: Text


class TemplateHead(Request, kw_only=True, tag_field="kind", tag="template"):
    """A text with places such as {name}, filled from each row."""

    text: Text


class VendorTemplateHead(Request, kw_only=True, tag_field="kind", tag="vendor_template"):
    """A template that is kept at the vendor."""

    template_id: Text


class MmsHead(Request, kw_only=True, tag_field="kind", tag="mms"):
    """A picture with a subject and a text."""

    subject: Text
    text: str = ""
    image: str | None = None


class VoiceHead(Request, kw_only=True, tag_field="kind", tag="voice"):
    """A recording."""

    audio: Text


AnyContent = SmsContent | TemplateContent | VendorTemplateContent | MmsContent | VoiceContent
AnyHead = SmsHead | TemplateHead | VendorTemplateHead | MmsHead | VoiceHead


class Options(Request, kw_only=True):
    """How a job is to be sent: the options of `send`. `key` is the same as the header Idempotency-Key."""

    lane: Lane = Lane.NORMAL
    account: Name | None = None
    route: Name | None = None
    sender: Name | None = None
    signature: Name | None = None
    at: Moment | None = None
    expires_in: Annotated[float, msgspec.Meta(gt=0, le=2_592_000)] | None = None
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARS)] | None = None
    ref: Annotated[str, msgspec.Meta(min_length=1, max_length=REF_CHARS)] | None = None
    region: Name | None = None
    check_numbers: NumberCheck | None = None
    dedupe: bool = True
    duplicates_ok: bool = False
    durability: Durability = Durability.PROCESS
    vendor: dict[str, Value] = {}
    report_events: ReportEvents | None = None


class JobRequest(Options, kw_only=True):
    """A job of up to 1,000 rows."""

    content: AnyContent


class JobHead(Options, kw_only=True):
    """The first line of NDJSON: the job without its rows, each of which is a line of its own."""

    content: AnyHead


class JobsQuery(Request, kw_only=True):
    """`dry_run=1`: check, count and price it, and send nothing. What follows is for CSV, whose body has no room for it.

    `to`: the column of the recipients. `delimiter`: what parts cells, where it is to be said.
    """

    dry_run: bool = False
    kind: Literal["sms", "template", "vendor_template"] = "sms"
    text: Text | None = None
    template_id: Text | None = None
    to: Name = "to"
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None = None
    allow_blank: bool = False
    multiline: bool = False
    lane: Lane = Lane.NORMAL
    account: Name | None = None
    route: Name | None = None
    sender: Name | None = None
    signature: Name | None = None
    at: Moment | None = None
    expires_in: Annotated[float, msgspec.Meta(gt=0, le=2_592_000)] | None = None
    ref: Annotated[str, msgspec.Meta(min_length=1, max_length=REF_CHARS)] | None = None
    region: Name | None = None
    check_numbers: NumberCheck | None = None
    dedupe: bool = True
    duplicates_ok: bool = False
    durability: Durability = Durability.PROCESS
    report_events: ReportEvents | None = None


class RefusedRow(Reply, kw_only=True):
    """A row that will not be sent."""

    row: Row
    code: str
    detail: str


class JobLinks(Reply, kw_only=True):
    """Where more is."""

    job: str
    messages: str


class Job(Reply, kw_only=True):
    """A job that is stored. `refused` names the first 100 of `refused_total` rows."""

    id: str
    total: Count
    accepted: Count
    refused_total: Count
    refused: list[RefusedRow]
    links: JobLinks


class Estimate(Reply, kw_only=True):
    """What a job would come to. `cost` is by currency; `unpriced` rows have no known price.

    `beyond` are the characters that make texts longer than they look.
    """

    total: Count
    accepted: Count
    refused_total: Count
    refused: list[RefusedRow]
    segments: Count
    cost: dict[str, str]
    unpriced: Count
    beyond: list[str]


class JobStatus(Reply, kw_only=True):
    """A job and its rows by state. `done`: each row is final, or submitted where the account has no reports."""

    id: str
    total: Count
    states: dict[State, Count]
    segments: Count
    cost: dict[str, str]
    done: bool
    lane: str | None
    ref: str | None
    account: str | None
    created_at: Time | None


class JobSummary(Reply, kw_only=True):
    """A job in a list."""

    id: str
    created_at: Time
    lane: str
    total: Count
    ref: str | None
    done: bool


class JobsFilter(Request, kw_only=True):
    """Which jobs: those made since a time, or of a tag. `after` is that of the page before."""

    since: Moment | None = None
    ref: str | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class JobsPage(Reply, kw_only=True):
    """Jobs, newest first. A page may be short; `after` is null behind the last job alone."""

    jobs: list[JobSummary]
    after: str | None


class Cancelled(Reply, kw_only=True):
    """`gone` rows had been handed to a vendor, `on_the_wire` of them wait for its answer."""

    cancelled: Count
    gone: Count
    on_the_wire: Count


class SettleRequest(Request, kw_only=True):
    """What became of messages whose answer was never read."""

    verdict: Verdict


class Settled(Reply, kw_only=True):
    """`left` messages stay unconfirmed, because they have expired or their job is cancelled."""

    settled: Count
    left: Count


# --- messages ----------------------------------------------------------------------------------------------------


class Message(Reply, kw_only=True):
    """A message. `code` and `detail` say why, where there is something to say; `code` is the vendor's own or ours."""

    message_id: str
    to: str
    state: State
    account: str | None
    vendor_message_id: str | None
    code: str | None
    detail: str | None
    submitted_at: Time | None
    updated_at: Time | None


class MessagesFilter(Request, kw_only=True):
    """Which messages of the job, and where the page begins. NDJSON and CSV give all at once: ask for them by Accept."""

    state: State | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500


class MessagesPage(Reply, kw_only=True):
    """Messages in row order. A page may be short; `after` is null behind the last message alone."""

    messages: list[Message]
    after: str | None


class MessageLife(Message, kw_only=True):
    """A message with its attempts, the oldest first, and the reports on it."""

    attempts: list[dict[str, Any]]
    reports: list[dict[str, Any]]


class NumberRequest(Request, kw_only=True):
    """A number, E.164 or as somebody in `region` (such as HK) would dial it."""

    number: Number
    region: Name | None = None


class SearchRequest(NumberRequest, kw_only=True):
    """Whose messages."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class Found(Reply, kw_only=True):
    """A number's messages, those of the newest job first. `more`: there are others."""

    messages: list[Message]
    more: bool


class Unconfirmed(Reply, kw_only=True):
    """A message that the vendor may have taken: no usable answer was read."""

    message_id: str
    to: str
    account: str
    since: Time
    code: str | None
    detail: str | None


class UnconfirmedFilter(Request, kw_only=True):
    """At which account."""

    account: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class UnconfirmedList(Reply, kw_only=True):
    """Those of the earliest call first. `more`: there are others."""

    unconfirmed: list[Unconfirmed]
    more: bool


# --- accounts ----------------------------------------------------------------------------------------------------


class Account(Reply, kw_only=True):
    """An account. `backlog` counts rows by lane; rates are per second, of the limit that binds first."""

    name: str
    provider: str
    state: str
    state_reason: str | None
    backlog: dict[str, Count]
    in_flight: Count
    rate_used: float | None
    rate_allowed: float | None
    rate_limit: str | None
    rate_window_s: int | None
    last_error: str | None
    balance: str | None
    events_kept: Count
    events_trimmed: Count


class AccountList(Reply, kw_only=True):
    """Accounts by name."""

    accounts: list[Account]


class LimitRequest(Request, kw_only=True):
    """The most units of a limit; null takes back what was set."""

    value: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None


class Balance(Reply, kw_only=True):
    """What is left, in the vendor's own unit; `amount` is the vendor's text."""

    account: str
    amount: str
    unit: str
    at: Time


class UploadRequest(Request, kw_only=True):
    """A file that the vendor is to fetch."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$", max_length=1000)]
    kind: Literal["mms", "voice"] | None = None


class Uploaded(Reply, kw_only=True):
    """The name to use in an MMS or a voice call at this account; `kept_until` is null where nobody knows."""

    name: str
    kept_until: Time | None


class Alert(Reply, kw_only=True):
    """An alert that is open; causes are sentences, the first one first."""

    account: str
    code: str
    causes: list[str]
    opened_at: Time


class AlertList(Reply, kw_only=True):
    """The oldest first."""

    alerts: list[Alert]


class ResolveRequest(Request, kw_only=True):
    """The alert that is over."""

    account: Name
    code: Name


# --- replies and opt-outs ----------------------------------------------------------------------------------------


class HandsetReply(Reply, kw_only=True, rename={"from_": "from"}):
    """A text from a handset. `message_id` is what it seems to answer, `matched_by` how that was found."""

    id: str
    from_: str
    text: str
    account: str | None
    extno: str | None
    message_id: str | None
    matched_by: str | None
    received_at: Time


class SinceFilter(Request, kw_only=True):
    """Received at or after a time."""

    since: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class ReplyList(Reply, kw_only=True):
    """The oldest first. `more`: there are others; ask on with `since`."""

    replies: list[HandsetReply]
    more: bool


class OptOut(Reply, kw_only=True):
    """A number that gets no normal and no bulk message; null where it was forgotten since."""

    number: str | None
    at: Time
    account: str | None
    word: str | None
    source: str


class ListFilter(Request, kw_only=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class OptOutList(Reply, kw_only=True):
    """The oldest first. `more`: there are others; NDJSON gives all, by Accept."""

    optouts: list[OptOut]
    more: bool


class Changed(Reply, kw_only=True):
    """Whether it was otherwise before."""

    changed: bool


class ImportQuery(Request, kw_only=True):
    """The region of numbers without a country code."""

    region: Name | None = None


class BadLine(Reply, kw_only=True):
    """A line that is no number."""

    line: Row
    detail: str


class Imported(Reply, kw_only=True):
    """`known` had opted out before; `refused` names the first 100 of `refused_total` lines."""

    added: Count
    known: Count
    refused_total: Count
    refused: list[BadLine]


class Forgotten(Reply, kw_only=True):
    """What was removed of a person. `left` names what may still hold the number: forget it again."""

    messages: Count
    cancelled: Count
    replies: Count
    raw: Count
    opted_out: bool
    left: list[str]


# --- events ------------------------------------------------------------------------------------------------------


class ReportEvent(Reply, kw_only=True, tag_field="kind", tag="report"):
    """A message changed into a final state, or a late report corrected one."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    job_id: str
    message_id: str
    to: str
    state: State
    previous_state: State | None
    ref: str | None
    vendor_message_id: str | None
    code: str | None
    detail: str | None


class ReplyEvent(Reply, kw_only=True, tag_field="kind", tag="reply", rename={"from_": "from"}):
    """A text from a handset."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    from_: str
    text: str
    extno: str | None
    message_id: str | None
    matched_by: str | None


class AlertEvent(Reply, kw_only=True, tag_field="kind", tag="alert"):
    """Something that a person should see; `open` is false when it is over."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    code: str
    detail: str
    open: bool


AnyEvent = ReportEvent | ReplyEvent | AlertEvent
Group = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^\S+$")]


class EventsQuery(Request, kw_only=True):
    """What a group of consumers has not had yet; `wait` is how many seconds the first event is waited for.

    `kinds` are some of report, reply, alert, with commas. An answer may have more events than `limit`: those that were
    stored together come together.
    """

    group: Group
    kinds: str | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class StreamQuery(Request, kw_only=True):
    """The same as it comes."""

    group: Group
    kinds: str | None = None


class Events(Reply, kw_only=True):
    """Say `receipt` to /v1/events/ack when they have been dealt with; without that they come again after 60 s."""

    events: list[AnyEvent]
    receipt: str | None


class AckRequest(Request, kw_only=True):
    """Events that have been dealt with."""

    group: Group
    receipt: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]


# --- texts and keys ----------------------------------------------------------------------------------------------


class SegmentsRequest(Request, kw_only=True):
    """A text, as an account bills it; without one as the GSM standard counts."""

    text: Annotated[str, msgspec.Meta(max_length=100_000)]
    account: Name | None = None
    signature: Name | None = None


class Segments(Reply, kw_only=True):
    """What a text is billed as: `units` are characters as `encoding` counts them."""

    segments: Count
    units: Count
    encoding: str
    beyond: list[str]


class Secret(Reply, kw_only=True):
    """One of a key's secrets: when it was made and when it ends."""

    made_at: Time
    ends_at: Time | None


class Key(Reply, kw_only=True):
    """A key, without what tells it from others."""

    key: str
    name: str
    scopes: list[Scope]
    accounts: list[str]
    sender: str | None
    signature: str | None
    networks: list[str]
    made_at: Time
    ends_at: Time | None
    requests_per_s: int | None
    recipients_per_day: int | None
    test: bool
    secrets: list[Secret]
    used_at: Time | None


class KeyList(Reply, kw_only=True):
    """The oldest first."""

    keys: list[Key]


class KeyRequest(Request, kw_only=True):
    """A key that is to be made. No account is all of them."""

    name: Name
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)]
    accounts: list[Name] = []
    sender: Name | None = None
    signature: Name | None = None
    networks: list[Name] = []
    ends_at: Moment | None = None
    requests_per_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    recipients_per_day: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    test: bool = False


class RotateRequest(Request, kw_only=True):
    """For how many hours the secret that it has now is good still."""

    old_for_h: Annotated[float, msgspec.Meta(ge=0, le=744)] = 24.0


class MadeKey(Reply, kw_only=True):
    """`token` is shown this once."""

    token: str
    key: Key


# --- webhooks ----------------------------------------------------------------------------------------------------


class Webhook(Reply, kw_only=True):
    """An address that is told of events by POST. `disabled` says why it is told nothing; while its receiver takes
    nothing, `failing_since`, `tries` and `next_try_at` say so. Its secret is never shown here."""

    name: str
    url: str
    kinds: list[str]
    states: list[str]
    created_at: Time
    disabled: str | None
    told_at: Time | None
    failing_since: Time | None
    tries: Count
    next_try_at: Time | None


class WebhookList(Reply, kw_only=True):
    """By name."""

    webhooks: list[Webhook]


class WebhookRequest(Request, kw_only=True):
    """An address of the Internet, by https. Without `kinds` or `states` all are told."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, examples=["https://crm.example.com/events"])]
    kinds: list[Literal["report", "reply", "alert"]] = []
    states: list[FinalState] = []


class MadeWebhook(Reply, kw_only=True):
    """`secret` is shown this once."""

    name: str
    secret: str


class ReplayRequest(Request, kw_only=True):
    """Since when everything is told again."""

    since: Moment


class Delivery(Reply, kw_only=True):
    """One POST. `id` is the header webhook-id; `error` says in a word why there is no `status`."""

    id: str
    at: Time
    what: Literal["events", "test"]
    events: Count
    attempt: Row
    ok: bool
    status: int | None
    error: str | None
    took_ms: Count


class DeliveryList(Reply, kw_only=True):
    """The latest first."""

    deliveries: list[Delivery]


class DeliveriesQuery(Request, kw_only=True):
    """How many at most; the last 500 are kept."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


def time_of(at: datetime) -> Time:
    """A time as it is answered."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_time(at: datetime | None) -> Time | None:
    """The same of what may be missing."""
    return None if at is None else time_of(at)
