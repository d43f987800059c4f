"""Messages whose answer was never read: which there are, and what a person says of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sendmill.errors import InvalidOption, NoSuchJob
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.ended_calls import PastCall, read_attempts, read_calls
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.message_life import find_row
from sendmill.ledger.moved_rows import Place, trail
from sendmill.ledger.pages import page_of, read_one
from sendmill.ledger.published import published_account, published_accounts
from sendmill.ledger.reading import read_headers, read_job
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import decode
from sendmill.messages import Settled, Unconfirmed, Verdict
from sendmill.moment import moment
from sendmill.states import State

DETAILS = {
    Verdict.SENT: "a person said that the vendor took it",
    Verdict.RESEND: "a person had it sent again",
    Verdict.GIVE_UP: "a person gave it up",
}
"""What the history of a message says of each verdict."""

_CALLS_AT_ONCE = 200
_TO_THE_END = -1


def read_unconfirmed(ledger: Ledger, account: str | None) -> Iterator[Unconfirmed]:
    """The messages that are unconfirmed, account by account, those of the earliest call first.

    Raises:
        UnknownAccount: no worker has published it.
        StoreError: Redis is away.
    """
    if account is not None:
        published_account(ledger, account)
    names = [account] if account is not None else list(published_accounts(ledger))
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for name in names:
            pipe.zrange(ledger.account(name).unconfirmed, 0, -1)
        answers = pipe.execute()
    calls = {name: [int(raw) for raw in raws] for name, raws in zip(names, answers, strict=True)}
    return (message for name in names for message in _of_account(ledger, name, calls[name]))


def given_up_at(ledger: Ledger, message: Unconfirmed) -> datetime | None:
    """When a message becomes `unknown` where no report comes; None where its job is gone.

    Raises:
        StoreError: Redis is away.
    """
    try:
        _, entries = read_job(ledger, message.message_id.rpartition("-")[0])
    except NoSuchJob:
        return None
    keys = ledger.account(message.account)
    slices = [entry.slice_id for entry in entries if entry.account == message.account]
    names = [page[0] if (page := page_of(slice_id)) else slice_id for slice_id in slices]
    with store_errors():
        horizons = ledger.server.zmscore(keys.horizon, names) if names else []
    known = [int(at_ms) for at_ms in horizons if at_ms is not None]
    return moment(min(known)) if known else None


def _of_account(ledger: Ledger, account: str, calls: Sequence[int]) -> Iterator[Unconfirmed]:
    keys = ledger.account(account)
    for start in range(0, len(calls), _CALLS_AT_ONCE):
        part = calls[start : start + _CALLS_AT_ONCE]
        carried: dict[str, dict[int, PastCall]] = defaultdict(dict)
        for call, past in read_calls(ledger, keys, part).items():
            for slice_id, *_ in past.rows:
                carried[slice_id][call] = past
        for slice_id, its_calls in carried.items():
            yield from _of_slice(ledger, account, slice_id, its_calls)


def _of_slice(ledger: Ledger, account: str, slice_id: str, calls: dict[int, PastCall]) -> Iterator[Unconfirmed]:
    keys = ledger.account(account)
    with store_errors():
        raw = read_one(ledger.server, keys, slice_id)
    if raw is None:
        return
    read = decode(raw)
    words = {attempt.call: attempt.detail for attempt in read_attempts(ledger, keys, slice_id) if not attempt.settled}
    for offset in range(read.header.rows):
        call = calls.get(read.call(offset))
        if call is not None and read.state(offset) is State.UNCONFIRMED:
            yield Unconfirmed(
                message_id=f"{read.body.job}-{read.body.row(offset)}",
                to=read.body.number(offset),
                account=account,
                since=moment(read.changed_ms(offset)),
                code=call.code or None,
                detail=words.get(read.call(offset)) or None,
            )


def settle(ledger: Ledger, target: str, verdict: Verdict | str) -> Settled:
    """Say what became of an unconfirmed message, or of all of a job; others stay as they are.

    Raises:
        InvalidOption: there is no such verdict.
        NoSuchJob: no such message or job is kept.
        StoreError: Redis is away; a part may be settled: repeat it.
    """
    chosen = verdict_of(verdict)
    settled, left = 0, 0
    accounts = published_accounts(ledger)
    for account, slice_id, first, last in _places(ledger, target):
        silent = accounts.get(account, {}).get("reports") is False
        args = (slice_id, first, last, chosen.value, f"settled_{chosen.value}", DETAILS[chosen], "1" if silent else "0")
        with store_errors():
            answer = ledger_script("settle").run(ledger.server, ledger.account(account).state, *args)
        settled, left = settled + int(answer[0]), left + int(answer[1])
    return Settled(settled=settled, left=left)


def verdict_of(verdict: Verdict | str) -> Verdict:
    """What a person says, from its word.

    Raises:
        InvalidOption: there is no such verdict.
    """
    try:
        return Verdict(verdict)
    except ValueError:
        raise InvalidOption(f"there is no verdict {str(verdict)[:40]!r}: there are {', '.join(Verdict)}") from None


def _places(ledger: Ledger, target: str) -> Iterable[tuple[str, str, int, int]]:
    """Account, slice, first and last row of what is to be settled. A job's id has no hyphen, a message's has one."""
    job_id, hyphen, row = target.rpartition("-")
    if not hyphen:
        _, entries = read_job(ledger, target)
        return (
            (entry.account, entry.slice_id, 0, _TO_THE_END)
            for entry, header in read_headers(ledger, [each for each in entries if each.account != REFUSED])
            if header is not None and header.counts[State.UNCONFIRMED]
        )
    if not row.isascii() or not row.isdigit():
        raise NoSuchJob(f"{target[:60]!r} is no message id: it is a job's id, a hyphen and a row number")
    _, entries = read_job(ledger, job_id)
    found = find_row(ledger, entries, int(row))
    if found is None:
        raise NoSuchJob(f"job {job_id} has no row {row} that was planned")
    entry, read, offset = found
    *_, place = trail(ledger, Place(entry.account, entry.slice_id, read, offset))
    return [(place.account, place.slice_id, place.offset, place.offset)]
