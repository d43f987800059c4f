"""Forgetting one person: their number, and what was written to or by them alone, goes at once; counters stay right.

Rows keep their place, state and vendor's id, and lose recipient and values. What is on the wire stays on the wire. Raw
answers of vendors are waited for until workers have folded them, because they speak of other people too. What is only
in memory or on the disk of a machine, its processes forget when they are told. It is looked for again and again until
there is nothing left, so what is planned or reported meanwhile goes as well.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.find_by_number import Wanted, slices_with
from sendmill.ledger.jobs import Chunk, chunks_left, decode_chunk, decode_meta, encode_meta
from sendmill.ledger.keys import REFUSED, AccountKeys
from sendmill.ledger.moved_rows import is_under_way
from sendmill.ledger.optouts import Digester, decode_stored
from sendmill.ledger.pages import FOLDED_BYTES, fold_body, page_of, read_one
from sendmill.ledger.personal_traces import CapDigester, Traces, reply_digest
from sendmill.ledger.processes import read_processes
from sendmill.ledger.published import published_accounts
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import HEADER_BYTES, decode, encode_body, without
from sendmill.messages import FORGOTTEN, Forgotten
from sendmill.numbers import pack, possible
from sendmill.states import State

TOLD_S = 60
"""How long the number lies in Redis at most while processes are told to forget it."""

FORGOTTEN_CODE = "forgotten"
_DETAIL = "the number was forgotten"
_LOOK_S = 0.1
_ENTRIES_AT_ONCE = 1000
_HEARD_NUMBER = 4
_RUN_DETAIL = 5
_COUNTS = ("accepted", "failed", "suppressed")
_ARRAYS_BYTES = 9


class _Counts(NamedTuple):
    messages: int = 0
    cancelled: int = 0
    replies: int = 0
    raw: int = 0

    def plus(self, **more: int) -> _Counts:
        return self._replace(**{name: getattr(self, name) + many for name, many in more.items()})


def forget_number(ledger: Ledger, number: str, region: str | None, timeout_s: float) -> Forgotten:
    """Remove what is kept of a person. Doing it again finds what came since.

    Args:
        ledger: where.
        number: E.164, or as somebody in `region` would dial it.
        region: ISO code for a number without a country code.
        timeout_s: how long processes, planning and folding are waited for.

    Raises:
        InvalidNumber: it is none.
        StoreError: Redis is away, or a part of it is newer than this version; a part is forgotten: repeat it.
    """
    e164 = possible(number, region)
    return _Forgetting(ledger, e164, number.strip(), timeout_s).run()


class _Forgetting:
    def __init__(self, ledger: Ledger, e164: str, given: str, timeout_s: float) -> None:
        self._ledger = ledger
        self._e164 = e164
        self._wanted = Wanted(e164, given)
        self._traces = Traces(e164)
        self._ends = time.monotonic() + timeout_s
        self._counts = _Counts()

    def run(self) -> Forgotten:
        had_opted_out = self._forget_optout()
        self._until_nothing_is_left(self._forget_rows)
        silent = self._tell_processes()
        accounts = sorted(published_accounts(self._ledger))
        self._until_nothing_is_left(partial(self._raw_waits, accounts))
        for account in accounts:
            self._forget_account(self._ledger.account(account))
        unplanned = self._until_nothing_is_left(self._forget_rows)
        return Forgotten(
            **self._counts._asdict(),
            opted_out=had_opted_out,
            left=(*silent, *(f"job {job}" for job in unplanned), *(f"upload {job}" for job in self._uploads())),
        )

    def _until_nothing_is_left(self, look: Callable[[], Collection[str]]) -> Collection[str]:
        """Look until nothing is found, or the time is up; what was found last."""
        while (found := look()) and time.monotonic() < self._ends:
            time.sleep(_LOOK_S)
        return found

    # --- rows ----------------------------------------------------------------------------------------------------

    def _forget_rows(self) -> Collection[str]:
        """Clear rows; the jobs of which some may still come as slices."""
        server, jobs = self._ledger.server, self._ledger.jobs
        # What is not planned is looked at first: what is planned meanwhile is found in its slice.
        with store_errors():
            unplanned = [raw.decode() for raw in server.zrange(jobs.due, 0, -1)]
        left = {job for job in unplanned if not self._forget_chunks(job)}
        for account, slice_id in slices_with(self._ledger, self._wanted):
            if not self._forget_slice(account, slice_id):
                left.add(slice_id.partition(".")[0])
        return left

    def _forget_chunks(self, job: str) -> bool:
        """Clear what is not planned of a job; False where a part of it is just being planned."""
        with store_errors():
            server, jobs = self._ledger.server, self._ledger.jobs
            fields = ("meta", "planned", "chunks", *_COUNTS)
            raw_meta, planned, chunks, *counts = server.hmget(jobs.job(job), fields)
            if raw_meta is None:
                return True
            done = True
            for number in chunks_left(planned, chunks):
                raw = server.get(jobs.chunk(job, number))
                rest = self._chunk_without(decode_chunk(raw)) if raw is not None else None
                if rest is None:
                    continue
                chunk, gone, refused = rest
                meta = _without_content(raw_meta, job) if _is_one(counts) else b""
                sha, packed = hashlib.sha1(raw, usedforsecurity=False).hexdigest(), msgspec.msgpack.encode(chunk)
                answer = ledger_script("forgetchunk").run(server, jobs.due, job, number, sha, packed, gone, meta)
                if answer == b"done":
                    self._counts = self._counts.plus(messages=gone + refused, cancelled=gone)
                done = done and answer == b"done"
        return done

    def _chunk_without(self, chunk: Chunk) -> tuple[Chunk, int, int] | None:
        """A chunk without the person, and how many accepted and refused rows that were; None where there are none."""
        gone = [place for place, number in enumerate(chunk.numbers) if number == self._wanted.number]
        refused = [row for row in chunk.refused if row[1] in self._wanted.texts]
        if not gone and not refused:
            return None
        told = [
            (row, FORGOTTEN if to in self._wanted.texts else to, state, code, reason)
            for row, to, state, code, reason in chunk.refused
        ]
        told += [(chunk.rows[place], FORGOTTEN, State.SUPPRESSED.value, FORGOTTEN_CODE, _DETAIL) for place in gone]
        out = set(gone)

        def kept(column: list[Any]) -> list[Any]:
            return [each for place, each in enumerate(column) if place not in out]

        values = kept(chunk.values) if chunk.values is not None else None
        return Chunk(kept(chunk.numbers), kept(chunk.rows), values, sorted(told)), len(gone), len(refused)

    def _forget_slice(self, account: str, slice_id: str) -> bool:
        """Clear a slice; False where it changed meanwhile, because somebody else is forgotten too."""
        server, keys = self._ledger.server, self._ledger.account(account)
        job_id = slice_id.partition(".")[0]
        job = self._ledger.jobs.job(job_id)
        with store_errors():
            raw = read_one(server, keys, slice_id)
            if raw is None:
                return True
            read = decode(raw)
            offsets = self._wanted.offsets(read.body)
            if not offsets:
                return True  # the search is by bytes alone
            if is_under_way(self._ledger, account, slice_id, read, offsets):
                return False  # first it has to arrive where it is going
            alone = _is_one(server.hmget(job, _COUNTS))
            body, numbers_at = encode_body(without(read.body, set(offsets), alone=alone))
            body_at = HEADER_BYTES + _ARRAYS_BYTES * read.header.rows
            old_body = raw[body_at:]
            if page_of(slice_id) is not None:
                body_at, old_body, folded = FOLDED_BYTES, fold_body(old_body), fold_body(body)
                body, numbers_at = folded, numbers_at - len(body) + len(folded)
            if account == REFUSED:
                numbers_at = -body_at  # its rows are final, and are no numbers
            answer = ledger_script("forget").run(
                server,
                keys.state,
                slice_id,
                hashlib.sha1(old_body, usedforsecurity=False).hexdigest(),
                body,
                body_at + numbers_at,
                msgspec.msgpack.encode(offsets),
            )
            if alone and answer and (raw_meta := server.hget(job, "meta")) is not None:
                server.hset(job, "meta", _without_content(raw_meta, job_id))
        if answer:
            self._counts = self._counts.plus(messages=answer[0], cancelled=answer[1])
        return bool(answer)

    def _uploads(self) -> Iterator[str]:
        """Uploads that are not finished and have the number: they cannot be changed under their producer's hands."""
        server, jobs = self._ledger.server, self._ledger.jobs
        found = set()
        with store_errors():
            for key in server.scan_iter(match=f"{_escaped(jobs.chunks)}*", count=1000):
                job = key.decode().rsplit(":", 2)[1]
                raw = None if job in found or server.exists(jobs.job(job)) else server.get(key)
                if raw is not None and self._chunk_without(decode_chunk(raw)) is not None:
                    found.add(job)
        yield from sorted(found)

    # --- processes -----------------------------------------------------------------------------------------------

    def _tell_processes(self) -> list[str]:
        """Have every process forget what it has in memory and on its disk; those that did not answer in time."""
        _, living = read_processes(self._ledger)
        silent = {name for name, each in living.items() if each.kind != "beat"}
        if not silent:
            return []
        server, jobs = self._ledger.server, self._ledger.jobs
        request = secrets.token_hex(8)
        with store_errors():
            pipe = server.pipeline(transaction=True)
            pipe.hset(jobs.forgets, request, self._e164)
            pipe.expire(jobs.forgets, TOLD_S)
            pipe.execute()
            while silent and (left_s := self._ends - time.monotonic()) > 0:
                popped = server.blpop([jobs.forgot(request)], timeout=max(0.01, min(left_s, self._ledger.block_s)))
                if popped is not None:
                    name, files = json.loads(popped[1])
                    silent.discard(name)
                    self._counts = self._counts.plus(raw=files)
                else:
                    silent &= read_processes(self._ledger)[1].keys()
            server.hdel(jobs.forgets, request)
        return [f"process {name}" for name in sorted(silent)]

    # --- raw, told and remembered --------------------------------------------------------------------------------

    def _raw_waits(self, accounts: Collection[str]) -> list[str]:
        """Accounts whose inbox still has something of them, while there is somebody who folds it."""
        if not any("reports" in each.queues for each in read_processes(self._ledger)[1].values()):
            return []
        return [
            account for account in accounts if any(True for _ in self._entries(self._ledger.account(account).inbox))
        ]

    def _entries(self, stream: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """The entries of a stream that speak of them."""
        start = "-"
        while True:
            with store_errors():
                raws = self._ledger.server.xrange(stream, start, "+", count=_ENTRIES_AT_ONCE)
            yield from ((entry_id, fields) for entry_id, fields in raws if self._traces.found_in_any(fields))
            if len(raws) < _ENTRIES_AT_ONCE:
                return
            start = f"({raws[-1][0].decode()}"

    def _forget_account(self, keys: AccountKeys) -> None:
        raw = self._strike(keys, "inbox", [entry_id for entry_id, _ in self._entries(keys.inbox)])
        raw += self._strike(keys, "bad", [entry_id for entry_id, _ in self._entries(keys.bad)])
        server = self._ledger.server
        with store_errors():
            tag = (server.hget(keys.state, "tag") or b"").decode()
            early = [each for each in server.zrange(keys.unmatched, 0, -1) if self._is_of_them(each)]
            raw += server.zrem(keys.unmatched, *early) if early else 0
            server.delete(keys.prefix + keys.cap_name(CapDigester(tag).digest(self._e164)))
        replies = list(self._replies(keys.replies))
        told = list(self._replies(keys.events))
        with store_errors():
            if digests := {_digest(tag, fields) for _, fields in (*replies, *told)}:
                server.zrem(keys.replies_told, *digests)
        self._tell_again(keys)
        many = self._strike(keys, "replies", [entry_id for entry_id, _ in replies])
        self._strike(keys, "events", [entry_id for entry_id, _ in told])
        self._counts = self._counts.plus(replies=many, raw=raw)

    def _replies(self, stream: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """Their own replies: what others wrote of them is the others'."""
        for entry_id, fields in self._entries(stream):
            if fields[b"kind"] == b"reply" and self._traces.found_in(fields[b"from"]):
                yield entry_id, fields

    def _tell_again(self, keys: AccountKeys) -> None:
        """Reports in which a vendor's words quote the number are told again without them: entries cannot be changed."""
        for entry_id, fields in list(self._entries(keys.events)):
            if fields[b"kind"] != b"report":
                continue
            runs = msgspec.msgpack.decode(fields[b"rows"])
            for run in runs:
                run[_RUN_DETAIL] = "" if self._traces.found_in(str(run[_RUN_DETAIL]).encode()) else run[_RUN_DETAIL]
            with store_errors():
                self._ledger.server.xadd(keys.events, {**fields, b"rows": msgspec.msgpack.encode(runs)})
            self._strike(keys, "events", [entry_id])

    def _is_of_them(self, early: bytes) -> bool:
        return self._traces.found_in(str(msgspec.msgpack.decode(early)[_HEARD_NUMBER]).encode())

    def _strike(self, keys: AccountKeys, stream: str, entry_ids: list[bytes]) -> int:
        struck = 0
        for start in range(0, len(entry_ids), _ENTRIES_AT_ONCE):
            with store_errors():
                part = entry_ids[start : start + _ENTRIES_AT_ONCE]
                struck += int(ledger_script("strike").run(self._ledger.server, keys.state, stream, *part))
        return struck

    def _forget_optout(self) -> bool:
        """Let the number go from its opt-out; whether it had opted out. Its digest stays, and with it the opt-out."""
        server, jobs = self._ledger.server, self._ledger.jobs
        with store_errors():
            digest = Digester(server.get(jobs.optouts_key) or b"").digest(pack(self._e164))
            while (raw := server.hget(jobs.optouts, digest)) is not None:
                bare = msgspec.msgpack.encode(msgspec.structs.replace(decode_stored(raw), number=None))
                if raw == bare or ledger_script("forgetoptout").run(server, jobs.optouts, digest, raw, bare):
                    return True
        return False


def _is_one(counts: Iterable[bytes | None]) -> bool:
    """Whether a job is of one message, by what its hash says of accepted, failed and suppressed rows."""
    return sum(int(count or 0) for count in counts) == 1


def _without_content(raw_meta: bytes, job: str) -> bytes:
    return encode_meta(msgspec.structs.replace(decode_meta(raw_meta, job), text="", parts={}))


def _digest(tag: str, reply: Mapping[bytes, bytes]) -> str:
    return reply_digest(tag, *(reply[name].decode() for name in (b"from", b"text", b"occurred")))


def _escaped(text: str) -> str:
    """A text as a pattern of SCAN has it."""
    return "".join(f"\\{character}" if character in "*?[]\\^" else character for character in text)
