"""A `send` in its parts, so that `Client` and `AsyncClient` hand a job over in the same way."""

from __future__ import annotations

from collections.abc import Iterator

from sendmill.broker.publisher import Publisher
from sendmill.errors import InvalidOption, StoreError
from sendmill.handover.contents import features_of, meta_of
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.jobs import Uploaded, Writer
from sendmill.ledger.keys import READY_KEPT_MS
from sendmill.ledger.published import KnownNames
from sendmill.ledger.vendor_files import read_kept
from sendmill.media import MediaName, fitting, named_file, refuse_forgotten
from sendmill.messages import Content, Job, Refusal
from sendmill.moment import clock_ms
from sendmill.options import Durability, SendOptions
from sendmill.preparing.prepare import PreparedBatch, prepare_batches


class Sending:
    """What is the same for every job of a client.

    Args:
        ledger: where jobs are stored.
        publisher: wakes a planner for them.
    """

    def __init__(self, ledger: Ledger, publisher: Publisher) -> None:
        self._ledger = ledger
        self._names = KnownNames(ledger)
        self._publisher = publisher

    @property
    def due_key(self) -> str:
        """KEYS[1] of commit.lua."""
        return self._ledger.jobs.due

    def knows(self, content: Content, chosen: SendOptions) -> bool:
        """Whether `begun` asks nothing of Redis for a short job with these options."""
        return (
            named_file(content) is None
            and chosen.durability is not Durability.FSYNC
            and chosen.at is None
            and self._names.know(account=chosen.account, route=chosen.route)
        )

    def learn(self, content: Content, chosen: SendOptions) -> bool:
        """Ask Redis for the names that there are; whether that is enough for `begun`."""
        self._names.read_now()
        return self.knows(content, chosen)

    def commit_args(self, writer: Writer, chosen: SendOptions, plan_at_ms: int) -> list[bytes | str | int]:
        """What commit.lua is told once all rows were added."""
        return writer.commit_args(chosen.key, plan_at_ms, self._publisher)

    def begun(
        self, content: Content, chosen: SendOptions, keep_refused: int | None = None
    ) -> tuple[Writer, Iterator[PreparedBatch], int]:
        """A job that is about to be stored: its writer, the rows to give it, and when it is to be planned (ms, or 0).

        Raises: as `send`.
        """
        now_ms = clock_ms()
        chosen = chosen.at_site(self._names.check_numbers)
        prepared = prepare_batches(content, chosen)
        self._names.check(account=chosen.account, route=chosen.route)
        if chosen.account is not None:
            self._names.check_features(chosen.account, features_of(content, chosen), chosen.vendor)
        if chosen.durability is Durability.FSYNC:
            self._check_fsync()
        meta = meta_of(content, chosen, prepared.fields, now_ms)
        batches = self._with_file(content, chosen, prepared.batches, meta.at_ms or now_ms)
        plan_at_ms = meta.at_ms or 0
        if plan_at_ms <= now_ms or self._names.vendor_keeps_time(account=chosen.account, route=chosen.route):
            plan_at_ms = 0
        return Writer(self._ledger.server, self._ledger.jobs, meta, keep_refused), batches, plan_at_ms

    def _with_file(
        self, content: Content, chosen: SendOptions, batches: Iterator[PreparedBatch], at_ms: int
    ) -> Iterator[PreparedBatch]:
        """Rows that may have the file that a content names at the vendor. Raises InvalidOption: it is gone by then."""
        name = named_file(content)
        if name is None:
            return batches
        if isinstance(name, MediaName) and name.kept_until is not None:
            refuse_forgotten(name, int(name.kept_until.timestamp() * 1000), at_ms)
        if chosen.account is None:
            return batches
        kept = read_kept(self._ledger, chosen.account, name)
        refuse_forgotten(name, kept.until_ms, at_ms)
        return fitting(batches, kept) if kept.size else batches

    def is_stored(self, uploaded: Uploaded, chosen: SendOptions) -> bool:
        """Whether `stored` asks nothing of Redis."""
        return not uploaded.wake and not _replicas(uploaded, chosen)

    def stored(self, uploaded: Uploaded, chosen: SendOptions) -> Job:
        """A job that is in Redis: replicas confirm it, where they are to, and somebody hears of it, where nobody does.

        Raises:
            StoreError: they do not; the job may be lost with its server.
        """
        if uploaded.wake:
            self._publisher.plan(uploaded.job, small=uploaded.small)
        if replicas := _replicas(uploaded, chosen):
            self._wait_for(replicas)
        return _job(uploaded)

    def _wait_for(self, replicas: int) -> None:
        """Whatever is written now comes after the job, so a replica that has it has the job."""
        ledger = self._ledger
        with store_errors():
            pipe = ledger.server.pipeline(transaction=False)
            pipe.set(ledger.jobs.ready, 1, px=READY_KEPT_MS)
            pipe.execute_command("WAIT", replicas, int(ledger.block_s * 1000))
            _, confirmed = pipe.execute()
        if confirmed < replicas:
            ledger.server.connection_pool.disconnect(inuse_connections=False)  # another may be the master by now
            raise StoreError(
                f"Redis has the job and {confirmed} of {replicas} replicas confirmed it, so a failover may lose it: "
                "repeat it with the same key"
            )

    def _check_fsync(self) -> None:
        with store_errors():
            found = self._ledger.server.config_get("appendfsync")
        if found.get("appendfsync") != "always":
            raise InvalidOption(
                f"durability fsync needs a Redis with appendfsync always, and this one has "
                f"{found.get('appendfsync') or 'none'}: change it there, or send with durability process"
            )


def _replicas(uploaded: Uploaded, chosen: SendOptions) -> int:
    return max(uploaded.replicas, int(chosen.durability is Durability.REPLICA))


def _job(uploaded: Uploaded) -> Job:
    refused = tuple(Refusal(row.row, row.to, row.code, row.reason) for row in uploaded.refused)
    return Job(uploaded.job, uploaded.total, uploaded.accepted, refused, repeated=uploaded.known is not None)
