"""What was not sent or not reported on in its time: `expired` before it went, `unknown` after its horizon."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sendmill.ledger.format import NewerFormat
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.pages import is_page, reading_header, slices_in, whole
from sendmill.ledger.slices import decode_header
from sendmill.options import Lane
from sendmill.states import State
from tasks.keep.retire import LONGEST_S
from tasks.process.outbox import EXPIRED_BY_US, EXPIRED_DETAIL, Outbox
from tasks.process.sweep_counts import count_found

AT_ONCE = 100
_RIPE_AT_ONCE = 500


async def expire_waiting(outbox: Outbox) -> int:
    """Expire rows at an account that sends nothing, so that no call asks the gate for them; returns how many.

    Those whose turn is next are looked at: what lies behind them waits for them too.
    """
    keys, expired = outbox.keys, 0
    for waiting in (*(keys.out(lane.value) for lane in Lane), keys.wait):
        ended = 1
        while ended:
            slices = [raw.decode() for raw in await outbox.server.zrange(waiting, 0, AT_ONCE - 1)]
            ended = await outbox.close(
                slices, from_states="q", to="e", code=EXPIRED_BY_US, detail=EXPIRED_DETAIL, past_expiry=True
            )
            expired += ended
    return expired


async def give_up_reports(outbox: Outbox, now_ms: int) -> int:
    """Rows that no report reached by the horizon are `unknown`; returns how many.

    Ends when no slice is ripe, or after some seconds.
    """
    keys, server = outbox.keys, outbox.server
    ends, given_up = time.monotonic() + LONGEST_S, 0
    while time.monotonic() < ends:
        ripe = [raw.decode() for raw in await server.zrangebyscore(keys.horizon, 0, now_ms, start=0, num=_RIPE_AT_ONCE)]
        if not ripe:
            break
        slice_ids = await _slices(server, keys, ripe)
        async with server.pipeline(transaction=False) as pipe:
            for slice_id in slice_ids:
                pipe.execute_command(*reading_header(keys, slice_id))
            headers = await pipe.execute()
        for slice_id, answer in zip(slice_ids, headers, strict=True):
            raw = whole(slice_id, answer)
            if raw and _awaits_reports(raw):
                # Where the vendor reports nothing, `submitted` is the end.
                detail = "no report came within the horizon"
                given_up += await outbox.close(
                    [slice_id], from_states="us", to="k", code="no_report", detail=detail, reported=True
                )
        # Until they are removed their names are needed, to look through them for a number.
        left = {name for name, there in zip(ripe, await _are_there(server, keys, ripe), strict=True) if there}
        async with server.pipeline(transaction=True) as pipe:
            if left:
                pipe.zadd(keys.given_up, dict.fromkeys(left, now_ms))
            pipe.zrem(keys.horizon, *ripe)
            await pipe.execute()
    await count_found(server, keys.sweeps, "unreported", given_up, now_ms, account=keys.account)
    return given_up


async def _are_there(server: Any, keys: AccountKeys, ripe: Sequence[str]) -> list[int]:
    async with server.pipeline(transaction=False) as pipe:
        for name in ripe:
            pipe.exists(keys.page(name) if is_page(name) else keys.slice(name))
        return list(await pipe.execute())


async def _slices(server: Any, keys: AccountKeys, ripe: Sequence[str]) -> list[str]:
    """The slices of what stands in `horizon`: slices, and pages of slices."""
    found = [name for name in ripe if not is_page(name)]
    for page in filter(is_page, ripe):
        found += slices_in(page, map(bytes.decode, await server.hkeys(keys.page(page))))
    return found


def _awaits_reports(raw: bytes) -> bool:
    try:
        counts = decode_header(raw).counts
    except NewerFormat:
        return True  # its script says what is to be done about it
    return bool(counts[State.SUBMITTED] or counts[State.UNCONFIRMED])
