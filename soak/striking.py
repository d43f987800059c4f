"""Does to the processes what the plan says, and brings them back; and tells when each was away."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Final

from simulator.proxying import Proxy
from simulator.sentinels import SentinelGroup
from simulator.system import System, SystemFailed
from soak.plan import PROXY, VALKEY, Action, Plan, Strike
from soak.powercut import AofWatch

_TERM_TIMEOUT_S: Final = 45.0
"""A worker may wait for a vendor's answer, and for Redis to take the outcome: after this it has hung."""


@dataclass(slots=True)
class Away:
    """From when to when (seconds since 1970) processes of a kind could not do their work."""

    kind: str
    action: Action
    from_s: float
    to_s: float = float("inf")


class Striker:
    """Strikes as they fall due. Nothing here waits, but for a server that starts."""

    def __init__(self, system: System, proxy: Proxy, group: SentinelGroup | None, plan: Plan, began_at: float) -> None:
        self.done: Counter[tuple[str, Action]] = Counter()
        """Processes struck, by kind and action: a strike at both of two counts twice."""
        self.away: list[Away] = []
        self.hung = 0
        self.cut_bytes = 0
        self._system = system
        self._proxy = proxy
        self._group = group
        self._began_at = began_at
        self._chance = random.Random(f"{plan.seed}:which")
        self._order = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ending: list[tuple[str, int, float, float, Away]] = []
        self._aof = AofWatch(system.valkey.directory) if group is None else None
        self._server_lies = False
        for strike in plan.strikes:
            self._at(began_at + strike.at_s, lambda strike=strike: self._strike(strike))  # type: ignore[misc]

    def _at(self, at: float, what: Callable[[], None]) -> None:
        heappush(self._due, (at, next(self._order), what))

    @property
    def is_over(self) -> bool:
        """Whether every strike has been made and everything is back."""
        return not self._due and not self._ending

    def look(self) -> None:
        """Do what is due.

        Raises:
            SystemFailed: a process ended that nobody asked to.
        """
        if self._aof is not None:
            self._aof.look()
        while self._due and self._due[0][0] <= time.monotonic():
            heappop(self._due)[2]()
        for ending in list(self._ending):
            self._look_at_ending(ending)
        self._system.check()

    # --- strikes ---------------------------------------------------------------------------------------------------

    def _strike(self, strike: Strike) -> None:
        if strike.kind == VALKEY:
            self._strike_server(strike)
            return
        if strike.kind == PROXY:
            self._strike_proxy(strike)
            return
        pids = self._system.processes(strike.kind)
        if not pids:
            # All of them are away already: this one is struck when somebody is back.
            self._at(time.monotonic() + 0.5, lambda: self._strike(strike))
            return
        for pid in pids if strike.every_one else [self._chance.choice(pids)]:
            self.done[strike.kind, strike.action] += 1
            away = self._note(strike)
            match strike.action:
                case Action.KILL:
                    self._system.kill(strike.kind, signal.SIGKILL, pid=pid)
                    self._at(time.monotonic() + strike.for_s, lambda away=away: self._back(away))  # type: ignore[misc]
                case Action.FREEZE:
                    self._system.kill(strike.kind, signal.SIGSTOP, pid=pid)
                    self._at(time.monotonic() + strike.for_s, lambda pid=pid, away=away: self._thaw(pid, away))  # type: ignore[misc]
                case _:
                    absent_s = strike.for_s if strike.action is Action.TERM else 0.0
                    self._system.kill(strike.kind, signal.SIGTERM, pid=pid)
                    self._ending.append((strike.kind, pid, time.monotonic(), absent_s, away))

    def _note(self, strike: Strike) -> Away:
        self.away.append(Away(strike.kind, strike.action, time.time()))
        return self.away[-1]

    def _back(self, away: Away) -> None:
        self._system.start_more(away.kind)
        away.to_s = time.time()

    def _thaw(self, pid: int, away: Away) -> None:
        self._system.kill(away.kind, signal.SIGCONT, pid=pid)
        away.to_s = time.time()

    def _look_at_ending(self, ending: tuple[str, int, float, float, Away]) -> None:
        kind, pid, since, absent_s, away = ending
        if pid in self._system.processes(kind):
            if time.monotonic() - since < _TERM_TIMEOUT_S:
                return
            self.hung += 1
            self._system.kill(kind, signal.SIGKILL, pid=pid)
        self._ending.remove(ending)
        self._at(time.monotonic() + absent_s, lambda: self._back(away))

    # --- the proxy and the server ----------------------------------------------------------------------------------

    def _strike_proxy(self, strike: Strike) -> None:
        self.done[PROXY, strike.action] += 1
        away = self._note(strike)
        self._proxy.stop()
        self._at(time.monotonic() + strike.for_s, lambda: self._proxy_back(away))

    def _proxy_back(self, away: Away) -> None:
        self._proxy.start()
        away.to_s = time.time()

    def _strike_server(self, strike: Strike) -> None:
        if self._server_lies:
            self._at(time.monotonic() + 0.5, lambda: self._strike(strike))
            return
        if self._group is not None:
            self._strike_group(self._group, strike)
            return
        self._server_lies = True
        self.done[VALKEY, strike.action] += 1
        away, server = self._note(strike), self._system.valkey
        match strike.action:
            case Action.FREEZE:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.pid, signal.SIGSTOP)
            case Action.KILL:
                server.kill()
            case Action.POWER_CUT:
                server.kill()
                assert self._aof is not None, "one server alone is cut off"
                self.cut_bytes += self._aof.cut()
            case _:
                server.stop()
        self._at(time.monotonic() + strike.for_s, lambda: self._server_back(away))

    def _strike_group(self, group: SentinelGroup, strike: Strike) -> None:
        """At the master of the moment, and only where a replica can take its place."""
        if not group.is_whole() or (strike.action is Action.FAILOVER and not group.fail_over()):
            self._at(time.monotonic() + 1.0, lambda: self._strike(strike))
            return
        self._server_lies = True
        self.done[VALKEY, strike.action] += 1
        away = self._note(strike)
        back: Callable[[], object] = lambda: None  # noqa: E731 - nothing to bring back
        if strike.action is Action.KILL:
            back = group.kill_master().start
        elif strike.action is Action.FREEZE:
            back = partial(group.thaw, group.freeze_master())
        self._at(time.monotonic() + strike.for_s, lambda: self._group_back(group, away, back))

    def _group_back(self, group: SentinelGroup, away: Away, back: Callable[[], object]) -> None:
        try:
            back()
        except (RuntimeError, OSError) as error:
            raise SystemFailed(f"Valkey does not come back after {away.action}: {error}") from error
        self._group_whole(group, away, time.monotonic() + _TERM_TIMEOUT_S)

    def _group_whole(self, group: SentinelGroup, away: Away, until: float) -> None:
        """Until then a call may wait for a replica that confirms it."""
        if not group.is_whole() and time.monotonic() < until:
            self._at(time.monotonic() + 0.5, lambda: self._group_whole(group, away, until))
            return
        away.to_s = time.time()
        self._server_lies = False

    def _server_back(self, away: Away) -> None:
        server = self._system.valkey
        try:
            if away.action is Action.FREEZE:
                os.kill(server.pid, signal.SIGCONT)
            else:
                server.start()
        except (RuntimeError, OSError) as error:
            raise SystemFailed(f"Valkey does not come back after {away.action}: {error}") from error
        away.to_s = time.time()
        self._server_lies = False
