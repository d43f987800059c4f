"""A plain aiohttp client without any queue, as a program: `python -m bench.contenders.plain_client URL FIRST COUNT`.

It waits for a line on its input, posts COUNT forms over 256 connections (as many requests as a sending process of
sendmill has at a vendor that takes 50 ms), reads and checks every answer, and prints a JSON of what that took.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlencode

import aiohttp
import uvloop

from bench.numbers import UNIQUE_TEXT, mainland

CONNECTIONS = 256
HEADERS = {"Content-Type": "application/x-www-form-urlencoded"}


def fields_of(number: str, text: str) -> dict[str, str]:
    """The same fields as an ihuyi call."""
    return {
        "account": "bench",
        "password": "1q784322ba1d9bb88d50cf5cdfd89k7d",
        "mobile": f"86 {number[3:]}",
        "content": text,
        "time": "1700000000",
        "format": "json",
    }


def forms(first: int, count: int) -> Iterator[bytes]:
    """Bodies of so many messages."""
    for row, number in enumerate(mainland(count, first=first), start=first):
        yield urlencode(fields_of(number, UNIQUE_TEXT.format(n=row))).encode("ascii")


async def _post_all(session: aiohttp.ClientSession, url: str, bodies: Iterator[bytes]) -> None:
    for body in bodies:
        async with session.post(url, data=body, headers=HEADERS) as answer:
            if json.loads(await answer.read())["code"] != 2:  # noqa: PLR2004 - ihuyi's success
                raise RuntimeError("the stub refused a message")


async def measured(post: Callable[[], Awaitable[object]]) -> None:
    """Wait for a line, post, and print what that took."""
    sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    await post()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"ended_ns": time.time_ns(), "cpu_s": used_s, "rss_bytes": after.ru_maxrss * 1024}))


async def main(url: str, first: int, count: int) -> None:
    """Post all of them."""
    bodies = forms(first, count)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:
        await measured(lambda: asyncio.gather(*(_post_all(session, url, bodies) for _ in range(CONNECTIONS))))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
