"""Finding messages by number: at all accounts, planned or not, taken or refused; nobody else's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from sendmill import AsyncClient, InvalidNumber, MessageInfo
from sendmill.ledger import find_by_number
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.scripts import Script, ledger_script
from sendmill.ledger.slices import SliceBody, pack_u64
from sendmill.messages import Sms, TemplateSms
from sendmill.numbers import pack
from sendmill.states import State
from tests.support.driving import Driven, driven, numbers

ONE, TWO = "+85298882844", "+85291234567"


@pytest.fixture(autouse=True, params=["names of slices are kept", "jobs of before that"])
def _listed(request: pytest.FixtureRequest, redis_url: str, namespace: str) -> None:
    """Whether all slices are listed at their accounts, or each job is asked for its own."""
    if request.param == "names of slices are kept":
        with redis.Redis.from_url(redis_url) as server:
            server.set(JobKeys(namespace).listed_since, 0)


async def found(one: Driven, number: str, **options: Any) -> list[MessageInfo]:
    """All that `find` gives."""
    return await asyncio.to_thread(lambda: list(one.client.find(number, **options)))


async def sent(one: Driven, *to: str, account: str = "hk", **options: Any) -> str:
    """A planned job."""
    job = one.client.send(Sms("Hello", to), account=account, **options).id
    await one.plan(job)
    return job


async def test_messages_of_all_accounts_are_found_the_newest_job_first(redis_url: str, namespace: str) -> None:
    """With all that `messages` says of them."""
    async with driven(redis_url, namespace, ("hk", "world")) as one:
        first = await sent(one, TWO, ONE, TWO)
        second = await sent(one, ONE, account="world", lane="otp")
        third = await sent(one, *numbers(250), ONE)
        await one.submit("hk", vmid="m1")
        assert [f"{third}-251", f"{second}-1", f"{first}-2"] == [each.message_id for each in await found(one, ONE)]
        one_by_one = [
            message for job in (third, second, first) for message in one.client.messages(job) if message.to == ONE
        ]
        assert one_by_one == await found(one, ONE)
        assert [State.QUEUED, State.QUEUED, State.SUBMITTED] == [each.state for each in one_by_one]
        assert [f"{first}-1", f"{first}-3"] == [
            each.message_id for each in await found(one, TWO)
        ]  # the second: repeated
        assert [] == await found(one, "+85291234568")


async def test_what_waits_for_its_time_or_its_plan_is_found(redis_url: str, namespace: str) -> None:
    """Scheduled, accepted, and half planned."""
    async with driven(redis_url, namespace) as one:
        at = datetime.now(UTC) + timedelta(hours=1)
        later = one.client.send(Sms("Hello", [TWO, ONE]), account="hk", at=at).id
        accepted = one.client.send(Sms("Hello", ONE), account="hk").id
        assert [(f"{accepted}-1", State.ACCEPTED), (f"{later}-2", State.SCHEDULED)] == [
            (each.message_id, each.state) for each in await found(one, ONE)
        ]
        await one.plan(accepted)
        assert [State.QUEUED, State.SCHEDULED] == [each.state for each in await found(one, ONE)]


async def test_refused_rows_are_found_as_they_were_given(redis_url: str, namespace: str) -> None:
    """By `send` (repeated, no number) and by planning (no account takes it)."""
    async with driven(redis_url, namespace, ("mainland",)) as one:
        texts = ["13712345678", "+8613712345678", "137-1234-5678", "1371234567"]
        job = one.client.send(Sms("Hello【Acme】", texts), region="CN").id
        unreached = one.client.send(Sms("Hello【Acme】", [ONE])).id
        for each in (job, unreached):
            await one.plan(each)
        assert [(f"{job}-1", "queued"), (f"{job}-2", "suppressed")] == _brief(await found(one, "+8613712345678"))
        assert [(f"{job}-1", "queued"), (f"{job}-2", "suppressed"), (f"{job}-3", "suppressed")] == _brief(
            await found(one, "137-1234-5678", region="CN")
        )
        assert [(f"{unreached}-1", "failed")] == _brief(await found(one, ONE))


def _brief(messages: list[MessageInfo]) -> list[tuple[str, str]]:
    return [(each.message_id, each.state.value) for each in messages]


async def test_every_row_of_a_template_to_the_number_is_found(redis_url: str, namespace: str) -> None:
    """A template may write to it more than once; texts and values that look like numbers are none."""
    async with driven(redis_url, namespace) as one:
        looks_like = pack_u64([pack(ONE)]).decode("latin-1")
        rows = [{"to": to, "n": looks_like} for to in (ONE, TWO, ONE, TWO, ONE)]
        job = one.client.send(TemplateSms("{n}", rows), account="hk", dedupe=False).id
        await one.plan(job)
        assert [f"{job}-{row}" for row in (1, 3, 5)] == [each.message_id for each in await found(one, ONE)]


def test_bytes_that_span_two_numbers_are_no_number() -> None:
    """Only at a record's start: what stands across two of them is chance."""
    packed = pack_u64([pack(ONE), pack(TWO)])
    body = SliceBody(job="j", lane="normal", text="", numbers=packed, first_row=1)
    across = int.from_bytes(packed[3:11], "little")
    assert ([], [1]) == (find_by_number.offsets_of(body, across), find_by_number.offsets_of(body, pack(TWO)))


async def test_thousands_of_slices_are_looked_through_in_parts(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pages of jobs, lists of slices, slices of a script: each ends somewhere, and nothing falls between."""
    scripts = {}
    for name, bound, small in (("slicelist", "MOST = 2000", "MOST = 2"), ("scan", "= 2000000,", "= 6000,")):
        text = ledger_script(name).text
        assert bound in text
        (tmp_path / f"{name}.lua").write_text(text.replace(bound, small), encoding="utf-8")
        scripts[name] = Script(tmp_path / f"{name}.lua")
    monkeypatch.setattr(find_by_number, "ledger_script", scripts.__getitem__)
    monkeypatch.setattr(find_by_number, "_JOBS_AT_ONCE", 3)
    monkeypatch.setattr(find_by_number, "SLICES_AT_ONCE", 3)
    async with driven(redis_url, namespace, ("world",)) as one:
        jobs = [await sent(one, *numbers(100 * slices), ONE, account="world") for slices in (0, 1, 7, 2, 0, 3, 5)]
        assert jobs[::-1] == [each.message_id.partition("-")[0] for each in await found(one, ONE)]
        with_all = [job for job, slices in zip(jobs, (0, 1, 7, 2, 0, 3, 5), strict=True) if slices]
        assert [f"{job}-1" for job in with_all[::-1]] == [each.message_id for each in await found(one, numbers(1)[0])]


async def test_coroutines_find_too(redis_url: str, namespace: str) -> None:
    """And what is no number is refused before anything is looked through."""
    async with driven(redis_url, namespace) as one, AsyncClient(redis_url, namespace=namespace) as client:
        job = await sent(one, ONE)
        assert [f"{job}-1"] == [each.message_id async for each in client.find("98882844", region="HK")]
        with pytest.raises(InvalidNumber):
            one.client.find("98882844")
