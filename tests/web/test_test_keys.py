"""Test keys: whole jobs, with states and events, of which no vendor hears."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from config.settings import Settings
from providers.registry import PROVIDERS, build, models
from sendmill.errors import InvalidOption, UnsupportedFeature
from sendmill.messages import Sms
from simulator.client import Simulator
from tasks.plan.plan import plan
from tasks.plan.plan_small import plan_small
from tests.providers.test_registry import ACCOUNTS
from tests.support.api import Api, serving
from tests.support.flow import flow, mainland
from tests.support.rows import settings_of


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A vendor that would notice."""
    with Simulator.start() as simulator:
        yield simulator


def _settings(url: str, redis_url: str, namespace: str) -> Settings:
    both = settings_of(redis_url, namespace, "mainland", "bulk", url=url)
    trial = both.accounts["mainland"].model_copy(update={"simulated": True})
    return both.model_copy(update={"accounts": {**both.accounts, "trial": trial}})


async def test_a_test_key_sends_to_its_simulated_account_and_to_no_vendor(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The job runs as any other does, to its end; a number that ends in 0404 is refused; the vendor hears nothing."""
    settings = _settings(simulator.url, redis_url, namespace)
    sms = {"content": {"kind": "sms", "text": "【Acme】Hello", "to": [*mainland(2), "+8613800130404"]}}
    async with flow(settings) as one, serving(settings) as api:
        token = api.key("send:normal", "read:numbers", accounts=["trial"], test=True)
        said = await api.post("/v1/jobs", sms, token=token)
        job = said.body["id"]
        await plan_small(one.runtime, lambda _: None)
        await plan(one.runtime, job)
        await one.drain("trial")
        status = (await api.get(f"/v1/jobs/{job}", token=token)).body
        assert ({"submitted": 2, "failed": 1}, True) == (status["states"], status["done"])
        refused = (await api.get(f"/v1/jobs/{job}/messages?state=failed", token=token)).body["messages"]
        assert ["invalid_number"] == [message["code"] for message in refused]
        assert "forbidden" == (await api.post("/v1/jobs", sms | {"account": "bulk"}, token=token)).code
        await one.send(Sms("【Acme】Hello", mainland(1)), account="trial")
        await one.drain("trial")
    assert 0 == simulator.counters()["total"]["messages_accepted"]
    assert [] == list(simulator.journal())


async def test_a_test_key_is_for_a_simulated_account_alone(api: Api) -> None:
    """It cannot be made for another one."""
    for accounts in ([], ["bulk"], ["bulk", "mainland"]):
        with pytest.raises(InvalidOption, match="simulated"):
            api.client.add_key("trial", ["send:normal"], accounts=accounts, test=True)


async def test_an_account_that_is_simulated_no_more_takes_nothing_of_a_test_key(redis_url: str, namespace: str) -> None:
    """Whoever lets it reach its vendor does not let test keys reach it."""
    settings = _settings("http://127.0.0.1:9", redis_url, namespace)
    sms = {"content": {"kind": "sms", "text": "【Acme】Hello", "to": mainland(1)}}
    async with serving(settings) as api:
        async with flow(settings):
            token = api.key("send:normal", accounts=["trial"], test=True)
        real = settings.accounts["trial"].model_copy(update={"simulated": False})
        async with flow(settings.model_copy(update={"accounts": {**settings.accounts, "trial": real}})):
            assert "forbidden" == (await api.post("/v1/jobs", sms, token=token)).code
        async with flow(settings):
            assert 202 == (await api.post("/v1/jobs", sms, token=token)).status


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_vendor_can_be_simulated(name: str) -> None:
    """It checks and counts as the vendor's own does; whatever would be a request is none."""
    made = models()[name].model_validate({"provider": name, "simulated": True, **ACCOUNTS[name]})
    provider = build("trial", made)
    assert isinstance(provider, PROVIDERS[name])
    assert ("simulated", False, False, 0) == (
        provider.name, provider.reports, provider.queries, len(provider.polls),
    )  # fmt: skip
    assert provider.counting == PROVIDERS[name].counting
    with pytest.raises(UnsupportedFeature):
        provider.balance_request(datetime.now(UTC))
