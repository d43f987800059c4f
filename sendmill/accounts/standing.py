"""How accounts stand: state, what waits, what binds, until when. Reads counters, and of slices two headers a lane."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median_low
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from sendmill.accounts.eta import Pace, Window, lane_etas
from sendmill.accounts.quiet_hours import ToldHours
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.minutes import MINUTE_MS, Counts, counts_of, submitted, summed
from sendmill.ledger.pages import reading_header, whole
from sendmill.ledger.published import published_accounts, removed_accounts
from sendmill.ledger.slices import Header, decode_header
from sendmill.messages import AccountInfo
from sendmill.options import Lane

NOT_CONFIGURED = "no worker is configured for it any more"
"""Why nothing is sent through an account that was taken out of the workers' settings."""

_BARRED = "barred:"
_WINDOW_S = {"s": 1, "min": 60, "h": 3600}
_IN_FLIGHT = "max_in_flight"
_RATES = tuple(f"{unit}_per_{window}" for unit in ("calls", "recipients") for window in _WINDOW_S)
_LATELY_MINUTES = 5

LIMIT_NAMES = (*_RATES, _IN_FLIGHT)
"""Every limit that an account can have, by its name in the workers' settings."""


class LimitUse(NamedTuple):
    """A limit in time: `used` units of `most` in the window of `window_s`; `returns` as `sendmill.accounts.eta.Window`.

    `published` is what the workers' settings say, `set_here` what an operator set, None where nobody did.
    """

    name: str
    window_s: int
    used: int
    most: int
    returns: Sequence[tuple[float, int]]
    published: int | None
    set_here: int | None

    @property
    def share(self) -> float:
        """Of the limit that is used."""
        return self.used / self.most


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as it stands: what is told of it, its pace, every limit in time, and its raw counters and state.

    `expires_at` says, for each lane in which something waits, when the first in line is too old to be sent.
    """

    info: AccountInfo
    pace: Pace
    limits: Sequence[LimitUse]
    counters: Counts
    lately: Counts
    state: Mapping[str, str]
    expires_at: Mapping[str, datetime]


def read_accounts(ledger: Ledger) -> list[AccountInfo]:
    """Every account that a worker published, by name.

    Raises:
        StoreError: Redis is away.
    """
    return [standing.info for standing in read_standings(ledger)]


def read_standings(ledger: Ledger, names: Collection[str] | None = None) -> list[Standing]:
    """How every account stands that a worker published, by name; of some names, those of them that are published.

    Four round trips, however many there are.

    Raises:
        StoreError: Redis is away.
    """
    told = published_accounts(ledger)
    removed = removed_accounts(told)
    if names is not None:
        told = {name: one for name, one in told.items() if name in names}
    if not told:
        return []
    return [_standing(name, told[name], read, removed=name in removed) for name, read in _read(ledger, told).items()]


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Read:
    """What was read of an account. `heads` and `tails` are the first and the last in line, by lane."""

    now_ms: float
    state: Mapping[str, str]
    in_flight: int
    broken: bool
    shut_until_ms: float
    counters: Counts
    unconfirmed: int
    logs: Mapping[str, Sequence[bytes]]
    minutes: Sequence[Counts]
    """The last ones that are over, then the one that runs."""
    heads: dict[str, Header] = field(default_factory=dict)
    tails: dict[str, Header] = field(default_factory=dict)
    events: tuple[int, int] = (0, 0)


_ENDS = tuple((lane.value, end) for lane in Lane for end in (0, -1))


def _read(ledger: Ledger, told: Mapping[str, Mapping[str, Any]]) -> dict[str, _Read]:
    found: dict[str, _Read] = {}
    ends: list[tuple[str, str, int, str]] = []
    with store_errors():
        seconds, micros = ledger.server.time()
        now_ms = seconds * 1000 + micros / 1000
        this = int(now_ms // MINUTE_MS)
        minutes = range(this - _LATELY_MINUTES, this + 1)
        pipe = ledger.server.pipeline(transaction=False)
        for name, one in told.items():
            _ask(pipe, ledger.account(name), _rates(one), minutes)
        answers = iter(pipe.execute())
    for name, one in told.items():
        state, in_flight, (broken, cool, quarantine), counters, unconfirmed = (next(answers) for _ in range(5))
        for lane, end in _ENDS:
            ends += [(name, lane, end, slice_id.decode()) for slice_id in next(answers)]
        found[name] = _Read(
            now_ms=now_ms,
            state={field.decode(): value.decode() for field, value in state.items()},
            in_flight=in_flight,
            broken=broken is not None,
            shut_until_ms=max(float(cool or 0), float(quarantine or 0)),
            counters=counts_of(counters),
            unconfirmed=unconfirmed,
            minutes=[counts_of(next(answers)) for _ in minutes],
            logs={limit: next(answers) for limit in _rates(one)},
        )
    _read_ends(ledger, found, ends)
    return found


def _rates(told: Mapping[str, Any]) -> Sequence[str]:
    return [*_RATES, *(name for name in told["limits"] if name not in _RATES)]


def _ask(pipe: Any, keys: AccountKeys, rates: Sequence[str], minutes: Sequence[int]) -> None:
    pipe.hgetall(keys.state)
    pipe.zcard(keys.open)
    pipe.hmget(keys.clock, "broken", "cool", "quarantine")
    pipe.hgetall(keys.counters)
    pipe.zcard(keys.unconfirmed)
    for lane, end in _ENDS:
        pipe.zrange(keys.out(lane), end, end)
    for minute in minutes:
        pipe.hgetall(keys.minute(minute))
    for limit in rates:
        pipe.lrange(keys.used(limit), 0, -1)


def _read_ends(ledger: Ledger, found: Mapping[str, _Read], ends: Sequence[tuple[str, str, int, str]]) -> None:
    """The headers at both ends of the lines, and how long the accounts' event streams are."""
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for name, _, _, slice_id in ends:
            pipe.execute_command(*reading_header(ledger.account(name), slice_id))
        for name in found:
            pipe.xinfo_stream(ledger.account(name).events)
        answers = pipe.execute(raise_on_error=False)
    for (name, lane, end, slice_id), raw in zip(ends, answers, strict=False):
        header = whole(slice_id, raw) if isinstance(raw, bytes) else None
        if header:
            (found[name].heads if end == 0 else found[name].tails)[lane] = decode_header(header)
    for one, stream in zip(found.values(), answers[len(ends) :], strict=True):
        if not isinstance(stream, ResponseError):  # where there is no stream yet
            one.events = stream["length"], stream["entries-added"] - stream["length"]


