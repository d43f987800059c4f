"""Forgetting a person: nothing of theirs is left in Redis or on disk, and everything else is as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from providers.base import Push
from sendmill.errors import StoreError
from sendmill.ledger.jobs import CHUNK_ROWS
from sendmill.messages import FORGOTTEN, Sms, TemplateSms
from sendmill.states import State
from tasks.plan import plan as planning
from tasks.plan.add import add_to_outbox
from tasks.plan.plan import plan
from tasks.process.heartbeat import Heartbeat
from tasks.report.fold import fold_account
from tasks.report.inbox import Entry, Inbox, entry_of_push
from tasks.report.spool import Spool, forget_spooled
from tasks.send.caps import Cap, Logs, message
from tasks.send.known_optouts import KnownOptOuts
from tests.support.driving import Driven, driven
from tests.support.remains import forms_of_number, forms_of_text, remains

THEIRS, NATIONAL, OTHER = "+8613812345678", "13812345678", "+8613800000001"
VALUE, REPLY, OWN_TEXT, SHARED = "canaryvalue 4712", "canaryreply 4713", "canarytext 4714", "shared text 4715"
TEXTS = (VALUE, REPLY, OWN_TEXT)
FORMS = forms_of_number(THEIRS, NATIONAL) + [form for text in TEXTS for form in forms_of_text(text)]


@pytest.fixture
async def one(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """An account at smsadmin."""
    async with driven(redis_url, namespace, ["mainland"]) as one:
        yield one


def pushed(number: str = NATIONAL, **fields: str) -> Entry:
    """What smsadmin pushes."""
    body = urlencode({"SmsName": "demo", "Mobile": number, **fields}, encoding="gbk").encode()
    return entry_of_push(Push("POST", b"", {}, body))


def report(reference: str, number: str = NATIONAL) -> Entry:
    """A delivery report."""
    return pushed(number, Class="rpt", LinkId=reference, Report="DELIVRD", ReportTime="2025-01-01 10:00:00")


def reply(text: str, number: str = NATIONAL) -> Entry:
    """A text from a handset."""
    return pushed(number, Class="mo", Message=text, LinkId="", RevertTime="2025-01-01 10:00:00")


async def sent(one: Driven, content: Any, **options: Any) -> str:
    """A job that is stored and not planned."""
    return (await asyncio.to_thread(one.client.send, content, account="mainland", **options)).id


async def forget(one: Driven, **options: Any) -> Any:
    """What the client does."""
    return await asyncio.to_thread(one.client.forget, THEIRS, **options)


async def states(one: Driven, job: str) -> dict[State, int]:
    """The job's counts."""
    return dict((await asyncio.to_thread(one.client.status, job)).states)


async def recipients(one: Driven, job: str) -> list[tuple[str, State]]:
    """Recipient and state of each message."""
    return [(each.to, each.state) for each in await asyncio.to_thread(list, one.client.messages(job))]


# --- everything at once ------------------------------------------------------------------------------------------


