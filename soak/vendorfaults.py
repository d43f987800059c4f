"""Lets the vendors fail as the plan says."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final

from simulator.client import Simulator
from soak.plan import Plan

BASE: Final[dict[str, Any]] = {"kind": "latency", "delay_ms": 20, "jitter_ms": 60}
"""A vendor that does not fail still takes its time: so calls are on the wire when something is struck."""


class VendorFaults:
    """Orders faults at the simulator as they begin, and takes them back as they end."""

    def __init__(self, simulator: Simulator, plan: Plan, began_at: float) -> None:
        self.done: Counter[str] = Counter()
        self._simulator = simulator
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

    def end(self) -> None:
        """All vendors are well again."""
        self._active = []
        self._spans = []
        self._order()

    def _order(self, *, seed: int | None = None) -> None:
        self._simulator.clear_faults()
        base = BASE if seed is None else {**BASE, "seed": seed}
        self._simulator.add_faults(*(dict(order) for order in self._active), base)


def _name(order: dict[str, Any]) -> str:
    name = f"status {order['status']}" if order["kind"] == "status" else str(order["kind"])
    return f"{name}, accepted" if order.get("accepted") else name
