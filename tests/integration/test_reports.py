"""Reports find their rows, however often and in whatever order they come."""

from __future__ import annotations

import asyncio
import secrets
from urllib.parse import urlencode

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from providers.base import Push
from sendmill.connecting.away import GONE, RedisAway
from sendmill.states import State
from simulator.embedded import EmbeddedValkey
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report.inbox import Inbox
from tasks.report.matching import Matcher
from tasks.report.vendor_report import VendorReport
from tests.support.reporting import ONE, THREE, TWO, age_early, push, push_bulk, push_mainland, told
from tests.support.rows import Rows, opened, settings_of

# --- found by id, reference and number -------------------------------------------------------------------------------


async def test_a_report_finds_its_row_by_the_vendors_id_and_the_number(runtime: Runtime, bulk: Account) -> None:
    """Of a call of many numbers, the report's own row changes and no other."""
    rows = Rows(bulk)
    await rows.submitted([ONE, TWO, THREE], "id1")
    await push_bulk(bulk, "id1", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTED, State.DELIVERED, State.SUBMITTED] == await rows.states()
    assert 0 == await bulk.outbox.server.xlen(bulk.keys.inbox)


async def test_a_report_finds_its_row_by_our_reference(runtime: Runtime, mainland: Account) -> None:
    """A vendor without ids gives our reference back."""
    rows = Rows(mainland)
    [call] = await rows.submitted([ONE, TWO])
    await push_mainland(mainland, mainland.reference(call), TWO, "UNDELIV")
    await reports.fold_account(runtime, mainland)
    assert [State.SUBMITTED, State.UNDELIVERED] == await rows.states()


async def test_a_report_on_a_call_that_is_still_open_is_folded(runtime: Runtime, mainland: Account) -> None:
    """It may overtake the answer to the submit, which then changes nothing back."""
    rows = Rows(mainland)
    await rows.add([ONE])
    [call] = await rows.begin()
    await push_mainland(mainland, mainland.reference(call), ONE)
    await reports.fold_account(runtime, mainland)
    assert [State.DELIVERED] == await rows.states()
    await rows.end(call)
    assert [State.DELIVERED] == await rows.states()


async def test_the_code_and_the_time_of_a_failure_are_kept(runtime: Runtime, mainland: Account) -> None:
    """`sendmill show` has the vendor's own word."""
    rows = Rows(mainland)
    [call] = await rows.submitted([ONE])
    await push_mainland(mainland, mainland.reference(call), ONE, "EXPIRED")
    await reports.fold_account(runtime, mainland)
    raw = await mainland.outbox.server.hget(mainland.keys.details("job1.0.0"), "0")
    detail = msgspec.msgpack.decode(raw)
    assert ("EXPIRED", 1_735_696_800_000, "") == (detail["code"], detail["at"], detail["matched_by"])


async def test_consumers_hear_of_a_final_state_once(runtime: Runtime, bulk: Account) -> None:
    """A report that is given twice is one event."""
    await Rows(bulk).submitted([ONE], "id1")
    for _ in range(2):
        await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    [event] = await told(bulk, "report")
    [[first, last, old, new, code, _, vmid, occurred_ms, now_ms]] = msgspec.msgpack.decode(event[b"rows"])
    assert (b"job1.0.0", 0, 0, "s", "d", "", "id1") == (event[b"slice"], first, last, old, new, code, vmid)
    assert abs(now_ms - occurred_ms) < 5_000


async def test_a_report_of_a_call_that_was_sent_again_does_not_touch_the_row(
    runtime: Runtime, mainland: Account
) -> None:
    """The row names its last call; what an older one became is not its fate."""
    rows = Rows(mainland)
    await rows.add([ONE])
    [first] = await rows.begin()
    await rows.end(first, State.QUEUED, code="Busy")
    await rows.give_back()
    [second] = await rows.begin()
    await rows.end(second)
    await push_mainland(mainland, mainland.reference(first), ONE, "UNDELIV")
    await reports.fold_account(runtime, mainland)
    assert [State.SUBMITTED] == await rows.states()