async def test_nothing_of_a_person_is_left(one: Driven, redis_url: str) -> None:
    """Rows in every state, uploads, replies, events, raw and early reports, logs of caps, opt-outs: all are cleared."""
    account, server = one.runtime.accounts["mainland"], one.runtime.server
    inbox, later = Inbox(server, account.keys), datetime.now(UTC) + timedelta(days=1)
    rows = [{"to": THEIRS, "name": VALUE}, {"to": OTHER, "name": "Ada"}]
    scheduled = await sent(one, TemplateSms("Dear {name}", rows), at=later)
    alone = await sent(one, Sms(OWN_TEXT, THEIRS), at=later)
    wire = await sent(one, TemplateSms("Dear {name}", rows), ref="kept")
    await one.plan(wire)
    on_the_wire = await one.begin("mainland", await one.claim("mainland"))
    done = await sent(one, TemplateSms("Hello {name}", rows))
    await one.plan(done)
    claimed = await one.claim("mainland")
    call = await one.begin("mainland", claimed)
    await one.finish("mainland", call, apart=[(claimed.slice_id, 0, "s", "own", "told")])
    await one.report("mainland", claimed, 0, "d", matched_by="reference", detail=f"about {NATIONAL}")
    queued = await sent(one, Sms(SHARED, [THEIRS, OTHER, "12"]))
    own = await sent(one, Sms(OWN_TEXT, THEIRS))
    for job in (queued, own):
        await one.plan(job)
    await inbox.store(
        [
            report(account.reference(call)),
            report("never heard of"),
            reply(REPLY),
            reply("from somebody else", OTHER[3:]),
            entry_of_push(Push("POST", b"", {}, f"garbage%20{NATIONAL} {REPLY}".encode())),
            entry_of_push(Push("POST", b"", {}, b"garbage of others")),
        ]
    )
    await fold_account(one.runtime, account)
    await inbox.store([reply(REPLY)])  # nobody folds it: there is no worker
    logs = Logs(server, account.keys, account.tag)
    entries = [(logs.against(THEIRS), message(claimed.slice_id, 0)), (logs.against(OTHER), message("x", 0))]
    await logs.note(entries, [Cap(9, 60_000, "n")], "n", 60_000)
    await asyncio.to_thread(one.client.add_optout, THEIRS)
    assert remains(redis_url, FORMS)

    told = await forget(one)
    assert set() == remains(redis_url, FORMS)
    assert (6, 4, 1, 3, True, ()) == (
        told.messages,
        told.cancelled,
        told.replies,
        told.raw,
        told.opted_out,
        told.left,
    )
    assert {State.SCHEDULED: 1, State.SUPPRESSED: 1} == await states(one, scheduled)
    assert {State.SUPPRESSED: 1} == await states(one, alone)
    assert [(FORGOTTEN, State.SUBMITTING), (OTHER, State.SUBMITTING)] == await recipients(one, wire)
    assert [(FORGOTTEN, State.DELIVERED), (OTHER, State.SUBMITTED)] == await recipients(one, done)
    assert [(FORGOTTEN, State.CANCELLED), (OTHER, State.QUEUED), ("12", State.FAILED)] == await recipients(one, queued)
    assert [(FORGOTTEN, State.CANCELLED)] == await recipients(one, own)
    assert remains(redis_url, forms_of_text(SHARED)), "a text that others got too is not theirs"
    assert [OTHER] == [each.from_ for each in await asyncio.to_thread(list, one.client.replies())]
    assert 1 == await server.xlen(account.keys.bad)
    assert 1 == len(await server.keys(f"{account.keys.prefix}cap:*"))
    assert [None] == [each.number for each in await asyncio.to_thread(list, one.client.optouts())]

    # What was on the wire ends, and a report on it finds no row and harms nothing.
    await one.finish("mainland", on_the_wire)
    await inbox.store([report(account.reference(on_the_wire)), report(account.reference(on_the_wire), OTHER[3:])])
    await fold_account(one.runtime, account)
    assert {State.SUBMITTED: 1, State.DELIVERED: 1} == await states(one, wire)
    assert set() == remains(redis_url, FORMS)
    again = await forget(one)
    assert (0, 0, 0, 0, True) == (again.messages, again.cancelled, again.replies, again.raw, again.opted_out)


# --- races -------------------------------------------------------------------------------------------------------


async def test_what_the_vendor_did_not_take_is_not_sent_again(one: Driven) -> None:
    """Their row was on the wire when they were forgotten, and comes back: it is cancelled, the others go again."""
    job = await sent(one, Sms("Hello", [THEIRS, OTHER]))
    await one.plan(job)
    call = await one.begin("mainland", claimed := await one.claim("mainland"))
    assert 0 == (await forget(one)).cancelled
    await one.finish("mainland", call, "q", code="Busy")
    assert [(FORGOTTEN, State.CANCELLED), (OTHER, State.QUEUED)] == await recipients(one, job)
    with pytest.raises(Exception, match="misfit row"):
        await one.begin("mainland", claimed)  # the drain still has both in its memory
    assert {State.CANCELLED: 1, State.QUEUED: 1} == await states(one, job)


async def test_what_a_drain_holds_is_cancelled_before_it_goes(one: Driven) -> None:
    """It was claimed and not yet asked for: the gate refuses it."""
    job = await sent(one, Sms("Hello", [THEIRS, OTHER]))
    await one.plan(job)
    claimed = await one.claim("mainland")
    assert 1 == (await forget(one)).cancelled
    with pytest.raises(Exception, match="misfit row"):
        await one.begin("mainland", claimed)
    await one.begin("mainland", claimed, 1, 1)


