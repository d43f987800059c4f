"""Jobs as requests and answers have them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sendmill.numbers import NumberCheck
from sendmill.options import KEY_CHARS, REF_CHARS, Durability, Lane, ReportEvents
from sendmill.states import State
from web.api.shapes.common import (
    Count,
    Moment,
    Name,
    Number,
    Numbers,
    Reply,
    Request,
    Row,
    Rows,
    Text,
    Time,
    Value,
)


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
    vendor: dict[str, Value] = msgspec.field(default_factory=dict)
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
