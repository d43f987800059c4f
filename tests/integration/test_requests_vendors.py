"""The same requests at the vendors that take them: AccessYou's files and sender IDs, smsadmin's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sendmill import AsyncClient, Mms, Voice
from sendmill.errors import InvalidMessage, InvalidOption, SenderNotAllowed
from sendmill.states import State
from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts
from tasks.ask.requests import answer_requests
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.receiving import listening
from tests.support.vendors import settings_for

GIF = b"GIF89a" + bytes(2000)
WAVE = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100)
(ONE,) = hong_kong(1)
(CHINA,) = mainland(1)


@pytest.fixture
async def one(simulator: Simulator, redis_url: str, namespace: str) -> AsyncIterator[Flow]:
    """Both accounts; AccessYou fetches files, from the push server in place of port 80."""
    settings = settings_for(simulator, redis_url, namespace, ["hk", "mainland"])
    async with listening(settings) as push:
        settings = settings.model_copy(update={"public_url": "http://127.0.0.1"})
        accountno = five_accounts(simulator.url)["hk"]["accountno"]
        simulator.set_options("accessyou", accountno, fetch_files=True, fetch_port=push.port)
        simulator.set_account("smsadmin", "demo", sensitive_words=["贷款"])
        try:
            async with flow(settings) as made:
                yield made
        finally:
            simulator.set_options("accessyou", accountno, fetch_files=False, fetch_port=0)
            simulator.set_account("smsadmin", "demo", sensitive_words=[])


async def asked(one: Flow, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What a call of the client brings while a worker looks for requests."""
    waiting = asyncio.create_task(asyncio.to_thread(ask, *arguments))
    while not waiting.done():
        await answer_requests(one.runtime)
        await asyncio.sleep(0.01)
    return await waiting


async def test_a_picture_of_this_machine_goes_out_in_an_mms(one: Flow, simulator: Simulator, tmp_path: Path) -> None:
    """AccessYou fetches it from the push server, and takes the message that names it."""
    (tmp_path / "a.gif").write_bytes(GIF)
    name = await asked(one, one.client.upload, "hk", tmp_path / "a.gif")
    assert name.kept_until is not None
    job = await one.send(Mms("New", "Look", name, ONE), account="hk")
    await one.drain("hk")
    assert {State.SUBMITTED: 1} == await one.states(job)
    (sent,) = simulator.journal(endpoint="sendmms.php")
    assert (True, name) == (sent["accepted"], sent["parts"]["imgfile"])


async def test_a_recording_of_this_machine_is_played(one: Flow, tmp_path: Path) -> None:
    """The same for voice messages."""
    (tmp_path / "a.wav").write_bytes(WAVE)
    name = await asked(one, one.client.upload, "hk", tmp_path / "a.wav")
    job = await one.send(Voice(name, ONE), account="hk")
    await one.drain("hk")
    assert {State.SUBMITTED: 1} == await one.states(job)


async def test_a_picture_that_is_too_large_for_the_vendor_is_not_fetched(
    one: Flow, simulator: Simulator, tmp_path: Path
) -> None:
    """p.106: 200 KB; ours is the larger limit, because each vendor has its own."""
    (tmp_path / "a.gif").write_bytes(GIF + bytes(200 * 1024))
    with pytest.raises(InvalidOption, match=r"206,\d\d\d bytes: accessyou takes 204,800 at most"):
        await asked(one, one.client.upload, "hk", tmp_path / "a.gif")
    assert [] == list(simulator.journal(endpoint="upload_img.php"))


async def test_a_picture_of_more_than_100_kb_goes_to_no_number_of_china(one: Flow, tmp_path: Path) -> None:
    """p.106; by the name alone too, which is all that the CLI has."""
    (tmp_path / "a.gif").write_bytes(GIF + bytes(100 * 1024))
    name = await asked(one, one.client.upload, "hk", tmp_path / "a.gif")
    for named in (name, str(name)):
        job = await asyncio.to_thread(one.client.send, Mms("New", "Look", named, [CHINA, ONE]), account="hk")
        assert (2, 1, [(1, CHINA)]) == (job.total, job.accepted, [(each.row, each.to) for each in job.refused])
        assert "102,400 are the most" in job.refused[0].reason
        with pytest.raises(InvalidMessage, match=r"the file has \d+,\d+ bytes"):
            await asyncio.to_thread(one.client.send, Mms("New", "Look", named, CHINA), account="hk")
    async with AsyncClient(one.runtime.settings.redis_url, namespace=one.runtime.settings.namespace) as client:
        with pytest.raises(InvalidMessage, match=r"the file has \d+,\d+ bytes"):
            await client.send(Mms("New", "Look", str(name), CHINA), account="hk")


async def test_a_message_that_goes_when_the_vendor_has_forgotten_its_picture_is_refused(
    one: Flow, tmp_path: Path
) -> None:
    """p.106: 14 days; known of a name that `upload` gave, and of the same as plain text where the account is named."""
    (tmp_path / "a.gif").write_bytes(GIF)
    name = await asked(one, one.client.upload, "hk", tmp_path / "a.gif")
    now = datetime.now(UTC)
    for named, account in ((name, None), (name, "hk"), (str(name), "hk")):
        mms = Mms("New", "Look", named, ONE)
        with pytest.raises(InvalidOption, match=rf"the vendor keeps {name} until 20.*: give the file's address"):
            await asyncio.to_thread(one.client.send, mms, at=now + timedelta(days=14, minutes=1), account=account)
        await asyncio.to_thread(one.client.send, mms, at=now + timedelta(days=13, hours=23), account=account)


async def test_a_sender_id_that_was_added_may_be_sent_from(one: Flow) -> None:
    """What breaks the vendor's rules is refused before it is asked."""
    assert await asked(one, one.client.add_sender, "hk", "Acme1")
    with pytest.raises(SenderNotAllowed):
        await asked(one, one.client.add_sender, "hk", "no-such_sender")


async def test_smsadmin_tells_sensitive_words(one: Flow) -> None:
    """And that there are none."""
    assert ["贷款"] == await asked(one, one.client.check_words, "mainland", "贷款,立即到账")
    assert [] == await asked(one, one.client.check_words, "mainland", "您好")
