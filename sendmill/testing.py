"""For the tests of applications that send with sendmill: a client without Redis, and a pytest fixture.

`FakeClient` makes the same checks as `sendmill.Client`, because both read jobs through `sendmill.preparing`. Nothing is
sent: what would have gone stands in `sent`, and the test says what became of it with `report` and `reply`.

The fixture `sendmill_outbox` gives a `FakeClient` and lets every `Client` of the code under test work on it::

    def test_a_login_sends_a_code(sendmill_outbox):
        login("+85298882844")
        assert "Your code is" in sendmill_outbox.sent[0].text
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any, Self

import pytest

from sendmill.actor import Actor
from sendmill.errors import InvalidOption, KeyConflict, NoSuchJob, StoreError
from sendmill.estimates.estimate import estimate
from sendmill.estimates.tariff import Tariff
from sendmill.fake.optouts import FakeOptOuts
from sendmill.fake.settling import FakeSettling
from sendmill.fake.vendor import FakeVendor
from sendmill.features import refuse_missing
from sendmill.handover.contents import features_of, kind_of, parts_of, text_of
from sendmill.messages import (
    FORGOTTEN,
    AnyEvent,
    CancelResult,
    Content,
    Estimate,
    Forgotten,
    Job,
    JobEta,
    JobStatus,
    JobSummary,
    MessageInfo,
    Refusal,
    ReplyEvent,
    ReportEvent,
    Sms,
    TemplateSms,
)
from sendmill.numbers import normalise, possible, unpack
from sendmill.options import DEFAULT_ROUTE, Lane, ReportEvents, SendOptions
from sendmill.optouts import OPTED_OUT, OPTED_OUT_DETAIL, SUPPRESSED_LANES
from sendmill.preparing.prepare import PreparedRow, RefusedRow, in_order, prepare_batches
from sendmill.preparing.template import Template
from sendmill.states import FINAL, LATE_TRUTH, State

FAKE_ACCOUNT = "fake"
"""The account of messages whose job names none."""

_REPLY_WINDOW = timedelta(days=7)
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
class _FakeJob:
    summary: JobSummary
    job: Job
    options: SendOptions
    fingerprint: tuple[object, ...]
    messages: dict[str, MessageInfo] = field(default_factory=dict)
    segments: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict)


class FakeClient(FakeOptOuts, FakeSettling, FakeVendor):
    """A `Client` that keeps everything in this process.

    Messages are `submitted` at once, or `scheduled` where the job has an `at` to come.

    Args:
        now: gives the time, aware. Default: the clock.
        accounts: what workers would have published of accounts, by name: `provider`, `features`, `options` (a named
            account is refused what it lacks), `counting`, `prices`, `currency`. Of others everything is believed.
    """

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
        self._jobs: dict[str, _FakeJob] = {}
        self._job_by_key: dict[str, str] = {}
        self._events: list[AnyEvent] = []
        self._acknowledged: dict[str, set[str]] = {}

    # --- what Client has -----------------------------------------------------------------------------------------

    def send(
        self,
        content: Content,
        *,
        on_progress: Callable[[int], None] | None = None,
        keep_refused: int | None = None,
        **options: Any,
    ) -> Job:
        """Check a job as `Client.send` does and keep its messages in `sent`. Raises what `Client.send` raises."""
        checked = SendOptions.validated(now=self._now(), **options)
        prepared = prepare_batches(content, checked)
        rows = list(in_order(prepared))
        if checked.account is not None:
            refuse_missing(checked.account, features_of(content, checked), checked.vendor, self._accounts)
        if on_progress is not None:
            on_progress(len(rows))
        fingerprint = (kind_of(content), text_of(content), parts_of(content), checked, tuple(rows))
        if checked.key is not None and checked.key in self._job_by_key:
            known = self._jobs[self._job_by_key[checked.key]]
            if known.fingerprint != fingerprint:
                raise KeyConflict(f"the key names job {known.job.id}, which has other content: use a new key")
            return replace(known.job, repeated=True, refused=known.job.refused[:keep_refused])
        job = self._keep(content, checked, prepared.fields or (), rows, fingerprint)
        if checked.key is not None:
            self._job_by_key[checked.key] = job.id
        return replace(job, refused=job.refused[:keep_refused])

    def status(self, job_id: str) -> JobStatus:
        """The job's rows by state. Raises NoSuchJob."""
        fake = self._job(job_id)
        states: dict[State, int] = {}
        for message in fake.messages.values():
            states[message.state] = states.get(message.state, 0) + 1
        done = all(message.state in FINAL for message in fake.messages.values())
        return JobStatus(job_id, fake.job.total, states, fake.segments, done, dict(fake.cost))

    def estimate(self, content: Content, *, keep_refused: int | None = None, **options: Any) -> Estimate:
        """What a job would come to, as far as `accounts` says. Raises what `Client.estimate` raises."""
        return estimate(content, SendOptions.validated(now=self._now(), **options), self.tariff(), keep_refused)

    def eta(self, job_id: str) -> JobEta:
        """All but scheduled messages are gone at once. Raises NoSuchJob."""
        return JobEta(job_id, self.status(job_id).states.get(State.SCHEDULED, 0))

    def progress(self, job_id: str) -> tuple[JobStatus, JobEta]:
        """`status` and `eta` of a job. Raises NoSuchJob."""
        return self.status(job_id), self.eta(job_id)

    def eta_of(self, rows: Mapping[str, int], lane: Lane | str = Lane.NORMAL, *, expires_in: float) -> JobEta:
        """Nothing is known of the accounts."""
        del lane, expires_in
        return JobEta("", sum(rows.values()))

    def messages(self, job_id: str, state: State | str | None = None) -> Iterator[MessageInfo]:
        """The job's messages in row order. Raises NoSuchJob."""
        if state is not None and state not in set(State):
            raise InvalidOption(f"there is no state {str(state)[:40]!r}: there are {', '.join(State)}")
        wanted = None if state is None else State(state)
        return (
            message
            for message in list(self._job(job_id).messages.values())
            if wanted is None or message.state is wanted
        )

    def show(self, message_id: str) -> dict[str, Any]:
        """One message, as a mapping, with no attempts and the reports it got. Raises NoSuchJob."""
        message = self._message(message_id)
        reports = [
            {"state": event.state, "code": event.code, "detail": event.detail, "occurred_at": event.occurred_at}
            for event in self._events
            if isinstance(event, ReportEvent) and event.message_id == message_id
        ]
        shown = {name: getattr(message, name) for name in MessageInfo.__dataclass_fields__}
        return {**shown, "attempts": [], "reports": reports}

    def cancel(self, job_id: str, *, reason: str = "") -> CancelResult:
        """Cancel the job's scheduled messages. Raises NoSuchJob."""
        del reason
        fake = self._job(job_id)
        waiting = [message for message in fake.messages.values() if message.state is State.SCHEDULED]
        for message in waiting:
            self._move(fake, message, State.CANCELLED)
            self.sent = [sent for sent in self.sent if sent.message_id != message.message_id]
        never = {State.CANCELLED, State.FAILED, State.SUPPRESSED}
        gone = sum(message.state not in never for message in fake.messages.values())
        return CancelResult(cancelled=len(waiting), gone=gone)

    def find(self, number: str, *, region: str | None = None) -> Iterator[MessageInfo]:
        """All messages to a number, those of the latest job first. Raises InvalidNumber."""
        wanted = {possible(number, region), number.strip()}
        jobs = reversed(list(self._jobs.values()))
        return (message for fake in jobs for message in list(fake.messages.values()) if message.to in wanted)

    def jobs(self, since: datetime | None = None) -> Iterator[JobSummary]:
        """The jobs, latest first."""
        for job_id, fake in reversed(list(self._jobs.items())):
            if since is None or fake.summary.created_at >= since:
                yield replace(fake.summary, done=self.status(job_id).done)

    def events(
        self, group: str, *, kinds: Collection[str] | None = None, block_s: float | None = None
    ) -> Iterator[AnyEvent]:
        """What the group has not acknowledged; ends where `Client.events` would wait.

        Args:
            group: the consumer group.
            kinds: the kinds to yield, such as `("report",)`; all by default.
            block_s: taken and ignored.
        """
        wanted = {kinds} if isinstance(kinds, str) else kinds
        acknowledged = self._acknowledged.setdefault(group, set())
        for event in list(self._events):
            if event.id not in acknowledged and (wanted is None or event.kind in wanted):
                yield replace(event, acknowledge=partial(acknowledged.add, event.id))

    def replies(self, since: datetime | None = None) -> Iterator[ReplyEvent]:
        """The replies, oldest first."""
        for event in list(self._events):
            if isinstance(event, ReplyEvent) and (since is None or event.received_at >= since):
                yield event

    def forget(self, number: str, *, region: str | None = None, timeout_s: float = 15.0) -> Forgotten:
        """Take a person out of messages, `sent`, replies and events. Raises InvalidNumber."""
        del timeout_s
        wanted = {possible(number, region), number.strip()}
        messages = cancelled = 0
        for fake in self._jobs.values():
            for message in [each for each in fake.messages.values() if each.to in wanted]:
                waits = message.state is State.SCHEDULED
                fake.messages[message.message_id] = replace(
                    message, to=FORGOTTEN, detail=None, state=State.CANCELLED if waits else message.state
                )
                messages, cancelled = messages + 1, cancelled + waits
        replies = [each for each in self._events if isinstance(each, ReplyEvent) and each.from_ in wanted]
        self._events = [
            replace(each, to=FORGOTTEN, detail=None) if isinstance(each, ReportEvent) and each.to in wanted else each
            for each in self._events
            if each not in replies
        ]
        self.sent = [each for each in self.sent if each.to not in wanted]
        opted_out = self._forget_optout(possible(number, region))
        return Forgotten(messages, cancelled, len(replies), 0, opted_out)

    def tariff(self) -> Tariff:
        """What messages come to, as far as `accounts` says; the first able one takes what names no account."""
        return Tariff(self._accounts, [{"name": DEFAULT_ROUTE, "prefix": "", "accounts": list(self._accounts)}])

    def acting(self, actor: Actor) -> Self:
        """The same: nothing is written down."""
        del actor
        return self

    def close(self) -> None:
        """Nothing to close."""

    # --- what the test says --------------------------------------------------------------------------------------

    def report(
        self,
        message: SentMessage | str,
        state: State | str = State.DELIVERED,
        *,
        code: str | None = None,
        detail: str | None = None,
    ) -> ReportEvent | None:
        """Let the vendor report on a message. States move as they do in earnest: a final state stays.

        Args:
            message: one of `sent`, or a message id.
            state: a final state.
            code: the vendor's code.
            detail: the vendor's words.

        Returns:
            The event, or None where the report changes nothing.

        Raises:
            StoreError: the state is not final, so no report can bring it.
        """
        new = State(state)
        if new not in FINAL:
            raise StoreError(f"a report cannot bring the state {new}: it is not final")
        message_id = message if isinstance(message, str) else message.message_id
        known = self._message(message_id)
        if known.state in FINAL and known.state not in LATE_TRUTH:
            return None
        fake = self._job(message_id.rpartition("-")[0])
        self._move(fake, known, new, code=code, detail=detail)
        return self._report_event(fake, fake.messages[message_id], known.state)

    def reply(self, number: str, text: str, *, account: str | None = None, extno: str | None = None) -> ReplyEvent:
        """Let a handset answer: matched to the latest message to it within 7 days, as in earnest.

        A reply that is an opt-out or opt-in word of `sendmill.optouts` is heeded, as where a site configures none.
        """
        from_ = normalise(number)
        now = self._now()
        sent = [
            (message, str(fake.options.vendor.get("extno", "")))
            for fake in reversed(list(self._jobs.values()))
            for message in reversed(list(fake.messages.values()))
            if message.to == from_
            and message.submitted_at is not None
            and now - message.submitted_at <= _REPLY_WINDOW
            and account in (None, message.account)
        ]
        by_extno = next((message for message, sent_with in sent if extno and sent_with == extno), None)
        answered = by_extno or next((message for message, _ in sent), None)
        event = ReplyEvent(
            id=f"{next(self._numbers)}-0",
            account=account or (answered.account if answered else FAKE_ACCOUNT),
            occurred_at=now,
            received_at=now,
            from_=from_,
            text=text,
            extno=extno,
            message_id=answered.message_id if answered else None,
            matched_by="extno" if by_extno else "number" if answered else None,
        )
        self._events.append(event)
        self._heed(from_, text, event.account or FAKE_ACCOUNT)
        return event

    # --- how it is kept ------------------------------------------------------------------------------------------

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
        fake = self._jobs[job_id] = _FakeJob(summary, job, options, fingerprint)
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

    def _job(self, job_id: str) -> _FakeJob:
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
        self, fake: _FakeJob, message: MessageInfo, state: State, *, code: str | None = None, detail: str | None = None
    ) -> None:
        fake.messages[message.message_id] = replace(
            message, state=state, code=code, detail=detail, updated_at=self._now()
        )

    def _report_event(self, fake: _FakeJob, message: MessageInfo, previous: State) -> ReportEvent:
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


