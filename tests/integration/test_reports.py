"""Reports find their rows, whenever and however often they come."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from providers.base import Push
from sendmill.ledger.refs import ref_name, span_of
from sendmill.states import State
from simulator.embedded import EmbeddedValkey
from tasks import early, reports
from tasks.account import Account
from tasks.heard import Heard
from tasks.inbox import Inbox, entry_of_push
from tasks.matching import Matcher
from tasks.runtime import Runtime
from tests.support.rows import Rows, opened, settings_of

ONE, TWO, THREE = "+8613800000001", "+8613800000002", "+8613800000003"


@pytest.fixture
async def runtime(redis_url: str, namespace: str) -> AsyncIterator[Runtime]:
    """Accounts whose vendors nobody asks."""
    async with opened(settings_of(redis_url, namespace, "bulk", "mainland", "xi", "world")) as runtime:
        yield runtime


@pytest.fixture
def bulk(runtime: Runtime) -> Account:
    """sms467890: one id for a call of many numbers, reports pushed."""
    return runtime.accounts["bulk"]


@pytest.fixture
def mainland(runtime: Runtime) -> Account:
    """smsadmin: our reference comes back with each report."""
    return runtime.accounts["mainland"]


async def push_bulk(account: Account, msgid: str, number: str, word: str = "DELIVRD") -> None:
    """sms467890 pushes a report."""
    body = f"Report={msgid},{number.removeprefix('+86')},{word},{int(time.time())}"
    await push(account, body.encode())


async def push_mainland(account: Account, linkid: str, number: str, word: str = "DELIVRD") -> None:
    """smsadmin pushes a report."""
    fields = {
        "Class": "rpt",
        "SmsName": "demo",
        "Mobile": number.removeprefix("+86"),
        "LinkId": linkid,
        "Report": word,
        "ReportTime": "2025-01-01 10:00:00",
    }
    await push(account, urlencode(fields).encode())


async def push(account: Account, body: bytes) -> None:
    """Store a push as the receiver does."""
    entry = entry_of_push(Push("POST", b"", {}, body))
    assert 1 == await Inbox(account.outbox.server, account.keys).store([entry])


async def told(account: Account, kind: str) -> list[dict[bytes, bytes]]:
    """What consumers can read."""
    entries = await account.outbox.server.xrange(account.keys.events)
    return [fields for _, fields in entries if fields[b"kind"] == kind.encode()]


async def age_early(account: Account, ms: int) -> None:
    """Let the early reports be older, and due."""
    server, key = account.outbox.server, account.keys.early
    for raw in await server.zrange(key, 0, -1):
        older = msgspec.msgpack.decode(raw)
        older[1] -= ms
        await server.zrem(key, raw)
        await server.zadd(key, {msgspec.msgpack.encode(older): 0})


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


# --- early -----------------------------------------------------------------------------------------------------------


async def test_a_report_that_comes_before_the_vendors_id_is_matched_later(runtime: Runtime, bulk: Account) -> None:
    """It waits until the answer to the submit is written."""
    rows = Rows(bulk)
    await rows.add([ONE, TWO])
    [call] = await rows.begin()
    await push_bulk(bulk, "id1", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTING] * 2 == await rows.states()
    await rows.end(call, vmid="id1")
    await age_early(bulk, 0)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTED, State.DELIVERED] == await rows.states()
    assert 0 == await bulk.outbox.server.zcard(bulk.keys.early)


async def test_an_unknown_report_settles_the_only_unconfirmed_row_of_its_number(
    runtime: Runtime, bulk: Account
) -> None:
    """Account, number and time single it out; the id is known from then on."""
    rows = Rows(bulk)
    calls = await rows.unconfirmed([ONE, TWO])
    await push_bulk(bulk, "id9", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED] * 2 == await rows.states()
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED, State.DELIVERED] == await rows.states()
    server, keys = bulk.outbox.server, bulk.keys
    detail = msgspec.msgpack.decode(await server.hget(keys.details("job1.0.0"), "1"))
    assert "number" == detail["matched_by"]
    assert str(calls[1]).encode() == await server.hget(keys.prefix + ref_name(b"id9", span_of(calls[1])), "id9")
    assert [str(calls[0]).encode()] == await server.zrange(keys.unconfirmed, 0, -1)
    assert 0 == await server.zcard(keys.early)


async def test_two_unconfirmed_rows_of_one_number_are_settled_by_nobody(runtime: Runtime, bulk: Account) -> None:
    """Which of them it was nobody knows, so both stay as they are."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id9", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.UNCONFIRMED]] == [await rows.states(0), await rows.states(1)]
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.early)


