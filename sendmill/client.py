"""`Client`: what an application calls. Every method is one or a few round trips to Redis; none talks to a vendor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from copy import copy
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sendmill.access.apikeys import ApiKey, KeyInfo, NewKey
from sendmill.accounts.admin import set_active, set_limit
from sendmill.accounts.job_eta import read_job_eta, read_progress, unsent_eta
from sendmill.accounts.standing import read_accounts
from sendmill.actor import Actor, AuditEntry, this_person
from sendmill.broker.publisher import Publisher
from sendmill.connecting.environment import environment
from sendmill.doctor import Finding, examine, examine_configuration
from sendmill.errors import InvalidOption, UploadCut
from sendmill.estimates.estimate import estimate
from sendmill.estimates.tariff import Tariff
from sendmill.events import EventReader, acknowledge_batch
from sendmill.handover.asking import ask_balance, ask_sender, ask_upload, ask_words
from sendmill.handover.sending import Sending
from sendmill.ledger.alerts import end_alert, read_alerts
from sendmill.ledger.apikeys import OLD_KEPT_H, add_key, admit, list_keys, note_used, read_keys, revoke_key, rotate_key
from sendmill.ledger.audit import read_audit, record, recorded
from sendmill.ledger.cancelling import cancel_job
from sendmill.ledger.connection import connect, store_errors
from sendmill.ledger.find_by_number import find_messages
from sendmill.ledger.forgetting import forget_number
from sendmill.ledger.jobs import COMMIT
from sendmill.ledger.message_life import read_message
from sendmill.ledger.optouts import add_optout, import_optouts, read_optouts, remove_optout
from sendmill.ledger.published import published
from sendmill.ledger.reading import read_job_page, read_jobs, read_message_page, read_messages, read_status
from sendmill.ledger.replies import read_replies
from sendmill.ledger.settling import read_unconfirmed, settle
from sendmill.ledger.sweep_counts import read_sweeps
from sendmill.media import MediaName
from sendmill.messages import (
    AccountInfo,
    AlertInfo,
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
    ReplyEvent,
    Settled,
    Sweep,
    Unconfirmed,
    Verdict,
)
from sendmill.monitoring.tracing import job_span
from sendmill.numbers import mask, possible
from sendmill.options import Lane, SendOptions
from sendmill.optouts import OptOut, OptOutImport
from sendmill.states import State
from sendmill.webhooks.client import Webhooks


class Client:
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

    def acting(self, actor: Actor) -> Self:
        """This client, acting for somebody: what is changed through it is written down under that name."""
        other = copy(self)
        other._actor = actor  # noqa: SLF001 - its own kind
        return other

    def audit(
        self, *, target: str | None = None, action: str | None = None, before: str | None = None, most: int = 100
    ) -> list[AuditEntry]:
        """Who did what, newest first: up to `most` entries, those before one where its id is given.

        Raises:
            InvalidOption: `before` is no id of an entry.
            StoreError: Redis is away.
        """
        return read_audit(self._ledger, target=target, action=action, before=before, most=most)

    def record(self, action: str, target: str, *, reason: str = "") -> None:
        """Write down something that this client does not do itself, such as showing whole numbers to somebody.

        Raises:
            StoreError: Redis is away.
        """
        record(self._ledger, self._actor, action, target, reason=reason)

    def _recorded(self, action: str, target: str, **told: str) -> AbstractContextManager[None]:
        return recorded(self._ledger, self._actor, action, target, **told)

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

    def status(self, job_id: str) -> JobStatus:
        """How many rows of a job are in which state.

        Raises:
            NoSuchJob: no such job is kept.
            StoreError: Redis is away.
        """
        return read_status(self._ledger, job_id)

    def eta(self, job_id: str) -> JobEta:
        """When the last message of a job will have been handed to a vendor: see `sendmill.accounts.eta`.

        Raises:
            NoSuchJob: no such job is kept.
            StoreError: Redis is away.
        """
        return read_job_eta(self._ledger, job_id)

    def progress(self, job_id: str) -> tuple[JobStatus, JobEta]:
        """`status` and `eta` of a job, read once.

        Raises:
            NoSuchJob: no such job is kept.
            StoreError: Redis is away.
        """
        return read_progress(self._ledger, job_id)

    def eta_of(self, rows: Mapping[str, int], lane: Lane | str = Lane.NORMAL, *, expires_in: float) -> JobEta:
        """The same for rows that are not sent yet, behind all that waits in the lane now.

        Args:
            rows: how many each account would take.
            lane: their lane.
            expires_in: seconds after which they are too old to be sent.

        Raises:
            StoreError: Redis is away.
        """
        return unsent_eta(self._ledger, rows, Lane(lane), expires_in)

    def messages(self, job_id: str, state: State | str | None = None) -> Iterator[MessageInfo]:
        """A job's messages in row order, those of one state where one is given; memory is that of 20,000 rows.

        Raises:
            NoSuchJob: no such job is kept.
            InvalidOption: there is no such state.
            StoreError: Redis is away.
        """
        return read_messages(self._ledger, job_id, _state(state))

    def message_page(
        self, job_id: str, *, state: State | str | None = None, after: str | None = None, most: int = 500
    ) -> MessagePage:
        """Up to `most` of a job's messages, in row order. A page of a rare state may be short, or empty, although more
        follow: `after` of the page says so.

        Raises:
            NoSuchJob: no such job is kept.
            InvalidOption: there is no such state, or `after` is of no page.
            StoreError: Redis is away.
        """
        return read_message_page(self._ledger, job_id, _state(state), after, most)

    def show(self, message_id: str) -> dict[str, Any]:
        """All that is known of a message: the fields of MessageInfo, `attempts` and `reports`.

        Raises:
            NoSuchJob: no such message is kept.
            StoreError: Redis is away.
        """
        return read_message(self._ledger, message_id)

    def find(self, number: str, *, region: str | None = None) -> Iterator[MessageInfo]:
        """All kept messages to a number, at all accounts, those of the newest job first.

        Everything that is kept is looked through: a million messages take a tenth of a second, or 20 s where each is a
        job of its own. Rows that were refused are found where their recipient was given as here, or as E.164.

        Args:
            number: E.164, or as somebody in `region` would dial it.
            region: ISO 3166 code such as `HK`, for a number without a country code.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away.
        """
        return find_messages(self._ledger, number, region)

    def jobs(self, since: datetime | None = None) -> Iterator[JobSummary]:
        """The jobs that are kept, newest first, those created since a time (aware) where one is given.

        Raises:
            StoreError: Redis is away.
        """
        return read_jobs(self._ledger, since)

    def job_page(
        self,
        *,
        since: datetime | None = None,
        ref: str | None = None,
        accounts: Collection[str] = (),
        after: str | None = None,
        most: int = 100,
    ) -> JobPage:
        """Up to `most` jobs, newest first: those of a tag, or that named one of these accounts, where either is given.

        A page may be short although more follow: `after` of the page says so.

        Raises:
            InvalidOption: `after` is of no page.
            StoreError: Redis is away.
        """
        return read_job_page(self._ledger, since, ref=ref, accounts=accounts, after=after, most=most)

    def cancel(self, job_id: str, *, reason: str = "") -> CancelResult:
        """Stop what has not been submitted of a job; says how many rows that were and how many had gone.

        Nothing more goes from the first milliseconds on. Calls on the wire are waited for, half a second at most.

        Raises:
            NoSuchJob: no such job is kept.
            StoreError: Redis is away; a part may be cancelled: repeat it.
        """
        with self._recorded("cancel", job_id, reason=reason):
            return cancel_job(self._ledger, job_id, self._publisher.plan)

    def unconfirmed(self, account: str | None = None) -> Iterator[Unconfirmed]:
        """The messages whose answer was never read, at one account or at all, those of the earliest call first.

        Raises:
            UnknownAccount: no worker has published it.
            StoreError: Redis is away.
        """
        return read_unconfirmed(self._ledger, account)

    def settle(self, message_or_job: str, verdict: Verdict | str, *, reason: str = "") -> Settled:
        """Say what became of an unconfirmed message, or of all of a job. What is not unconfirmed stays as it is.

        Args:
            message_or_job: a message's id or a job's.
            verdict: `sent` makes them `submitted`, `give_up` makes them `unknown`. `resend` makes them `queued`: they
                go again, and may arrive twice; those that expired, or whose job is cancelled, stay unconfirmed.
            reason: why, for the audit.

        Raises:
            InvalidOption: there is no such verdict.
            NoSuchJob: no such message or job is kept.
            StoreError: Redis is away; a part may be settled: repeat it.
        """
        with self._recorded("settle", message_or_job, before="unconfirmed", after=str(verdict), reason=reason):
            return settle(self._ledger, message_or_job, verdict)

    def sweeps(self) -> list[Sweep]:
        """What the workers' sweeps have found in all that should not have been there; see docs/guarantees.md.

        Raises:
            StoreError: Redis is away.
        """
        return read_sweeps(self._ledger)

    # --- what is told ----------------------------------------------------------------------------------------------

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

    def replies(self, since: datetime | None = None) -> Iterator[ReplyEvent]:
        """Replies that are kept, oldest first, those received since a time (aware) where one is given.

        Raises:
            StoreError: Redis is away.
        """
        return read_replies(self._ledger, since)

    # --- opt-outs --------------------------------------------------------------------------------------------------

    def optouts(self) -> Iterator[OptOut]:
        """The numbers that get no message of the lanes `normal` and `bulk`, from no account; the oldest change first.

        Raises:
            StoreError: Redis is away.
        """
        return read_optouts(self._ledger)

    def add_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt out, as a reply of its own would; False where it had.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away: repeat it.
        """
        with self._recorded("opt_out", mask(possible(number, region)), reason=reason):
            return add_optout(self._ledger, number, region)

    def remove_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt in again; False where it had not opted out.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away: repeat it.
        """
        with self._recorded("opt_in", mask(possible(number, region)), reason=reason):
            return remove_optout(self._ledger, number, region)

    def import_optouts(
        self,
        numbers: Iterable[str],
        *,
        region: str | None = None,
        on_refused: Callable[[int, str], None] | None = None,
    ) -> OptOutImport:
        """Let many numbers opt out; they are streamed. One that is none stops no other.

        Args:
            numbers: E.164, or as somebody in `region` would dial them.
            region: ISO 3166 code such as `HK`, for numbers without a country code.
            on_refused: called for each that is no number, with its place from 1 and one sentence that shows it masked.

        Raises:
            StoreError: Redis is away; those before it are stored: import all again.
        """
        with self._recorded("import_optouts", ""):
            return import_optouts(self._ledger, numbers, region, on_refused)

    def forget(self, number: str, *, region: str | None = None, timeout_s: float = 15.0) -> Forgotten:
        """Remove what is kept of a person at once: the number, what was written to it alone, what it wrote.

        Rows keep their place and state, so counts stay right; those that wait are cancelled first, what is on the wire
        stays there. A text that others got too stays. An opt-out stays in force, under a digest. Everything that is
        kept is looked through, as by `find`, and every process is told.

        Args:
            number: E.164, or as somebody in `region` would dial it.
            region: ISO 3166 code such as `HK`, for a number without a country code.
            timeout_s: how long processes that forget, plan and fold are waited for.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away; a part is forgotten: repeat it.
        """
        with self._recorded("forget", "a number"):
            return forget_number(self._ledger, number, region, timeout_s)

    # --- accounts --------------------------------------------------------------------------------------------------

    def accounts(self) -> list[AccountInfo]:
        """The accounts that workers have published, by name.

        Raises:
            StoreError: Redis is away.
        """
        return read_accounts(self._ledger)

    def tariff(self) -> Tariff:
        """What texts and messages would come to before they are sent, as the accounts bill that workers published.

        Raises:
            StoreError: Redis is away.
        """
        return Tariff(*published(self._ledger))

    def pause(self, account: str, *, reason: str = "") -> None:
        """Stop submitting at an account until `resume`; reports and replies still come in.

        Raises:
            UnknownAccount: no worker has published it.
            StoreError: Redis is away.
        """
        set_active(self._ledger, account, self._actor, active=False, reason=reason)

    def resume(self, account: str, *, reason: str = "") -> None:
        """Let a paused or suspended account submit again, and resolve its alert.

        Raises:
            UnknownAccount: no worker has published it.
            StoreError: Redis is away.
        """
        set_active(self._ledger, account, self._actor, active=True, reason=reason)

    def alerts(self) -> list[AlertInfo]:
        """The alerts that are open, the oldest first.

        Raises:
            StoreError: Redis is away.
        """
        return read_alerts(self._ledger)

    def resolve_alert(self, account: str, code: str, *, reason: str = "") -> None:
        """End an open alert by hand, such as `unmapped_state`; it opens again if its cause comes again.

        Raises:
            UnknownAccount: no worker has published it.
            InvalidOption: no such alert is open, or `resume` is what ends it.
            StoreError: Redis is away.
        """
        with self._recorded("resolve_alert", account, before=code, reason=reason):
            end_alert(self._ledger, account, code)

    def limit(self, account: str, name: str, value: int | None, *, reason: str = "") -> None:
        """Change or add a limit while workers run, such as `limit("hk", "calls_per_s", 20)`; None takes it back.

        It holds for the next call of every process.

        Raises:
            UnknownAccount: no worker has published it.
            InvalidOption: there is no such limit, or the value is above what the workers' settings allow.
            StoreError: Redis is away.
        """
        set_limit(self._ledger, account, name, value, self._actor, reason=reason)

    def balance(self, account: str, *, timeout_s: float = 15.0) -> Balance:
        """What is left on an account. A worker asks the vendor, so this takes up to some seconds.

        Raises:
            UnknownAccount: no worker has published it.
            ProviderError: what the vendor answered instead.
            StoreError: Redis is away, or no worker answered within `timeout_s`.
        """
        return ask_balance(self._ledger, account, timeout_s)

    def doctor(self, *, timeout_s: float = 15.0) -> Iterator[Finding]:
        """Look at the whole system: Redis, processes, clocks, accounts, their credentials, pushes, alerts.

        A configuration file is looked at where SENDMILL_CONFIG names one and the workers' code is here.

        Args:
            timeout_s: how long workers and vendors may take to answer; all are asked at once.

        Raises:
            StoreError: while iterating: Redis is away.
        """
        yield from examine_configuration()
        yield from examine(self._ledger, timeout_s)

    # --- keys of the HTTP API ----------------------------------------------------------------------------------------

    def keys(self) -> list[KeyInfo]:
        """The keys of the HTTP API, the oldest first.

        Raises:
            StoreError: Redis is away.
        """
        return list_keys(self._ledger)

    def add_key(
        self,
        name: str,
        scopes: Collection[str],
        *,
        accounts: Collection[str] = (),
        sender: str | None = None,
        signature: str | None = None,
        networks: Collection[str] = (),
        ends_at: datetime | None = None,
        requests_per_s: int | None = None,
        recipients_per_day: int | None = None,
        test: bool = False,
    ) -> NewKey:
        """Make a key of the HTTP API. Its token is in the answer and nowhere else.

        Args:
            name: for people.
            scopes: what it may do: see `sendmill.access.apikeys.Scope`.
            accounts: the only ones that it knows of; none is all.
            sender: of all its jobs.
            signature: of all its jobs.
            networks: where it may come from, such as 10.0.0.0/8.
            ends_at: when it ends (aware).
            requests_per_s: in any second.
            recipients_per_day: in any 24 hours.
            test: its only account is one of the provider `simulated`, so that it reaches no vendor.

        Raises:
            InvalidOption: one of these cannot be used.
            UnknownAccount: no worker has published an account that is named.
            StoreError: Redis is away: make it again.
        """
        with self._recorded("add_key", name, after=" ".join(scopes)):
            return add_key(
                self._ledger,
                name,
                scopes,
                accounts=accounts,
                sender=sender,
                signature=signature,
                networks=networks,
                ends_at=ends_at,
                requests_per_s=requests_per_s,
                recipients_per_day=recipients_per_day,
                test=test,
            )

    def rotate_key(self, key_id: str, *, old_for_h: float = OLD_KEPT_H) -> NewKey:
        """Give a key a further secret. The one that it had is good for so many hours more, an older one no longer.

        Raises:
            NoSuchKey: there is none of this id.
            InvalidOption: not so many hours.
            StoreError: Redis is away: rotate it again.
        """
        with self._recorded("rotate_key", key_id):
            return rotate_key(self._ledger, key_id, old_for_h)

    def revoke_key(self, key_id: str) -> None:
        """End a key: a second later no process takes it.

        Raises:
            NoSuchKey: there is none of this id.
            StoreError: Redis is away: revoke it again.
        """
        with self._recorded("revoke_key", key_id):
            revoke_key(self._ledger, key_id)

    def read_keys(self) -> dict[str, ApiKey]:
        """The keys as the HTTP API checks them, by id. Raises StoreError."""
        return read_keys(self._ledger)

    def admit_key(self, key: ApiKey, *, requests: int = 0, recipients: int = 0, job_key: str | None = None) -> float:
        """Take units of a key's rates, unless `job_key` names a job already. The seconds until there are any, or 0.

        Raises:
            InvalidOption: no day has room for so many recipients.
            StoreError: Redis is away.
        """
        return admit(self._ledger, key, requests=requests, recipients=recipients, job_key=job_key)

    def note_keys_used(self, used_ms: Mapping[str, int]) -> None:
        """Write down when keys were used last, ms since the epoch by id. Raises StoreError."""
        note_used(self._ledger, used_ms)

    # --- asked of a vendor -------------------------------------------------------------------------------------------

    def check_words(self, account: str, text: str, *, timeout_s: float = 15.0) -> list[str]:
        """The sensitive words that an account's vendor finds in a text, none where it is clean. A worker asks.

        Raises:
            UnknownAccount: no worker has published it.
            UnsupportedFeature: its vendor does not tell; the accounts whose do are named.
            InvalidMessage: the vendor cannot be given this text.
            ProviderError: what the vendor answered instead.
            StoreError: Redis is away, or no worker answered within `timeout_s`.
        """
        return ask_words(self._ledger, account, text, timeout_s)

    def upload(
        self, account: str, source: str | Path, *, kind: Kind | str | None = None, timeout_s: float = 30.0
    ) -> MediaName:
        """Have an account's vendor keep a picture or a recording; returns the name to use in an Mms or a Voice.

        Args:
            account: whose vendor is to keep it; the name is good at that account.
            source: an http(s) address, from which the vendor fetches it, or a file of this machine: JPEG or GIF up to
                1 MB, WAV up to 5 MB. The vendor fetches a file from the push server within a quarter of an hour.
            kind: `mms` or `voice`, where neither the file nor the address's ending says it.
            timeout_s: how long a worker and the vendor may take.

        Raises:
            ConfigError: a file, and the workers do not know where vendors reach the push server (`public_url`).
            UnsupportedFeature: the account's vendor keeps no such files; the accounts whose do are named.
            UnknownAccount, InvalidMessage, ProviderError, StoreError: as `check_words`.
        """
        return ask_upload(self._ledger, account, source, kind, timeout_s)

    def add_sender(self, account: str, name: str, *, timeout_s: float = 15.0) -> str:
        """Register a sender ID at an account's vendor; returns in a sentence what the vendor says to it.

        Raises:
            SenderNotAllowed: it breaks the vendor's rules.
            UnsupportedFeature, UnknownAccount, ProviderError, StoreError: as `check_words`.
        """
        return ask_sender(self._ledger, account, name, timeout_s)

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


def _state(state: State | str | None) -> State | None:
    if state is None:
        return None
    try:
        return State(state)
    except ValueError:
        raise InvalidOption(f"there is no state {str(state)[:40]!r}: there are {', '.join(State)}") from None
