"""The simulator's state and the way of a call through it: identify, spoil, judge, journal, plan."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from typing import Protocol

from simulator.accounts import Account
from simulator.breaches import Breach, Breaches
from simulator.delivery import pack
from simulator.dispatch import Dispatch
from simulator.facts import Ledger
from simulator.fates import Fates
from simulator.faults import Fault, Faults
from simulator.journal import ACCEPTED, FETCHED, KERNEL_STAMP, SUBMIT, Journal, Key
from simulator.limits import Limits
from simulator.pushing import Pusher
from simulator.vendor import Answer, Call, FetchesFiles, Reply, Report, TakesMail, Vendor
from simulator.wire import Request, Response


@dataclass(slots=True)
class Reaction:
    """What the connection does: the response to which call of the journal, and the fault that spoils its way."""

    response: Response
    sequence: int = -1
    fault: Fault | None = None
    delay_s: float = 0.0
    flight: tuple[str, str, str] | None = None


class Client(Protocol):
    """A connection, as far as the world asks."""

    def gone(self) -> bool:
        """Whether the client has left."""


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
        self.files = {name: vendor for name, vendor in self.vendors.items() if isinstance(vendor, FetchesFiles)}
        self.mail = [vendor for vendor in self.vendors.values() if isinstance(vendor, TakesMail)]
        self.journal = Journal()
        self.ledger = Ledger(self.journal)
        self.breaches = Breaches()
        self.limits = Limits(self.breaches)
        self.dispatch = Dispatch(self.journal, self.fates, self.pusher, self.accounts, self.vendors)
        self.refused: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.swallowed: defaultdict[tuple[str, str], int] = defaultdict(int)
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

    def wanted_file(self, request: Request) -> tuple[str, int] | None:
        """What is to be fetched before a request can be handled: an address, and the port to take for its own."""
        _, _, rest = request.path.partition("/")
        name, _, path = rest.partition("/")
        vendor = self.files.get(name)
        return vendor.wanted_file(request, "/" + path) if vendor is not None else None

    def handle(self, request: Request) -> Reaction:
        """Answer one request of a client and note it; needs no other turn of the loop."""
        _, _, rest = request.path.partition("/")
        name, _, path = rest.partition("/")
        vendor = self.vendors.get(name)
        if vendor is None:
            self.breaches.add(Breach(request.arrival_ns, name[:20], "", "path", "no such vendor"))
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
        self.note(call, answer, fault.kind if fault is not None else "")
        reaction = Reaction(answer.response, call.sequence, fault)
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

    def note(self, call: Call, answer: Answer, fault: str = "") -> None:
        """Enter a call that was judged into the journal, with what struck it, and plan what follows from it."""
        request, account = call.request, call.account
        flags = KERNEL_STAMP if request.kernel_stamp else 0
        flags |= ACCEPTED if answer.accepted else 0
        flags |= SUBMIT if call.submit else 0
        place = (call.vendor, call.claimed)
        fates = array("H")
        if answer.accepted:
            fates = array("H", self.fates.choose(*place, answer.numbers))
            if answer.states:
                for position, number in enumerate(answer.numbers):
                    if number in answer.states:
                        fates[position] = self.fates.fixed(answer.states[number])
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
            start_ns=answer.start_ns,
            parts=answer.parts,
            fault=fault,
        )
        if answer.swallowed:
            self.swallowed[place] += answer.swallowed
        if answer.refused:
            self.refused[place] += answer.refused
        if account is None or not call.submit:
            return
        self.limits.submitted(account, request.arrival_ns, max(1, len(answer.numbers)))
        if not answer.accepted:
            return
        account.balance -= answer.cost
        self.largest[place] = max(self.largest[place], len(answer.numbers))
        self.dispatch.plan(account, sequence, answer.numbers)

    # What vendors ask.

    def account(self, vendor: str, name: str) -> Account | None:
        """The account of that name."""
        return self.accounts.get((vendor, name))

    def accounts_of(self, vendor: str) -> list[Account]:
        """All accounts of a vendor."""
        return [account for (one, _name), account in self.accounts.items() if one == vendor]

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
        report = self.dispatch.report(pack(sequence, position))
        if report.at_ns > now_ns:
            return "", 0
        self.journal.tell(sequence, position, FETCHED)
        return report.state, report.at_ns

    def take_reports(self, account: Account, most: int) -> list[Report]:
        """Reports left for polling; they are gone afterwards."""
        return self.dispatch.take_reports(account, most)

    def take_replies(self, account: Account, most: int) -> list[Reply]:
        """Replies left for polling; they are gone afterwards."""
        return self.dispatch.take_replies(account, most)

    # What connections tell.

    def answered(self, sequence: int, at_ns: int) -> None:
        """An answer to this call has begun to be written."""
        # A reset may have emptied the journal meanwhile.
        if 0 <= sequence < len(self.journal):
            self.journal.answered_ns[sequence] = at_ns

    def left(self, flight: tuple[str, str, str], connection: Client, written_ns: int) -> None:
        """The service is free again; `written_ns` 0 when the client left without an answer."""
        if written_ns:
            self.answered_ns[flight] = written_ns
        if connection in self.in_flight[flight]:
            self.in_flight[flight].remove(connection)
