"""What became of jobs and messages, and what a person says of those that nobody knows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sendmill.accounts.job_eta import read_job_eta, read_progress, unsent_eta
from sendmill.client_parts.part import ClientPart
from sendmill.errors import InvalidOption
from sendmill.ledger.find_by_number import find_messages
from sendmill.ledger.message_life import read_message
from sendmill.ledger.reading import read_job_page, read_jobs, read_message_page, read_messages, read_status
from sendmill.ledger.settling import read_unconfirmed, settle
from sendmill.ledger.sweep_counts import read_sweeps
from sendmill.messages import (
    JobEta,
    JobPage,
    JobStatus,
    JobSummary,
    MessageInfo,
    MessagePage,
    Settled,
    Sweep,
    Unconfirmed,
    Verdict,
)
from sendmill.options import Lane
from sendmill.states import State


class ReadingPart(ClientPart):
    """`Client`: jobs and messages."""

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


def _state(state: State | str | None) -> State | None:
    if state is None:
        return None
    try:
        return State(state)
    except ValueError:
        raise InvalidOption(f"there is no state {str(state)[:40]!r}: there are {', '.join(State)}") from None
