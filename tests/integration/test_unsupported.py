"""What an account cannot do: refused by `send` where the account is named, by the plan where a route chose it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.settings import Route, Settings
from sendmill import Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.errors import UnsupportedFeature
from sendmill.messages import Content
from sendmill.states import State
from tasks.start.publishing import publish
from tests.support.able import able
from tests.support.flow import Flow, flow, mainland
from tests.support.rows import NOWHERE, settings_of

(ONE,) = mainland(1)

ASKED: list[tuple[Content, dict[str, Any], str, str]] = [
    (Mms("New", "Look", "a1", ONE), {}, "mms", "cannot send MMS"),
    (Voice("1125", ONE), {}, "voice", "cannot send voice messages"),
    (
        VendorTemplateSms("T1", [{"to": ONE, "a": "1"}]),
        {},
        "vendor_template",
        "cannot fill templates that are kept at the vendor (VendorTemplateSms)",
    ),
    (Sms("hi", ONE), {"sender": "Acme"}, "sender", "cannot set a sender ID"),
    (TemplateSms("{x}", [{"to": ONE, "x": "1"}]), {"sender": "Acme"}, "sender", "cannot set a sender ID"),
    (Sms("hi", ONE), {"vendor": {"dnc": "y"}}, "vendor:dnc", "does not know the parameter 'dnc'; it takes: "),
]
KINDS = pytest.mark.parametrize(
    ("content", "options", "feature", "sentence"),
    ASKED,
    ids=["mms", "voice", "vendor template", "sender", "sender of a template", "vendor option"],
)


def _settings(redis_url: str, namespace: str, *routes: Route) -> Settings:
    return settings_of(redis_url, namespace, "bulk", "world").model_copy(update={"routes": routes})


@pytest.fixture
async def both(redis_url: str, namespace: str) -> AsyncIterator[Flow]:
    """Account `bulk` can do everything, `world` texts alone; a route to each, and one to both."""
    routes = [
        Route(name="default", accounts=["world"]),
        Route(name="either", accounts=["world", "bulk"]),
    ]
    async with flow(_settings(redis_url, namespace, *routes)) as one:
        with able(one.runtime, "bulk", NOWHERE):
            await publish(one.runtime)
            yield one


@KINDS
async def test_a_named_account_is_refused_what_it_cannot_do(
    both: Flow, content: Content, options: dict[str, Any], feature: str, sentence: str
) -> None:
    """At once, naming the feature and the account that can; nothing is stored."""
    with pytest.raises(UnsupportedFeature) as refused:
        await asyncio.to_thread(both.client.send, content, account="world", **options)
    assert str(refused.value).startswith(f"world (ihuyi) {sentence}")
    assert str(refused.value).endswith("bulk can")
    assert (feature, "unsupported_feature") == (refused.value.feature, refused.value.code)
    assert [] == list(both.client.jobs())


@KINDS
async def test_the_account_that_can_takes_it(
    both: Flow, content: Content, options: dict[str, Any], feature: str, sentence: str
) -> None:
    """Named, or second in its route after one that cannot."""
    del feature, sentence
    named = await both.send(content, account="bulk", **options)
    routed = await both.send(content, route="either", **options)
    for job in (named, routed):
        ((account, _),) = await both.slices(job)
        assert ("bulk", {State.QUEUED: 1}) == (account, await both.states(job))


@KINDS
async def test_a_row_that_no_account_of_its_route_can_send_fails_with_the_reason(
    both: Flow, content: Content, options: dict[str, Any], feature: str, sentence: str
) -> None:
    """When it is planned: the job was taken before anybody knew its account."""
    del feature
    job = await both.send(content, **options)
    (message,) = await asyncio.to_thread(lambda: list(both.client.messages(job)))
    assert (State.FAILED, "unsupported_feature", None) == (message.state, message.code, message.account)
    assert f"world (ihuyi) {sentence}" in (message.detail or "")
    assert (message.detail or "").endswith("bulk can")
    assert {} == both.client.status(job).cost
