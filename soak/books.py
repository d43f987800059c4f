"""The account of a soak, row by row: what the ledger says of each message against what its vendor took of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sendmill import Client
from sendmill.errors import NoSuchJob
from sendmill.messages import MessageInfo
from sendmill.states import State
from soak.plan import PROXY, VALKEY
from soak.sending import Sent
from soak.setting import BY_PROXY, TIMEOUT_S
from soak.striking import Away
from soak.taken import NOT_TOLD, PUSHED, Fact, Taken

_MOVING: Final = frozenset({State.ACCEPTED, State.SCHEDULED, State.QUEUED, State.SUBMITTING})
"""States in which nothing may stay."""

_REPORTED: Final = frozenset({State.DELIVERED, State.UNDELIVERED, State.UNKNOWN})
"""States into which nothing but a report brings a message within the time of a soak."""

_NEVER_SENT: Final = frozenset({State.FAILED, State.SUPPRESSED, State.CANCELLED})

_SETTLES_S: Final = TIMEOUT_S + 30.0
"""A call that has no outcome after its timeout and 5 s is ended by the next sweep, on a machine that is busy."""

_EXAMPLES: Final = 12
UNANNOUNCED: Final = "without announcing that"
"""What the ledger says of a request that met a vendor's silent close."""

BY_REFERENCE: Final = "mainland"
"""The account whose vendor, smsadmin, names our own reference in its reports: there an answer is not needed."""


@dataclass(slots=True)
class Books:
    """What the comparison found. `wrong` counts what must not be, by what it is; `examples` show some of each."""

    rows: int = 0
    by_lane: Counter[tuple[str, str, State]] = field(default_factory=Counter)
    """Rows by provider's account, lane and state."""
    lost: int = 0
    twice: int = 0
    twice_allowed: int = 0
    lost_jobs: int = 0
    unheard: int = 0
    """Rows whose report was lost on its way: a push to a dead process, a poll whose answer was cut off."""
    unasked: int = 0
    """Rows whose vendor has to be asked, and was not yet."""
    unsettled: int = 0
    """Unconfirmed rows whose report came, and fits more than one of them."""
    unconfirmed: Counter[str] = field(default_factory=Counter)
    """Rows by what explains them: a fault of the vendor, a strike, nothing."""
    wrong: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    doubtful_taken: int = 0

    def note(self, what: str, message: MessageInfo | str, job: int) -> None:
        """Something that must not be."""
        self.wrong[what] += 1
        if len(self.examples[what]) < _EXAMPLES:
            told = message
            if isinstance(message, MessageInfo):
                told = f"{message.message_id} at {message.account}: {message.state} ({message.code})"
            self.examples[what].append(f"job {job}: {told}")


def compare(client: Client, sent: Sequence[Sent], taken: Taken, away: Sequence[Away]) -> Books:
    """Every row of every job. Reads the ledger by the public face alone."""
    books = Books()
    unconfirmed: list[tuple[MessageInfo, Fact]] = []
    for one in sent:
        if one.job_id is None:
            _doubtful(books, one, taken)
            continue
        try:
            messages = list(client.messages(one.job_id))
        except NoSuchJob:
            books.lost_jobs += 1
            books.lost += one.plan.rows
            books.note("the ledger does not know the job", one.job_id, one.plan.index)
            continue
        unconfirmed += _job(books, one, messages, taken)
    _explain(books, client, unconfirmed, taken, away)
    if taken.nameless:
        books.wrong["the vendors took messages that bear no mark"] += taken.nameless
    return books


def _doubtful(books: Books, sent: Sent, taken: Taken) -> None:
    """A job whose `send` failed may be there or not. Nothing of it may go twice."""
    for number in sent.plan.numbers():
        times = taken.of(sent.plan.index, number).times
        books.doubtful_taken += times > 0
        _count_twice(books, sent, times, number)


def _count_twice(books: Books, sent: Sent, times: int, number: str) -> None:
    if times > 1 and sent.plan.duplicates_ok:
        books.twice_allowed += times - 1
    elif times > 1:
        books.twice += times - 1
        books.note("taken more than once", f"{times} times, a number that ends in {number[-4:]}", sent.plan.index)


def _job(books: Books, sent: Sent, messages: Sequence[MessageInfo], taken: Taken) -> Iterable[tuple[MessageInfo, Fact]]:
    numbers = dict.fromkeys(sent.plan.numbers())
    lane, index = sent.plan.lane, sent.plan.index
    cancelled = 0
    for message in messages:
        number = message.to.removeprefix("+")
        if number not in numbers:
            books.note("a row that nobody sent, or twice the same", message, index)
            continue
        del numbers[number]
        books.rows += 1
        books.by_lane[message.account or "-", lane, message.state] += 1
        cancelled += message.state is State.CANCELLED
        fact = taken.of(index, number)
        _count_twice(books, sent, fact.times, number)
        _row(books, message, fact, index)
        if message.state is State.UNCONFIRMED:
            yield message, fact
    if numbers:
        books.lost += len(numbers)
        books.note("rows that the ledger has not", f"{len(numbers)} of {sent.plan.rows}", index)
    if sent.cancelled and sent.plan.rows != cancelled + sent.gone:
        books.note("a cancellation that told a wrong count", f"{cancelled} + {sent.gone} of {sent.plan.rows}", index)


