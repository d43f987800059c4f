"""Replies that opt a number out or in again, by the site's words."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sendmill.ledger.optouts import CHANGED_AT_ONCE, OPTED_IN, Digester, StoredOptOut, new_key
from sendmill.ledger.scripts import ledger_script
from sendmill.optouts import Source, word_among, words
from tasks.process.runtime import Runtime


class Said(msgspec.Struct, frozen=True):
    """A reply that may be a word: whose, what, when (ms) and at which account."""

    number: int
    text: str
    at_ms: int
    account: str


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
