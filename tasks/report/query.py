"""Query: ask the vendors that answer only about one message, or one call, at a time what became of it.

`ask` holds the calls that are to be asked about, with the time when. Asking changes nothing at the vendor, so an answer
needs no store before it is read: what is lost is asked for again.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from config.redaction import Redactor
from providers.base import Received, Response
from providers.http import MAX_ANSWER_BYTES
from sendmill.errors import AccountBlocked, InvalidMessage, OutcomeUnknown, ProviderError
from sendmill.ledger.lock import Lock, try_lock
from sendmill.moment import HOUR_MS, clock_ms
from tasks.ask import refusals
from tasks.process import alerts
from tasks.process.account import Account
from tasks.process.for_each_account import for_each_account
from tasks.process.runtime import Runtime
from tasks.report.billed import count_as_billed
from tasks.report.call_lookup import CallRecord, number_of, row_of
from tasks.report.ended_calls import past_calls
from tasks.report.inbox import Entry, Inbox
from tasks.report.matching import Matcher, folding
from tasks.report.vendor_report import vendor_report

QUERY_S = 20.0
"""After this a run asks nothing more."""

LOCK_MS = 60_000
"""One process asks an account at a time. Longer than a vendor may take to answer; renewed with every page."""

QUERIES_PER_PAGE = 20

MESSAGE_BYTES = 1_000
"""An answer about a call of many has so much for each message at the most; AccessYou's sample has 400 (p.53)."""

FIRST_WAIT_MS = 5_000
LONGEST_WAIT_MS = 600_000

_FINAL_STATES = frozenset("dnerfpck")

log = structlog.get_logger(__name__)


def wait_ms(age_ms: int) -> int:
    """How long to wait before asking again about a call of this age: as long as it is old, from 5 s to 10 minutes.

    So the waits double (5 s, 10 s, 20 s, …) and nothing has to be counted.
    """
    return max(FIRST_WAIT_MS, min(LONGEST_WAIT_MS, age_ms))


async def query(runtime: Runtime) -> None:
    """Ask about all messages that are due. Safe to run twice, and at once; an account's trouble is its own.

    Raises:
        redis.RedisError: Redis is away.
    """
    ends_at = time.monotonic() + QUERY_S
    asking = {
        name: query_account(runtime, account, ends_at)
        for name, account in runtime.accounts.items()
        if account.provider.queries
    }
    await for_each_account("query", asking)


async def query_account(runtime: Runtime, account: Account, ends_at: float) -> int:
    """Ask about one account's messages until none is due; returns how many were asked about.

    Raises:
        redis.RedisError: Redis is away.
    """
    async with try_lock(runtime.server, account.keys.lock("query"), LOCK_MS) as lock:
        if lock is None or await runtime.server.exists(account.keys.polled("query")):
            return 0
        return await _Asker(runtime, account).run(lock, ends_at)


