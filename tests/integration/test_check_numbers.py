"""Blocks that are younger than the numbering plan: taken where the job says so, else where the site's settings do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner

from sendmill import AsyncClient, Client, Sms
from sendmill.cli import cli
from sendmill.errors import InvalidNumber
from sendmill.numbers import NumberCheck
from tests.support.flow import Flow, flow
from tests.support.rows import settings_of

YOUNG = "+8614012345678"
POSSIBLE, ASSIGNED = NumberCheck.POSSIBLE, NumberCheck.ASSIGNED


async def _by_client(one: Flow, **options: Any) -> bool:
    await asyncio.to_thread(one.client.send, Sms("Hello", YOUNG), **options)
    return True


async def _by_async_client(one: Flow, **options: Any) -> bool:
    async with AsyncClient(one.runtime.settings.redis_url, namespace=one.runtime.settings.namespace) as client:
        await client.send(Sms("Hello", YOUNG), **options)
    return True


async def _by_dry_run(one: Flow, **options: Any) -> bool:
    def client() -> Client:
        return Client(one.runtime.settings.redis_url, namespace=one.runtime.settings.namespace)

    asked = [f"--check-numbers={value}" for value in options.values()]
    words = ["send", "--text", "Hello", YOUNG, "--dry-run", *asked]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words, obj=client)
    if result.exit_code:
        raise InvalidNumber(result.stderr)
    return True


@pytest.mark.parametrize("send", [_by_client, _by_async_client, _by_dry_run])
@pytest.mark.parametrize(
    ("setting", "option", "taken"),
    [
        (ASSIGNED, None, False),
        (POSSIBLE, None, True),
        (ASSIGNED, POSSIBLE, True),
        (POSSIBLE, ASSIGNED, False),
    ],
)
async def test_a_job_says_it_or_else_the_site(
    *, redis_url: str, namespace: str, send: Any, setting: NumberCheck, option: NumberCheck | None, taken: bool
) -> None:
    """`check_numbers` of `send` and `--check-numbers` win over the setting, which workers publish."""
    settings = settings_of(redis_url, namespace, "mainland").model_copy(update={"check_numbers": setting})
    options = {} if option is None else {"check_numbers": option.value}
    async with flow(settings) as one:
        if taken:
            assert await send(one, **options)
        else:
            with pytest.raises(InvalidNumber, match="is not assigned in the numbering plan"):
                await send(one, **options)