# --- what it means -----------------------------------------------------------------------------------------------


def _standing(name: str, told: Mapping[str, Any], read: _Read, *, removed: bool) -> Standing:
    state = read.state
    limits = _limits(told["limits"], read)
    # Where nothing is used that is the tightest one, but for those of single services.
    binding = max(limits, key=lambda each: (each.share, ":" not in each.name, -each.most / each.window_s), default=None)
    lately = summed(read.minutes)
    pace = _pace(told, read, limits, lately)
    etas = lane_etas(pace)
    balance = " ".join(part for part in (state.get("balance"), state.get("balance_unit")) if part)
    info = AccountInfo(
        name=name,
        provider=told["provider"],
        state=state.get("state", "active"),
        state_reason=NOT_CONFIGURED if removed else _reason(read),
        backlog=pace.waiting,
        in_flight=read.in_flight,
        rate_used=binding and binding.used / binding.window_s,
        rate_allowed=binding and binding.most / binding.window_s,
        rate_limit=binding and binding.name,
        rate_window_s=binding and binding.window_s,
        last_error=state.get("last_error"),
        balance=balance or None,
        events_kept=read.events[0],
        events_trimmed=read.events[1],
        push_warning=told.get("push_warning") or None,
        eta=etas,
        oldest_at={lane: _time(header.created_ms) for lane, header in read.heads.items()},
        unconfirmed_calls=read.unconfirmed,
        last_error_at=_time(state["last_error_ms"]) if "last_error_ms" in state else None,
    )
    expires_at = {lane: _time(header.expires_ms) for lane, header in read.heads.items()}
    return Standing(info, pace, limits, read.counters, lately, state, expires_at)


def _time(ms: str | float) -> datetime:
    return datetime.fromtimestamp(float(ms) / 1000, UTC)


