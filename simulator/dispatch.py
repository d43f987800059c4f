"""From an accepted call to its reports and replies: planned, then pushed or left for polling."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, replace

from simulator.accounts import Account
from simulator.delivery import PollQueue, Wheel, pack, unpack
from simulator.fates import Fates, spread
from simulator.journal import FETCHED, PUSH_FAILED, PUSHED, Journal
from simulator.pushing import Pusher
from simulator.vendor import Push, Reply, Report, Vendor

_NS_PER_MS = 1_000_000
_SHARES = 1 << 24


@dataclass(slots=True)
class Tally:
    """How an account's reports and replies were fetched, or never could be."""

    reports_polled: int = 0
    replies_polled: int = 0
    unclaimed: int = 0


class Dispatch:
    """What waits for its time, and what waits to be fetched."""

    def __init__(
        self,
        journal: Journal,
        fates: Fates,
        pusher: Pusher,
        accounts: dict[tuple[str, str], Account],
        vendors: dict[str, Vendor],
    ) -> None:
        self._journal = journal
        self._fates = fates
        self._pusher = pusher
        self._accounts = accounts
        self._vendors = vendors
        self.wheel = Wheel()
        self.queues: defaultdict[tuple[str, str], PollQueue] = defaultdict(PollQueue)
        self.tallies: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
        pusher.on_end = self._ended

    def plan(self, account: Account, sequence: int, numbers: list[int]) -> None:
        """Set when the reports of an accepted call come, and the replies of some of its handsets."""
        at_ns = self._journal.start_ns(sequence)
        self._plan_reports(account, sequence, numbers, at_ns)
        if account.reply_share:
            self._plan_replies(account, sequence, numbers, at_ns)

    def _plan_reports(self, account: Account, sequence: int, numbers: list[int], at_ns: int) -> None:
        vendor = self._vendors[account.vendor]
        place = (account.vendor, account.name)
        if vendor.keeps_log:
            return
        if not account.push_url and not vendor.can_poll:
            self.tallies[place].unclaimed += len(numbers)
            return
        known = self._fates.known
        first = self._journal.first_number(sequence)
        fates = self._journal.fates[first : first + len(numbers)]
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
            account, vendor = self._accounts.get(place), self._vendors[place[0]]
            if account is None:
                continue
            pushed = self._leave_for_polling(account, packed) if vendor.can_poll else packed
            if account.push_url and pushed:
                reports = [self.report(one) for one in pushed]
                self._push(account, vendor, reports)
        for place, replies in self.wheel.due_replies(now_ns).items():
            account, vendor = self._accounts.get(place), self._vendors[place[0]]
            if account is None:
                continue
            pushed_replies = replies
            if vendor.can_poll:
                everything = not (account.reply_url or account.push_url)
                left = [one for one in replies if everything or _falls_to_polling(account, one.number)]
                self.queues[place].replies.extend(left)
                pushed_replies = [one for one in replies if one not in left]
            if (account.reply_url or account.push_url) and pushed_replies:
                for push in vendor.reply_pushes(account, pushed_replies):
                    self._pusher.put(push)

    def _push(self, account: Account, vendor: Vendor, reports: list[Report]) -> None:
        """Push reports, and what else the account's settings have pushed about them."""
        if account.interim:
            self._interim(account, vendor, reports)
        for push in vendor.report_pushes(account, reports):
            self._pusher.put(push)
        self._repeat(account, vendor, reports)

    def _repeat(self, account: Account, vendor: Vendor, reports: list[Report]) -> None:
        """Push some reports a second time, as every vendor may."""
        if not account.repeat_share:
            return
        again = [one for one in reports if spread(one.number + 3) < account.repeat_share * _SHARES]
        for push in vendor.report_pushes(account, again):
            push.kind = "repeat"
            self._pusher.put(push, account.repeat_delay_ms / 1000)

    def _interim(self, account: Account, vendor: Vendor, reports: list[Report]) -> None:
        """Push a word that ends nothing too: for half of the numbers before the last word, for half behind it."""
        for late in (False, True):
            words = [replace(one, state=account.interim) for one in reports if bool(spread(one.number + 5) & 1) == late]
            for push in vendor.report_pushes(account, words):
                push.kind = "interim"
                self._pusher.put(push, account.repeat_delay_ms / 1000 if late else 0.0)

    def _ended(self, push: Push, arrived: bool) -> None:  # noqa: FBT001  the pool calls it so
        if push.kind == "report":
            for report in push.reports:
                self._journal.tell(report.sequence, report.position, PUSHED if arrived else PUSH_FAILED)

    def _leave_for_polling(self, account: Account, packed: array[int]) -> array[int]:
        queue = self.queues[account.vendor, account.name]
        pushed = array("Q")
        for one in packed:
            sequence, position = unpack(one)
            number = self._journal.numbers[self._journal.first_number(sequence) + position]
            if not account.push_url or queue.reports_ever < account.poll_first or _falls_to_polling(account, number):
                queue.reports.append(one)
                queue.reports_ever += 1
            else:
                pushed.append(one)
        return pushed

    def report(self, packed: int) -> Report:
        """A packed report in full."""
        sequence, position = unpack(packed)
        at = self._journal.first_number(sequence) + position
        number = self._journal.numbers[at]
        fate = self._fates.known[self._journal.fates[at]]
        due_ns = self._journal.start_ns(sequence) + fate.delay_of(number) * _NS_PER_MS
        return Report(sequence, number, fate.state, due_ns, position)

    def reports_of(self, sequence: int) -> tuple[list[str], str]:
        """The states that an accepted call's messages end in, and what became of their reports, a digit each."""
        first, known = self._journal.first_number(sequence), self._fates.known
        fates = self._journal.fates[first : self._journal.ends[sequence]]
        told = self._journal.told_of(sequence)
        return [known[index].state for index in fates], "".join(map(str, told))

    def take_reports(self, account: Account, most: int) -> list[Report]:
        """Reports left for polling; they are gone afterwards."""
        place = (account.vendor, account.name)
        waiting = self.queues[place].reports
        taken = [self.report(waiting.popleft()) for _ in range(min(most, len(waiting)))]
        self.tallies[place].reports_polled += len(taken)
        for report in taken:
            self._journal.tell(report.sequence, report.position, FETCHED)
        return taken

    def take_replies(self, account: Account, most: int) -> list[Reply]:
        """Replies left for polling; they are gone afterwards."""
        place = (account.vendor, account.name)
        waiting = self.queues[place].replies
        taken = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        self.tallies[place].replies_polled += len(taken)
        return taken


def _falls_to_polling(account: Account, number: int) -> bool:
    """Whether this number's reports and replies are among the share left for polling."""
    # Spread twice: once would tie it to the share of those that reply, which is a spread of the same number.
    return spread(spread(number)) < account.poll_share * _SHARES
