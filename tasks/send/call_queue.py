"""Calls of one lane and endpoint in the order in which they are asked for: jobs take turns, by their recipients."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from operator import attrgetter

from tasks.send.pack import ReadyCall

_TURN = attrgetter("turn")


class CallQueue(deque[ReadyCall]):
    """Slices come in by hundreds of rows of one job, which may be many seconds at a slow limit. So the calls that were
    packed of them are put in between each other: whoever joins later starts where the line is, not at its end."""

    def __init__(self) -> None:
        super().__init__()
        self._ends: dict[str, int] = {}

    def put(self, call: ReadyCall) -> None:
        """Put a call where its job's next turn is. One that carries rows of several jobs has that of the first."""
        if not self:
            self._ends.clear()
        job = call.runs[0][0].body.job
        call.turn = max(self[0].turn if self else 0, self._ends.get(job, 0))
        self._ends[job] = call.turn + call.recipients
        if not self or self[-1].turn <= call.turn:
            self.append(call)
        else:
            self.insert(bisect_right(self, call.turn, key=_TURN), call)
