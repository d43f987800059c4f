"""The accounts, limits and routes of a soak, and how its simulated vendors behave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.vendor_accounts import five_accounts

COUNTS: Final = {"worker_send": 2, "worker_work": 1, "beat": 2, "push": 1}
"""Processes of each Procfile line."""

TIMEOUT_S: Final = 3.0
"""How long an answer is waited for: short, so that what a kill left is settled within 8 s."""

CALLS_PER_S: Final[Mapping[str, int]] = {"mainland": 100, "xi": 80, "bulk": 80, "world": 150}

RECIPIENTS_PER_H: Final = 200_000
"""AccessYou's largest plan."""

BY_PROXY: Final = "hk"
"""Not one with a limit a second: a proxy is a program that stands still now and then, and lets go what it held."""

SIGNATURE: Final = "【Acme】"
TEMPLATE_ID: Final = "1"
RECORDING: Final = "1001"
"""A recording that AccessYou is told to have: its simulator asks for no file here."""

ROUTES: Final = (
    {"prefix": "+852", "accounts": ["hk"]},
    {"prefix": "+8613", "accounts": ["mainland", "xi"]},
    {"prefix": "+8615", "accounts": ["xi", "bulk"]},
    {"prefix": "+8618", "accounts": ["bulk", "xi"]},
    {"prefix": "", "accounts": ["world"]},
)

DELIVERED: Final[Mapping[str, str]] = {
    "accessyou": "DELIVERED",
    "xioo": "DELIVRD",
    "smsadmin": "DELIVRD",
    "ihuyi": "DELIVRD",
    "sms467890": "DELIVRD",
}
"""The vendors' own words for it."""

# The report of every tenth number comes at once, before the answer to its call; that of every hundredth never comes.
_FATES: Final = [
    *({"vendor": vendor, "last": "7", "state": word, "delay_ms": 0} for vendor, word in DELIVERED.items()),
    {"last": "13", "state": "", "delay_ms": 0},
]
SIMULATOR_CONFIG: Final = {"simulator": {"delay_ms": 200, "jitter_ms": 1_500}, "fates": _FATES}

_REPEATS: Final = {"repeat_share": 0.05, "repeat_delay_ms": 2_000}
_REPLIES: Final = {"reply_share": 0.005, "reply_texts": ["收到"]}

SIMULATOR_ACCOUNTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "hk": {**_REPLIES, "messages_per_h": RECIPIENTS_PER_H},
    "mainland": {**_REPEATS, **_REPLIES, "poll_share": 0.02, "calls_per_s": CALLS_PER_S["mainland"]},
    "xi": {**_REPEATS, **_REPLIES, "calls_per_s": CALLS_PER_S["xi"]},
    "world": {**_REPEATS, "calls_per_s": CALLS_PER_S["world"], "options": {"push_spacing_ms": 1_500}},
    "bulk": {**_REPEATS, "interim": "ACCEPTD", "calls_per_s": CALLS_PER_S["bulk"]},
}


def accounts(url: str, *, proxy: str) -> dict[str, dict[str, Any]]:
    """The five accounts with limits and a short timeout; one goes by a proxy.

    sms467890's own removal of repeats is off at the simulator, so ours is too.
    """
    found = five_accounts(url)
    for name, settings in found.items():
        settings["timeout_s"] = TIMEOUT_S
        settings["limits"] = (
            {"calls_per_s": CALLS_PER_S[name]} if name in CALLS_PER_S else {"recipients_per_h": RECIPIENTS_PER_H}
        )
    found[BY_PROXY]["proxy"] = proxy
    return found
