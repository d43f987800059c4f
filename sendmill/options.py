"""The options of `send`, checked before anything is read or stored."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

from sendmill.errors import InvalidOption
from sendmill.numbers import NumberCheck, calling_code

_Word = TypeVar("_Word", bound=StrEnum)

PAST_GRACE_S = 5.0
"""An `at` that is past by no more than this is taken as now: clocks differ and code takes its time."""

LONGEST_AHEAD_DAYS = 366
LONGEST_EXPIRES_IN_S = 30 * 24 * 3600
KEY_CHARS = 200
REF_CHARS = 200
NAME_CHARS = 64

DEFAULT_ROUTE = "default"
"""The route of a job that names neither an account nor a route."""


class Lane(StrEnum):
    """Who goes first when an account is at its limit."""

    OTP = "otp"
    NORMAL = "normal"
    BULK = "bulk"


class Durability(StrEnum):
    """What has to hold before `send` returns.

    `process` survives our crashes, `fsync` a power cut of Redis, `replica` a failover: one replica has the job too.
    """

    PROCESS = "process"
    FSYNC = "fsync"
    REPLICA = "replica"


class ReportEvents(StrEnum):
    """Which final states of a job become events."""

    NONE = "none"
    FAILURES = "failures"
    ALL = "all"


EXPIRES_IN_S: Mapping[Lane, float] = {Lane.OTP: 300, Lane.NORMAL: 24 * 3600, Lane.BULK: 72 * 3600}
"""How long a message of a lane may wait, where `expires_in` does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions:
    """How a job is to be sent. Made by `validated`, which fills in what was left out.

    `expires_in_s` counts from `at`, or from acceptance without one. `report_events` is None where the job's size
    decides: all reports up to 1,000 rows, failures above; `check_numbers` where the site's setting does.
    """

    lane: Lane = Lane.NORMAL
    account: str | None = None
    route: str | None = None
    sender: str | None = None
    signature: str | None = None
    at: datetime | None = None
    expires_in_s: float = EXPIRES_IN_S[Lane.NORMAL]
    key: str | None = None
    ref: str | None = None
    region: str | None = None
    check_numbers: NumberCheck | None = None
    dedupe: bool = True
    duplicates_ok: bool = False
    durability: Durability = Durability.PROCESS
    vendor: Mapping[str, Any] = field(default_factory=dict)
    report_events: ReportEvents | None = None

    def at_site(self, check_numbers: NumberCheck) -> SendOptions:
        """The same with what the site's settings say of whatever was left out."""
        if self.check_numbers is not None or check_numbers is NumberCheck.ASSIGNED:
            return self  # as it is read where nothing is said
        return replace(self, check_numbers=check_numbers)

    @classmethod
    def validated(cls, *, now: datetime | None = None, **given: Any) -> SendOptions:
        """Check the keyword arguments of `send`.

        Args:
            now: aware; the time that `at` is compared with. Default: the clock.
            given: the arguments by the names of `send` (`expires_in` in seconds). None stands for left out.

        Raises:
            InvalidOption: one sentence that names the option and what it takes.
        """
        if now is None and "at" not in given:
            try:
                return _validated(**given)
            except TypeError:  # a value that cannot be looked up, such as `vendor`
                pass
        return cls._checked(now or datetime.now(UTC), given)

    @classmethod
    def _checked(cls, now: datetime, given: Mapping[str, Any]) -> SendOptions:
        given = {name: value for name, value in given.items() if value is not None}
        _refuse_unknown(given)
        lane = _one_of(Lane, "lane", given.get("lane", Lane.NORMAL))
        if "account" in given and "route" in given:
            raise InvalidOption("account and route exclude each other: name the account, or let the route choose it")
        return cls(
            lane=lane,
            account=_text(given, "account", NAME_CHARS),
            route=_text(given, "route", NAME_CHARS),
            sender=_text(given, "sender", NAME_CHARS),
            signature=_text(given, "signature", NAME_CHARS),
            at=_due(given, now),
            expires_in_s=_expiry(given, lane),
            key=_text(given, "key", KEY_CHARS),
            ref=_text(given, "ref", REF_CHARS),
            region=_region(given),
            check_numbers=_one_of(NumberCheck, "check_numbers", given["check_numbers"])
            if "check_numbers" in given
            else None,
            dedupe=_flag(given, "dedupe", default=True),
            duplicates_ok=_flag(given, "duplicates_ok", default=False),
            durability=_one_of(Durability, "durability", given.get("durability", Durability.PROCESS)),
            vendor=_vendor(given),
            report_events=_one_of(ReportEvents, "report_events", given["report_events"])
            if "report_events" in given
            else None,
        )


