"""`Client`: what an application calls. Every method is one or a few round trips to Redis; none talks to a vendor.

Here is what hands over and what is told; the other methods stand in `sendmill.client_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self

from sendmill.actor import Actor, this_person
from sendmill.broker.publisher import Publisher
from sendmill.client_parts.accounts import AccountsPart
from sendmill.client_parts.keys import KeysPart
from sendmill.client_parts.people import PeoplePart
from sendmill.client_parts.reading import ReadingPart
from sendmill.connecting.environment import environment
from sendmill.errors import UploadCut
from sendmill.estimates.estimate import estimate
from sendmill.events import EventReader, acknowledge_batch
from sendmill.handover.sending import Sending
from sendmill.ledger.cancelling import cancel_job
from sendmill.ledger.connection import connect, store_errors
from sendmill.ledger.jobs import COMMIT
from sendmill.messages import (
    CancelResult,
    Content,
    Estimate,
    EventBatch,
    Job,
)
from sendmill.monitoring.tracing import job_span
from sendmill.options import SendOptions
from sendmill.webhooks.client import Webhooks


class Client(ReadingPart, PeoplePart, AccountsPart, KeysPart):
    """Hands jobs over and tells what became of them. Threads may share one; it survives a fork.

    Nothing is connected before the first call.

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
        self._actor = actor or this_person("client")
        self._ledger = connect(url, namespace, timeout_s=timeout_s)
        self._publisher = Publisher(self._ledger, url, broker_url)
        self._sending = Sending(self._ledger, self._publisher)

    @classmethod
    def from_env(cls) -> Self:
        """A client from SENDMILL_REDIS_URL, SENDMILL_BROKER_URL and SENDMILL_NAMESPACE; only the first is needed.

        Raises:
            ConfigError: SENDMILL_REDIS_URL is not set.
        """
        return cls(**environment())

    def send(
        self,
        content: Content,
        *,
        on_progress: Callable[[int], None] | None = None,
        keep_refused: int | None = None,
        **options: Any,
    ) -> Job:
        """Hand a job over. When this returns, Redis has all of it.

        Args:
            content: an Sms, TemplateSms, VendorTemplateSms, Mms or Voice; iterables of recipients are streamed, memory
                does not grow with them. What one raises ends the upload; what was stored of it goes within the hour, or
                at once where that is an UploadCut.
            on_progress: called with the rows read so far, once for every 1,000 or fewer.
            keep_refused: how many refusals the answer names, the first ones; None is all, and memory grows with them.
            options: lane, account or route, sender, signature, at, expires_in, key, ref, region, dedupe,
                duplicates_ok, durability, vendor, report_events: see `sendmill.options.SendOptions`.

        Raises:
            InvalidMessage: the text, an option, or a sole recipient cannot be used; nothing was stored.
            UnsupportedFeature: the named account cannot do what the content or an option asks for.
            UnknownAccount: no worker knows the account or route.
            KeyConflict: the key names a job with other content.
            StoreError: Redis is away or full. With a key, repeat it: there is one job in the end. Without one, the
                job may exist.
        """
        chosen = SendOptions.validated(**options)
        with job_span(chosen.lane, chosen.account):
            writer, batches, plan_at_ms = self._sending.begun(content, chosen, keep_refused)
            read = 0
            try:
                for batch in batches:
                    writer.add(batch)
                    read += batch.rows_read
                    if on_progress is not None:
                        on_progress(read)
            except UploadCut:
                writer.abandon()
                raise
            args = self._sending.commit_args(writer, chosen, plan_at_ms)
            with store_errors():
                answer = COMMIT.run(self._ledger.server, self._sending.due_key, *args)
            return self._sending.stored(writer.committed(answer), chosen)

    def estimate(self, content: Content, *, keep_refused: int | None = None, **options: Any) -> Estimate:
        """What a job would come to, as the accounts bill that workers published. Nothing is sent.

        Arguments are those of `send`.

        Raises:
            InvalidMessage, UnsupportedFeature, UnknownAccount: as `send`.
            StoreError: Redis is away.
        """
        return estimate(content, SendOptions.validated(**options), self.tariff(), keep_refused)

    def cancel(self, job_id: str, *, reason: str = "") -> CancelResult:
        """Stop what has not been submitted of a job; says how many rows that were and how many had gone.

        Nothing more goes from the first milliseconds on. Calls on the wire are waited for, half a second at most.

        Raises:
            NoSuchJob: no such job is kept.
            StoreError: Redis is away; a part may be cancelled: repeat it.
        """
        with self._recorded("cancel", job_id, reason=reason):
            return cancel_job(self._ledger, job_id, self._publisher.plan)

    def events(self, group: str, *, kinds: Collection[str] | None = None, block_s: float | None = None) -> EventReader:
        """Reports, replies and alerts as they come, each at least once to one consumer of the group.

        A new group starts at the oldest entry that is kept. Say `event.ack()` when an event has been dealt with: what
        was not acknowledged comes again after 60 s.

        Args:
            group: the consumers that share the work, by a name.
            kinds: some of report, reply, alert; what the group does not want counts as dealt with.
            block_s: ends when nothing came for so long; 0 takes what is there. None never ends, and waits for a Redis
                that is away.

        Raises:
            InvalidOption: the group's name or a kind cannot be used.
            StoreError: while iterating with `block_s`: Redis is away.
        """
        return EventReader(self._ledger, group, kinds=kinds, block_s=block_s)

    def event_batch(
        self, group: str, *, kinds: Collection[str] | None = None, most: int = 100, wait_s: float = 0.0
    ) -> EventBatch:
        """The next events of a group, to be acknowledged together, by whichever process: see `ack_events`.

        What is not acknowledged comes again after 60 s.

        Args:
            group: as of `events`.
            kinds: as of `events`.
            most: events; what the last one was stored with comes along, which may be 20,000 of them.
            wait_s: how long the first one is waited for.

        Raises:
            InvalidOption: the group's name or a kind cannot be used.
            StoreError: Redis is away.
        """
        return EventReader(self._ledger, group, kinds=kinds, block_s=0).batch(most, wait_s)

    def ack_events(self, group: str, receipt: str) -> None:
        """Say that the events of a batch have been dealt with: the group will not see them again.

        Raises:
            InvalidOption: this is no receipt of a batch.
            StoreError: Redis did not hear it; the events come again, which a consumer must bear anyway.
        """
        acknowledge_batch(self._ledger, group, receipt)

    @property
    def webhooks(self) -> Webhooks:
        """Addresses that are told of events by POST: add, list, test, replay, remove them."""
        return Webhooks(self._ledger, self._actor)

    def close(self) -> None:
        """Close the connections. A closed client opens new ones when it is used again."""
        self._publisher.close()
        self._ledger.server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
