"""The simulator's state and the way of a call through it: identify, spoil, judge, journal, plan."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from simulator.accounts import Account
from simulator.breaches import Breach, Breaches
from simulator.delivery import PollQueue, Wheel, pack, unpack
from simulator.fates import Fates, spread
from simulator.faults import Fault, Faults
from simulator.journal import ACCEPTED, KERNEL_STAMP, SUBMIT, Journal, Key
from simulator.limits import Limits
from simulator.pushing import Pusher
from simulator.vendor import Answer, Call, Reply, Report, Vendor
from simulator.wire import Request, Response

_NS_PER_MS = 1_000_000
_SHARES = 1 << 24


@dataclass(slots=True)
class Reaction:
    """What the connection does: the response, and the fault that spoils its way."""

    response: Response
    fault: Fault | None = None
    delay_s: float = 0.0
    flight: tuple[str, str, str] | None = None


class Client(Protocol):
    """A connection, as far as the world asks."""

    def gone(self) -> bool:
        """Whether the client has left."""


@dataclass(slots=True)
class Tally:
    """Counts of one account that the journal does not hold."""

    refused: int = 0
    reports_polled: int = 0
    replies_polled: int = 0
    unclaimed: int = 0


class World:
    """Everything the simulator knows; implements `simulator.vendor.Desk`."""

    def __init__(self, fates: Fates, faults: Faults, pusher: Pusher) -> None:
        self.vendors: dict[str, Vendor] = {}
        self._kinds: list[type[Vendor]] = []
        self.accounts: dict[tuple[str, str], Account] = {}
        self.fates = fates
        self.faults = faults
        self.pusher = pusher
        self.reset()

    def reset(self) -> None:
        """Forget all that happened; accounts and fates stay."""
        self.vendors = {kind.name: kind(self) for kind in self._kinds}
        self.journal = Journal()
        self.breaches = Breaches()
        self.limits = Limits(self.breaches)
        self.wheel = Wheel()
        self.queues: defaultdict[tuple[str, str], PollQueue] = defaultdict(PollQueue)
        self.tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        self.largest: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.in_flight: defaultdict[tuple[str, str, str], list[Client]] = defaultdict(list)
        self.answered_ns: dict[tuple[str, str, str], int] = {}
        self.pusher.forget()

    def open_vendors(self, kinds: list[type[Vendor]]) -> None:
        """Open the vendors, each under `/<name>/`."""
        self._kinds = kinds
        for kind in kinds:
            self.fates.set_defaults(kind.name, kind.delivered, kind.failed)
        self.reset()

    def handle(self, request: Request) -> Reaction:
        """Answer one request of a client and note it; needs no other turn of the loop."""
        _, _, rest = request.path.partition("/")
        name, _, path = rest.partition("/")
        vendor = self.vendors.get(name)
        if vendor is None:
            return Reaction(Response(b"not found", "text/plain", 404))
        call = vendor.identify(request, "/" + path)
        call.sequence = len(self.journal)
        if call.account is not None and vendor.one_at_a_time and call.submit:
            self._check_alone(call)
        fault = None
        if self.faults.orders:
            fault = self.faults.pick(name, call.claimed, call.endpoint)
        if fault is None or fault.takes_messages:
            answer = vendor.answer(call)
        else:
            answer = Answer(Response(), f"fault:{fault.kind}")
            if fault.kind == "code":
                answer = Answer(vendor.error(call, fault.code), f"fault:code {fault.code}")
        self._note(call, answer)
        reaction = Reaction(answer.response, fault)
        if fault is not None:
            reaction.response = fault.spoil(answer.response)
            reaction.delay_s = self.faults.delay_s(fault)
        if vendor.one_at_a_time and call.submit:
            reaction.flight = (name, call.claimed, call.endpoint)
        return reaction

    def _check_alone(self, call: Call) -> None:
        """Two requests overlap when one arrived before the other's answer was written."""
        flight = (call.vendor, call.claimed, call.endpoint)
        others = [one for one in self.in_flight[flight] if not one.gone()]
        if others or call.request.arrival_ns < self.answered_ns.get(flight, 0):
            self.breach(call, "in_flight", "sent before the answer to the last one")

    def _note(self, call: Call, answer: Answer) -> None:
        request, account = call.request, call.account
        flags = KERNEL_STAMP if request.kernel_stamp else 0
        flags |= ACCEPTED if answer.accepted else 0
        flags |= SUBMIT if call.submit else 0
        place = (call.vendor, call.claimed)
        fates = array("H")
        if answer.accepted:
            fates = array("H", self.fates.choose(*place, answer.numbers))
        key = self.journal.keys.index_of(Key(call.vendor, call.claimed, call.endpoint))
        sequence = self.journal.append(
            arrival_ns=request.arrival_ns,
            key=key,
            flags=flags,
            outcome=answer.outcome,
            numbers=answer.numbers,
            fates=fates if answer.accepted else array("H", bytes(2 * len(answer.numbers))),
            texts=answer.texts,
            reference=answer.reference,
            detail=answer.detail,
        )
        if answer.refused:
            self.tallies[place].refused += answer.refused
        if account is None or not call.submit:
            return
        self.limits.submitted(account, request.arrival_ns, max(1, len(answer.numbers)))
        if not answer.accepted:
            return
        account.balance -= answer.cost
        self.largest[place] = max(self.largest[place], len(answer.numbers))
        self._plan_reports(account, sequence, answer.numbers, fates, request.arrival_ns)
        if account.reply_share:
            self._plan_replies(account, sequence, answer.numbers, request.arrival_ns)

    def _plan_reports(self, account: Account, sequence: int, numbers: list[int], fates: array[int], at_ns: int) -> None:
        vendor = self.vendors[account.vendor]
        place = (account.vendor, account.name)
        if not account.push_url and not vendor.can_poll:
            # AccessYou's wait in its log; the others have nowhere to send them.
            self.tallies[place].unclaimed += len(numbers)
            return
        known = self.fates.known
        for position, (number, index) in enumerate(zip(numbers, fates, strict=True)):
            fate = known[index]
            if fate.state:
                due_ns = at_ns + fate.delay_of(number) * _NS_PER_MS
                self.wheel.add_report(place, due_ns, pack(sequence, position))

    def _plan_replies(self, account: Account, sequence: int, numbers: list[int], at_ns: int) -> None:
        due_ns = at_ns + account.reply_delay_ms * _NS_PER_MS
        for number in numbers:
            dice = spread(number + 1)
            if dice < account.reply_share * _SHARES:
                text = account.reply_texts[dice % len(account.reply_texts)]
                reply = Reply(sequence, number, text, due_ns)
                self.wheel.add_reply((account.vendor, account.name), due_ns, reply)

    def deliver_due(self, now_ns: int) -> None:
        """Hand what is due to the push pool or to the poll queues."""
        for place, packed in self.wheel.due_reports(now_ns).items():
            account, vendor = self.accounts.get(place), self.vendors[place[0]]
            if account is None:
                continue
            pushed = self._leave_for_polling(account, packed) if vendor.can_poll else packed
            if account.push_url and pushed:
                reports = [self.report(one) for one in pushed]
                for push in vendor.report_pushes(account, reports):
                    self.pusher.put(push)
        for place, replies in self.wheel.due_replies(now_ns).items():
            account, vendor = self.accounts.get(place), self.vendors[place[0]]
            if account is None:
                continue
            if account.reply_url or account.push_url:
                for push in vendor.reply_pushes(account, replies):
                    self.pusher.put(push)
            elif vendor.can_poll:
                self.queues[place].replies.extend(replies)

    def _leave_for_polling(self, account: Account, packed: array[int]) -> array[int]:
        queue = self.queues[account.vendor, account.name]
        pushed = array("Q")
        for one in packed:
            sequence, position = unpack(one)
            number = self.journal.numbers[self.journal.first_number(sequence) + position]
            if (
                not account.push_url
                or queue.reports_ever < account.poll_first
                or spread(number + 2) < account.poll_share * _SHARES
            ):
                queue.reports.append(one)
                queue.reports_ever += 1
            else:
                pushed.append(one)
        return pushed

    def report(self, packed: int) -> Report:
        """A packed report in full."""
        sequence, position = unpack(packed)
        at = self.journal.first_number(sequence) + position
        number = self.journal.numbers[at]
        fate = self.fates.known[self.journal.fates[at]]
        due_ns = self.journal.arrivals_ns[sequence] + fate.delay_of(number) * _NS_PER_MS
        return Report(sequence, number, fate.state, due_ns)

    # What vendors ask.

    def account(self, vendor: str, name: str) -> Account | None:
        """The account of that name."""
        return self.accounts.get((vendor, name))

    def breach(self, call: Call, kind: str, detail: str) -> None:
        """Note a violation of the document."""
        at_ns = call.request.arrival_ns
        self.breaches.add(Breach(at_ns, call.vendor, call.claimed, kind, f"{call.endpoint}: {detail}"))

    def refusal(self, call: Call, number: int) -> str:
        """Why this number is refused at submission; empty when it is not."""
        return self.fates.refusal(call.vendor, call.claimed, number)

    def polled(self, call: Call, account: Account, interval_s: float) -> None:
        """Note a poll, which may come too soon after the last one of this endpoint."""
        self.limits.polled(account, call.endpoint, call.request.arrival_ns, interval_s)

    def final_state(self, sequence: int, position: int, now_ns: int) -> tuple[str, int]:
        """State word and time (ns) of a message, ("", 0) while it is on its way."""
        report = self.report(pack(sequence, position))
        return (report.state, report.at_ns) if report.at_ns <= now_ns else ("", 0)

    def take_reports(self, account: Account, most: int) -> list[Report]:
        """Reports left for polling; they are gone afterwards."""
        place = (account.vendor, account.name)
        waiting = self.queues[place].reports
        taken = [self.report(waiting.popleft()) for _ in range(min(most, len(waiting)))]
        self.tallies[place].reports_polled += len(taken)
        return taken

    def take_replies(self, account: Account, most: int) -> list[Reply]:
        """Replies left for polling; they are gone afterwards."""
        place = (account.vendor, account.name)
        waiting = self.queues[place].replies
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self.tallies[place].replies_polled += len(taken)
        return taken

    # What connections tell.

    def left(self, flight: tuple[str, str, str], connection: Client, written_ns: int) -> None:
        """The service is free again; `written_ns` 0 when the client left without an answer."""
        if written_ns:
            self.answered_ns[flight] = written_ns
        if connection in self.in_flight[flight]:
            self.in_flight[flight].remove(connection)
