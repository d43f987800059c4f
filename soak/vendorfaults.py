"""Lets the vendors fail as the plan says."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from sendmill import Client
from simulator.system import System
from simulator.vendor_accounts import at_vendor
from soak.plan import Blocked, Plan

BASE: Final[dict[str, Any]] = {"kind": "latency", "delay_ms": 20, "jitter_ms": 60}
"""A vendor that does not fail still takes its time: so calls are on the wire when something is struck."""


class VendorFaults:
    """Orders faults at the simulator as they begin, and takes them back as they end."""

    def __init__(self, system: System, plan: Plan, began_at: float) -> None:
        self.done: Counter[str] = Counter()
        self._simulator = system.simulator
        self._accounts = system.accounts
        self._began_at = began_at
        self._to_block = sorted(plan.blocked, key=lambda each: each.at_s)
        self._blocked: list[Blocked] = []
        self._spans = [(began_at + each.at_s, began_at + each.at_s + each.for_s, each.order) for each in plan.faults]
        self._active: list[dict[str, Any]] = []
        self._order(seed=plan.seed)

    def look(self) -> None:
        """Begin and end what is due."""
        now = time.monotonic()
        active = [order for begins, ends, order in self._spans if begins <= now < ends]
        if active != self._active:
            self.done.update(_name(order) for order in active if order not in self._active)
            self._active = active
            self._order()
        self._block(now - self._began_at)

    def end(self, client: Client) -> None:
        """All vendors are well again, and an operator resumes what they had refused."""
        for blocked in self._blocked:
            self._set_state(blocked.account, "active")
        for account in client.accounts():
            if account.state != "active":
                client.resume(account.name)
        self._active = []
        self._spans = []
        self._order()

    def _block(self, at_s: float) -> None:
        while self._to_block and self._to_block[0].at_s <= at_s:
            self._blocked.append(self._to_block.pop(0))
            self._set_state(self._blocked[-1].account, self._blocked[-1].state)
            self.done[f"account {self._blocked[-1].state}"] += 1
        for blocked in [each for each in self._blocked if each.at_s + each.for_s <= at_s]:
            self._blocked.remove(blocked)
            if blocked.account not in {each.account for each in self._blocked}:
                self._set_state(blocked.account, "active")

    def _set_state(self, account: str, state: str) -> None:
        self._simulator.set_account(*at_vendor(self._accounts[account]), state=state)

    def _order(self, *, seed: int | None = None) -> None:
        self._simulator.clear_faults()
        base = BASE if seed is None else {**BASE, "seed": seed}
        self._simulator.add_faults(*(dict(order) for order in self._active), base)


def _name(order: dict[str, Any]) -> str:
    name = f"status {order['status']}" if order["kind"] == "status" else str(order["kind"])
    return f"{name}, accepted" if order.get("accepted") else name
