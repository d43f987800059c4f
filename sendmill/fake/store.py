"""The part of `FakeClient` that keeps jobs, messages and events; see `sendmill.testing`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from sendmill.errors import NoSuchJob
from sendmill.estimates.tariff import Tariff
from sendmill.fake.optouts import FakeOptOuts
from sendmill.fake.vendor import FakeVendor
from sendmill.handover.contents import features_of, parts_of, text_of
from sendmill.messages import (
    AnyEvent,
    Content,
    Job,
    JobSummary,
    MessageInfo,
    Refusal,
    ReportEvent,
    Sms,
    TemplateSms,
)
from sendmill.numbers import unpack
from sendmill.options import DEFAULT_ROUTE, ReportEvents, SendOptions
from sendmill.optouts import OPTED_OUT, OPTED_OUT_DETAIL, SUPPRESSED_LANES
from sendmill.preparing.prepare import PreparedRow, RefusedRow
from sendmill.preparing.template import Template
from sendmill.states import FINAL, State

FAKE_ACCOUNT = "fake"
"""The account of messages whose job names none."""

_ALL_REPORTS_UP_TO_ROWS = 1000


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that would have gone to a vendor. `text` has its values filled in and no signature.

    `parts` are what the content has besides: `template_id`, `subject`, `image`, `audio`; `values` those of a vendor's
    template.
    """

    message_id: str
    job_id: str
    to: str
    text: str
    options: SendOptions
    parts: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class FakeJob:
    """A job as it is kept."""

    summary: JobSummary
    job: Job
    options: SendOptions
    fingerprint: tuple[object, ...]
    messages: dict[str, MessageInfo] = field(default_factory=dict)
    segments: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)


class FakeStore(FakeOptOuts, FakeVendor):
    """What is kept in this process: see `sendmill.testing.FakeClient`, which has the arguments."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.sent: list[SentMessage] = []
        """Every message that would have gone, in order."""
        self._now = now or (lambda: datetime.now(UTC))
        FakeOptOuts.__init__(self, self._now)
        FakeVendor.__init__(self, accounts or {})
        self._numbers = count(1)
        self._jobs: dict[str, FakeJob] = {}
        self._job_by_key: dict[str, str] = {}
        self._events: list[AnyEvent] = []
        self._acknowledged: dict[str, set[str]] = {}

    def tariff(self) -> Tariff:
        """What messages come to, as far as `accounts` says; the first able one takes what names no account."""
        return Tariff(self._accounts, [{"name": DEFAULT_ROUTE, "prefix": "", "accounts": list(self._accounts)}])

    def _keep(
        self,
        content: Content,
        options: SendOptions,
        fields: tuple[str, ...],
        rows: list[PreparedRow | RefusedRow],
        fingerprint: tuple[object, ...],
    ) -> Job:
        now = self._now()
        job_id = f"fake{next(self._numbers)}"
        refused = [Refusal(row.row, row.to, row.code, row.reason) for row in rows if isinstance(row, RefusedRow)]
        job = Job(job_id, total=len(rows), accepted=len(rows) - len(refused), refused=refused)
        summary = JobSummary(job_id, now, options.lane, job.total, options.ref, done=False)
        fake = self._jobs[job_id] = FakeJob(summary, job, options, fingerprint)
        waits = options.at is not None and options.at > now
        template = Template(content.text) if isinstance(content, TemplateSms) else None
        tariff, needs = self.tariff(), features_of(content, options)
        anywhere = replace(options, route=None)  # every route leads to the same accounts here
        for row in rows:
            message_id = f"{job_id}-{row.row}"
            if isinstance(row, RefusedRow):
                fake.messages[message_id] = MessageInfo(
                    message_id, row.to, row.state, code=row.code, detail=row.reason, updated_at=now
                )
                continue
            number = unpack(row.number)
            text = text_of(content) if template is None else template.fill(row.values or ())
            values = {} if template is not None else dict(zip(fields, row.values or (), strict=True))
            account = tariff.account_for(number, needs, anywhere)
            if number in self._out and options.lane in SUPPRESSED_LANES and not waits:
                fake.messages[message_id] = suppressed = MessageInfo(
                    message_id,
                    number,
                    State.SUPPRESSED,
                    account=account or FAKE_ACCOUNT,
                    code=OPTED_OUT,
                    detail=OPTED_OUT_DETAIL,
                    updated_at=now,
                )
                self._report_event(fake, suppressed, State.ACCEPTED)
                continue
            state = State.SCHEDULED if waits else State.SUBMITTED
            fake.messages[message_id] = MessageInfo(
                message_id,
                number,
                state,
                account=account or FAKE_ACCOUNT,
                submitted_at=None if waits else now,
                updated_at=now,
            )
            counted = isinstance(content, Sms | TemplateSms)
            segments = tariff.segments(account, text, options.signature).segments if counted else 1
            price = tariff.price(account, number)
            fake.segments += segments
            if price is not None:
                fake.cost[price.currency] = fake.cost.get(price.currency, Decimal()) + price.amount * segments
            self.sent.append(SentMessage(message_id, job_id, number, text, options, parts_of(content), values))
        return job

    def _job(self, job_id: str) -> FakeJob:
        try:
            return self._jobs[job_id]
        except KeyError:
            raise NoSuchJob(f"no job {job_id} is kept") from None

    def _all_messages(self) -> Iterator[MessageInfo]:
        return (message for fake in self._jobs.values() for message in fake.messages.values())

    def _become(self, message: MessageInfo, state: State, code: str | None = None) -> None:
        fake = self._job(message.message_id.rpartition("-")[0])
        self._move(fake, message, state, code=code)
        if state in FINAL:
            self._report_event(fake, fake.messages[message.message_id], message.state)

    def _message(self, message_id: str) -> MessageInfo:
        try:
            return self._job(message_id.rpartition("-")[0]).messages[message_id]
        except KeyError:
            raise NoSuchJob(f"no message {message_id} is kept") from None

    def _move(
        self, fake: FakeJob, message: MessageInfo, state: State, *, code: str | None = None, detail: str | None = None
    ) -> None:
        fake.messages[message.message_id] = replace(
            message, state=state, code=code, detail=detail, updated_at=self._now()
        )

    def _report_event(self, fake: FakeJob, message: MessageInfo, previous: State) -> ReportEvent:
        now = self._now()
        event = ReportEvent(
            id=f"{next(self._numbers)}-0",
            account=message.account,
            occurred_at=now,
            received_at=now,
            job_id=fake.job.id,
            message_id=message.message_id,
            to=message.to,
            state=message.state,
            previous_state=previous,
            ref=fake.options.ref,
            code=message.code,
            detail=message.detail,
        )
        wanted = fake.options.report_events or (
            ReportEvents.ALL if fake.job.total <= _ALL_REPORTS_UP_TO_ROWS else ReportEvents.FAILURES
        )
        if wanted is ReportEvents.ALL or (wanted is ReportEvents.FAILURES and message.state is not State.DELIVERED):
            self._events.append(event)
        return event
