"""Suspended accounts: stopped at the first answer, asked about, tried with one call, and never against a person."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import Settings
from providers.accessyou.settings import Check
from providers.base import Balance
from sendmill.errors import BadCredentials, Frozen, IpForbidden, NoBalance
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.account import probe
from tasks.account.probe import probe_accounts, probe_host
from tasks.account.suspend import FIRST_PROBE_MS, LONGEST_PROBE_MS, suspend
from tasks.process.heartbeat import beat_heart
from tasks.process.runtime import Runtime
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

BLOCKED = b"account_blocked"


def _settings(simulator: Simulator, redis_url: str, namespace: str, account: str) -> Settings:
    return settings_for(simulator, redis_url, namespace, [account])


async def _alerts(one: Flow, account: str) -> list[tuple[bytes, bytes]]:
    entries = await one.runtime.server.xrange(one.runtime.keys_of(account).events)
    return [(fields[b"code"], fields[b"open"]) for _, fields in entries if fields[b"kind"] == b"alert"]


async def _state(one: Flow, account: str) -> bytes:
    return bytes(await one.runtime.server.hget(one.runtime.keys_of(account).state, "state") or b"active")


async def _wait_ms(one: Flow, account: str, suffix: str = "") -> float:
    """How long from now the next probe is."""
    keys = one.runtime.keys_of(account)
    due_ms = await one.runtime.server.hget(keys.state, f"probe_ms{suffix}")
    return float(due_ms) - float(await one.runtime.server.hget(keys.clock, "last"))


async def _probe_now(one: Flow, account: str, suffix: str = "") -> None:
    """As if the time of the next probe had come."""
    await one.runtime.server.hset(one.runtime.keys_of(account).state, f"probe_ms{suffix}", 0)
    await (probe_host if suffix else probe_accounts)(one.runtime)


def _left(monkeypatch: pytest.MonkeyPatch, *amounts: str) -> list[str]:
    """Let the vendor say these balances, one after the other; what is left of them is returned."""
    left = list(amounts)

    async def balance(*_: object) -> Balance:
        await asyncio.sleep(0)
        return Balance(left.pop(0), "credit")

    monkeypatch.setattr(probe, "balance", balance)
    return left


async def test_an_account_without_balance_goes_on_when_there_is_some(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for after 30 s, then at doubling distances up to 10 minutes; one alert, resolved once."""
    left = _left(monkeypatch, *["0", "-3", "none"] * 2, "0.5")
    async with flow(_settings(simulator, redis_url, namespace, "mainland")) as one:
        simulator.add_faults({"kind": "code", "code": "2", "vendor": "smsadmin", "count": 1})
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
        await probe_accounts(one.runtime)
        assert 7 == len(left)
        for probes in range(6):
            wait_ms = min(LONGEST_PROBE_MS, FIRST_PROBE_MS * 2**probes)
            assert wait_ms == pytest.approx(await _wait_ms(one, "mainland"), abs=100)
            await _probe_now(one, "mainland")
            assert b"suspended" == await _state(one, "mainland")
        assert [(BLOCKED, b"1")] == await _alerts(one, "mainland")
        await _probe_now(one, "mainland")
        assert b"active" == await _state(one, "mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 3} == await one.states(job)
        assert [(BLOCKED, b"1"), (BLOCKED, b"0")] == await _alerts(one, "mainland")


async def test_a_good_answer_is_followed_by_one_call(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AccessYou's balance has other credentials than sending: it proves nothing about a wrong password. One call tells,
    and the alert stays one until a call was taken."""
    _left(monkeypatch, "12.5", "12.5")
    async with flow(_settings(simulator, redis_url, namespace, "hk")) as one:
        simulator.add_faults({"kind": "code", "code": "101", "vendor": "accessyou"})
        for number in hong_kong(5):
            await one.send(Sms(f"Hello {number}", number), account="hk")
        await one.drain("hk")
        requests = len(list(simulator.journal()))
        await _probe_now(one, "hk")
        assert b"active" == await _state(one, "hk")
        await one.drain("hk")
        assert requests + 1 == len(list(simulator.journal()))
        assert b"suspended" == await _state(one, "hk")
        assert 2 * FIRST_PROBE_MS == pytest.approx(await _wait_ms(one, "hk"), abs=500)
        assert [(BLOCKED, b"1")] == await _alerts(one, "hk")
        simulator.clear_faults()
        await _probe_now(one, "hk")
        await one.drain("hk")
        assert [(BLOCKED, b"1"), (BLOCKED, b"0")] == await _alerts(one, "hk")
        await one.drain("hk")
        assert 5 == sum(len(each["numbers"]) for each in simulator.journal() if each["accepted"])
        assert not await one.runtime.server.hexists(one.runtime.keys_of("hk").state, "probes")


@pytest.mark.parametrize("reason", [BadCredentials, Frozen])
async def test_the_same_login_that_is_let_in_again_is_proof(
    simulator: Simulator, redis_url: str, namespace: str, reason: type[BadCredentials | Frozen]
) -> None:
    """smsadmin's balance takes the login of sending: refused it stays, let in it goes on, and the alert is over."""
    async with flow(_settings(simulator, redis_url, namespace, "mainland")) as one:
        await suspend(one.runtime.accounts["mainland"], reason("refused"), "refused")
        simulator.add_faults({"kind": "code", "code": "1", "vendor": "smsadmin"})
        await _probe_now(one, "mainland")
        assert b"suspended" == await _state(one, "mainland")
        simulator.clear_faults()
        await _probe_now(one, "mainland")
        assert b"active" == await _state(one, "mainland")
        assert [(BLOCKED, b"1"), (BLOCKED, b"0")] == await _alerts(one, "mainland")


@pytest.mark.parametrize("first", ["suspended", "paused"])
async def test_a_persons_pause_is_never_ended_by_a_probe(
    simulator: Simulator, redis_url: str, namespace: str, first: str
) -> None:
    """Whichever came first; and a person who resumes ends everything that stood against the account."""
    async with flow(_settings(simulator, redis_url, namespace, "mainland")) as one:
        if first == "paused":
            await asyncio.to_thread(one.client.pause, "mainland")
        await suspend(one.runtime.accounts["mainland"], NoBalance("empty"), "empty")
        if first == "suspended":
            await asyncio.to_thread(one.client.pause, "mainland")
        await _probe_now(one, "mainland")
        assert b"paused" == await _state(one, "mainland")
        await asyncio.to_thread(one.client.resume, "mainland")
        state = await one.runtime.server.hgetall(one.runtime.keys_of("mainland").state)
        assert b"active" == state[b"state"]
        assert set() == {field for field in state if field.startswith((b"prob", b"why", b"barred"))}
        assert [(BLOCKED, b"1"), (BLOCKED, b"0")] == await _alerts(one, "mainland")


async def test_a_host_that_comes_after_all_others_were_refused_asks_for_itself(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Its address may be allowed: nobody else is left who could find out."""
    settings = _settings(simulator, redis_url, namespace, "hk")
    async with flow(settings) as gone, flow(settings) as fresh:
        _on(gone, "a")
        _on(fresh, "b")
        await suspend(gone.runtime.accounts["hk"], IpForbidden("not this address"), "not this address")
        assert b"suspended" == await _state(gone, "hk")
        simulator.add_faults({"kind": "code", "code": "104", "vendor": "accessyou"})
        await probe_host(fresh.runtime)
        assert b"suspended" == await _state(gone, "hk")
        assert 2 * FIRST_PROBE_MS == pytest.approx(await _wait_ms(fresh, "hk", ":b"), abs=500)
        simulator.clear_faults()
        await _probe_now(fresh, "hk", ":b")
        job = await fresh.send(Sms("Hello", hong_kong(1)), account="hk")
        await fresh.drain("hk")
        assert {State.SUBMITTED: 1} == await fresh.states(job)


async def test_an_account_that_cannot_be_asked_is_tried(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """An AccessYou account without a `check` table has no balance query."""
    settings = _settings(simulator, redis_url, namespace, "hk")
    hk = settings.accounts["hk"].model_copy(update={"check": Check()})
    async with flow(settings.model_copy(update={"accounts": {"hk": hk}})) as one:
        await suspend(one.runtime.accounts["hk"], NoBalance("empty"), "empty")
        await _probe_now(one, "hk")
        job = await one.send(Sms("Hello", hong_kong(1)), account="hk")
        await one.drain("hk")
        assert {State.SUBMITTED: 1} == await one.states(job)
        assert [(BLOCKED, b"1"), (BLOCKED, b"0")] == await _alerts(one, "hk")


def _on(one: Flow, host: str) -> None:
    """Let a flow be a process of another machine."""
    runtime: Runtime = one.runtime
    runtime.process = f"{host}:1:abc"
    for account in runtime.accounts.values():
        account.outbox.process = runtime.process


async def test_an_address_that_is_forbidden_stops_its_host_first(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The other machine goes on; when all are refused the account stands, until one of them is let in again."""
    settings = _settings(simulator, redis_url, namespace, "hk")
    async with flow(settings) as here, flow(settings) as there:
        for one, host in ((here, "a"), (there, "b")):
            _on(one, host)
            await beat_heart(one.runtime)
        forbidden = IpForbidden("not this address")
        await suspend(here.runtime.accounts["hk"], forbidden, "not this address")
        job = await here.send(Sms("Hello", hong_kong(1)), account="hk")
        await here.drain("hk")
        assert {State.QUEUED: 1} == await here.states(job)
        await there.drain("hk")
        assert {State.SUBMITTED: 1} == await here.states(job)
        (account,) = await asyncio.to_thread(here.client.accounts)
        assert "host a is refused" == account.state_reason
        assert (b"active", [(b"ip_forbidden", b"1")]) == (await _state(here, "hk"), await _alerts(here, "hk"))

        await suspend(there.runtime.accounts["hk"], forbidden, "not this address")
        assert b"suspended" == await _state(here, "hk")
        assert [(b"ip_forbidden", b"1"), (BLOCKED, b"1")] == await _alerts(here, "hk")
        await _probe_now(there, "hk", ":b")
        assert b"active" == await _state(here, "hk")
        later = await here.send(Sms("Again", hong_kong(1)), account="hk")
        await here.drain("hk")
        assert {State.QUEUED: 1} == await here.states(later)
        await there.drain("hk")
        assert {State.SUBMITTED: 1} == await here.states(later)
        await _probe_now(here, "hk", ":a")
        last = await here.send(Sms("Last", hong_kong(1)), account="hk")
        await here.drain("hk")
        assert {State.SUBMITTED: 1} == await here.states(last)
        ended = [(BLOCKED, b"0"), (b"ip_forbidden", b"0")]
        assert ended == (await _alerts(here, "hk"))[2:]
        assert 0 == await here.runtime.server.hlen(here.runtime.keys_of("hk").alerts)


async def test_a_host_that_was_replaced_keeps_no_alert_open(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A container that was barred and is gone is let in by nobody: the next call that is taken ends its alert."""
    settings = _settings(simulator, redis_url, namespace, "hk")
    async with flow(settings) as gone, flow(settings) as here:
        for one, host in ((gone, "gone"), (here, "here")):
            _on(one, host)
            await beat_heart(one.runtime)
        await suspend(gone.runtime.accounts["hk"], IpForbidden("not this address"), "not this address")
        server, jobs, keys = here.runtime.server, here.runtime.jobs, here.runtime.keys_of("hk")
        for alive, alert in (
            (True, [(b"ip_forbidden", b"1")]),
            (False, [(b"ip_forbidden", b"1"), (b"ip_forbidden", b"0")]),
        ):
            if not alive:
                await server.zrem(jobs.processes, gone.runtime.process)
            await here.send(Sms(f"Hello {alive}", hong_kong(1)), account="hk")
            await here.drain("hk")
            assert alert == await _alerts(here, "hk")
        left = [field for field in await server.hkeys(keys.state) if b":gone" in field]
        assert [] == left
