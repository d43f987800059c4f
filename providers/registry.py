"""Which class speaks to which vendor: the one list of vendors. A new vendor is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from config.settings import AccountSettings
from providers.accessyou import AccessYou
from providers.base import Provider
from providers.ihuyi import Ihuyi
from providers.simulated import simulated
from providers.sms467890 import Sms467890
from providers.smsadmin import Smsadmin
from providers.xioo import Xioo
from sendmill.errors import ConfigError

_CLASSES: tuple[type[Provider], ...] = (
    AccessYou,
    Xioo,
    Smsadmin,
    Ihuyi,
    Sms467890,
)

PROVIDERS: Mapping[str, type[Provider]] = MappingProxyType({provider.name: provider for provider in _CLASSES})
"""Every vendor by the word that stands in `provider = "…"`."""


def models() -> dict[str, type[AccountSettings]]:
    """What `[accounts.x]` may hold, by provider: `config.load` takes it, so that config knows no vendor."""
    return {name: provider.settings_model for name, provider in PROVIDERS.items()}


def build(account: str, settings: AccountSettings) -> Provider:
    """The provider of one account.

    Raises:
        ConfigError: no such provider, or settings that are another provider's.
    """
    provider = PROVIDERS.get(settings.provider)
    if provider is None:
        raise ConfigError(f"accounts.{account}.provider is none of {', '.join(sorted(PROVIDERS))}")
    if not isinstance(settings, provider.settings_model):
        raise ConfigError(f"accounts.{account} has the settings of another provider than {settings.provider}")
    return (simulated(provider) if settings.simulated else provider)(account, settings)
