"""Accounts of all five vendors that point at a simulator, in the form of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings
from providers import registry
from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts

ONE_A_CALL = {"personalised": False}
"""For `mainland`: rows of one template, each a call of its own, as at a vendor without personalised calls."""


def settings_for(
    simulator: Simulator, redis_url: str, namespace: str, names: list[str], **changes: Mapping[str, object]
) -> Settings:
    """The settings of some of those accounts; `changes` by account name go on top."""
    models = registry.models()
    chosen = {}
    for name in names:
        values = five_accounts(simulator.url)[name] | {"timeout_s": 3.0} | dict(changes.get(name, {}))
        chosen[name] = models[str(values["provider"])].model_validate(values)
    return Settings(redis_url=redis_url, namespace=namespace, accounts=chosen, routes=())