async def test_a_plan_that_read_the_job_before_cuts_nothing_of_it(
    one: Driven, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """It leaves the job in its place, and the next plan plans it without them."""
    job = await sent(one, Sms("Hello", [THEIRS, OTHER, "12"]))
    server, get = one.runtime.server, one.runtime.server.get

    async def read_then_forget(key: str) -> Any:
        raw = await get(key)
        if "chunk" in key:
            monkeypatch.undo()
            await forget(one)
        return raw

    monkeypatch.setattr(server, "get", read_then_forget)
    await plan(one.runtime, job)
    assert {State.ACCEPTED: 1, State.FAILED: 1, State.SUPPRESSED: 1} == await states(one, job)
    await server.zadd(one.runtime.jobs.due, {job: 1})
    await plan(one.runtime, job)
    expected = [(FORGOTTEN, State.SUPPRESSED), (OTHER, State.QUEUED), ("12", State.FAILED)]
    assert expected == await recipients(one, job)
    assert {State.SUPPRESSED: 1, State.QUEUED: 1, State.FAILED: 1} == await states(one, job)
    assert set() == remains(redis_url, FORMS)


async def test_a_chunk_that_was_cut_is_waited_for(one: Driven, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    """A plan that stored its cut goes on with the chunk as it was; they are found in its slices."""
    job = await sent(one, Sms("Hello", [THEIRS, OTHER]))
    forgetting: list[asyncio.Task[Any]] = []
    add = add_to_outbox

    async def forget_then_add(*args: Any, **options: Any) -> int:
        monkeypatch.undo()
        forgetting.append(asyncio.create_task(forget(one)))
        await asyncio.sleep(0.15)
        assert not forgetting[0].done()
        return await add(*args, **options)

    monkeypatch.setattr(planning, "add_to_outbox", forget_then_add)
    await plan(one.runtime, job)
    told = await forgetting[0]
    assert ((), 1) == (told.left, told.cancelled)
    assert set() == remains(redis_url, FORMS)


async def test_a_worker_that_sends_knows_that_a_forgotten_number_opted_out(one: Driven) -> None:
    """Its copy has the digest alone, and rows to the number are suppressed as before."""
    known = KnownOptOuts(one.runtime.server, one.runtime.jobs)
    await asyncio.to_thread(one.client.add_optout, THEIRS)
    await known.suppress_opted_out(one.runtime.accounts["mainland"].outbox, [])
    await forget(one)
    job = await sent(one, Sms("Hello", [THEIRS, OTHER]))
    await one.plan(job)
    assert [(THEIRS, State.SUPPRESSED), (OTHER, State.QUEUED)] == await recipients(one, job)


# --- processes ---------------------------------------------------------------------------------------------------


async def test_every_process_forgets_what_lies_on_its_disk(one: Driven, namespace: str, redis_url: str) -> None:
    """Files that Redis does not take and that cannot be read are removed by the processes of their machine."""
    account, server = one.runtime.accounts["mainland"], one.runtime.server
    spool = Spool.of(namespace, "mainland")
    await spool.write(reply(REPLY))
    (unreadable,) = spool.folder.iterdir()
    unreadable.rename(unreadable.with_suffix(".unreadable"))
    await spool.write(reply("of another", OTHER[3:]))
    inbox = Inbox(server, account.keys)
    here = partial(forget_spooled, [(spool, inbox)])
    heartbeats = [Heartbeat(server, one.runtime.jobs, name, "push", forget=here) for name in ("a", "b")]
    for heartbeat in heartbeats:
        await heartbeat.beat()
    forgetting = asyncio.create_task(forget(one))
    while not await server.exists(one.runtime.jobs.forgets):  # noqa: ASYNC110 - it is a key of Redis
        await asyncio.sleep(0.01)
    for heartbeat in heartbeats:
        await heartbeat.beat()
        await heartbeat.beat()
    told = await forgetting
    assert ((), 1) == (told.left, told.raw)
    assert [] == list(spool.folder.iterdir())
    assert 1 == await inbox.waiting(), "what speaks of others came back"
    assert set() == remains(redis_url, FORMS)


async def test_a_process_that_does_not_answer_is_named(one: Driven) -> None:
    """Somebody has to look at its machine, or ask again; the rest is done."""
    heartbeat = Heartbeat(one.runtime.server, one.runtime.jobs, "stalled", "worker", ["send"])
    job = await sent(one, Sms("Hello", [THEIRS, OTHER]))
    await heartbeat.beat()
    told = await forget(one, timeout_s=0.3)
    assert (("process stalled",), 1) == (told.left, told.messages)
    assert {State.ACCEPTED: 1, State.SUPPRESSED: 1} == await states(one, job)
    assert 0 == await one.runtime.server.hlen(one.runtime.jobs.forgets)


async def test_an_upload_that_is_not_finished_is_named(one: Driven) -> None:
    """Its producer still has it: it is changed under nobody's hands."""

    def broken() -> Any:
        yield THEIRS
        for number in range(CHUNK_ROWS):
            yield f"+86138{number:08d}"
        raise StoreError("the producer's own trouble")

    with pytest.raises(StoreError, match="own trouble"):
        await asyncio.to_thread(one.client.send, Sms("Hello", broken()))
    told = await forget(one)
    assert ["upload"] == [each.split()[0] for each in told.left]
