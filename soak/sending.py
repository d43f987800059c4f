"""Hands the jobs over, each at its time, from a thread of its own: what a producer does that means to lose nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from sendmill import Client
from sendmill.errors import NoSuchJob, StoreError
from soak.jobs import JobPlan

_AGAIN_AFTER_S = 0.3


@dataclass(slots=True)
class Sent:
    """What became of a job's `send`: `job_id` where it returned, None where nobody knows whether the job exists."""

    plan: JobPlan
    job_id: str | None
    cancelled: bool = False
    gone: int = 0


class Producer(threading.Thread):
    """Sends every job at its time or as soon after it as Redis takes it, and cancels some.

    A job with a key is sent again until it is taken; one without is sent once.
    """

    def __init__(self, client: Client, jobs: Sequence[JobPlan], began_at: float, give_up_s: float) -> None:
        super().__init__(name="producer", daemon=True)
        self.sent: list[Sent] = []
        self.store_errors = 0
        self.trouble: BaseException | None = None
        self._client = client
        self._jobs = jobs
        self._began_at = began_at
        self._give_up_at = began_at + give_up_s
        self._to_cancel: list[tuple[float, int]] = []
        self._halt = threading.Event()

    def run(self) -> None:
        """Until all jobs are with Redis, or something that must not happen did: then `trouble` has it."""
        try:
            for job in self._jobs:
                self._cancel_due(self._began_at + job.at_s)
                self._wait_until(self._began_at + job.at_s)
                self._send(job)
            self._cancel_due(float("inf"))
        except BaseException as error:  # noqa: BLE001  whoever joins the thread raises it
            self.trouble = error

    def halt(self) -> None:
        """End before everything is sent."""
        self._halt.set()

    def _wait_until(self, at: float) -> None:
        if self._halt.wait(max(0.0, at - time.monotonic())):
            raise InterruptedError("the soak ended before every job was handed over")

    def _send(self, job: JobPlan) -> None:
        content, options = job.content(), job.options()
        while True:
            try:
                job_id = self._client.send(content, **options).id
            except StoreError:
                self.store_errors += 1
                if not job.key:
                    self.sent.append(Sent(job, None))
                    return
                self._again()
                content = job.content()  # what is iterated once is used up
            else:
                self.sent.append(Sent(job, job_id))
                if job.cancel_after_s:
                    heappush(self._to_cancel, (time.monotonic() + job.cancel_after_s, len(self.sent) - 1))
                return

    def _cancel_due(self, until: float) -> None:
        while self._to_cancel and self._to_cancel[0][0] <= until:
            at, place = heappop(self._to_cancel)
            self._wait_until(at)
            self._cancel(self.sent[place])

    def _cancel(self, sent: Sent) -> None:
        assert sent.job_id is not None, "only what was accepted is cancelled"
        while True:
            try:
                sent.gone = self._client.cancel(sent.job_id).gone
            except StoreError:
                self.store_errors += 1
                self._again()
            except NoSuchJob:
                return  # a Redis that lost it: the comparison says so
            else:
                sent.cancelled = True
                return

    def _again(self) -> None:
        if time.monotonic() > self._give_up_at:
            raise TimeoutError("Redis took no job until the time was up")
        self._wait_until(time.monotonic() + _AGAIN_AFTER_S)
