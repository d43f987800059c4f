"""What a vendor billed for messages replaces our own count and prices in the sums of their jobs.

A process that dies between folding an answer and this leaves our count for it: a sum that is shown, and nothing else,
depends on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from providers.base import Bill
from sendmill.ledger.jobs import JobMeta, decode_meta
from sendmill.ledger.pages import read_whole
from sendmill.ledger.slices import Slice, decode
from tasks.plan.contents import content_of
from tasks.plan.cut import MILLIONTHS, chunk_of, divide
from tasks.plan.routes import Routes
from tasks.process.account import Account
from tasks.process.runtime import Runtime

Row = tuple[str, int]
"""A slice and the offset in it."""


async def count_as_billed(runtime: Runtime, account: Account, bills: Mapping[Row, Bill]) -> None:
    """Replace our own count by the vendor's bills, for rows that have just become final.

    Raises:
        redis.RedisError: Redis is away.
    """
    by_slice: dict[str, dict[int, Bill]] = defaultdict(dict)
    for (slice_id, offset), bill in bills.items():
        by_slice[slice_id][offset] = bill
    if not by_slice:
        return
    blobs = await read_whole(runtime.server, account.keys, list(by_slice))
    slices = [(decode(blob), billed) for blob, billed in zip(blobs, by_slice.values(), strict=True) if blob]
    names = sorted({read.body.job for read, _ in slices})
    async with runtime.server.pipeline(transaction=False) as pipe:
        for job in names:
            pipe.hget(runtime.jobs.job(job), "meta")
        raws = await pipe.execute()
    metas = {job: decode_meta(raw, job) for job, raw in zip(names, raws, strict=True) if raw is not None}
    async with runtime.server.pipeline(transaction=False) as pipe:
        for read, billed in slices:
            if (meta := metas.get(read.body.job)) is None:
                continue
            for field, more in _differences(account, meta, read, billed).items():
                pipe.hincrby(runtime.jobs.job(meta.job), field, more)
        await pipe.execute()


def _differences(account: Account, meta: JobMeta, read: Slice, billed: Mapping[int, Bill]) -> dict[str, int]:
    """By field of a job's sums: how much the bills of a slice's rows differ from our own count."""
    named = msgspec.structs.replace(content_of(meta, read.body), account=account.name)
    more: dict[str, int] = defaultdict(int)
    for units, rows in _by_count(billed).items():
        ours = divide({account.name: account}, Routes(()), named, chunk_of(read, rows))
        if ours.refused or not ours.segments[account.name]:
            continue  # a number that was forgotten: what it came to is not known here any more
        segments, cost = ours.segments[account.name], ours.cost[account.name]
        more["segments"] += units * len(rows) - segments
        charges = [bill.charge for bill in (billed[row] for row in rows) if bill.charge is not None]
        if len(charges) == len(rows):
            more[f"cost:{billed[rows[0]].currency}"] += int(sum(charges) * MILLIONTHS)
            more[f"cost:{account.settings.currency}"] -= cost
        else:
            more[f"cost:{account.settings.currency}"] += cost * units * len(rows) // segments - cost
    return {field: by for field, by in more.items() if by}


def _by_count(billed: Mapping[int, Bill]) -> Mapping[int, Sequence[int]]:
    """The rows by the segments of their bills."""
    found: dict[int, list[int]] = defaultdict(list)
    for row, bill in sorted(billed.items()):
        found[bill.segments].append(row)
    return found
