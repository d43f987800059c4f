"""The clients of Redis: they say in one way that it is away, and a full server takes their commands all the same.

Whatever means that Redis is away comes as `RedisAway`, whether the socket, the event loop or the server says it. What
the server says makes the pool leave its idle connections: a master that was demoted keeps them open, and the next
connection may lead to the one that took its place. Nothing is repeated unseen but what a connection that was closed
meanwhile never took.

A server at its `maxmemory` refuses every command that may need memory. What was accepted must still be sent, cancelled
and settled then, so a command that was refused for that alone is repeated inside a script that may exceed the limit;
the ledger's own scripts say at their head whether they may. On a server with room nothing changes. What is new is
refused before that: see `lua/pressure.lua`.

A script of ours that was refused stays refused: it did not say so at its head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.client
from redis.client import Pipeline
from redis.exceptions import OutOfMemoryError, ResponseError

from sendmill.connecting.away import FULL, REFUSALS, RedisAway, away_from

_HEAD = "#!lua flags=allow-oom"
_OVER = f"{_HEAD}\nreturn redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"

_MAY_EXCEED = frozenset(
    {"SET", "SETEX", "INCR", "INCRBY", "HSET", "HSETNX", "HINCRBY", "RPUSH", "LPUSH", "SADD", "ZADD", "XADD"}
)
"""Commands that need memory and name one key, as their first argument: those that this package and Celery use."""

_MOST_ARGUMENTS = 4_000
"""Lua unpacks no more than 8,000."""


def over_the_limit(command: Sequence[Any]) -> tuple[Any, ...] | None:
    """The command as one that may exceed the limit; None where there is no such."""
    name = str(command[0]).upper()
    if name not in _MAY_EXCEED or not 1 < len(command) <= _MOST_ARGUMENTS:
        return None
    return ("EVAL", _OVER, 1, command[1], name, *command[2:])


class _Reading:
    """How a client and a pipeline read answers: a refusal is a Redis that is away."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """An answer; kombu reads some itself."""
        try:
            return super().parse_response(connection, command_name, **options)  # type: ignore[misc]
        except ResponseError as error:
            if (away := _refusal(error)) is None:
                raise
            raise away from error


class RedisClient(_Reading, redis.Redis):
    """redis-py's client."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command.

        Raises:
            RedisAway: Redis is away.
            redis.ResponseError: the command is wrong, or a script broke.
        """
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except OutOfMemoryError as error:
            again = over_the_limit(args)
            if again is None:
                raise RedisAway(FULL) from error
        except Exception as error:
            if (away := _left(self.connection_pool, error)) is None:
                raise
            raise away from error
        try:
            answer: Any = super().execute_command(*again)  # type: ignore[no-untyped-call]
        except Exception as error:
            if (away := _left(self.connection_pool, error)) is None:
                raise
            raise away from error
        return _read(self.response_callbacks, args[0], answer, options)

    def register_script(self, script: Any) -> Any:
        """A script of somebody else's (kombu's, redis-py's own of its locks), which may exceed the limit too."""
        text = script.decode() if isinstance(script, bytes) else script
        return super().register_script(text if text.startswith("#!") else f"{_HEAD}\n{text}")

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002 - as redis-py has it
        """Several commands, a transaction by default."""
        return RedisPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class RedisPipeline(_Reading, Pipeline):
    """redis-py's pipeline."""

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """What is asked while keys are watched."""
        try:
            return super().immediate_execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except Exception as error:
            if (away := _left(self.connection_pool, error)) is None:
                raise
            raise away from error

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py has it
        """All of it; a transaction that a full server refused has done nothing and is repeated as a whole.

        Raises as a single command; RedisAway with `raise_on_error=False` too.
        """
        try:
            return self._executed(raise_on_error=raise_on_error)
        except Exception as error:
            if (away := _left(self.connection_pool, error)) is None:
                raise
            raise away from error

    def _executed(self, *, raise_on_error: bool) -> list[Any]:
        stack: list[Any] = list(self.command_stack)
        whole: Any = self.transaction or self.explicit_transaction  # type: ignore[truthy-function,unreachable]  # a bool here
        try:
            answers: list[Any] = super().execute(raise_on_error and bool(whole))
        except OutOfMemoryError:
            self.command_stack[:] = [(over_the_limit(args) or args, {}) for args, _ in stack]
            answers = super().execute(raise_on_error)
            return _read_all(self.response_callbacks, stack, answers)
        if whole:
            return answers
        refused = [place for place, answer in enumerate(answers) if _may_be_repeated(answer, stack[place][0])]
        if refused:
            self.command_stack[:] = [(over_the_limit(stack[place][0]), {}) for place in refused]
            again = super().execute(raise_on_error=False)
            for place, answer in zip(refused, again, strict=True):
                answers[place] = _read(self.response_callbacks, stack[place][0][0], answer, stack[place][1])
        if raise_on_error:
            _raise_first(answers)
        return answers


class _AsyncReading:
    """The same for coroutines."""

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """An answer."""
        try:
            return await super().parse_response(connection, command_name, **options)  # type: ignore[misc]
        except ResponseError as error:
            if (away := _refusal(error)) is None:
                raise
            raise away from error


