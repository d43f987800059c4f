"""Events over HTTP: at least once, acknowledged by a receipt at any process, waited for, streamed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import aiohttp
import msgspec
import pytest

from config.settings import Settings
from sendmill.ledger import event_waiters, eventlog
from sendmill.messages import Sms
from tests.support.api import Api, serving, until
from tests.support.flow import flow, mainland
from web.api import events


async def _refused(settings: Settings, count: int = 1) -> list[str]:
    """Jobs whose second row is refused, planned, so that it is told of; their ids."""
    async with flow(settings) as one:
        return [await one.send(Sms("Hello", [*mainland(1), f"{place}"]), account="bulk") for place in range(count)]


async def test_events_come_until_they_are_acknowledged(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody acknowledged comes again, to whichever process; a receipt is good at any."""
    monkeypatch.setattr(eventlog, "AGAIN_MS", 100)
    monkeypatch.setattr(event_waiters, "AGAIN_EVERY_S", 0.1)
    jobs = await _refused(settings, 3)
    first = (await api.get("/v1/events?group=billing")).body
    assert sorted(jobs) == sorted(event["job_id"] for event in first["events"])
    assert {"report"} == {event["kind"] for event in first["events"]}
    async with serving(settings) as other:
        again = (await other.get("/v1/events?group=billing&wait=5")).body
        assert [event["id"] for event in first["events"]] == [event["id"] for event in again["events"]]
        acked = await other.post("/v1/events/ack", {"group": "billing", "receipt": again["receipt"]})
        assert 204 == acked.status
    await asyncio.sleep(0.15)
    assert {"events": [], "receipt": None} == (await api.get("/v1/events?group=billing")).body
    assert 3 == len((await api.get("/v1/events?group=others")).body["events"])


async def test_a_batch_is_as_small_as_it_is_asked_for(api: Api, settings: Settings) -> None:
    """What is not in it comes with the next one, at once and in order."""
    jobs = await _refused(settings, 5)
    found: list[str] = []
    while batch := (await api.get("/v1/events?group=g&limit=2")).body["events"]:
        assert len(batch) <= 2
        found += [event["job_id"] for event in batch]
    assert jobs == found


async def test_who_waits_hears_at_once(api: Api, settings: Settings) -> None:
    """A long poll ends with the first event."""
    waiting = asyncio.create_task(api.get("/v1/events?group=g&wait=60"))
    await until(lambda: api_waits(api))
    (job,) = await _refused(settings)
    async with asyncio.timeout(30):
        said = await waiting
    assert [job] == [event["job_id"] for event in said.body["events"]]


def api_waits(api: Api) -> bool:
    """Whether the server has a consumer that waits."""
    return bool(api.app[events.WAITING].now)


async def test_kinds_are_chosen(api: Api, settings: Settings) -> None:
    """What a group does not want counts as dealt with."""
    await _refused(settings)
    assert [] == (await api.get("/v1/events?group=g&kinds=reply,alert")).body["events"]
    assert [] == (await api.get("/v1/events?group=g")).body["events"]
    assert "invalid_option" == (await api.get("/v1/events?group=g&kinds=news")).code
    assert "invalid_request" == (await api.get("/v1/events?group=two%20words")).code
    assert "invalid_request" == (await api.get("/v1/events")).code


@pytest.mark.parametrize("receipt", ["nonsense", "AAAA", "kpGBo"])
async def test_a_receipt_is_what_came_with_events(api: Api, receipt: str) -> None:
    """Anything else is refused."""
    assert 422 == (await api.post("/v1/events/ack", {"group": "g", "receipt": receipt})).status


async def test_events_are_streamed(api: Api, settings: Settings) -> None:
    """As server-sent events, those that are there and those that come; a reply with what it answers."""
    (first,) = await _refused(settings)
    headers = {"Authorization": f"Bearer {api.token}"}
    async with api.session.get(f"{api.url}/v1/events/stream?group=g", headers=headers) as answer:
        assert ("text/event-stream", "no-store") == (answer.content_type, answer.headers["Cache-Control"])

        async def batch() -> dict[str, Any]:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    found: dict[str, Any] = msgspec.json.decode(line.removeprefix(b"data: "))
                    return found
            raise AssertionError("the stream ended")

        async with asyncio.timeout(30):
            told = await batch()
            assert [first] == [event["job_id"] for event in told["events"]]
            (second,) = await _refused(settings)
            assert [second] == [event["job_id"] for event in (await batch())["events"]]
    assert 204 == (await api.post("/v1/events/ack", {"group": "g", "receipt": told["receipt"]})).status


async def test_so_many_wait_and_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more hears 503 and when to come again, and keeps nobody waiting."""
    monkeypatch.setattr(events, "MOST_WAITING", 1)
    waiting = asyncio.create_task(api.get("/v1/events?group=g&wait=60"))
    await until(lambda: api_waits(api))
    said = await api.get("/v1/events?group=g")
    assert ("busy", "after") == (said.code, said.body["retry"])
    api.app[events.WAITING].ending = True
    async with asyncio.timeout(40):
        assert {"events": [], "receipt": None} == (await waiting).body


async def test_two_hundred_wait_and_take_no_thread(api: Api, settings: Settings) -> None:
    """A hundred groups hear an event at once; of a hundred consumers of one group, one does."""
    groups = [*(f"group-{number}" for number in range(100)), *["shared"] * 100]
    headers = {"Authorization": f"Bearer {api.token}"}
    heard: dict[str, list[str]] = {group: [] for group in groups}
    threads = threading.active_count()  # of tests before this one too
    async with aiohttp.ClientSession(api.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def wait(group: str) -> None:
            async with session.get(f"/v1/events?group={group}&wait=60") as answer:
                heard[group] += [event["job_id"] for event in (await answer.json())["events"]]

        consumers = [asyncio.create_task(wait(group)) for group in groups]
        await until(lambda: api.app[events.WAITING].now == len(groups))
        (job,) = await _refused(settings)
        await until(lambda: all(heard.values()))
        assert threading.active_count() < threads + 100
        api.app[events.WAITING].ending = True
        await asyncio.gather(*consumers)
    assert {group: [job] for group in groups} == heard


async def test_a_job_of_many_rows_is_told_whole(api: Api, settings: Settings) -> None:
    """What was stored together comes together, however small the batch."""
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", mainland(300)), account="bulk", report_events="all")
        await asyncio.to_thread(one.client.cancel, job)
    said = (await api.get("/v1/events?group=g&limit=1")).body
    assert {"cancelled"} == {event["state"] for event in said["events"]}
    assert 300 == len({event["message_id"] for event in said["events"]})