@pytest.mark.parametrize("swept", [False, True], ids=["an answer that cannot be read", "no answer"])
@pytest.mark.parametrize("again", [False, True], ids=["waits", "went again"])
async def test_a_report_that_may_be_of_a_message_that_goes_again_settles_no_other(
    runtime: Runtime, bulk: Account, *, swept: bool, again: bool
) -> None:
    """Where duplicates are allowed a message goes again, and the report of its first sending may be what comes."""
    rows = Rows(bulk)
    await rows.add([ONE], duplicates_ok=True)
    [call] = await rows.begin()
    if swept:
        await bulk.outbox.server.zadd(bulk.keys.open, {str(call): 1})
        await bulk.outbox.sweep()
    else:
        await rows.end(call, State.QUEUED, code="OutcomeUnknown", unknown=True)
    if again:
        await rows.give_back()
        [second] = await rows.begin()
        await rows.end(second, vmid="id2")
    else:
        await bulk.outbox.claim(1, ("normal",))
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTED if again else State.QUEUED] == await rows.states(0)
    assert [State.UNCONFIRMED] == await rows.states(1)
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.early)


async def test_a_report_of_the_first_sending_spares_the_second(runtime: Runtime, bulk: Account) -> None:
    """The only message that fits waits to go again: its report says that it need not."""
    rows = Rows(bulk)
    await rows.add([ONE], duplicates_ok=True)
    [call] = await rows.begin()
    await rows.end(call, State.QUEUED, code="OutcomeUnknown", unknown=True)
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.DELIVERED] == await rows.states(0)


async def test_a_second_id_of_the_number_settles_nothing(runtime: Runtime, bulk: Account) -> None:
    """One unconfirmed row takes one vendor id, so the other report is of another message."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id9", ONE, "UNDELIV")
    await push_bulk(bulk, "id8", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    left = await bulk.outbox.server.zrange(bulk.keys.early, 0, -1)
    assert 1 == len(left)
    [state] = await rows.states()
    other = {"id8": State.UNDELIVERED, "id9": State.DELIVERED}[msgspec.msgpack.decode(left[0])[5]]
    assert other == state


async def test_a_number_that_is_on_the_wire_waits(runtime: Runtime, bulk: Account) -> None:
    """The report may be of the open call, so it settles no other row meanwhile."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await rows.add([ONE])
    [call] = await rows.begin()
    await push_bulk(bulk, "id9", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.SUBMITTING]] == [await rows.states(0), await rows.states(1)]
    await rows.end(call, vmid="id9")
    await age_early(bulk, 0)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.DELIVERED]] == [await rows.states(0), await rows.states(1)]


async def test_a_report_from_before_the_call_settles_nothing(runtime: Runtime, bulk: Account) -> None:
    """What happened before a call is not its fate."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    long_ago = int(time.time()) - 3600
    await push(bulk, f"Report=id9,{ONE.removeprefix('+86')},DELIVRD,{long_ago}".encode())
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, early.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED] == await rows.states()


async def test_somebody_elses_reference_settles_nothing(runtime: Runtime, mainland: Account) -> None:
    """A vendor that gives references back would have given ours for our call."""
    rows = Rows(mainland)
    await rows.unconfirmed([ONE])
    for linkid, expected in (("ZZ99", State.UNCONFIRMED), ("", State.DELIVERED)):
        await push(mainland, f"Class=rpt&Mobile={ONE[3:]}&LinkId={linkid}&Report=DELIVRD".encode())
        await reports.fold_account(runtime, mainland)
        await age_early(mainland, early.GRACE_MS)
        await reports.fold_account(runtime, mainland)
        assert [expected] == await rows.states()


async def test_of_too_many_early_reports_the_oldest_go(
    runtime: Runtime, bulk: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that others send with too fills no memory; those that are given up are counted."""
    monkeypatch.setattr(early, "MOST_EARLY", 2)
    for number in range(3):
        await push_bulk(bulk, f"foreign{number}", ONE)
        await reports.fold_account(runtime, bulk)
    assert 2 == await bulk.outbox.server.zcard(bulk.keys.early)
    assert b"1" == await bulk.outbox.server.hget(bulk.keys.state, "reports_dropped")