class AsyncRedisClient(_AsyncReading, redis.asyncio.Redis):  # type: ignore[misc]  # its own bases disagree
    """redis-py's client for coroutines."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command. Raises as `RedisClient.execute_command`."""
        try:
            return await self._taken(args, options)
        except OutOfMemoryError as error:
            again = over_the_limit(args)
            if again is None:
                raise RedisAway(FULL) from error
        except Exception as error:
            if (away := await _aleft(self.connection_pool, error)) is None:
                raise
            raise away from error
        try:
            answer: Any = await super().execute_command(*again)  # type: ignore[no-untyped-call]
        except Exception as error:
            if (away := await _aleft(self.connection_pool, error)) is None:
                raise
            raise away from error
        return _read(self.response_callbacks, args[0], answer, options)

    async def _taken(self, args: Sequence[Any], options: Mapping[str, Any]) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if away_from(error) is None:
                raise
        # The connection was closed while it lay idle, and took nothing.
        await self.connection_pool.disconnect(inuse_connections=False)
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002 - as redis-py has it
        """Several commands, a transaction by default."""
        return AsyncRedisPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class AsyncRedisPipeline(_AsyncReading, redis.asyncio.client.Pipeline):  # type: ignore[misc]  # as above
    """redis-py's pipeline for coroutines."""

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - as redis-py has it
        """All of it, as `RedisPipeline` does."""
        try:
            return await self._executed(raise_on_error=raise_on_error)
        except Exception as error:
            if (away := await _aleft(self.connection_pool, error)) is None:
                raise
            raise away from error

    async def _executed(self, *, raise_on_error: bool) -> list[Any]:
        stack: list[Any] = list(self.command_stack)
        whole = self.is_transaction or self.explicit_transaction
        try:
            answers: list[Any] = await self._taken(raise_on_error=raise_on_error and bool(whole))
        except OutOfMemoryError:
            self.command_stack[:] = [(over_the_limit(args) or args, {}) for args, _ in stack]
            answers = await super().execute(raise_on_error)
            return _read_all(self.response_callbacks, stack, answers)
        if whole:
            return answers
        refused = [place for place, answer in enumerate(answers) if _may_be_repeated(answer, stack[place][0])]
        if refused:
            self.command_stack[:] = [(over_the_limit(stack[place][0]), {}) for place in refused]  # type: ignore[misc]  # a command of ours
            again = await super().execute(raise_on_error=False)
            for place, answer in zip(refused, again, strict=True):
                answers[place] = _read(self.response_callbacks, stack[place][0][0], answer, stack[place][1])
        if raise_on_error:
            _raise_first(answers)
        return answers

    async def _taken(self, *, raise_on_error: bool) -> list[Any]:
        stack = list(self.command_stack)
        try:
            return await super().execute(raise_on_error)
        except RuntimeError as error:
            if away_from(error) is None:
                raise
        # As for one command: nothing of it left this process.
        self.command_stack[:] = stack
        await self.connection_pool.disconnect(inuse_connections=False)
        return await super().execute(raise_on_error)

    async def confirmed(self, replicas: int, timeout_ms: int) -> list[Any]:
        """All of it, as `execute`, once so many replicas have what it wrote.

        Raises:
            RedisAway: they have not, so what it did may be lost with its server; besides what `execute` raises.
        """
        self.execute_command("WAIT", replicas, timeout_ms)
        *answers, confirmed = await self.execute(raise_on_error=False)
        _raise_first([confirmed])
        if confirmed < replicas:
            # A master that was replaced and has not heard of it goes on alone: the next connection may lead elsewhere.
            await self.connection_pool.disconnect(inuse_connections=False)
            raise RedisAway("NOREPLICAS")
        return answers


def _refusal(error: ResponseError) -> RedisAway | None:
    """A full server's refusal is looked at where the command is known."""
    return None if isinstance(error, OutOfMemoryError) else away_from(error)


def _left(pool: Any, error: Exception) -> RedisAway | None:
    """What is raised instead of an error, if anything.

    The pool leaves a server that refuses: it may not be the right one any more.
    """
    away = away_from(error)
    if away is not None and away.code in REFUSALS:
        pool.disconnect(inuse_connections=False)
    return None if away is error else away


async def _aleft(pool: Any, error: Exception) -> RedisAway | None:
    away = away_from(error)
    if away is not None and away.code in REFUSALS:
        await pool.disconnect(inuse_connections=False)
    return None if away is error else away


def _may_be_repeated(answer: Any, command: Sequence[Any]) -> bool:
    return isinstance(answer, OutOfMemoryError) and over_the_limit(command) is not None


def _read_all(callbacks: Mapping[Any, Any], stack: Sequence[Any], answers: Sequence[Any]) -> list[Any]:
    return [
        _read(callbacks, args[0], answer, options) if over_the_limit(args) else answer
        for (args, options), answer in zip(stack, answers, strict=True)
    ]


def _read(callbacks: Mapping[Any, Any], name: Any, answer: Any, options: Mapping[str, Any]) -> Any:
    """What redis-py makes of the answer to the command that stood in the script."""
    read = callbacks.get(name)
    if read is None or isinstance(answer, Exception):
        return answer
    return read(answer, **{key: value for key, value in options.items() if key != "keys"})


def _raise_first(answers: Sequence[Any]) -> None:
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