@lru_cache(maxsize=256, typed=True)
def _validated(**given: Any) -> SendOptions:
    """An application sends most of its messages with the same options."""
    return SendOptions._checked(datetime.now(UTC), given)  # noqa: SLF001 - a part of it


OPTION_NAMES = tuple("expires_in" if option.name == "expires_in_s" else option.name for option in fields(SendOptions))
"""The keyword arguments of `send`."""


def plain(text: str) -> str:
    """A text as the ledger can store it: a str and no class of its own, such as a member of an enumeration."""
    return str.__str__(text)


def _refuse_unknown(given: Mapping[str, object]) -> None:
    for name in given:
        if name not in OPTION_NAMES:
            near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(OPTION_NAMES)}"
            raise InvalidOption(f"send has no option {name[:NAME_CHARS]!r}: {advice}")


def _one_of(words: type[_Word], name: str, value: object) -> _Word:
    try:
        return words(str(value))
    except ValueError:
        raise InvalidOption(f"{name} {_shown(value)} is unknown: it is one of {', '.join(words)}") from None


def _text(given: Mapping[str, object], name: str, longest_chars: int) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOption(f"{name} must be a text, not {type(value).__name__}")
    if not value.strip():
        raise InvalidOption(f"{name} is empty: leave it out or fill it in")
    if len(value) > longest_chars:
        raise InvalidOption(f"{name} has {len(value)} characters: at most {longest_chars} are taken")
    if not value.isprintable():
        raise InvalidOption(f"{name} has a line break or another character that cannot be printed")
    return plain(value)


def _flag(given: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise InvalidOption(f"{name} must be True or False, not {type(value).__name__}")
    return value


def _due(given: Mapping[str, object], now: datetime) -> datetime | None:
    at = given.get("at")
    if at is None:
        return None
    if not isinstance(at, datetime):
        raise InvalidOption(f"at must be a datetime with a time zone, not {type(at).__name__}")
    if at.utcoffset() is None:
        raise InvalidOption(f"at {at.isoformat()} has no time zone: give one, for example tzinfo=UTC")
    if at > now + timedelta(days=LONGEST_AHEAD_DAYS):
        raise InvalidOption(f"at {at.isoformat()} is more than a year ahead: see whether its year is right")
    if at < now - timedelta(seconds=PAST_GRACE_S):
        raise InvalidOption(f"at {at.isoformat()} is past: give a time to come or leave it out")
    return at


def _expiry(given: Mapping[str, object], lane: Lane) -> float:
    value = given.get("expires_in", EXPIRES_IN_S[lane])
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOption(f"expires_in must be a number of seconds, not {type(value).__name__}")
    if not 0 < value <= LONGEST_EXPIRES_IN_S:
        raise InvalidOption(
            f"expires_in {value} s is out of range: more than 0 and at most {LONGEST_EXPIRES_IN_S} (30 days)"
        )
    return float(value)


def _region(given: Mapping[str, object]) -> str | None:
    region = _text(given, "region", NAME_CHARS)
    if region is None:
        return None
    calling_code(region.upper())
    return region.upper()


def _vendor(given: Mapping[str, object]) -> Mapping[str, Any]:
    value = given.get("vendor", {})
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidOption("vendor must be a mapping of the provider's parameter names to values")
    for name, parameter in value.items():
        if not isinstance(parameter, str | int | float | bool | None):
            raise InvalidOption(
                f"vendor parameter {name[:NAME_CHARS]!r} must be a text, a number or a boolean,"
                f" not {type(parameter).__name__}"
            )
    return dict(value)


def _shown(value: object) -> str:
    return repr(value[:NAME_CHARS]) if isinstance(value, str) else type(value).__name__