def _reason(read: _Read) -> str | None:
    """Why an account stands still, or which of its lanes do, in words."""
    state = read.state
    if state.get("state", "active") != "active":
        return f"by {state.get('by')}: {state['reason']}" if state.get("reason") else state.get("why")
    told = ["its vendor fails and is tried with single calls"] if read.broken else []
    told += [f"host {field.removeprefix(_BARRED)} is refused" for field in sorted(state) if field.startswith(_BARRED)]
    for lane in Lane:
        until_ms = int(state.get(f"quiet:{lane.value}", "0"))
        if until_ms > read.now_ms:
            told.append(f"{lane.value} is quiet until {_time(until_ms).astimezone().isoformat(timespec='minutes')}")
    return ", ".join(told) or None


def _limits(published: Mapping[str, int], read: _Read) -> list[LimitUse]:
    """Every limit in time that holds; the strictest of what is set does."""
    found = []
    for name, entries in read.logs.items():
        most = _strictest(name, published.get(name), read.state)
        if most is None:
            continue
        window_s = _WINDOW_S[name.partition(":")[0].partition("_per_")[2]]
        returns = []
        for entry in entries:
            at_ms, count = entry.split()
            back_in_s = (float(at_ms) - read.now_ms) / 1000 + window_s
            if back_in_s > 0 and int(count):
                returns.append((back_in_s, int(count)))
        set_here = read.state.get(f"limit:{name}")
        used = sum(count for _, count in returns)
        found.append(
            LimitUse(
                name, window_s, used, most, returns, published.get(name), None if set_here is None else int(set_here)
            )
        )
    return found


def _strictest(name: str, published: int | None, state: Mapping[str, str]) -> int | None:
    said = (state.get(f"limit:{name}"), state.get(f"least:{name}"), published)
    return min((int(most) for most in said if most is not None), default=None)


def _pace(told: Mapping[str, Any], read: _Read, limits: Sequence[LimitUse], lately: Counts) -> Pace:
    hours = told.get("quiet")
    state = read.state.get("state", "active")
    return Pace(
        now=_time(read.now_ms),
        waiting={lane.value: max(0, read.counters.get(f"waiting:{lane.value}", 0)) for lane in Lane},
        windows=[
            Window(each.name, each.name.partition("_per_")[0], each.window_s, each.most, each.returns)
            for each in limits
            if ":" not in each.name
        ],
        slots=_strictest(_IN_FLIGHT, told["max_in_flight"], read.state) or 0,
        call_s=_call_s(lately) or _call_s(read.counters),
        rows_a_call={lane.value: _rows_a_call(lane, told, read, lately) for lane in Lane},
        lately_per_s=_lately_per_s(read),
        arriving_per_s={
            lane.value: median_low(each.get(f"came:{lane.value}", 0) for each in read.minutes[:-1]) / 60
            for lane in Lane
        },
        held=None if state == "active" else state,
        opens_in_s=max(0.0, (read.shut_until_ms - read.now_ms) / 1000),
        quiet={lane: ToldHours.of(hours) for lane in hours["lanes"]} if hours else {},
        expires={lane: _time(header.expires_ms) for lane, header in read.tails.items()},
    )


def _call_s(counts: Counts) -> float | None:
    """What a call took on average."""
    calls = sum(many for field, many in counts.items() if field.startswith("call:"))
    took_ms = sum(many for field, many in counts.items() if field.startswith("took_ms:"))
    return took_ms / calls / 1000 if calls else None


def _rows_a_call(lane: Lane, told: Mapping[str, Any], read: _Read, lately: Counts) -> float:
    """Messages of a lane that a call carries: as lately, as ever, as all lanes together, or as the vendor allows."""
    for counts in (lately, read.counters):
        if calls := counts.get(f"calls:{lane.value}", 0):
            return max(1.0, counts.get(f"rows:{lane.value}:s", 0) / calls)
    if calls := int(read.state.get("ended:s", "0")):
        return max(1.0, int(read.state.get("recipients", "0")) / calls)
    return float(min(told.get("services", {}).values(), default=1))


def _lately_per_s(read: _Read) -> float | None:
    """Messages a second since the first of the last minutes in which any went."""
    went = [submitted(minute) for minute in read.minutes]
    first = next((place for place, many in enumerate(went) if many), None)
    if first is None:
        return None
    into_s = read.now_ms % MINUTE_MS / 1000
    return sum(went) / max(1.0, (len(went) - 1 - first) * 60 + into_s)
