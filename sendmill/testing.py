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
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Self

import pytest

from sendmill.actor import Actor
from sendmill.errors import InvalidOption, KeyConflict
from sendmill.estimates.estimate import estimate
from sendmill.fake.reports import FakeReports
from sendmill.fake.settling import FakeSettling
from sendmill.fake.store import FAKE_ACCOUNT, SentMessage
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
    ReplyEvent,
    ReportEvent,
)
from sendmill.numbers import possible
from sendmill.options import Lane, SendOptions
from sendmill.preparing.prepare import in_order, prepare_batches
from sendmill.states import FINAL, State

__all__ = ["FAKE_ACCOUNT", "FakeClient", "SentMessage", "sendmill_outbox"]


class FakeClient(FakeReports, FakeSettling):
    """A `Client` that keeps everything in this process.

    Messages are `submitted` at once, or `scheduled` where the job has an `at` to come.

    Args:
        now: gives the time, aware. Default: the clock.
        accounts: what workers would have published of accounts, by name: `provider`, `features`, `options` (a named
            account is refused what it lacks), `counting`, `prices`, `currency`. Of others everything is believed.
    """

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

    def acting(self, actor: Actor) -> Self:
        """The same: nothing is written down."""
        del actor
        return self

    def close(self) -> None:
        """Nothing to close."""


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
