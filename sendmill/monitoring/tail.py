"""What happens now, for somebody who watches: the event streams from this moment on, without a group.

A line tells of all rows of a slice that changed together. No line has a number or a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.eventlog import Entry, entry_of
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.published import published_accounts
from sendmill.moment import moment
from sendmill.states import BY_BYTE

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class TailLine:
    """Something that happened: `messages` of a job came into a state, a reply came in, an alert opened or ended."""

    at: datetime
    kind: str
    account: str | None
    job: str | None = None
    messages: int = 1
    state: str | None = None
    code: str | None = None
    detail: str | None = None


class Tail:
    """Reads on from where it was. Begins at the end.

    Args:
        ledger: of the system.
        account: only this one.
    """

    def __init__(self, ledger: Ledger, account: str | None = None) -> None:
        self._ledger = ledger
        self._only = account
        self._last: dict[str, str] = {}

    def look(self) -> list[TailLine]:
        """What came since the last look, the earliest first; of an account no more than 200 entries.

        Raises:
            StoreError: Redis is away.
        """
        names = [each for each in (*published_accounts(self._ledger), REFUSED) if self._only in (None, each)]
        with store_errors():
            pipe = self._ledger.server.pipeline(transaction=False)
            for name in names:
                key = self._ledger.account(name).events
                if name in self._last:
                    pipe.xrange(key, f"({self._last[name]}", "+", count=_AT_ONCE)
                else:
                    pipe.xrevrange(key, count=1)
            answers = pipe.execute()
        lines: list[TailLine] = []
        for name, raws in zip(names, answers, strict=True):
            is_new = name in self._last
            if raws or not is_new:
                self._last[name] = raws[-1][0].decode() if raws else "0-0"
            if is_new:
                for raw_id, fields in raws:
                    lines += _lines(entry_of(name, raw_id, fields))
        return sorted(lines, key=lambda line: line.at)


def _lines(entry: Entry) -> list[TailLine]:
    account = None if entry.account == REFUSED else entry.account
    told = entry.fields
    match told["kind"]:
        case b"report":
            job = told["slice"].decode().partition(".")[0]
            return [_of_run(account, job, run) for run in msgspec.msgpack.decode(told["rows"])]
        case b"alert":
            at = moment(float(told["at"]))
            state = "open" if told["open"] == b"1" else "resolved"
            return [
                TailLine(at, "alert", account, state=state, code=told["code"].decode(), detail=told["detail"].decode())
            ]
        case b"reply":
            answered = told.get("message_id", b"").decode().rpartition("-")[0]
            return [TailLine(moment(float(told["at"])), "reply", account, job=answered or None)]
        case _:
            return []


def _of_run(account: str | None, job: str, run: list[Any]) -> TailLine:
    first, last, _, new, code, detail, _, _, changed_ms = run
    return TailLine(
        at=moment(float(changed_ms)),
        kind="report",
        account=account,
        job=job,
        messages=last - first + 1,
        state=BY_BYTE[ord(new)].value,
        code=code or None,
        detail=detail or None,
    )
