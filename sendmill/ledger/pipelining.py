"""Runs a script for many coroutines at once: what comes while Redis is being asked goes together with the next.

So a hundred concurrent sends of an asyncio application cost a few round trips and not a hundred.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError

from sendmill.ledger.scripts import Script

_AT_ONCE = 128


class Pipelined:
    """One script, for the coroutines of one loop.

    Args:
        server: a client whose commands have their own time limit and are never repeated unseen.
        script: what to run.
        key: the script's KEYS[1].
    """

    def __init__(self, server: redis.asyncio.Redis, script: Script, key: str) -> None:
        self._server = server
        self._script = script
        self._key = key
        self._waiting: deque[tuple[list[bytes | str | int], asyncio.Future[Any]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def run(self, args: list[bytes | str | int]) -> Any:
        """What the script returns for these arguments.

        Raises:
            redis.RedisError: Redis is away or refuses it.
        """
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((args, answered))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answered

    async def _run(self) -> None:
        try:
            while self._waiting:
                together = [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE))]
                try:
                    answers = await self._ask([args for args, _ in together])
                except BaseException as error:
                    for _, answered in together:
                        _end(answered, error if isinstance(error, Exception) else asyncio.CancelledError())
                    if not isinstance(error, Exception):
                        raise
                else:
                    for (_, answered), answer in zip(together, answers, strict=True):
                        _end(answered, answer)
        finally:
            self._running = None

    async def _ask(self, calls: list[list[bytes | str | int]]) -> list[Any]:
        if len(calls) == 1:
            return [await self._script.arun(self._server, self._key, *calls[0])]
        answers = await self._pipeline(calls)
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            await self._server.script_load(self._script.text)
            again = await self._pipeline([calls[place] for place in unknown])
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        return answers

    async def _pipeline(self, calls: list[list[bytes | str | int]]) -> list[Any]:
        async with self._server.pipeline(transaction=False) as pipe:
            for args in calls:
                pipe.evalsha(self._script.sha, 1, self._key, *args)
            return await pipe.execute(raise_on_error=False)


def _end(answered: asyncio.Future[Any], answer: Any) -> None:
    if answered.done():
        return
    if isinstance(answer, BaseException):
        answered.set_exception(answer)
    else:
        answered.set_result(answer)
