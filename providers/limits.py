"""The limits that an account keeps: what its vendor publishes, tightened by its own `[accounts.x.limits]`."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import AccountSettings
from providers.base import Provider, PublishedLimit
from sendmill.errors import ConfigError


def effective(provider: Provider, settings: AccountSettings) -> dict[str, int]:
    """Every limit that holds for the account, by its name in `[accounts.x.limits]`.

    A published limit holds by itself. A setting may tighten it, and adds limits that the vendor does not publish. A
    setting above a published limit is refused, unless the vendor publishes it as the least of several plans: then up
    to the largest that it publishes. `max_in_flight` counts for each service on its own.

    Raises:
        ConfigError: names the key, the published number and where it stands.
    """
    limits = {limit.name: limit.value for limit in provider.limits}
    published = {limit.name: limit for limit in provider.limits}
    for name in type(settings.limits).model_fields:
        value: int | None = getattr(settings.limits, name)
        if value is None:
            continue
        if name in published:
            _refuse_wider(provider, published[name], value)
        limits[name] = value
    return limits


def services_of(provider: Provider) -> dict[str, Sequence[str]]:
    """The services that a limit holds for, by its name, where these are not all."""
    return {limit.name: limit.services for limit in provider.limits if limit.services is not None}


def _refuse_wider(provider: Provider, limit: PublishedLimit, value: int) -> None:
    most = limit.value
    if limit.may_be_raised:
        most = value if limit.at_most is None else limit.at_most
    if value > most:
        raise ConfigError(
            f"accounts.{provider.account}.limits.{limit.name} = {value} is more than {provider.name} allows: "
            f"{most} ({limit.source}). Set {most} or less, or leave the key out."
        )
