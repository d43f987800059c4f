"""Faults on request: what goes wrong on the wire or at the vendor, how often, and for whom."""

import random
from collections.abc import Container
from dataclasses import dataclass, fields
from typing import Any, Self

from simulator.wire import Response

KINDS = (
    "latency",  # answers after delay_ms (+ jitter_ms)
    "status",  # HTTP `status`, the gateway's HTML page
    "hang",  # never answers
    "reset",  # RST
    "close",  # closes the connection without an answer
    "close_unannounced",  # answers as if the connection stayed, and closes it after delay_ms
    "garbage",  # bytes that are no answer
    "empty",  # 200 with nothing
    "html",  # 200 with a page
    "slow",  # the answer in pieces, delay_ms in all
    "content_type",  # the right answer under a wrong type
    "code",  # a documented error `code`
    "refuse_rcpt",  # mail: `code` (550) to the recipient
    "refuse_data",  # mail: `code` (554) to the whole mail
)
MAIL_ONLY = ("refuse_rcpt", "refuse_data")
FOR_REQUESTS = frozenset(KINDS).difference(MAIL_ONLY)
# Kinds whose answer is spoilt on its way back: the vendor has taken the messages.
_ACCEPTED_BY_DEFAULT = {"latency", "garbage", "empty", "html", "slow", "content_type", "close_unannounced"}
_PAGE = (
    b"<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
_GARBAGE = b"\x00\xff\xfe\x80%(=~\x1b[0m\xc3\x28"


@dataclass(slots=True)
class Fault:
    """One order: empty conditions match all; `count` 0 is until cleared.

    `accepted` says whether the vendor takes the messages before it fails.
    """

    kind: str
    vendor: str = ""
    account: str = ""
    endpoint: str = ""
    count: int = 0
    probability: float = 1.0
    accepted: bool | None = None
    delay_ms: int = 0
    jitter_ms: int = 0
    status: int = 502
    code: str = ""
    applied: int = 0

    @classmethod
    def from_mapping(cls, given: dict[str, Any]) -> Self:
        """An order from JSON or TOML; ValueError names what is wrong."""
        unknown = set(given) - {item.name for item in fields(cls)}
        if unknown:
            message = f"fault: unknown keys {sorted(unknown)}"
            raise ValueError(message)
        fault = cls(**given)
        if fault.kind not in KINDS:
            message = f"fault: kind must be one of {KINDS}"
            raise ValueError(message)
        return fault

    @property
    def takes_messages(self) -> bool:
        """Whether the call is judged and journaled as if nothing were wrong."""
        if self.kind in ("code", *MAIL_ONLY):
            return False
        return self.kind in _ACCEPTED_BY_DEFAULT if self.accepted is None else self.accepted

    def spoil(self, response: Response) -> Response:
        """The response that the client sees in place of the vendor's own."""
        if self.kind == "status":
            title = {
                429: b"429 Too Many Requests",
                500: b"500 Internal Server Error",
                502: b"502 Bad Gateway",
                503: b"503 Service Temporarily Unavailable",
            }
            words = title.get(self.status, b"%d" % self.status)
            return Response(_PAGE % (words, words), "text/html", self.status)
        if self.kind == "garbage":
            return Response(_GARBAGE, response.content_type)
        if self.kind == "empty":
            return Response(b"", response.content_type)
        if self.kind == "html":
            return Response(_PAGE % (b"Maintenance", b"Maintenance"), "text/html")
        if self.kind == "content_type":
            return Response(response.body, "application/octet-stream")
        return response


class Faults:
    """The orders in force; chance is seeded, so that a run can be repeated."""

    def __init__(self, seed: int = 0) -> None:
        self.orders: list[Fault] = []
        self._chance = random.Random(seed)

    def seed(self, seed: int) -> None:
        """Start the chance anew."""
        self._chance.seed(seed)

    def pick(self, vendor: str, account: str, endpoint: str, kinds: Container[str] = FOR_REQUESTS) -> Fault | None:
        """The first order of these kinds that strikes this call; used up orders are dropped."""
        for fault in self.orders:
            if (
                fault.kind in kinds
                and fault.vendor in ("", vendor)
                and fault.account in ("", account)
                and fault.endpoint in ("", endpoint)
                and (fault.probability >= 1 or self._chance.random() < fault.probability)
            ):
                fault.applied += 1
                if fault.count and fault.applied >= fault.count:
                    self.orders.remove(fault)
                return fault
        return None

    def delay_s(self, fault: Fault) -> float:
        """How long the answer waits, in seconds."""
        extra = self._chance.uniform(0, fault.jitter_ms) if fault.jitter_ms else 0.0
        return (fault.delay_ms + extra) / 1000