_REDIRECTED = (
    "send",
    "estimate",
    "status",
    "progress",
    "eta",
    "eta_of",
    "acting",
    "messages",
    "show",
    "find",
    "cancel",
    "jobs",
    "unconfirmed",
    "settle",
    "sweeps",
    "events",
    "replies",
    "optouts",
    "add_optout",
    "remove_optout",
    "import_optouts",
    "forget",
    "tariff",
    "check_words",
    "upload",
    "add_sender",
)
_NOWHERE = "redis://sendmill-outbox.invalid:6379/0"


@pytest.fixture
def sendmill_outbox(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """A `FakeClient` behind every `Client` of the code under test, `Client.from_env()` included."""
    # Only tests that ask for the fixture wait for redis-py to be imported.
    from sendmill.async_client import AsyncClient  # noqa: PLC0415
    from sendmill.client import Client  # noqa: PLC0415
    from sendmill.connecting.environment import REDIS_URL  # noqa: PLC0415

    fake = FakeClient()
    for name in _REDIRECTED:
        monkeypatch.setattr(Client, name, _as_method(getattr(fake, name)))
    monkeypatch.setattr(AsyncClient, "send", _as_coroutine(fake.send))  # all else of it goes through a Client
    if not os.environ.get(REDIS_URL):
        monkeypatch.setenv(REDIS_URL, _NOWHERE)
    return fake


def _as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(_client: object, /, *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return method


def _as_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def method(_client: object, /, *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return method