class _Asker:
    """Asks about one account's messages, under its lock."""

    def __init__(self, runtime: Runtime, account: Account) -> None:
        self._runtime = runtime
        self._account = account
        self._server = runtime.server
        self._keys = account.keys
        self._matcher = Matcher(runtime, account)
        self._horizon_ms = runtime.settings.report_horizon_h * HOUR_MS
        self._at_once = asyncio.Semaphore(account.provider.queries_at_once)
        self._halted = False
        self._answered = False

    async def run(self, lock: Lock, ends_at: float) -> int:
        asked = 0
        while not self._must_stop(ends_at):
            due = await self._server.zrangebyscore(self._keys.ask, 0, clock_ms(), start=0, num=QUERIES_PER_PAGE)
            if not due:
                break
            records = await self._matcher.calls.records((int(call) for call in due), rows_only=True)
            known = [records[int(call)] for call in due if int(call) in records]
            if gone := [call for call in due if int(call) not in records]:
                await self._server.zrem(self._keys.ask, *gone)
            made = await asyncio.gather(*(self._ask(record, ends_at) for record in known))
            asked += sum(made)
            if not await lock.renew():
                break
        if self._answered and not self._halted:
            await refusals.let_in(self._server, self._keys, "query")
            await alerts.resolve_alert(self._server, self._keys, alerts.REPORTS_FAILING)
        return asked

    def _must_stop(self, ends_at: float) -> bool:
        return self._halted or self._runtime.stopping() or time.monotonic() >= ends_at

    async def _ask(self, record: CallRecord, ends_at: float) -> bool:
        """Ask about a call and set when to ask again, if at all; False where nothing was asked."""
        async with self._at_once:
            if self._must_stop(ends_at):
                return False
            age_ms = clock_ms() - record.began_ms
            past = (await past_calls(self._account.outbox, [record.number])).get(record.number)
            if past is None or not past.vmid or age_ms > self._horizon_ms:
                # Nothing to ask with, or its rows are given up: settle says so.
                await self._done(record)
                return False
            received = await self._answer(record, past.vmid)
            if received is not None and await self._fold(record, received):
                await self._done(record)
            else:
                await self._server.zadd(self._keys.ask, {str(record.number): clock_ms() + wait_ms(age_ms)})
            return True

    async def _done(self, record: CallRecord) -> None:
        await self._server.zrem(self._keys.ask, str(record.number))

    async def _answer(self, record: CallRecord, vendor_message_id: str) -> Received | None:
        """What the vendor says, None where that is nothing that can be read."""
        response: Response | None = None
        provider = self._account.provider
        try:
            request = provider.query_request(vendor_message_id)
            most = max(MAX_ANSWER_BYTES, MESSAGE_BYTES * record.recipients)
            response = await self._account.ask(request, max_answer_bytes=most)
            # What 20,000 messages take to be read would hold up everything else here.
            received = await asyncio.to_thread(provider.queried, vendor_message_id, response)
        except OutcomeUnknown as error:
            if response is None:
                await self._halt(error)
            else:
                await self._quarantine(vendor_message_id, response, error)
            return None
        except (ProviderError, InvalidMessage) as error:
            await self._halt(error)
            return None
        self._answered = True
        return received

    async def _halt(self, error: ProviderError | InvalidMessage) -> None:
        """The vendor does not answer, or refuses the login: ask nothing for a while."""
        self._halted = True
        detail = f"{type(error).__name__}: {error}"
        log.warning("messages cannot be asked about", account=self._account.name, detail=detail)
        wait_s = refusals.FIRST_S
        if isinstance(error, AccountBlocked | InvalidMessage):
            wait_s = await refusals.refused(self._server, self._keys, "query")
            await alerts.open_alert(self._server, self._keys, alerts.REPORTS_FAILING, detail)
        await self._server.set(self._keys.polled("query"), 1, px=int(wait_s * 1000))

    async def _quarantine(self, vendor_message_id: str, response: Response, error: OutcomeUnknown) -> None:
        entry = Entry(f"query:{vendor_message_id}", clock_ms(), headers={}, body=response.body)
        await Inbox(self._server, self._keys).quarantine(entry, str(error))
        await alerts.open_alert(self._server, self._keys, alerts.UNREADABLE_REPORT, f"an answer to a query: {error}")

    async def _fold(self, record: CallRecord, received: Received) -> bool:
        """Fold an answer; returns whether there is no more to be learnt."""
        bills = [report.bill for report in received.reports]
        words = [vendor_report(report, "", clock_ms()) for report in received.reports]
        if unmapped := [word.raw_state for word in words if not word.state]:
            shown = Redactor().text(unmapped[0])
            await alerts.open_alert(self._server, self._keys, alerts.UNMAPPED_STATE, f"a query was answered {shown}")
        recipients = await self._matcher.calls.recipients(record.slice_ids)
        rows = [row_of(record, recipients, word) for word in words]
        if misfits := rows.count(None):
            log.warning(
                "a query was answered about no row of its call",
                account=self._account.name,
                call=record.number,
                answers=misfits,
            )
        foldings = [
            folding(word, record.number, row, "", number_of(word, recipients, row))
            for word, row in zip(words, rows, strict=True)
            if row is not None and word.state
        ]
        changed = {(each.slice_id, each.offset) for each in await self._matcher.fold_rows(foldings)}
        billed = {row: bill for row, bill in zip(rows, bills, strict=True) if row in changed and bill is not None}
        await count_as_billed(self._runtime, self._account, billed)
        return not received.more and all(word.state in _FINAL_STATES for word in words)
