"""A producer that keeps a pace: `python -m bench.paced_producer ACCOUNT PER_S`, until its standard input ends.

It hands single messages over, all different, and prints a JSON of how many it sent in how many seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from bench.numbers import SIGNATURE, UNIQUE_TEXT
from bench.single_producer import REDIS_URL
from sendmill.async_client import AsyncClient
from sendmill.messages import Sms

_EVERY_S = 0.01
_MOST_AT_ONCE = 200


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


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2])))))
