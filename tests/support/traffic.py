"""Messages that an application sends one by one while something happens to Redis, each with its key."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

from sendmill.client import Client
from sendmill.errors import StoreError
from sendmill.messages import Sms
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts
from tests.support.flow import hong_kong

ACCOUNT = "world"
"""Each of its messages is a call."""

ROUTES = [{"prefix": "", "accounts": [ACCOUNT]}]
LATENCY = {"faults": [{"kind": "latency", "delay_ms": 60, "jitter_ms": 60}]}

_EVERY_S = 0.01
_AGAIN_S = 0.1
_DEADLINE_S = 150


def world(url: str) -> Accounts:
    """The account alone, with no limit of its own in the way."""
    return {ACCOUNT: {**five_accounts(url)[ACCOUNT], "timeout_s": 5.0, "limits": {"calls_per_s": 2000}}}


class Traffic:
    """A thread that sends until the block ends.

    Args:
        system: where to.
    """

    def __init__(self, system: System) -> None:
        self.sent = 0
        self.refused: set[str] = set()
        self._system = system
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def accepted(self) -> int:
        """Messages that the vendor took."""
        return int(self._system.simulator.counters()["total"]["messages_accepted"])

    @property
    def twice(self) -> int:
        """Messages that it took once more."""
        return int(self._system.simulator.duplicates()["total"])

    def goes_on(self, messages: int = 30) -> None:
        """Wait until so many more were taken."""
        before = self.accepted
        self._system.wait_until(
            lambda: self.accepted > before + messages, timeout_s=_DEADLINE_S, what="sending goes on"
        )

    def all_taken(self) -> None:
        """Wait until the vendor took every message that was sent; after the block."""
        self._system.wait_until(lambda: self.accepted >= self.sent, timeout_s=_DEADLINE_S, what="all are sent")

    def _run(self) -> None:
        numbers = iter(hong_kong(100_000))
        with self._system.client(timeout_s=5.0) as client:
            while not self._ended.is_set():
                self._send(client, next(numbers))
                time.sleep(_EVERY_S)

    def _send(self, client: Client, number: str) -> None:
        """One message, with its key until Redis has it."""
        options: dict[str, Any] = {"account": ACCOUNT, "key": number}
        while True:
            try:
                client.send(Sms(f"No. {self.sent}", number), **options)
            except StoreError as error:
                self.refused.add(str(error))
                time.sleep(_AGAIN_S)
            else:
                self.sent += 1
                return
