"""`AsyncClient`: the same as `Client` for applications with an asyncio loop.

A `send` to up to 100 recipients runs on the loop, and those that run at the same time share their round trips. All
else runs a `Client` in a few threads: reading a million recipients would block a loop whatever spoke to Redis. What
waits for long (an iteration over events, a worker's answer) has a thread of its own; who waits for a batch of events
has none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from sendmill.access.apikeys import ApiKey, KeyInfo, NewKey
from sendmill.actor import Actor, AuditEntry
from sendmill.client import Client
from sendmill.connecting.environment import environment
from sendmill.doctor import Finding
from sendmill.estimates.tariff import Tariff
from sendmill.ledger.apikeys import OLD_KEPT_H
from sendmill.ledger.connection import aconnect, store_errors
from sendmill.ledger.event_waiters import EventWaiters
from sendmill.ledger.jobs import COMMIT, SMALL_ROWS
from sendmill.ledger.pipelining import Pipelined
from sendmill.media import MediaName
from sendmill.messages import (
    AccountInfo,
    AlertInfo,
    AnyEvent,
    Balance,
    CancelResult,
    Content,
    Estimate,
    EventBatch,
    Forgotten,
    Job,
    JobEta,
    JobPage,
    JobStatus,
    JobSummary,
    Kind,
    MessageInfo,
    MessagePage,
    Mms,
    ReplyEvent,
    Settled,
    Sms,
    Sweep,
    TemplateSms,
    Unconfirmed,
    VendorTemplateSms,
    Verdict,
    Voice,
)
from sendmill.monitoring.tracing import job_span
from sendmill.options import Lane, SendOptions
from sendmill.optouts import OptOut, OptOutImport
from sendmill.states import State
from sendmill.webhooks.async_client import AsyncWebhooks

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_THREADS = 8
_ITEMS_AT_ONCE = 500


class _OfLoop(NamedTuple):
    """What of a client one loop uses."""

    loop: asyncio.AbstractEventLoop
    server: Any
    commits: Pipelined
    waiters: EventWaiters


class AsyncClient:
    """Hands jobs over and tells what became of them, as coroutines. Arguments and errors are those of `Client`.

    A coroutine that is cancelled leaves its thread to end alone: a `send` may have stored its job, so repeat it with
    its key.

    Args:
        url: Redis of the ledger, as redis-py writes it.
        namespace: what stands before every key; the workers' own.
        broker_url: Celery's broker, where it is another server.
        timeout_s: how long a call waits for Redis, in seconds, before it raises StoreError.
        actor: who acts, for the audit; default: SENDMILL_ACTOR, or the process's user and machine.

    Raises:
        ConfigError: the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "sendmill",
        broker_url: str | None = None,
        timeout_s: float = 2.0,
        actor: Actor | None = None,
    ) -> None:
        self._client = Client(url, namespace=namespace, broker_url=broker_url, timeout_s=timeout_s, actor=actor)
        self._sending = self._client._sending  # noqa: SLF001 - a part of it
        self._url = url
        self._timeout_s = timeout_s
        self._of_loop: _OfLoop | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sendmill")

    @classmethod
    def from_env(cls) -> Self:
        """A client from SENDMILL_REDIS_URL, SENDMILL_BROKER_URL and SENDMILL_NAMESPACE; only the first is needed."""
        return cls(**environment())

    def acting(self, actor: Actor) -> Self:
        """This client, acting for somebody: `Client.acting`."""
        other = copy(self)
        other._client = self._client.acting(actor)  # noqa: SLF001 - its own kind
        return other

    async def audit(
        self, *, target: str | None = None, action: str | None = None, before: str | None = None, most: int = 100
    ) -> list[AuditEntry]:
        """Who did what, newest first: `Client.audit`."""
        return await self._run(partial(self._client.audit, target=target, action=action, before=before, most=most))

    async def record(self, action: str, target: str, *, reason: str = "") -> None:
        """Write down something that this client does not do itself: `Client.record`."""
        await self._run(partial(self._client.record, action, target, reason=reason))

    async def send(
        self,
        content: Content,
        *,
        on_progress: Callable[[int], None] | None = None,
        keep_refused: int | None = None,
        **options: Any,
    ) -> Job:
        """Hand a job over: `Client.send`. Long ones are read, and `on_progress` is called, from another thread."""
        if on_progress is None and _short(content):
            chosen = SendOptions.validated(**options)
            if self._sending.knows(content, chosen) or await self._run(partial(self._sending.learn, content, chosen)):
                return await self._send_short(content, chosen)
        send = partial(self._client.send, content, on_progress=on_progress, keep_refused=keep_refused, **options)
        return await self._run(send)

    async def _send_short(self, content: Content, chosen: SendOptions) -> Job:
        with job_span(chosen.lane, chosen.account):
            writer, batches, plan_at_ms = self._sending.begun(content, chosen)
            for batch in batches:
                writer.add(batch)
            with store_errors():
                answer = await self._here().commits.run(self._sending.commit_args(writer, chosen, plan_at_ms))
            uploaded = writer.committed(answer)
            if self._sending.is_stored(uploaded, chosen):
                return self._sending.stored(uploaded, chosen)
            return await self._run(partial(self._sending.stored, uploaded, chosen))

    def _here(self) -> _OfLoop:
        """What belongs to this loop; a client may be used by one loop after another."""
        loop = asyncio.get_running_loop()
        if self._of_loop is None or self._of_loop.loop is not loop:
            server = aconnect(self._url, timeout_s=self._timeout_s)
            ledger = replace(self._client._ledger, server=server)  # noqa: SLF001 - a part of it
            commits = Pipelined(server, COMMIT, self._sending.due_key)
            self._of_loop = _OfLoop(loop, server, commits, EventWaiters(ledger))
        return self._of_loop

    async def estimate(self, content: Content, **options: Any) -> Estimate:
        """What a job would come to: `Client.estimate`."""
        return await self._run(partial(self._client.estimate, content, **options))

    async def status(self, job_id: str) -> JobStatus:
        """How many rows of a job are in which state: `Client.status`."""
        return await self._run(partial(self._client.status, job_id))

    async def eta(self, job_id: str) -> JobEta:
        """When the last message of a job will have been handed over: `Client.eta`."""
        return await self._run(partial(self._client.eta, job_id))

    async def progress(self, job_id: str) -> tuple[JobStatus, JobEta]:
        """`status` and `eta` of a job, read once: `Client.progress`."""
        return await self._run(partial(self._client.progress, job_id))

    async def eta_of(self, rows: Mapping[str, int], lane: Lane | str = Lane.NORMAL, *, expires_in: float) -> JobEta:
        """The same for rows that are not sent yet: `Client.eta_of`."""
        return await self._run(partial(self._client.eta_of, rows, lane, expires_in=expires_in))

    def messages(self, job_id: str, state: State | str | None = None) -> AsyncIterator[MessageInfo]:
        """A job's messages in row order: `Client.messages`."""
        return self._iterate(partial(self._client.messages, job_id, state))

    async def message_page(
        self, job_id: str, *, state: State | str | None = None, after: str | None = None, most: int = 500
    ) -> MessagePage:
        """Some of a job's messages: `Client.message_page`."""
        return await self._run(partial(self._client.message_page, job_id, state=state, after=after, most=most))

    async def show(self, message_id: str) -> dict[str, Any]:
        """All that is known of a message: `Client.show`."""
        return await self._run(partial(self._client.show, message_id))

    def find(self, number: str, *, region: str | None = None) -> AsyncIterator[MessageInfo]:
        """All kept messages to a number: `Client.find`."""
        return self._iterate(partial(self._client.find, number, region=region))

    def jobs(self, since: datetime | None = None) -> AsyncIterator[JobSummary]:
        """The jobs that are kept, newest first: `Client.jobs`."""
        return self._iterate(partial(self._client.jobs, since))

    async def job_page(
        self,
        *,
        since: datetime | None = None,
        ref: str | None = None,
        accounts: Collection[str] = (),
        after: str | None = None,
        most: int = 100,
    ) -> JobPage:
        """Some of the jobs: `Client.job_page`."""
        return await self._run(
            partial(self._client.job_page, since=since, ref=ref, accounts=accounts, after=after, most=most)
        )

    async def cancel(self, job_id: str, *, reason: str = "") -> CancelResult:
        """Stop what has not been submitted of a job: `Client.cancel`."""
        return await self._run(partial(self._client.cancel, job_id, reason=reason))

    def unconfirmed(self, account: str | None = None) -> AsyncIterator[Unconfirmed]:
        """The messages whose answer was never read: `Client.unconfirmed`."""
        return self._iterate(partial(self._client.unconfirmed, account))

    async def settle(self, message_or_job: str, verdict: Verdict | str, *, reason: str = "") -> Settled:
        """Say what became of an unconfirmed message, or of all of a job: `Client.settle`."""
        return await self._run(partial(self._client.settle, message_or_job, verdict, reason=reason))

    async def sweeps(self) -> list[Sweep]:
        """What the workers' sweeps have found: `Client.sweeps`."""
        return await self._run(self._client.sweeps)

    async def events(
        self, group: str, *, kinds: Collection[str] | None = None, block_s: float | None = None
    ) -> AsyncIterator[AnyEvent]:
        """Reports, replies and alerts as they come: `Client.events`. `await event.ack()` ends an event."""
        events = self._client.events(group, kinds=kinds, block_s=block_s)
        with contextlib.closing(events), _own_thread("sendmill-events") as thread:
            loop = asyncio.get_running_loop()
            while (event := await loop.run_in_executor(thread, next, events, None)) is not None:
                yield replace(event, acknowledge=partial(self._run, event.ack))

    async def event_batch(
        self,
        group: str,
        *,
        kinds: Collection[str] | None = None,
        most: int = 100,
        wait_s: float = 0.0,
        is_wanted: Callable[[], bool] | None = None,
    ) -> EventBatch:
        """The next events of a group, to be acknowledged together: `Client.event_batch`.

        Hundreds may wait at once. `is_wanted` is asked once a second; the wait ends when it says no.
        """
        take = partial(self._run, partial(self._client.event_batch, group, kinds=kinds, most=most))
        return await self._here().waiters.batch(group, take, wait_s, is_wanted)

    async def ack_events(self, group: str, receipt: str) -> None:
        """Say that the events of a batch have been dealt with: `Client.ack_events`."""
        await self._run(partial(self._client.ack_events, group, receipt))

    @property
    def webhooks(self) -> AsyncWebhooks:
        """Addresses that are told of events by POST: `Client.webhooks`."""
        return AsyncWebhooks(self._client.webhooks, _alone)

    def replies(self, since: datetime | None = None) -> AsyncIterator[ReplyEvent]:
        """Replies that are kept, oldest first: `Client.replies`."""
        return self._iterate(partial(self._client.replies, since))

    def optouts(self) -> AsyncIterator[OptOut]:
        """The numbers that opted out: `Client.optouts`."""
        return self._iterate(self._client.optouts)

    async def add_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt out: `Client.add_optout`."""
        return await self._run(partial(self._client.add_optout, number, region=region, reason=reason))

    async def remove_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt in again: `Client.remove_optout`."""
        return await self._run(partial(self._client.remove_optout, number, region=region, reason=reason))

    async def import_optouts(
        self,
        numbers: Iterable[str],
        *,
        region: str | None = None,
        on_refused: Callable[[int, str], None] | None = None,
    ) -> OptOutImport:
        """Let many numbers opt out: `Client.import_optouts`. `numbers` and `on_refused` are called from a thread."""
        imported = partial(self._client.import_optouts, numbers, region=region, on_refused=on_refused)
        return await self._run(imported)

    async def forget(self, number: str, *, region: str | None = None, timeout_s: float = 15.0) -> Forgotten:
        """Remove what is kept of a person: `Client.forget`."""
        return await _alone(partial(self._client.forget, number, region=region, timeout_s=timeout_s))

    async def accounts(self) -> list[AccountInfo]:
        """The accounts that workers have published: `Client.accounts`."""
        return await self._run(self._client.accounts)

    async def tariff(self) -> Tariff:
        """What texts and messages would come to before they are sent: `Client.tariff`."""
        return await self._run(self._client.tariff)

    async def pause(self, account: str, *, reason: str = "") -> None:
        """Stop submitting at an account until `resume`: `Client.pause`."""
        await self._run(partial(self._client.pause, account, reason=reason))

    async def resume(self, account: str, *, reason: str = "") -> None:
        """Let a paused or suspended account submit again: `Client.resume`."""
        await self._run(partial(self._client.resume, account, reason=reason))

    async def alerts(self) -> list[AlertInfo]:
        """The alerts that are open: `Client.alerts`."""
        return await self._run(self._client.alerts)

    async def resolve_alert(self, account: str, code: str, *, reason: str = "") -> None:
        """End an open alert by hand: `Client.resolve_alert`."""
        await self._run(partial(self._client.resolve_alert, account, code, reason=reason))

    async def limit(self, account: str, name: str, value: int | None, *, reason: str = "") -> None:
        """Change a limit while workers run: `Client.limit`."""
        await self._run(partial(self._client.limit, account, name, value, reason=reason))

    async def balance(self, account: str, *, timeout_s: float = 15.0) -> Balance:
        """What is left on an account: `Client.balance`."""
        return await _alone(partial(self._client.balance, account, timeout_s=timeout_s))

    def doctor(self, *, timeout_s: float = 15.0) -> AsyncIterator[Finding]:
        """Look at the whole system: `Client.doctor`."""
        return self._iterate(partial(self._client.doctor, timeout_s=timeout_s))

    async def keys(self) -> list[KeyInfo]:
        """The keys of the HTTP API: `Client.keys`."""
        return await self._run(self._client.keys)

    async def add_key(self, name: str, scopes: Collection[str], **wishes: Any) -> NewKey:
        """Make a key of the HTTP API: `Client.add_key`."""
        return await self._run(partial(self._client.add_key, name, scopes, **wishes))

    async def rotate_key(self, key_id: str, *, old_for_h: float = OLD_KEPT_H) -> NewKey:
        """Give a key a further secret: `Client.rotate_key`."""
        return await self._run(partial(self._client.rotate_key, key_id, old_for_h=old_for_h))

    async def revoke_key(self, key_id: str) -> None:
        """End a key: `Client.revoke_key`."""
        await self._run(partial(self._client.revoke_key, key_id))

    async def read_keys(self) -> dict[str, ApiKey]:
        """The keys as the HTTP API checks them: `Client.read_keys`."""
        return await self._run(self._client.read_keys)

    async def admit_key(
        self, key: ApiKey, *, requests: int = 0, recipients: int = 0, job_key: str | None = None
    ) -> float:
        """Take units of a key's rates: `Client.admit_key`."""
        return await self._run(
            partial(self._client.admit_key, key, requests=requests, recipients=recipients, job_key=job_key)
        )

    async def note_keys_used(self, used_ms: Mapping[str, int]) -> None:
        """Write down when keys were used last: `Client.note_keys_used`."""
        await self._run(partial(self._client.note_keys_used, used_ms))

    async def check_words(self, account: str, text: str, *, timeout_s: float = 15.0) -> list[str]:
        """The sensitive words that an account's vendor finds in a text: `Client.check_words`."""
        return await _alone(partial(self._client.check_words, account, text, timeout_s=timeout_s))

    async def upload(
        self, account: str, source: str | Path, *, kind: Kind | str | None = None, timeout_s: float = 30.0
    ) -> MediaName:
        """Have an account's vendor keep a picture or a recording: `Client.upload`."""
        return await _alone(partial(self._client.upload, account, source, kind=kind, timeout_s=timeout_s))

    async def add_sender(self, account: str, name: str, *, timeout_s: float = 15.0) -> str:
        """Register a sender ID at an account's vendor: `Client.add_sender`."""
        return await _alone(partial(self._client.add_sender, account, name, timeout_s=timeout_s))

    async def close(self) -> None:
        """Wait for the calls under way and close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._client.close)
        if self._of_loop is not None and self._of_loop.loop is asyncio.get_running_loop():
            await self._of_loop.waiters.close()
            await self._of_loop.server.aclose()
        self._of_loop = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _iterate(self, start: Callable[[], Iterator[_Item]]) -> AsyncIterator[_Item]:
        items = await self._run(start)
        while part := await self._run(partial(_take, items)):
            for item in part:
                yield item


def _short(content: object) -> bool:
    """Whether reading a content takes so little time that a loop may do it."""
    match content:
        case Sms() | Mms() | Voice():
            rows: object = content.to
        case TemplateSms() | VendorTemplateSms():
            rows = content.rows
        case _:
            return False
    return isinstance(rows, str) or (isinstance(rows, list | tuple) and len(rows) <= SMALL_ROWS)


def _take(items: Iterator[_Item]) -> list[_Item]:
    return list(islice(items, _ITEMS_AT_ONCE))


async def _alone(call: Callable[[], _Result]) -> _Result:
    """What waits for a worker and its vendor keeps no other call waiting."""
    with _own_thread("sendmill-asking") as thread:
        return await asyncio.get_running_loop().run_in_executor(thread, call)


@contextlib.contextmanager
def _own_thread(name: str) -> Iterator[ThreadPoolExecutor]:
    """A thread for one caller. It is not waited for: a wait for Redis in it ends by itself within a second."""
    thread = ThreadPoolExecutor(1, thread_name_prefix=name)
    try:
        yield thread
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
