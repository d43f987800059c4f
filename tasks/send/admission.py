"""Admission: which rows of a call may go to their numbers now, before the gate is asked for it.

Two things may stand against a row: a cap of its account on messages to one number, and a vendor that removes repeats
of a text by itself, where a second message would only look like one. Accounts without either pay nothing.

A row counts from its admission, which is good for ADMITTED_S; where a call waits for longer at the gate its rows are
admitted anew. So a window is MARGIN_MS longer for us than it was set: from a row's last admission to the moment at
which it leaves at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from redis.exceptions import RedisError

from sendmill.errors import OutcomeUnknown, ProviderError
from sendmill.ledger.slices import LANE_BYTES
from sendmill.preparing.template import Template
from sendmill.states import State
from tasks.process.account import GRACE_S, Account
from tasks.send.caps import AT_ONCE, Cap, Entry, Logs, message
from tasks.send.claimed import ClaimedSlices
from tasks.send.leases import refuse_rows
from tasks.send.pack import ReadyCall, Row

ADMITTED_S = 5.0
"""To admit 20,000 numbers takes Redis a tenth of a second: it should not be asked for that often."""

_ROWS_AT_ONCE = 20_000
"""The rows of all calls that are admitted together, where it is not one call alone."""

MARGIN_MS = int(1000 * (ADMITTED_S + GRACE_S))

FREQUENCY_CAP = "frequency_cap"
REPEAT_AT_VENDOR = "repeat_at_vendor"

_TAKEN = "t"
_ON_ITS_WAY = "w"
"""Marks of a text to a number: the vendor took it; it is being sent, and nobody knows yet."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Caps that hold for a lane. A message over one ends with the cap's code, or waits where it has none.

    `mark` is what rows are noted with, for `keep_ms`; `by_text` tells texts to one number apart.
    """

    caps: Sequence[Cap]
    codes: Sequence[str]
    details: Sequence[str]
    mark: str
    keep_ms: int
    by_text: bool = False


@dataclass(slots=True)
class _Judgement:
    """Which rows of a call may not go, by their place, and why."""

    suppressed: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    postponed: dict[int, float] = field(default_factory=dict)
    """Place → ms until it may go."""

    told: dict[tuple[str, int], str] = field(default_factory=dict)

    @property
    def out(self) -> set[int]:
        """The places of rows that may not go now."""
        return {*self.postponed, *(place for places in self.suppressed.values() for place in places)}


class Admission:
    """What one drain asks before it asks the gate.

    Args:
        account: whose caps hold.
        claimed: where rows that may not go now are let go.
    """

    def __init__(self, account: Account, claimed: ClaimedSlices) -> None:
        self._account = account
        self._claimed = claimed
        self._logs = Logs(account.outbox.server, account.keys, account.tag)
        self._rules = {lane: [*_repeats(account), *_number_caps(account, lane)] for lane in LANE_BYTES}

    def has_room(self, asked: Sequence[ReadyCall], call: ReadyCall) -> bool:
        """Whether a call may be admitted together with others: it takes time, and an admission ages."""
        if not asked or not self._rules[call.lane]:
            return True
        return sum(each.recipients for each in asked) + call.recipients <= _ROWS_AT_ONCE

    async def admit(self, calls: Sequence[ReadyCall]) -> list[ReadyCall]:
        """Those of some calls that may be asked for now, without rows that may not go: these end, or wait in Redis.

        Raises:
            redis.RedisError: Redis is away. Nothing has changed here, and doing it again does no harm.
        """
        asked = [call for call in calls if self._concerns(call)]
        if not asked:
            return list(calls)
        judgements = dict(zip(asked, await asyncio.gather(*map(self._judge, asked)), strict=True))
        for call, judgement in judgements.items():
            await self._suppress(call, judgement)
        admitted = []
        for call in calls:
            judgement = judgements.get(call, _Judgement())
            left = self._without(call, judgement) if judgement.out else call
            if left is not None and left.service.name != call.service.name:
                self._claimed.put_first(left)
            elif left is not None:
                admitted.append(left)
        return admitted

    async def still_admitted(self, call: ReadyCall) -> bool:
        """Whether all rows of a call may still go, before another try.

        Raises:
            redis.RedisError: Redis is away.
        """
        return not self._concerns(call) or not (await self._judge(call)).out

    def minds(self, call: ReadyCall) -> bool:
        """Whether anything may stand against rows of a call's lane, so that their end matters here."""
        return bool(self._rules[call.lane])

    async def ended(self, call: ReadyCall, error: ProviderError | None) -> None:
        """What became of a call, None where the vendor took it: what it certainly did not take does not count.

        Where Redis is away a row counts that did not go, or a repeat is not known as one.
        """
        rules = self._rules[call.lane]
        rows = [row for row in call.rows() if (row[0].slice_id, row[1]) not in call.told]
        with contextlib.suppress(RedisError):
            for rule in rules:
                entries = self._entries(call, rows, rule)
                if error is None and rule.by_text:
                    await self._logs.note(entries, [], _TAKEN, rule.keep_ms)
                elif error is not None and not isinstance(error, OutcomeUnknown):
                    await self._logs.strike(entries, rule.keep_ms, call.admitted_ms)

    def _concerns(self, call: ReadyCall) -> bool:
        return self.minds(call) and time.monotonic() >= call.admitted_until

    def _entries(self, call: ReadyCall, rows: Sequence[Row], rule: _Rule) -> Iterator[Entry]:
        signature = call.message.signature or self._account.settings.signature or ""
        template = Template(call.message.text) if call.personal else None
        for lease, offset in rows:
            values = lease.body.values if template else None
            text = template.fill(values[offset]) if template and values else call.message.text
            against = self._logs.against(lease.body.number(offset), f"{signature}\0{text}" if rule.by_text else "")
            yield against, message(lease.slice_id, offset)

    async def _judge(self, call: ReadyCall) -> _Judgement:
        judgement, rows = _Judgement(), list(call.rows())
        admitted_until = time.monotonic() + ADMITTED_S
        for rule in self._rules[call.lane]:
            out = judgement.out
            places = [place for place in range(len(rows)) if place not in out]
            entries = self._entries(call, [rows[place] for place in places], rule)
            verdict = await self._logs.note(entries, rule.caps, rule.mark, rule.keep_ms)
            call.admitted_ms = verdict.now_ms
            for over in verdict.over:
                place, code = places[over.place], rule.codes[over.cap]
                if rule.caps[over.cap].tells:
                    lease, offset = rows[place]
                    judgement.told[lease.slice_id, offset] = code
                elif code:
                    since = datetime.fromtimestamp(over.at_ms // 60_000 * 60, UTC)
                    detail = rule.details[over.cap].format(since=f"{since:%Y-%m-%dT%H:%MZ}")
                    judgement.suppressed.setdefault((code, detail), []).append(place)
                else:
                    judgement.postponed[place] = over.free_ms - verdict.now_ms
        call.told = judgement.told
        call.admitted_until = admitted_until
        return judgement

    async def _suppress(self, call: ReadyCall, judgement: _Judgement) -> None:
        rows = list(call.rows()) if judgement.suppressed else []
        for (code, detail), places in judgement.suppressed.items():
            for start in range(0, len(places), AT_ONCE):
                part = call.part(self._account.provider, [rows[place] for place in places[start : start + AT_ONCE]])
                await refuse_rows(self._account.outbox, part.rows_by_slice(), code, detail, state=State.SUPPRESSED)

    def _without(self, call: ReadyCall, judgement: _Judgement) -> ReadyCall | None:
        """The call without those of its rows that may not go now; None where none is left."""
        out, rows = judgement.out, list(call.rows())
        for place in out:
            self._claimed.take_out(rows[place], judgement.postponed.get(place))
        staying = [row for place, row in enumerate(rows) if place not in out]
        if not staying:
            return None
        left = call.part(self._account.provider, staying)
        left.told, left.admitted_until, left.admitted_ms = call.told, call.admitted_until, call.admitted_ms
        return left


def _number_caps(account: Account, lane: str) -> Iterator[_Rule]:
    """What stands over first is suppressed, where any cap says so."""
    settings = sorted(account.settings.number_caps, key=lambda cap: cap.over != "suppress")
    holding = [cap for cap in settings if lane in cap.lanes]
    if not holding:
        return
    yield _Rule(
        caps=[Cap(cap.messages, _window_ms(cap.per_s), "".join(map(_mark, cap.lanes))) for cap in holding],
        codes=[FREQUENCY_CAP if cap.over == "suppress" else "" for cap in holding],
        details=[f"more than {cap.messages} to this number in {cap.per_s} s, since {{since}}" for cap in holding],
        mark=_mark(lane),
        keep_ms=max(_window_ms(cap.per_s) for cap in settings),
    )


def _repeats(account: Account) -> Iterator[_Rule]:
    provider = account.provider
    if not provider.repeat_window_s:
        return
    tells = provider.repeats == "send"
    window_ms, on_its_way_ms = math.ceil(1000 * provider.repeat_window_s), MARGIN_MS + account.call_ms
    detail = (
        f"the same text went to this number at {{since}}, and {provider.name} removes repeats by itself "
        f"(repeat_window_s = {provider.repeat_window_s:g})"
    )
    yield _Rule(
        caps=[Cap(1, window_ms, _TAKEN, tells), Cap(1, on_its_way_ms, _ON_ITS_WAY, tells)],
        codes=[REPEAT_AT_VENDOR, REPEAT_AT_VENDOR if tells else ""],
        details=[detail, ""],
        mark=_ON_ITS_WAY,
        keep_ms=max(window_ms, on_its_way_ms),
        by_text=True,
    )


def _window_ms(per_s: int) -> int:
    return per_s * 1000 + MARGIN_MS


def _mark(lane: str) -> str:
    return LANE_BYTES[lane].decode()
