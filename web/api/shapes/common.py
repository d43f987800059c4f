"""What shapes of several kinds are made of, and those that more than one room of routes takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from sendmill.messages import Verdict
from sendmill.options import NAME_CHARS

FinalState = Literal["delivered", "undelivered", "expired", "rejected", "failed", "suppressed", "cancelled", "unknown"]
"""A state after which nothing more is expected."""

MOST_ROWS: Final = 1_000
"""Of a job that comes as one JSON document."""

MOST_REFUSED: Final = 100
"""Refusals that an answer names."""

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Row = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Number = Annotated[str, msgspec.Meta(min_length=1, max_length=100, examples=["+85298882844"])]
Numbers = Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]
Value = str | int | float | bool | None
Values = Annotated[dict[str, Value], msgspec.Meta(extra_json_schema={"required": ["to"]})]
Rows = Annotated[list[Values], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """Something that is asked: a field that is not here is refused."""


class Reply(msgspec.Struct):
    """Something that is answered."""


class SettleRequest(Request, kw_only=True):
    """What became of messages whose answer was never read."""

    verdict: Verdict


class Settled(Reply, kw_only=True):
    """`left` messages stay unconfirmed, because they have expired or their job is cancelled."""

    settled: Count
    left: Count


class NumberRequest(Request, kw_only=True):
    """A number, E.164 or as somebody in `region` (such as HK) would dial it."""

    number: Number
    region: Name | None = None


class RotateRequest(Request, kw_only=True):
    """For how many hours the secret that it has now is good still."""

    old_for_h: Annotated[float, msgspec.Meta(ge=0, le=744)] = 24.0


def time_of(at: datetime) -> Time:
    """A time as it is answered."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_time(at: datetime | None) -> Time | None:
    """The same of what may be missing."""
    return None if at is None else time_of(at)
