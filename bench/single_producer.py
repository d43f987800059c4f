"""A producer of single messages as a program: `python -m bench.single_producer KIND TARGET MESSAGES WORKERS FIRST`.

It hands messages over one by one from so many threads (or coroutines) and prints a JSON of when it began and ended (ns
since 1970), its CPU seconds, and the ms that each hand-over took. Where things lie comes by the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.figures import quantile
from bench.numbers import SIGNATURE, UNIQUE_TEXT, mainland

REDIS_URL = "BENCH_REDIS_URL"

Send = Callable[[str, str], object]


def _celery(target: str) -> Send:
    from bench.contenders import celery_app  # noqa: PLC0415 - reads the environment

    send: Any = celery_app.send
    return lambda number, text: send.apply_async((target, number, text))


def _dramatiq(target: str) -> Send:
    from bench.contenders import dramatiq_app  # noqa: PLC0415 - reads the environment

    dramatiq_app.broker.declare_queue(dramatiq_app.send.queue_name)
    return lambda number, text: dramatiq_app.send.send(target, number, text)


def _sendmill(lane: str) -> Callable[[str], Send]:
    from sendmill.client import Client  # noqa: PLC0415 - the others need none of it
    from sendmill.messages import Sms  # noqa: PLC0415

    def made(target: str) -> Send:
        client = Client(os.environ[REDIS_URL], timeout_s=10.0)
        return lambda number, text: client.send(Sms(text, number), account=target, lane=lane, signature=SIGNATURE)

    return made


def _messages(count: int, first: int) -> Iterator[tuple[str, str]]:
    return ((number, UNIQUE_TEXT.format(n=first + n)) for n, number in enumerate(mainland(count, first=first)))


def _threaded(send: Send, messages: list[tuple[str, str]], workers: int) -> list[float]:
    def each(of: list[tuple[str, str]]) -> list[float]:
        took_ms = []
        for number, text in of:
            began = time.perf_counter()
            send(number, text)
            took_ms.append(1000 * (time.perf_counter() - began))
        return took_ms

    with ThreadPoolExecutor(workers) as pool:
        return [ms for part in pool.map(each, [messages[place::workers] for place in range(workers)]) for ms in part]


async def _async(target: str, messages: list[tuple[str, str]], workers: int) -> list[float]:
    from sendmill.async_client import AsyncClient  # noqa: PLC0415 - the others need none of it
    from sendmill.messages import Sms  # noqa: PLC0415

    took_ms: list[float] = []
    waiting = iter(messages)
    async with AsyncClient(os.environ[REDIS_URL], timeout_s=10.0) as client:

        async def each() -> None:
            for number, text in waiting:
                began = time.perf_counter()
                await client.send(Sms(text, number), account=target, signature=SIGNATURE)
                took_ms.append(1000 * (time.perf_counter() - began))

        await asyncio.gather(*(each() for _ in range(workers)))
    return took_ms


def main(kind: str, target: str, count: int, workers: int, first: int) -> dict[str, Any]:
    """Hand them over; the first one beforehand, so that imports and connections are not counted."""
    messages = list(_messages(count, first))
    sends: dict[str, Callable[[str], Send]] = {
        "celery": _celery,
        "dramatiq": _dramatiq,
        "normal": _sendmill("normal"),
        "otp": _sendmill("otp"),
        "async": _sendmill("normal"),
    }
    send = sends[kind](target)
    warmed = messages.pop(0)
    send(*warmed)
    began_cpu_s, began_ns, began = time.process_time(), time.time_ns(), time.perf_counter()
    took_ms = asyncio.run(_async(target, messages, workers)) if kind == "async" else _threaded(send, messages, workers)
    return {
        "began_ns": began_ns,
        "per_s": len(messages) / (time.perf_counter() - began),
        "cpu_s": time.process_time() - began_cpu_s,
        "median_ms": quantile(took_ms, 0.5),
        "p99_ms": quantile(took_ms, 0.99),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:6]))))
