"""Which run of the server a process speaks to: connections are made to that one only.

Every start of Redis has a run id of its own, and so has each replica. A connection that finds another one than before
comes to a server that may have lost what this process did last, so nothing is asked of it before that is written again.
The question is asked once for each connection and costs no command of a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import ResponseError

from sendmill.connecting.away import GONE, RedisAway, away_from

_RUN_ID = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

log = structlog.get_logger(__name__)


class ServerRestarted(RedisAway):
    """Redis is another run than before: nothing is asked of it until what it may have lost is written again."""

    def __init__(self) -> None:
        super().__init__(GONE, "Redis was restarted, or another took its place: what it may have lost is written again")


class ConnectionGuard:
    """Looks at every new connection of a pool. `changed` is called when one finds another run of the server."""

    def __init__(self) -> None:
        self.run_id = ""
        self.changed: Callable[[], None] = lambda: None
        self._closed = False

    def close(self) -> None:
        """Let no new connection through until `open_for`."""
        self._closed = True

    def open_for(self, run_id: str) -> None:
        """Let connections to this run through."""
        self.run_id = run_id
        self._closed = False

    async def greet(self, connection: Any) -> None:
        """What redis-py calls for every new connection, before its first command.

        Raises:
            ServerRestarted: it is another run than before.
        """
        await connection.on_connect()
        run_id = await self._ask(connection)
        if self._closed:
            raise ServerRestarted
        if not self.run_id:
            self.run_id = run_id
        elif run_id and run_id != self.run_id:
            self.changed()
            raise ServerRestarted

    @staticmethod
    async def _ask(connection: Any) -> str:
        await connection.send_command("INFO", "server")
        try:
            answer = await connection.read_response()
        except ResponseError as error:
            if (away := away_from(error)) is not None and not away.denied:
                raise away from error
            log.warning("Redis does not tell its run id: a restart is not noticed", error=str(error).split(" ", 1)[0])
            return ""
        found = _RUN_ID.search(answer if isinstance(answer, bytes) else str(answer).encode())
        return found[1].decode() if found else ""
