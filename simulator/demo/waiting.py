"""Waits until every message is final and every reply is in, and shows how far it is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from sendmill import Client
from sendmill.states import State
from simulator.demo.sending import Sent
from simulator.system import System

_LOOK_EVERY_S = 0.5
_SAY_EVERY_S = 5.0
_NOT_SUBMITTED: Final = frozenset({State.ACCEPTED, State.SCHEDULED, State.QUEUED, State.SUBMITTING})


class Bars:
    """Bars on a terminal; elsewhere a line now and then, because what is redrawn there would be a thousand lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = 0.0
        self._progress = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._shown: dict[TaskID, tuple[str, int, int]] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._say()
        self._progress.stop()

    def add(self, title: str, total: int) -> TaskID:
        """A new bar."""
        bar = self._progress.add_task(title, total=total)
        self._shown[bar] = (title, 0, total)
        return bar

    def show(self, bar: TaskID, done: int) -> None:
        """How far a bar is."""
        title, _, total = self._shown[bar]
        self._shown[bar] = (title, done, total)
        self._progress.update(bar, completed=done)
        if time.monotonic() - self._said_at > _SAY_EVERY_S:
            self._say()

    def _say(self) -> None:
        self._said_at = time.monotonic()
        if not self._console.is_terminal:
            told = [f"{title} {done:,} of {total:,}" for title, done, total in self._shown.values()]
            self._console.print(" · ".join(told[-2:]), highlight=False, soft_wrap=True)


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Bars until the block ends."""
    with Bars(console) as shown:
        yield shown


def wait_until_final(system: System, client: Client, jobs: Sequence[Sent], shown: Bars, *, timeout_s: float) -> bool:
    """Look until all rows are final, no report or reply is under way and every reply is in the ledger.

    Returns False where the time is up before: the reckoning then says what is missing.

    Raises:
        SystemFailed: a process ended.
    """
    rows, silent = sum(len(sent.rows) for sent in jobs), sum(sent.silent for sent in jobs)
    submitted = shown.add("with a vendor, or refused", rows)
    final = shown.add("reported, or refused", rows - silent)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        system.check()
        told = [client.status(sent.job) for sent in jobs]
        states = sum((Counter(status.states) for status in told), Counter[State]())
        shown.show(submitted, sum(count for state, count in states.items() if state not in _NOT_SUBMITTED))
        shown.show(final, sum(count for state, count in states.items() if state.final))
        if all(status.done for status in told) and _all_in(system, client):
            return True
        time.sleep(_LOOK_EVERY_S)
    return False


def _all_in(system: System, client: Client) -> bool:
    if system.simulator.pending()["total"]:
        return False
    accounts = [one for vendor in system.simulator.counters()["vendors"].values() for one in vendor.values()]
    replies: int = sum(one["replies_pushed"] + one["replies_polled"] for one in accounts)
    return sum(1 for _ in client.replies()) >= replies
