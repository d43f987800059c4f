"""Hostile pushes: what somebody on the open internet sends to the push server, from addresses of his own.

None of them may be stored, but what the right token let in: that lies raw for a person. Wrong tokens and noise; a body
or a head without end; connections that say one byte at a time; a push that was overheard, again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

ADDRESSES: Final = tuple(f"127.0.0.{number}" for number in range(2, 10))
"""Linux lets a client be any of 127.0.0.0/8: the attackers are not the vendors."""

ACCESS_SECRET: Final = "bench-access-secret"
TOKEN: Final = "bench-token-of-this-account"

TAKEN: Final = 200
_LARGE_BYTES: Final = 50_000_000
_PIECE: Final = b"x" * 65_536
_ANSWER_S: Final = 15.0
_DRIP_S: Final = 0.5
_ATTACKERS_NICENESS: Final = 15
_STATUS_AT: Final = 9

_SHARES: Final = {
    "wrong token": 40,
    "fuzzed body": 20,
    "replay": 28,
    "no HTTP": 8,
    "long head": 3,
    "broken off": 1,
}
"""Of a hundred. Besides, a few in ten thousand have 50 MB, and connections drip all the while."""


@dataclass
class Tally:
    """What was sent, by kind, and what was answered: HTTP status, 0 where the connection was closed instead."""

    sent: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    overheard: int = 0
    """Pushes of the vendor's own that were overheard: taken once."""

    def statuses(self, kind: str) -> dict[int, int]:
        """The answers to one kind."""
        return {status: many for (each, status), many in sorted(self.answers.items()) if each == kind}


@dataclass(frozen=True)
class Target:
    """Where the push server listens, the account of a vendor that signs (xioo), and one that does not (sms467890)."""

    port: int
    signed: str = "xi"
    plain: str = "bulk"


def signed_push(number: int, *, mobile: str = "13800000001") -> bytes:
    """A report as xioo pushes it, with its proof."""
    timestamp = str(int(time.time()))
    proof = hashlib.md5(f"{ACCESS_SECRET}{number}{timestamp}".encode(), usedforsecurity=False).hexdigest()
    fields = {"name": proof, "random": str(number), "timestamp": timestamp}
    return urlencode({**fields, "sendid": str(number), "mobile": mobile, "state": "DELIVRD"}).encode()


def request(path: str, body: bytes, *, length: int | None = None) -> bytes:
    """A push as it stands on the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: push\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    head += f"Content-Length: {len(body) if length is None else length}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


async def attack(target: Target, pushes: int, *, per_s: float, large: int, dripping: int, seed: int) -> Tally:
    """Send that many hostile pushes at a steady pace; the seed decides what they are.

    Args:
        target: who is attacked.
        pushes: how many, besides the large and the dripping ones.
        per_s: how many begin in a second.
        large: how many bodies of 50 MB, spread over the time.
        dripping: connections that are open all the while and say a byte now and then.
        seed: of the run.
    """
    dice, tally = random.Random(seed), Tally()
    overheard = signed_push(1)
    tally.overheard = int(await exchange(target, request(f"/push/{target.signed}/{TOKEN}", overheard)) == TAKEN)
    drips = [asyncio.create_task(_drip(target, number, tally)) for number in range(dripping)]
    running: set[asyncio.Task[None]] = set()
    every = max(1, pushes // max(1, large))
    began = time.monotonic()
    try:
        for number in range(pushes):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            if large and number % every == 0:
                running.add(asyncio.create_task(_large(target, number // every, tally)))
            kind = dice.choices(list(_SHARES), list(_SHARES.values()))[0]
            running.add(asyncio.create_task(_one(target, kind, _MAKERS[kind](target, dice, overheard), tally)))
            running = {task for task in running if not task.done()}
        await asyncio.gather(*running)
    finally:
        for task in (*drips, *running):
            task.cancel()
        await asyncio.gather(*drips, *running, return_exceptions=True)
    return tally


def be_ready() -> None:
    """Made ready before anything is measured: an attacker's process takes no turn of whoever runs on this machine too,
    as it is elsewhere in truth."""
    os.nice(_ATTACKERS_NICENESS)


def run_attack(target: Target, sizes: Mapping[str, Any]) -> Tally:
    """`attack` in a process of its own, so that it keeps nobody waiting but the one that it attacks."""
    return asyncio.run(attack(target, **sizes))


# --- one of each -----------------------------------------------------------------------------------------------------


def _wrong_token(target: Target, dice: random.Random, _: bytes) -> bytes:
    token = dice.choice(["", "x", TOKEN[:-1], TOKEN + "0", "%00", "..%2f..", f"{dice.getrandbits(128):032x}"])
    account = dice.choice([target.plain, target.signed, "nobody", "jobs"])
    return request(f"/push/{account}/{token}", b"Report=id1,13800000001,DELIVRD,1735696800")


def _fuzzed(target: Target, dice: random.Random, _: bytes) -> bytes:
    """From somebody who knows the token and not the vendor's form."""
    body = bytes(byte for byte in dice.randbytes(dice.randrange(2000)) if byte not in b"=,")
    return request(f"/push/{target.plain}/{TOKEN}", body)


