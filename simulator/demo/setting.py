"""The demo's accounts, their limits and routes, and how the simulated vendors behave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.vendor_accounts import five_accounts

COUNTS: Final = {"worker_send": 2, "worker_work": 1, "beat": 2, "push": 1, "web": 1}
"""Processes of each Procfile line. Two beats, because two may run: one works, the other waits."""

CALLS_PER_S: Final[Mapping[str, int]] = {"mainland": 100, "xi": 80, "bulk": 80, "world": 150}
"""What their plans allow, as the demo supposes: no vendor of these publishes a number. `hk` has its published ones."""

RECIPIENTS_PER_H: Final[Mapping[str, int]] = {"hk": 200_000}
"""AccessYou publishes 20,000 to 200,000, by plan."""

ROUTES: Final = (
    {"prefix": "+852", "accounts": ["hk"]},
    {"prefix": "+853", "accounts": ["hk"]},
    # smsadmin takes GBK and no emoji: a text that it refuses goes to the next account.
    {"prefix": "+8613", "accounts": ["mainland", "xi"]},
    {"prefix": "+8615", "accounts": ["xi", "bulk"]},
    {"prefix": "+8618", "accounts": ["bulk", "xi"]},
    {"prefix": "+86", "accounts": ["mainland", "bulk"]},
    {"prefix": "", "accounts": ["world"]},
)

SIMULATOR_CONFIG: Final = {"simulator": {"delay_ms": 500, "jitter_ms": 2_000}}

_REPLY_SHARE: Final = 0.01
_REPEAT_SHARE: Final = 0.02

_POLLED_FIRST: Final = 40
_POLL_SHARE: Final = 0.01
"""smsadmin's polls bring 20 reports in 5 s: these and the first ones are 160 of 12,000, or 40 s. The rest is pushed."""

SIMULATOR_ACCOUNTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "hk": {"reply_share": _REPLY_SHARE, "messages_per_h": RECIPIENTS_PER_H["hk"]},
    "mainland": {
        "reply_share": 5 * _REPLY_SHARE,
        "repeat_share": _REPEAT_SHARE,
        "poll_first": _POLLED_FIRST,
        "poll_share": _POLL_SHARE,
        "calls_per_s": CALLS_PER_S["mainland"],
    },
    "xi": {"reply_share": _REPLY_SHARE, "repeat_share": _REPEAT_SHARE, "calls_per_s": CALLS_PER_S["xi"]},
    "world": {"repeat_share": _REPEAT_SHARE, "calls_per_s": CALLS_PER_S["world"]},
    "bulk": {"repeat_share": _REPEAT_SHARE, "calls_per_s": CALLS_PER_S["bulk"]},
}
"""Some handsets reply, some reports come twice; what goes over an account's rate is a breach."""


def accounts(url: str) -> dict[str, dict[str, Any]]:
    """The five accounts with the demo's limits."""
    found = five_accounts(url)
    for name, calls_per_s in CALLS_PER_S.items():
        found[name]["limits"] = {"calls_per_s": calls_per_s}
    for name, recipients_per_h in RECIPIENTS_PER_H.items():
        found[name]["limits"] = {"recipients_per_h": recipients_per_h}
    return found
