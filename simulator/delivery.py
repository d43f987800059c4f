"""When reports and replies are due, and which wait to be polled.

A report is a 64-bit number (call sequence and position) in a bucket of 20 ms; everything else is
read from the journal when it is due, so that a million reports to come cost 8 MB.
"""

from __future__ import annotations

from array import array
from collections import defaultdict, deque

from simulator.vendor import Reply

BUCKET_MS = 20
_NS_PER_MS = 1_000_000
_POSITION_BITS = 16
_POSITION_MASK = (1 << _POSITION_BITS) - 1

Place = tuple[str, str]


def pack(sequence: int, position: int) -> int:
    """One message as a number; a call has at most 65,536 messages."""
    return sequence << _POSITION_BITS | position


def unpack(packed: int) -> tuple[int, int]:
    """The sequence of the call and the position of the message in it."""
    return packed >> _POSITION_BITS, packed & _POSITION_MASK


class Wheel:
    """Reports and replies by the time they are due, per account."""

    def __init__(self) -> None:
        self._reports: dict[int, dict[Place, array[int]]] = {}
        self._replies: dict[int, list[tuple[Place, Reply]]] = {}
        self._reports_waiting: defaultdict[Place, int] = defaultdict(int)
        self._replies_waiting: defaultdict[Place, int] = defaultdict(int)

    def add_report(self, place: Place, due_ns: int, packed: int) -> None:
        """Let a report come when it is due."""
        bucket = self._reports.setdefault(due_ns // (BUCKET_MS * _NS_PER_MS), {})
        waiting = bucket.get(place)
        if waiting is None:
            waiting = bucket[place] = array("Q")
        waiting.append(packed)
        self._reports_waiting[place] += 1

    def add_reply(self, place: Place, due_ns: int, reply: Reply) -> None:
        """Let a reply come when it is due."""
        self._replies.setdefault(due_ns // (BUCKET_MS * _NS_PER_MS), []).append((place, reply))
        self._replies_waiting[place] += 1

    def waiting(self, place: Place) -> tuple[int, int]:
        """How many reports and replies of an account are not due yet."""
        return self._reports_waiting[place], self._replies_waiting[place]

    def due_reports(self, now_ns: int) -> dict[Place, array[int]]:
        """Take the packed reports that are due, by account."""
        newest = now_ns // (BUCKET_MS * _NS_PER_MS)
        due: dict[Place, array[int]] = {}
        for bucket in sorted(bucket for bucket in self._reports if bucket < newest):
            for place, packed in self._reports.pop(bucket).items():
                self._reports_waiting[place] -= len(packed)
                if place in due:
                    due[place].extend(packed)
                else:
                    due[place] = packed
        return due

    def due_replies(self, now_ns: int) -> dict[Place, list[Reply]]:
        """Take the replies that are due, by account."""
        newest = now_ns // (BUCKET_MS * _NS_PER_MS)
        due: defaultdict[Place, list[Reply]] = defaultdict(list)
        for bucket in sorted(bucket for bucket in self._replies if bucket < newest):
            for place, reply in self._replies.pop(bucket):
                self._replies_waiting[place] -= 1
                due[place].append(reply)
        return due


class PollQueue:
    """What one account may fetch, once, oldest first."""

    def __init__(self) -> None:
        self.reports: deque[int] = deque()
        self.replies: deque[Reply] = deque()
        # How many reports have ever gone here: `poll_first` counts them.
        self.reports_ever = 0