def _replay(target: Target, _: random.Random, overheard: bytes) -> bytes:
    return request(f"/push/{target.signed}/{TOKEN}", overheard)


def _no_http(_: Target, dice: random.Random, __: bytes) -> bytes:
    return dice.randbytes(dice.randrange(1, 300)) + b"\r\n\r\n"


def _long_head(target: Target, dice: random.Random, _: bytes) -> bytes:
    names = "".join(f"X-{number}: {'y' * dice.randrange(200)}\r\n" for number in range(dice.randrange(50, 2000)))
    return f"POST /push/{target.plain}/{TOKEN} HTTP/1.1\r\nHost: push\r\n{names}\r\n".encode()


def _broken_off(target: Target, dice: random.Random, _: bytes) -> bytes:
    return request(f"/push/{target.plain}/{TOKEN}", b"Report=", length=dice.randrange(100, 900_000))


_MAKERS: Final[Mapping[str, Callable[[Target, random.Random, bytes], bytes]]] = {
    "wrong token": _wrong_token,
    "fuzzed body": _fuzzed,
    "replay": _replay,
    "no HTTP": _no_http,
    "long head": _long_head,
    "broken off": _broken_off,
}


async def _one(target: Target, kind: str, raw: bytes, tally: Tally) -> None:
    tally.sent[kind] += 1
    tally.answers[kind, await exchange(target, raw, ends=kind == "broken off")] += 1


async def _large(target: Target, number: int, tally: Tally) -> None:
    """50 MB, in turn with a wrong token, with the right one, and without an announced length."""
    kind = ("50 MB, wrong token", "50 MB", "50 MB in chunks")[number % 3]
    token = "wrong" if number % 3 == 0 else TOKEN
    path = f"/push/{target.plain}/{token}"
    chunked = number % 3 == 2  # noqa: PLR2004 - the third of three
    head = request(path, b"", length=_LARGE_BYTES)
    if chunked:
        head = f"POST {path} HTTP/1.1\r\nHost: push\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    tally.sent[kind] += 1
    status = 0
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await _opened(target)
        try:
            async with asyncio.timeout(_ANSWER_S):
                writer.write(head)
                answer = asyncio.create_task(reader.read(_STATUS_AT + 3))
                piece = f"{len(_PIECE):x}\r\n".encode() + _PIECE + b"\r\n" if chunked else _PIECE
                with contextlib.suppress(OSError):
                    for _ in range(_LARGE_BYTES // len(_PIECE)):
                        if answer.done():
                            break
                        writer.write(piece)
                        await writer.drain()
                status = _status(await answer)
        finally:
            writer.transport.abort()
    tally.answers[kind, status] += 1


async def _drip(target: Target, number: int, tally: Tally) -> None:
    """A connection that is never done: a head, or an announced body, a byte at a time; closed, it comes again."""
    head = f"POST /push/{target.plain}/{TOKEN} HTTP/1.1\r\nHost: push\r\nContent-Length: 900000\r\n\r\n".encode()
    while True:
        kind = "dripping body" if number % 2 else "dripping head"
        tally.sent[kind] += 1
        with contextlib.suppress(OSError, TimeoutError):
            _, writer = await _opened(target)
            try:
                writer.write(head if number % 2 else head[:40])
                while not writer.transport.is_closing():
                    await asyncio.sleep(_DRIP_S)
                    writer.write(b"x")
                    await writer.drain()
            finally:
                writer.transport.abort()
        await asyncio.sleep(_DRIP_S)


# --- the wire --------------------------------------------------------------------------------------------------------


async def exchange(target: Target, raw: bytes, *, ends: bool = False, host: str | None = None) -> int:
    """Send bytes and read the answer's status; 0 where the connection was closed without one.

    Args:
        target: where to.
        raw: what stands on the wire.
        ends: whether nothing more will follow.
        host: the address of this machine that it comes from; one of the attackers' by default.
    """
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await _opened(target, host)
            try:
                writer.write(raw)
                if ends:
                    writer.write_eof()
                return _status(await reader.read(_STATUS_AT + 3))
            finally:
                writer.transport.abort()
    return 0


async def _opened(target: Target, host: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = host or random.choice(ADDRESSES)
    return await asyncio.open_connection("127.0.0.1", target.port, local_addr=(address, 0))


def _status(answer: bytes) -> int:
    status = answer[_STATUS_AT : _STATUS_AT + 3]
    return int(status) if answer.startswith(b"HTTP/1.") and status.isdigit() else 0
