"""The format of what lies in Redis, as one number: versions of sendmill that cannot read each other never meet.

`{jobs}:format` holds two numbers: the format that workers write, and the oldest that they read. Processes that write it
raise it when they start; nobody lowers it. So a worker that is too old for a ledger never touches it, and a producer
may go on for as long as workers read what it writes: workers are upgraded first.

Slices bear the mark of their own format besides, and keep it for as long as they live. A script that meets a mark that
it does not know leaves the slice as it is (rows.lua). What bears no number is of the first format.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sendmill.errors import ConfigError, StoreError
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.scripts import ledger_script

FORMAT = 3
"""What this version writes. It grows with every change that an older version would misread."""

OLDEST = 2
"""The oldest format that this version reads."""


class NewerFormat(StoreError):
    """A newer version of sendmill wrote this: upgrade the process that met it."""


class LedgerFormat(NamedTuple):
    """What a ledger says of itself: the format that its workers write, and the oldest that they read."""

    written: int
    oldest: int

    @classmethod
    def read(cls, raw: bytes) -> LedgerFormat:
        """Read the value of `{jobs}:format`; where the second number is missing it is the first."""
        written, *oldest = raw.split()
        return cls(int(written), int(oldest[0]) if oldest else int(written))

    def check_worker(self) -> None:
        """Refuse a ledger that this version's workers would misread.

        Raises:
            ConfigError: which versions to install, in one line.
        """
        if self.written > FORMAT:
            raise ConfigError(
                f"Redis holds a ledger of format {self.written} and this version of sendmill knows {FORMAT}: a newer "
                f"worker runs or ran on it, so start the newer version here too"
            )
        if self.written < OLDEST:
            raise ConfigError(
                f"Redis holds a ledger of format {self.written} and this version of sendmill reads {OLDEST} and later: "
                f"first run the workers of a version in between until what is kept has gone"
            )

    def check_producer(self) -> None:
        """Refuse a ledger whose workers would misread what this version's producers write.

        Raises:
            StoreError: what to upgrade, in one line.
        """
        if self.oldest > FORMAT:
            raise StoreError(
                f"the workers of this Redis read jobs of format {self.oldest} and later, and this version of sendmill "
                f"writes {FORMAT}: upgrade sendmill here"
            )
        if self.written < FORMAT:
            raise StoreError(
                f"the workers of this Redis read jobs up to format {self.written}, and this version of sendmill writes "
                f"{FORMAT}: upgrade the workers first"
            )


def join(server: Any, keys: JobKeys) -> None:
    """Take part in a ledger as a worker before anything is read: `server` is a blocking redis.Redis.

    Raises:
        ConfigError: this version must not.
        redis.RedisError: Redis is away.
    """
    LedgerFormat.read(ledger_script("format").run(server, keys.format, FORMAT, OLDEST)).check_worker()


async def ajoin(server: Any, keys: JobKeys) -> None:
    """The same from a coroutine."""
    LedgerFormat.read(await ledger_script("format").arun(server, keys.format, FORMAT, OLDEST)).check_worker()


def check_writer(server: Any, keys: JobKeys) -> None:
    """Refuse a ledger whose workers would misread what this version's producers and push servers store.

    Raises:
        StoreError: as `check_producer`.
        redis.RedisError: Redis is away.
    """
    raw = server.get(keys.format)
    if raw is not None:
        LedgerFormat.read(raw).check_producer()