# --- what cannot be read ---------------------------------------------------------------------------------------------


async def test_a_word_in_no_table_changes_nothing_and_is_kept(runtime: Runtime, mainland: Account) -> None:
    """It stands raw in the row's history and in `bad`, and one alert is opened, however often it comes."""
    rows = Rows(mainland)
    [call] = await rows.submitted([ONE])
    for _ in range(2):
        await push_mainland(mainland, mainland.reference(call), ONE, "状态 7")
        await reports.fold_account(runtime, mainland)
    server, keys = mainland.outbox.server, mainland.keys
    assert [State.SUBMITTED] == await rows.states()
    [alert] = await told(mainland, "alert")
    assert (b"unmapped_state", b"1") == (alert[b"code"], alert[b"open"])
    assert "状态 7" in alert[b"detail"].decode()
    assert 2 == await server.xlen(keys.bad)
    assert "状态 7" == msgspec.msgpack.decode((await server.lrange(keys.history("job1.0.0"), 0, 0))[0])[3]


async def test_what_cannot_be_read_is_put_aside_and_holds_up_nothing(runtime: Runtime, bulk: Account) -> None:
    """It is folded no more, lies raw in `bad`, and what came after it is folded."""
    rows = Rows(bulk)
    await rows.submitted([ONE], "id1")
    await push(bulk, b"\xff\xfe not a report")
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    server, keys = bulk.outbox.server, bulk.keys
    assert [State.DELIVERED] == await rows.states()
    assert 0 == await server.xlen(keys.inbox)
    [(_, fields)] = await server.xrange(keys.bad)
    assert (b"push", b"\xff\xfe not a report") == (fields[b"kind"], fields[b"body"])
    [alert] = await told(bulk, "alert")
    assert b"unreadable_report" == alert[b"code"]


