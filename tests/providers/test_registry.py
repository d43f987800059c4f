"""The list of vendors, and the limits that their accounts keep."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import AccountSettings
from providers.base import Provider
from providers.limits import effective
from providers.registry import PROVIDERS, build, models
from providers.secrets import secrets_of
from sendmill.errors import ConfigError

ACCOUNTS: dict[str, dict[str, Any]] = {
    "accessyou": {"accountno": "1", "batch": {"url": "https://batch.example/b.php", "user": "u", "pwd": "p"}},
    "ihuyi": {"account": "a", "api_key": "k"},
    "sms467890": {"uid": "1", "pwd": "p"},
    "smsadmin": {"uid": "1", "pwd": "p"},
    "xioo": {"url": "https://xioo.example/smsservice.aspx", "name": "n", "pwd": "0" * 28},
}


def _provider(name: str, **limits: int) -> tuple[Provider, AccountSettings]:
    settings = models()[name].model_validate({"provider": name, "limits": limits, **ACCOUNTS[name]})
    return build("shop", settings), settings


def test_the_five_vendors_are_listed_by_their_own_names() -> None:
    """The word in the configuration is the class's own name."""
    assert {"accessyou", "xioo", "smsadmin", "ihuyi", "sms467890"} == set(PROVIDERS)
    assert {name: name for name in PROVIDERS} == {name: provider.name for name, provider in PROVIDERS.items()}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_an_account_is_built_from_its_settings(name: str) -> None:
    """`build` gives the vendor's class for one account, and each account at least one service."""
    provider, _ = _provider(name)
    assert PROVIDERS[name] is type(provider)
    assert "shop" == provider.account
    assert provider.services()


def test_an_unknown_provider_is_a_configuration_error() -> None:
    """The error names the key and what may stand there."""
    with pytest.raises(ConfigError, match=r"accounts\.shop\.provider is none of accessyou, ihuyi, sms467890"):
        build("shop", AccountSettings(provider="carrier-pigeon"))


def test_settings_of_another_provider_are_a_configuration_error() -> None:
    """Settings without the vendor's own fields never reach its class."""
    with pytest.raises(ConfigError, match=r"accounts\.shop has the settings of another provider than xioo"):
        build("shop", AccountSettings(provider="xioo"))


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_published_limit_holds_without_a_setting(name: str) -> None:
    """Whoever sets nothing keeps what the vendor publishes."""
    provider, settings = _provider(name)
    assert {limit.name: limit.value for limit in provider.limits} == effective(provider, settings)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_setting_tightens_every_limit(name: str) -> None:
    """An account may be slower than its vendor allows, and may have limits that the vendor does not publish."""
    tight = {"calls_per_s": 1, "recipients_per_h": 10, "max_in_flight": 1}
    provider, settings = _provider(name, **tight)
    assert tight.items() <= effective(provider, settings).items()


def test_a_plan_may_raise_a_limit_to_what_the_vendor_publishes() -> None:
    """AccessYou prints 20,000 to 200,000 an hour by plan (p.9): the first is the default, the last the most."""
    assert 20_000 == effective(*_provider("accessyou"))["recipients_per_h"]
    assert 200_000 == effective(*_provider("accessyou", recipients_per_h=200_000))["recipients_per_h"]
    with pytest.raises(ConfigError, match=r"accounts\.shop\.limits\.recipients_per_h = 200001 .* 200000 \(.*p\.9"):
        effective(*_provider("accessyou", recipients_per_h=200_001))


def test_no_setting_widens_a_published_limit() -> None:
    """AccessYou wants the answer before the next message (p.43): two calls in flight are refused, naming the key."""
    with pytest.raises(
        ConfigError, match=r"accounts\.shop\.limits\.max_in_flight = 2 is more than accessyou allows: 1"
    ):
        effective(*_provider("accessyou", max_in_flight=2))


def test_secrets_are_found_in_every_sub_table_longest_first() -> None:
    """Replacing one after the other leaves no rest of a secret that contains another; an address's form counts too."""

    class Table(AccountSettings):
        inner: SecretStr
        outer: SecretStr

    settings = Table.model_validate({"provider": "x", "push_token": ["abc"], "inner": "abcde", "outer": "z&"})
    assert ["abcde", "z%26", "abc", "z&"] == secrets_of(settings)