def _row(books: Books, message: MessageInfo, fact: Fact, job: int) -> None:
    state = message.state
    if state in _MOVING:
        books.lost += 1
        books.note("left on its way", message, job)
    elif not fact.times:
        _not_taken(books, message, job)
    elif state in _NEVER_SENT or (state is State.EXPIRED and message.code == "expired_by_us"):
        books.note("taken, though the ledger says that it never went", message, job)
    elif state is State.DELIVERED and not fact.good:
        books.note("delivered in the ledger, and not at the vendor", message, job)
    elif state.final and state is not State.DELIVERED and not fact.bad:
        books.note("not delivered in the ledger, though the vendor says nothing of the kind", message, job)
    elif state.final and fact.told == NOT_TOLD:
        books.note("reported in the ledger before its vendor told anybody", message, job)
    elif not state.final and not fact.silent and (fact.good or fact.bad):
        _unreported(books, message, fact, job)


def _unreported(books: Books, message: MessageInfo, fact: Fact, job: int) -> None:
    """A vendor that knows the end of a message has told it, or could not."""
    if fact.told == NOT_TOLD:
        # Without the vendor's id there is nothing to ask with.
        books.unasked += message.state is State.SUBMITTED
    elif fact.told != PUSHED or fact.times > 1:
        # Of a message that went twice by leave a report may be of the first sending, which is history.
        books.unheard += 1
    elif message.state is State.UNCONFIRMED and message.account != BY_REFERENCE:
        # Its vendor's id was never read, and several messages to its number may have been open.
        books.unsettled += 1
    else:
        books.note("a report that was acknowledged is not in the ledger", message, job)


def _not_taken(books: Books, message: MessageInfo, job: int) -> None:
    """What no vendor took may be unconfirmed, refused or never sent, each with its reason; nothing else."""
    if message.state is State.SUBMITTED or message.state in _REPORTED:
        books.lost += 1
        books.note("submitted in the ledger, and the vendor never took it", message, job)
    elif message.state is not State.UNCONFIRMED and message.state is not State.CANCELLED and not message.code:
        books.note("not sent, without a reason", message, job)


# --- unconfirmed ---------------------------------------------------------------------------------------------------


def _explain(
    books: Books,
    client: Client,
    unconfirmed: Sequence[tuple[MessageInfo, Fact]],
    taken: Taken,
    away: Sequence[Away],
) -> None:
    """Each call whose rows are unconfirmed met a fault of the vendor, or was on the wire when something was struck."""
    calls: dict[tuple[str, int], list[MessageInfo]] = defaultdict(list)
    began: dict[tuple[str, int], float] = {}
    why: dict[tuple[str, int], str] = {}
    for message, _fact in unconfirmed:
        last: Mapping[str, Any] = (client.show(message.message_id)["attempts"] or [{}])[-1]
        call = (message.account or "-", int(last.get("call", 0)))
        calls[call].append(message)
        at: datetime | None = last.get("began_at")
        began[call] = at.timestamp() if at is not None else 0.0
        why[call] = str(last.get("detail") or last.get("code"))
    left = {account: sorted(arrivals) for account, arrivals in taken.struck.items()}
    for call in sorted(calls, key=lambda one: began[one]):
        messages = calls[call]
        if _meets(left.get(call[0], []), began[call]):
            books.unconfirmed["a fault of the vendor"] += len(messages)
        elif struck := _struck(away, call[0], began[call]):
            books.unconfirmed[struck] += len(messages)
        elif UNANNOUNCED in why[call]:
            books.unconfirmed["a connection that the vendor closed unannounced"] += len(messages)
        else:
            books.unconfirmed["nothing"] += len(messages)
            for message in messages:
                books.note(f"unconfirmed, and nothing had happened: {why[call]}", message, 0)


def _meets(arrivals: list[float], began_at: float) -> bool:
    """Whether a struck call arrived when this one was written: each struck call explains one."""
    for place, at in enumerate(arrivals):
        if began_at - 0.1 <= at <= began_at + TIMEOUT_S:
            del arrivals[place]
            return True
        if at > began_at + TIMEOUT_S:
            break
    return False


def _struck(away: Sequence[Away], account: str, began_at: float) -> str:
    """What was done to a sender, to the server, or to the proxy of this account, while this call was open."""
    for one in away:
        if one.kind == "worker_send" and one.from_s <= began_at + _SETTLES_S and one.to_s >= began_at:
            return f"{one.action} of {one.kind}"
    for kind in (VALKEY, PROXY) if account == BY_PROXY else (VALKEY,):
        for one in away:
            if one.kind == kind and one.from_s <= began_at + _SETTLES_S and one.to_s >= began_at:
                return f"{one.action} of {one.kind}"
    return ""
