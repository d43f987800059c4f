"""Accounts as a person sees and steers them. Nothing here knows a credential: what needs one, a worker is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sendmill.errors import InvalidOption
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.published import published_account, published_accounts, removed_accounts
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import HEADER_BYTES, decode_header
from sendmill.messages import AccountInfo
from sendmill.options import Lane
from sendmill.states import State

COUNTED_SLICES = 10_000
"""The most slices of each kind whose rows are counted for the backlog; what lies behind is left out."""

NOT_CONFIGURED = "no worker is configured for it any more"
"""Why nothing is sent through an account that was taken out of the workers' settings."""

_BARRED = "barred:"
_WINDOW_S = {"s": 1, "min": 60, "h": 3600}
_IN_FLIGHT = "max_in_flight"
_RATES = tuple(f"{unit}_per_{window}" for unit in ("calls", "recipients") for window in _WINDOW_S)

LIMIT_NAMES = (*_RATES, _IN_FLIGHT)
"""Every limit that an account can have, by its name in the workers' settings."""

LARGEST_LIMIT = 1_000_000_000


class _Rate(NamedTuple):
    limit: str
    window_s: int
    share: float
    used_per_s: float
    allowed_per_s: float


def read_accounts(ledger: Ledger) -> list[AccountInfo]:
    """Every account that a worker published, by name.

    Raises:
        StoreError: Redis is away.
    """
    accounts = published_accounts(ledger)
    removed = removed_accounts(accounts)
    return [_info(ledger, name, told, removed=name in removed) for name, told in accounts.items()]


def set_active(ledger: Ledger, account: str, *, active: bool) -> None:
    """Let an account submit, or stop it; reports and replies come in either way.

    Raises:
        UnknownAccount: no worker has published it.
        StoreError: Redis is away.
    """
    published_account(ledger, account)
    with store_errors():
        ledger_script("active").run(ledger.server, ledger.account(account).state, "active" if active else "paused")


def set_limit(ledger: Ledger, account: str, name: str, value: int | None) -> None:
    """Tighten a limit of an account while it runs, or add one that its workers do not have; None takes that back.

    Raises:
        UnknownAccount: no worker has published it.
        InvalidOption: there is no such limit, or the workers have a smaller one.
        StoreError: Redis is away.
    """
    told = published_account(ledger, account)
    if name not in LIMIT_NAMES:
        raise InvalidOption(f"{name} is no limit: there are {', '.join(LIMIT_NAMES)}")
    most: int | None = told["max_in_flight"] if name == _IN_FLIGHT else told["limits"].get(name)
    field = f"limit:{name}"
    if value is None:
        with store_errors():
            ledger.server.hdel(ledger.account(account).state, field)
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= (most or LARGEST_LIMIT):
        allowed = "" if most is None else ", what its settings allow"
        raise InvalidOption(f"{name} of {account} is a whole number from 1 to {most or LARGEST_LIMIT}{allowed}")
    with store_errors():
        ledger.server.hset(ledger.account(account).state, field, value)


# --- what is shown -----------------------------------------------------------------------------------------------


def _info(ledger: Ledger, name: str, told: Mapping[str, Any], *, removed: bool) -> AccountInfo:
    keys = ledger.account(name)
    limits: Mapping[str, int] = told["limits"]
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.time()
        pipe.hgetall(keys.state)
        pipe.zcard(keys.open)
        pipe.hexists(keys.clock, "broken")
        names = [*_RATES, *(name for name in limits if name not in _RATES)]
        for limit in names:
            pipe.lrange(keys.used(limit), 0, -1)
        (seconds, micros), raw_state, in_flight, broken, *logs = pipe.execute()
    state = {field.decode(): value.decode() for field, value in raw_state.items()}
    rate = _binding_rate(limits, state, dict(zip(names, logs, strict=True)), seconds * 1000 + micros / 1000)
    events_kept, events_trimmed = _events(ledger, keys)
    balance = " ".join(part for part in (state.get("balance"), state.get("balance_unit")) if part)
    return AccountInfo(
        name=name,
        provider=told["provider"],
        state=state.get("state", "active"),
        state_reason=NOT_CONFIGURED if removed else _reason(state, seconds * 1000, broken=broken),
        backlog=_backlog(ledger, keys),
        in_flight=in_flight,
        rate_used=rate.used_per_s if rate else None,
        rate_allowed=rate.allowed_per_s if rate else None,
        rate_limit=rate.limit if rate else None,
        rate_window_s=rate.window_s if rate else None,
        last_error=state.get("last_error"),
        balance=balance or None,
        events_kept=events_kept,
        events_trimmed=events_trimmed,
        push_warning=told.get("push_warning") or None,
    )


