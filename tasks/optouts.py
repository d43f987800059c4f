"""Opt-outs as the flow sees them: who must not be written to, and who just said so.

Planning asks Redis itself; a drain compares what it claims with `tasks.known_optouts`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from sendmill.ledger.optouts import (
    CHANGED_AT_ONCE,
    OPTED_IN,
    Digester,
    StoredOptOut,
    new_key,
)
from sendmill.ledger.scripts import ledger_script
from sendmill.optouts import Source, word_among, words
from tasks.runtime import Runtime

_ASKED_AT_ONCE = 2000


class Said(msgspec.Struct, frozen=True):
    """A reply that may be a word: whose, what, when (ms) and at which account."""

    number: int
    text: str
    at_ms: int
    account: str


async def opted_out(runtime: Runtime, numbers: Sequence[int]) -> Collection[int]:
    """Those of some packed numbers that opted out, as Redis has it now."""
    jobs, server = runtime.jobs, runtime.server
    async with server.pipeline(transaction=False) as pipe:
        pipe.hlen(jobs.optouts)
        pipe.get(jobs.optouts_key)
        many, key = await pipe.execute()
    if not many:
        return frozenset()
    digester = Digester(key)
    out: set[int] = set()
    for start in range(0, len(numbers), _ASKED_AT_ONCE):
        part = numbers[start : start + _ASKED_AT_ONCE]
        values = await server.hmget(jobs.optouts, [digester.digest(number) for number in part])
        out.update(number for number, value in zip(part, values, strict=True) if value is not None)
    return out


async def heed(runtime: Runtime, replies: Iterable[Said]) -> int:
    """Let numbers whose reply is one of the site's words opt out or in, in order; returns how many changed.

    Doing it twice changes nothing more.
    """
    out, again = words(runtime.settings.optout_words), words(runtime.settings.optin_words)
    changes: list[tuple[int, bytes]] = []
    for said in replies:
        if (word := word_among(said.text, out)) is not None:
            kept = StoredOptOut(said.number, said.at_ms, said.account, word, Source.REPLY.value)
            changes.append((said.number, msgspec.msgpack.encode(kept)))
        elif word_among(said.text, again) is not None:
            changes.append((said.number, OPTED_IN))
    if not changes:
        return 0
    jobs, server = runtime.jobs, runtime.server
    await server.set(jobs.optouts_key, new_key(), nx=True)
    digester = Digester(await server.get(jobs.optouts_key))
    changed = 0
    for start in range(0, len(changes), CHANGED_AT_ONCE):
        part = changes[start : start + CHANGED_AT_ONCE]
        changed += int(await ledger_script("optouts").arun(server, jobs.optouts, *digester.keyed(part)))
    return changed
