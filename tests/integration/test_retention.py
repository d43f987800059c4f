"""At the end of its retention nothing personal is left of a job, in Redis or on disk."""

from __future__ import annotations

import asyncio
import time
from unittest.mock import AsyncMock
from urllib.parse import urlencode

import pytest

from providers.base import Push
from sendmill.ledger.refs import ref_of
from sendmill.messages import Sms, TemplateSms
from tasks.keep import housekeeping, retire, trim
from tasks.report.fold import fold_account
from tasks.report.inbox import Entry, Inbox, entry_of_push
from tasks.report.spool import Spool
from tests.support.driving import driven
from tests.support.remains import forms_of_number, forms_of_text, remains

NUMBER, NATIONAL = "+8613812345678", "13812345678"
CANARY, VALUE, REPLY = "canarytext 4711", "canaryvalue 4712", "canaryreply 4713"
TEXTS = (CANARY, VALUE, REPLY)
DAY_MS = 86_400_000


def mainland_push(**fields: str) -> Entry:
    """What smsadmin pushes."""
    body = urlencode({"SmsName": "demo", "Mobile": NATIONAL, **fields}, encoding="gbk").encode()
    return entry_of_push(Push("POST", b"", {}, body))


async def test_a_job_at_the_end_of_its_retention_leaves_neither_text_nor_number(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slices, details, attempts, calls, vendors' ids, replies, events, early and unreadable reports, files: all go."""
    forms = forms_of_number(NUMBER, NATIONAL) + [form for text in TEXTS for form in forms_of_text(text)]

    def lying() -> set[str]:
        """Which kinds of the account's keys hold any of it."""
        mine = (key.removeprefix(f"{namespace}:{{mainland}}:") for key in remains(redis_url, forms))
        return {key.partition(":")[0] for key in mine}

    async with driven(redis_url, namespace, ["mainland"]) as one:
        runtime, account = one.runtime, one.runtime.accounts["mainland"]
        inbox, spool = Inbox(runtime.server, account.keys), Spool.of(namespace, "mainland")
        last = ""
        template = TemplateSms("{name}", [{"to": NUMBER, "name": VALUE}, {"to": "+1", "name": VALUE}])
        for content in (Sms(CANARY, [NUMBER, "+8613800000001"]), template):
            job = await asyncio.to_thread(one.client.send, content, key=CANARY + str(id(content)), ref="r")
            await one.plan(job.id)
            last = job.id
            claimed = await one.claim("mainland")
            refused = await one.begin("mainland", claimed)
            await one.finish("mainland", refused, "q", code="Busy", detail="busy")
            call = await one.begin("mainland", claimed)
            apart = [(claimed.slice_id, 0, "s", "own-id", "told")]
            refs = [ref_of("id", call), ref_of("own-id", call)]
            await one.finish("mainland", call, vmid="id", refs=refs, apart=apart)
            reference = account.reference(call)
            await inbox.store(
                [
                    mainland_push(Class="rpt", LinkId=reference, Report="DELIVRD", ReportTime="2025-01-01 10:00:00"),
                    mainland_push(Class="mo", Message=REPLY, LinkId=reference, RevertTime="2025-01-01 10:00:00"),
                    mainland_push(Class="rpt", LinkId="unknown", Report="DELIVRD", ReportTime="2025-01-01 10:00:00"),
                    entry_of_push(Push("POST", b"", {}, f"garbage {NATIONAL} {REPLY}".encode())),
                ]
            )
            await fold_account(runtime, account)
        await spool.write(mainland_push(Class="mo", Message=REPLY))
        before = lying()
        assert {"s", "replies", "events", "bad", "early"} <= before
        now_ms = int(time.time() * 1000)
        await housekeeping.clean_up(runtime)
        assert before == lying()
        later_ms = now_ms + 8 * DAY_MS
        await account.outbox.close([f"{last}.0.0"], from_states="s", to="k", code="", detail="")
        monkeypatch.setattr(housekeeping, "redis_now_ms", AsyncMock(return_value=later_ms))
        await runtime.server.delete(account.keys.polled("trim"))
        await housekeeping.clean_up(runtime)
        assert set() == lying()
        trimmed = await runtime.server.hgetall(account.keys.state)
        assert {b"trimmed:events", b"trimmed:replies", b"trimmed:bad"} <= trimmed.keys()
        assert [] == await runtime.server.keys(f"{account.keys.prefix}ref*")
        assert [] == await runtime.server.keys(f"{account.keys.prefix}past:*")
        assert 0 == await spool.bring_back(inbox)
        assert trim.TRIM_EVERY_MS >= await runtime.server.pttl(account.keys.polled("trim")) > 0


async def test_a_job_goes_when_its_last_change_is_old_enough(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are looked at in the order of their making, however many of one moment; what changed later comes again."""
    monkeypatch.setattr(retire, "AT_ONCE", 1)
    async with driven(redis_url, namespace, ["mainland"]) as one:
        runtime, jobs, server = one.runtime, one.runtime.jobs, one.runtime.server
        now_ms = int(time.time() * 1000)
        made = {}
        for days_ago in (20, 10, 10, 10, 1):
            job = (await asyncio.to_thread(one.client.send, Sms("Hello", NUMBER), account="mainland")).id
            await one.plan(job)
            made[job] = now_ms - days_ago * DAY_MS
            await one.report("mainland", await one.submit("mainland"), 0, "d")
        await server.zadd(jobs.all, made)

        async def left() -> set[str]:
            return {raw.decode() for raw in await server.zrange(jobs.all, 0, -1)}

        for _ in range(2):
            await housekeeping.clean_up(runtime)  # all of them changed just now
            assert set(made) == await left()
            assert 4 == await server.zcard(jobs.kept)
        later_ms = now_ms + 8 * DAY_MS
        monkeypatch.setattr(housekeeping, "redis_now_ms", AsyncMock(return_value=later_ms))
        await housekeeping.clean_up(runtime)
        assert set() == await left()
        assert 0 == await server.zcard(jobs.kept)