def _events(ledger: Ledger, keys: AccountKeys) -> tuple[int, int]:
    """Entries of the event stream, and those that were trimmed: the stream itself counts all that it was ever given."""
    with store_errors():
        if not ledger.server.exists(keys.events):
            return 0, 0
        told = ledger.server.xinfo_stream(keys.events)
    return told["length"], told["entries-added"] - told["length"]


def _reason(state: Mapping[str, str], now_ms: int, *, broken: bool) -> str | None:
    """Why an account stands still, or which of its lanes do, in words."""
    if state.get("state", "active") != "active":
        return state.get("why")
    told = ["its vendor fails and is tried with single calls"] if broken else []
    told += [f"host {field.removeprefix(_BARRED)} is refused" for field in sorted(state) if field.startswith(_BARRED)]
    for lane in Lane:
        until_ms = int(state.get(f"quiet:{lane.value}", "0"))
        if until_ms > now_ms:
            until = datetime.fromtimestamp(until_ms / 1000, UTC).astimezone()
            told.append(f"{lane.value} is quiet until {until.isoformat(timespec='minutes')}")
    return ", ".join(told) or None


def _binding_rate(
    limits: Mapping[str, int], state: Mapping[str, str], logs: Mapping[str, Sequence[bytes]], now_ms: float
) -> _Rate | None:
    """The limit that is nearest to being used up, in units a second; the strictest of what is set holds.

    Where nothing is used that is the tightest one, but for those of single services.
    """
    rates = []
    for name, entries in logs.items():
        set_here = (state.get(f"limit:{name}"), state.get(f"least:{name}"), limits.get(name))
        allowed = min((int(most) for most in set_here if most is not None), default=None)
        if allowed is None:
            continue
        window_s = _WINDOW_S[name.partition(":")[0].partition("_per_")[2]]
        used = 0
        for entry in entries:
            at_ms, count = entry.split()
            if float(at_ms) > now_ms - window_s * 1000:
                used += int(count)
        rates.append(_Rate(name, window_s, used / allowed, used / window_s, allowed / window_s))
    return max(rates, key=lambda rate: (rate.share, ":" not in rate.limit, -rate.allowed_per_s), default=None)


def _backlog(ledger: Ledger, keys: AccountKeys) -> dict[str, int]:
    """Rows that wait, by lane: in the outbox, put aside, or in slices that are being sent from."""
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for key in (*(keys.out(lane) for lane in Lane), keys.wait, keys.inflight):
            pipe.zrange(key, 0, COUNTED_SLICES - 1)
        slices = {raw.decode() for raws in pipe.execute() for raw in raws}
        pipe = ledger.server.pipeline(transaction=False)
        for slice_id in slices:
            pipe.getrange(keys.slice(slice_id), 0, HEADER_BYTES - 1)
        headers = pipe.execute()
    rows: Counter[str] = Counter()
    for raw in headers:
        if len(raw) == HEADER_BYTES:
            header = decode_header(raw)
            rows[header.lane] += header.counts[State.QUEUED]
    return {lane.value: rows[lane.value] for lane in Lane}