async def test_a_parser_that_breaks_loses_nothing(
    runtime: Runtime, bulk: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours leaves the raw bytes for a person."""

    def broken(_: Push) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(bulk.provider, "pushed", broken)
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    assert (0, 1) == (
        await bulk.outbox.server.xlen(bulk.keys.inbox),
        await bulk.outbox.server.xlen(bulk.keys.bad),
    )


async def test_an_entry_that_breaks_the_fold_is_put_aside_alone(
    runtime: Runtime, bulk: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch are folded, and nothing is tried for ever."""
    rows = Rows(bulk)
    await rows.submitted([ONE, TWO], "id1")
    fold = Matcher.fold

    async def poisoned(self: Matcher, found: list[VendorReport]) -> list[VendorReport]:
        if any(report.vmid == "poison" for report in found):
            raise redis.ResponseError("a script failed")
        return await fold(self, found)

    monkeypatch.setattr(Matcher, "fold", poisoned)
    await push_bulk(bulk, "id1", ONE)
    await push_bulk(bulk, "poison", ONE)
    await push_bulk(bulk, "id1", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.DELIVERED] * 2 == await rows.states()
    assert (0, 1) == (
        await bulk.outbox.server.xlen(bulk.keys.inbox),
        await bulk.outbox.server.xlen(bulk.keys.bad),
    )


# --- crashes and company ---------------------------------------------------------------------------------------------


async def test_a_folder_that_dies_before_it_deletes_is_repeated_without_harm(
    runtime: Runtime, bulk: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folding an entry twice gives the same rows, events and early reports."""
    rows = Rows(bulk)
    await rows.submitted([ONE, TWO], "id1")
    await push_bulk(bulk, "id1", ONE)
    await push_bulk(bulk, "unknown", TWO)
    with monkeypatch.context() as dying:

        async def die(*_: object) -> None:
            raise RedisAway(GONE)

        dying.setattr(Inbox, "drop", die)
        with pytest.raises(RedisAway):
            await reports.fold_account(runtime, bulk)
    assert 2 == await bulk.outbox.server.xlen(bulk.keys.inbox)
    await reports.fold_account(runtime, bulk)
    assert [State.DELIVERED, State.SUBMITTED] == await rows.states()
    assert 1 == len(await told(bulk, "report"))
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.unmatched)
    assert 0 == await bulk.outbox.server.xlen(bulk.keys.inbox)


async def test_one_process_folds_an_account_at_a_time(runtime: Runtime, bulk: Account) -> None:
    """Who finds it taken leaves; what is stored meanwhile is folded by who has it, or at the next second."""
    lock = bulk.keys.lock("fold")
    await bulk.outbox.server.set(lock, "another", px=60_000)
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    assert 1 == await bulk.outbox.server.xlen(bulk.keys.inbox)
    assert b"another" == await bulk.outbox.server.get(lock)


async def test_many_folders_at_once_fold_everything(runtime: Runtime, bulk: Account) -> None:
    """Beats and polls may all start one."""
    rows = Rows(bulk)
    numbers = [f"+86138{number:08d}" for number in range(1200)]
    await rows.submitted(numbers, "id1", events="none")
    for number in numbers:
        await push_bulk(bulk, "id1", number)
    await asyncio.gather(*(reports.fold_account(runtime, bulk) for _ in range(5)))
    assert {State.DELIVERED} == set(await rows.states())
    assert 0 == await bulk.outbox.server.xlen(bulk.keys.inbox)
    assert b"1200" == await bulk.outbox.server.hget(bulk.keys.state, "reports")


async def test_an_accounts_trouble_is_its_own(
    runtime: Runtime, bulk: Account, mainland: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one account cannot be folded, the others are."""
    rows = Rows(mainland)
    [call] = await rows.submitted([ONE])
    await push_mainland(mainland, mainland.reference(call), ONE)
    fold_account = reports.fold_account

    async def failing(runtime: Runtime, account: Account) -> None:
        if account is bulk:
            raise RuntimeError("this account alone")
        await fold_account(runtime, account)

    monkeypatch.setattr(reports, "fold_account", failing)
    await reports.fold(runtime)
    assert [State.DELIVERED] == await rows.states()


# --- any order, any number of times ----------------------------------------------------------------------------------

TRUTHS = {"DELIVRD": State.DELIVERED, "UNDELIV": State.UNDELIVERED, "REJECTD": State.REJECTED}
YIELDING = ("EXPIRED", "UNKNOWN")


@given(data=st.data(), truth=st.sampled_from([*TRUTHS, ""]))
@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_and_number_of_reports_make_no_difference(
    valkey: EmbeddedValkey, data: st.DataObject, truth: str
) -> None:
    """The same reports in any order, any of them several times, also before the answer to the submit: one final state.

    `expired` and `unknown` yield to the truth, and `unknown` to `expired`.
    """
    words = [word for word in (*YIELDING, truth) if word and data.draw(st.integers(0, 3), label=word)]
    again = data.draw(st.lists(st.sampled_from(words), max_size=3)) if words else []
    steps = data.draw(st.permutations([*words, *again]), label="steps")
    answered_after = data.draw(st.integers(0, len(steps)), label="answered after")
    expected = (
        TRUTHS[truth]
        if truth in words
        else State.EXPIRED
        if "EXPIRED" in words
        else State.UNKNOWN
        if "UNKNOWN" in words
        else State.SUBMITTED
    )

    async def run() -> list[State]:
        settings = settings_of(valkey.redis_url, f"t{secrets.token_hex(4)}", "xi")
        async with opened(settings) as runtime:
            account = runtime.accounts["xi"]
            rows = Rows(account)
            await rows.add([ONE])
            [call] = await rows.begin()
            for place, word in enumerate([*steps, ""]):
                if place == answered_after:
                    await rows.end(call, vmid="77")
                if word:
                    fields = {"name": "admin", "pwd": "12345", "sendid": "77", "mobile": ONE[3:], "state": word}
                    await push(account, urlencode(fields).encode())
                    if data.draw(st.booleans()):
                        await reports.fold_account(runtime, account)
            await age_early(account, 0)
            await reports.fold_account(runtime, account)
            return await rows.states()

    assert [expected] == asyncio.run(run())