async def test_our_reference_settles_an_unconfirmed_row_at_once(runtime: Runtime, mainland: Account) -> None:
    """The vendor names the call itself, so nothing has to be waited for."""
    rows = Rows(mainland)
    await rows.add([ONE, TWO])
    [call] = await rows.begin()
    await rows.end(call, State.UNCONFIRMED)
    await push_mainland(mainland, mainland.reference(call), ONE)
    await reports.fold_account(runtime, mainland)
    server, keys = mainland.outbox.server, mainland.keys
    assert [State.DELIVERED, State.UNCONFIRMED] == await rows.states()
    assert "reference" == msgspec.msgpack.decode(await server.hget(keys.details("job1.0.0"), "0"))["matched_by"]
    assert 1 == await server.zcard(keys.unconfirmed)
    await push_mainland(mainland, mainland.reference(call), TWO)
    await reports.fold_account(runtime, mainland)
    assert 0 == await server.zcard(keys.unconfirmed)


async def test_a_report_that_matches_nothing_goes_after_the_horizon(runtime: Runtime, bulk: Account) -> None:
    """A message of somebody else on the same account does not stay for ever; it is counted."""
    await push_bulk(bulk, "foreign", ONE)
    await reports.fold_account(runtime, bulk)
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.early)
    await age_early(bulk, runtime.settings.report_horizon_h * 3_600_000 + 1000)
    await reports.fold_account(runtime, bulk)
    assert 0 == await bulk.outbox.server.zcard(bulk.keys.early)
    assert b"1" == await bulk.outbox.server.hget(bulk.keys.state, "reports_dropped")


@pytest.mark.parametrize(
    ("age_ms", "expected_ms"), [(0, 900), (9_999, 900), (10_000, 5_000), (600_000, 60_000), (86_400_000, 600_000)]
)
def test_the_older_a_report_the_less_often_it_is_tried(age_ms: int, expected_ms: int) -> None:
    """Each second at first, each ten minutes at last."""
    assert expected_ms == early.retry_after_ms(age_ms)


# --- what cannot be read ---------------------------------------------------------------------------------------------


async def test_a_word_in_no_table_changes_nothing_and_is_kept(runtime: Runtime, mainland: Account) -> None:
    """It stands raw in the row's history and in `bad`, and one alert is opened, however often it comes."""
    rows = Rows(mainland)
    [call] = await rows.submitted([ONE])
    for _ in range(2):
        await push_mainland(mainland, mainland.reference(call), ONE, "MYSTERY-7")
        await reports.fold_account(runtime, mainland)
    server, keys = mainland.outbox.server, mainland.keys
    assert [State.SUBMITTED] == await rows.states()
    [alert] = await told(mainland, "alert")
    assert (b"unmapped_state", b"1") == (alert[b"code"], alert[b"open"])
    assert b"MYSTERY-7" in alert[b"detail"]
    assert 2 == await server.xlen(keys.bad)
    assert "MYSTERY-7" == msgspec.msgpack.decode((await server.lrange(keys.history("job1.0.0"), 0, 0))[0])[3]


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

    async def poisoned(self: Matcher, found: list[Heard]) -> list[Heard]:
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
            raise redis.ConnectionError("gone")

        dying.setattr(Inbox, "drop", die)
        with pytest.raises(redis.ConnectionError):
            await reports.fold_account(runtime, bulk)
    assert 2 == await bulk.outbox.server.xlen(bulk.keys.inbox)
    await reports.fold_account(runtime, bulk)
    assert [State.DELIVERED, State.SUBMITTED] == await rows.states()
    assert 1 == len(await told(bulk, "report"))
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.early)
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
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
