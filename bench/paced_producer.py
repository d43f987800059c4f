"""A producer that keeps a pace: `python -m bench.paced_producer ACCOUNT PER_S`, until its standard input ends.

It hands single messages over, all different, and prints a JSON of how many it sent in how many seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.numbers import SIGNATURE, UNIQUE_TEXT
from bench.single_producer import REDIS_URL
from sendmill.async_client import AsyncClient
from sendmill.messages import Sms

_EVERY_S = 0.01
_MOST_AT_ONCE = 200
_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT_S = 60.0


async def main(account: str, per_s: float) -> dict[str, Any]:
    """Send what is due every ten milliseconds; what a slow moment left is sent after it."""
    loop = asyncio.get_running_loop()
    ended = loop.create_task(asyncio.to_thread(sys.stdin.read))
    open_sends: set[asyncio.Task[Any]] = set()
    async with AsyncClient(os.environ[REDIS_URL], timeout_s=10.0) as client:
        began, sent = time.monotonic(), 0
        while not ended.done():
            due = int((time.monotonic() - began) * per_s) - sent
            for _ in range(min(due, _MOST_AT_ONCE - len(open_sends))):
                message = Sms(UNIQUE_TEXT.format(n=sent), f"+86138{sent:08d}")
                task = loop.create_task(client.send(message, account=account, signature=SIGNATURE))
                open_sends.add(task)
                task.add_done_callback(open_sends.discard)
                sent += 1
            await asyncio.sleep(_EVERY_S)
        await asyncio.gather(*open_sends)
        return {"sent": sent, "took_s": time.monotonic() - began}


@contextlib.contextmanager
def paced(url: str, account: str, per_s: float) -> Iterator[dict[str, float]]:
    """Singles come in, from another process, until the block ends; then the dictionary says `sent` and `took_s`."""
    told: dict[str, float] = {}
    words = [sys.executable, "-m", "bench.paced_producer", account, str(per_s)]
    environ = {**os.environ, REDIS_URL: url}
    with subprocess.Popen(
        words, cwd=_ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield told
            out, _ = process.communicate("", timeout=_TIMEOUT_S)
            told |= json.loads(out)
        finally:
            process.kill()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2])))))
