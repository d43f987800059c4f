"""A master, its replica and three Sentinels on this machine, and what befalls them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import redis

from simulator.embedded import EmbeddedValkey, free_tcp_port

MASTER_NAME = "mymaster"

_DOWN_AFTER_MS = 1_500
_STARTS_WITHIN_S = 30.0
_ANSWERS_WITHIN_S = 2.0


class SentinelGroup:
    """Started and stopped like a context."""

    def __init__(self, *, appendfsync: str = "everysec") -> None:
        self.servers = [EmbeddedValkey(tcp_port=free_tcp_port(), appendfsync=appendfsync) for _ in range(2)]
        self.sentinels = [EmbeddedValkey(tcp_port=free_tcp_port()) for _ in range(3)]

    @property
    def redis_url(self) -> str:
        """As a site configures it."""
        hosts = ",".join(f"127.0.0.1:{each.tcp_port}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER_NAME}/0"

    def start(self) -> None:
        """Return once the Sentinels agree on the master and its replica."""
        master, replica = self.servers
        master.start()
        replica.start()
        with _client(replica) as server:
            server.execute_command("REPLICAOF", "127.0.0.1", str(master.tcp_port))
        _until(lambda: _is_online(master))
        for sentinel in self.sentinels:
            sentinel.sentinel(MASTER_NAME, master.tcp_port, quorum=2, down_after_ms=_DOWN_AFTER_MS)
            sentinel.start()
        _until(self.is_whole)

    def stop(self) -> None:
        """End them all, and remove their files."""
        for each in (*self.sentinels, *self.servers):
            each.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # --- what is so ------------------------------------------------------------------------------------------------

    def master(self) -> EmbeddedValkey:
        """The server that the Sentinels name."""
        port = int(self._asked(lambda sentinel: sentinel.sentinel_get_master_addr_by_name(MASTER_NAME))[1])
        return next(each for each in self.servers if each.tcp_port == port)

    def is_whole(self) -> bool:
        """Whether every Sentinel sees the others and the replica, and the replica follows the master."""
        with contextlib.suppress(redis.RedisError, StopIteration):
            for sentinel in self.sentinels:
                with _client(sentinel) as asked:
                    known: Any = asked.sentinel_master(MASTER_NAME)
                if (known["num-other-sentinels"], known["num-slaves"], known["flags"]) != (2, 1, "master"):
                    return False
            return _is_online(self.master())
        return False

    # --- what befalls them -----------------------------------------------------------------------------------------

    def fail_over(self, *, coordinated: bool = True) -> bool:
        """Let the replica take over in order; False where a Sentinel refuses."""
        words = ["SENTINEL", "FAILOVER", MASTER_NAME, *(["COORDINATED"] if coordinated else [])]
        try:
            self._asked(lambda sentinel: sentinel.execute_command(*words))
        except redis.RedisError:
            return False
        return True

    def kill_master(self) -> EmbeddedValkey:
        """`kill -9`; returns the server, which `start` brings back: the Sentinels make it the other's replica."""
        master = self.master()
        master.kill()
        return master

    def freeze_master(self) -> EmbeddedValkey:
        """SIGSTOP; returns the server, which `thaw` lets go on, in the belief that it is the master still."""
        master = self.master()
        os.kill(master.pid, signal.SIGSTOP)
        return master

    @staticmethod
    def thaw(server: EmbeddedValkey) -> None:
        """SIGCONT."""
        os.kill(server.pid, signal.SIGCONT)

    def _asked(self, ask: Callable[[Any], Any]) -> Any:
        with _client(self.sentinels[0]) as sentinel:
            return ask(sentinel)


def _client(server: EmbeddedValkey) -> redis.Redis:
    return redis.Redis.from_url(server.tcp_url, socket_timeout=_ANSWERS_WITHIN_S, decode_responses=True)


def _is_online(master: EmbeddedValkey) -> bool:
    with _client(master) as server:
        told: Any = server.info("replication")
    return bool(told["role"] == "master" and told.get("slave0", {}).get("state") == "online")


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError("the Sentinels did not agree")
        time.sleep(0.05)
