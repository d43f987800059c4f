"""Replies are told to consumers, each once, with the message that they answer where the vendor says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from providers.base import Push
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report.inbox import Inbox, entry_of_push
from tests.support.rows import Rows, opened, settings_of

ONE, TWO = "+8613800000001", "+8613800000002"


@pytest.fixture
async def runtime(redis_url: str, namespace: str) -> AsyncIterator[Runtime]:
    """Accounts whose vendors nobody asks."""
    async with opened(settings_of(redis_url, namespace, "hk", "mainland")) as runtime:
        yield runtime


@pytest.fixture
def mainland(runtime: Runtime) -> Account:
    """smsadmin: replies name our reference."""
    return runtime.accounts["mainland"]


@pytest.fixture
def hk(runtime: Runtime) -> Account:
    """AccessYou: replies name nothing, and may have no time."""
    return runtime.accounts["hk"]


async def push(account: Account, fields: dict[str, str], charset: str) -> None:
    """Store a push as the receiver does."""
    entry = entry_of_push(Push("POST", b"", {}, urlencode(fields, encoding=charset).encode()))
    assert 1 == await Inbox(account.outbox.server, account.keys).store([entry])


async def push_mainland(account: Account, text: str, *, linkid: str = "", at: str = "2025-01-01 10:00:00") -> None:
    """A handset replies at smsadmin."""
    fields = {"Class": "mo", "SmsName": "demo", "Mobile": ONE[3:], "Message": text, "LinkId": linkid, "RevertTime": at}
    await push(account, fields, "gbk")


async def push_hk(account: Account, text: str) -> None:
    """A handset replies at AccessYou; the time is left out."""
    message = text.encode("utf-16-be").hex()
    await push(account, {"sender": "98882844", "receiver": "85264507612", "time": "", "message": message}, "utf-8")


async def heard(account: Account) -> list[dict[str, str]]:
    """What `sendmill replies` reads, and what consumers read: the same."""
    server, keys = account.outbox.server, account.keys
    replies = [_text(fields) for _, fields in await server.xrange(keys.replies)]
    events = [_text(fields) for _, fields in await server.xrange(keys.events) if fields[b"kind"] == b"reply"]
    assert replies == events
    return replies


def _text(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


async def test_a_reply_names_the_message_that_it_answers(runtime: Runtime, mainland: Account) -> None:
    """The vendor gives our reference back, the number says which row."""
    [call] = await Rows(mainland).submitted([TWO, ONE])
    await push_mainland(mainland, "收到, 谢谢", linkid=mainland.reference(call))
    await reports.fold_account(runtime, mainland)
    [reply] = await heard(mainland)
    at = reply.pop("at")
    assert {
        "kind": "reply",
        "from": ONE,
        "text": "收到, 谢谢",
        "extno": "",
        "message_id": "job1-2",
        "matched_by": "reference",
        "occurred": "1735696800000",
    } == reply
    assert at.isdigit()
    assert b"1" == await mainland.outbox.server.hget(mainland.keys.state, "replies")


async def test_a_reply_that_names_nothing_is_told_all_the_same(runtime: Runtime, hk: Account) -> None:
    """Without a reference there is no message id; without a time there is none."""
    await push_hk(hk, "STOP 😀")
    await reports.fold_account(runtime, hk)
    [reply] = await heard(hk)
    assert ("+85298882844", "STOP 😀", "85264507612", "", "", "") == tuple(
        reply[name] for name in ("from", "text", "extno", "message_id", "matched_by", "occurred")
    )


async def test_a_reply_that_a_vendor_repeats_is_told_once(runtime: Runtime, mainland: Account) -> None:
    """Number, text and time are the same: it is the same reply, in one batch or in two."""
    await push_mainland(mainland, "TD")
    await push_mainland(mainland, "TD")
    await reports.fold_account(runtime, mainland)
    await push_mainland(mainland, "TD")
    await reports.fold_account(runtime, mainland)
    assert 1 == len(await heard(mainland))


async def test_the_same_word_at_another_time_is_another_reply(runtime: Runtime, mainland: Account) -> None:
    """People write "Y" more than once."""
    await push_mainland(mainland, "Y")
    await push_mainland(mainland, "Y", at="2025-01-01 10:00:09")
    await push_mainland(mainland, "y")
    await reports.fold_account(runtime, mainland)
    assert ["Y", "Y", "y"] == [reply["text"] for reply in await heard(mainland)]


async def test_without_a_time_the_same_word_counts_as_new_after_a_while(runtime: Runtime, hk: Account) -> None:
    """A vendor that gives no time cannot have a whole day of the same words swallowed."""
    await push_hk(hk, "Y")
    await reports.fold_account(runtime, hk)
    server, keys = hk.outbox.server, hk.keys
    [(digest, until_ms)] = await server.zrange(keys.replies_told, 0, -1, withscores=True)
    now_ms = int((await server.time())[0]) * 1000
    assert 590_000 < until_ms - now_ms <= 601_000
    await server.zadd(keys.replies_told, {digest: 1})
    await push_hk(hk, "Y")
    await reports.fold_account(runtime, hk)
    assert 2 == len(await heard(hk))


async def test_no_key_or_digest_holds_a_number_or_a_text(runtime: Runtime, mainland: Account) -> None:
    """What tells repeats apart cannot be read back; it is keyed by the account's own random tag."""
    await push_mainland(mainland, "secret words")
    await reports.fold_account(runtime, mainland)
    server = mainland.outbox.server
    [digest] = await server.zrange(mainland.keys.replies_told, 0, -1)
    assert 24 == len(digest)
    assert not [key for key in await server.keys("*") if ONE[3:].encode() in key]
