"""Who did what is written down by whatever way it was done, before it is done."""

from __future__ import annotations

import json

import pytest
import redis
from click.testing import CliRunner

from sendmill import AsyncClient, Client, InvalidOption, NoSuchJob, Sms, StoreError
from sendmill.actor import Actor, this_person
from sendmill.cli import cli
from sendmill.ledger.keys import JobKeys
from simulator.client import Simulator
from tests.support.flow import flow, hong_kong
from tests.support.vendors import settings_for

ALICE = Actor("alice", "console", "127.0.0.1")


async def test_every_change_has_its_entry(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """With who, before, after and why; the latest first; no whole number in any."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        client = one.client.acting(ALICE)
        client.pause("hk", reason="the vendor asked")
        assert "by alice: the vendor asked" == client.accounts()[0].state_reason
        job = await one.send(Sms("Hello", hong_kong(3)), account="hk")
        client.cancel(job, reason="wrong text")
        client.limit("hk", "calls_per_s", 5)
        client.limit("hk", "calls_per_s", None)
        client.add_optout("+85298882844", reason="a letter")
        client.remove_optout("+85298882844")
        client.forget("+85298882844")
        client.resume("hk")
        entries = client.audit()
        assert [("pause", "active", "paused", "the vendor asked"), ("cancel", "", "", "wrong text")] == [
            (each.action, each.before, each.after, each.reason) for each in entries[::-1]
        ][:2]
        assert {("alice", "console", "127.0.0.1")} == {(e.actor, e.via, e.address) for e in entries}
        actions = ["pause", "cancel", "limit", "limit", "opt_out", "opt_in", "forget", "resume"]
        assert actions == [each.action for each in entries[::-1]]
        limits = [(e.before, e.after) for e in client.audit(action="limit")]
        assert [("calls_per_s=5", "calls_per_s=off"), ("calls_per_s=off", "calls_per_s=5")] == limits
        assert "98882844" not in str(entries)
        assert entries[2:4] == client.audit(before=entries[1].id, most=2)
        assert [] == client.audit(target="nobody")


def test_what_failed_is_told_by_a_second_entry(redis_url: str, namespace: str) -> None:
    """Somebody wanted it: that stays."""
    with Client(redis_url, namespace=namespace, actor=ALICE) as client:
        with pytest.raises(NoSuchJob):
            client.cancel("nojob")
        failed, wanted = client.audit()
        assert ("NoSuchJob", "") == (failed.failed, wanted.failed)
        with pytest.raises(InvalidOption):
            client.audit(before="é")


def test_nothing_is_changed_that_cannot_be_written_down(redis_url: str, namespace: str) -> None:
    """As where the server lets nobody write the record."""
    with Client(redis_url, namespace=namespace) as client, redis.Redis.from_url(redis_url) as server:
        server.set(JobKeys(namespace).audit, "no stream")
        with pytest.raises((StoreError, redis.ResponseError)):
            client.add_optout("+85298882844")
        assert [] == list(client.optouts())


async def test_the_command_line_acts_under_a_name(
    redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SENDMILL_ACTOR, or else the user and the machine; and it lists what was done."""
    for name, value in {"REDIS_URL": redis_url, "NAMESPACE": namespace, "ACTOR": "bob"}.items():
        monkeypatch.setenv(f"SENDMILL_{name}", value)
    assert 0 == CliRunner().invoke(cli, ["optouts", "add", "+85298882844"]).exit_code
    told = json.loads(CliRunner().invoke(cli, ["audit", "--json"]).stdout)
    assert ("bob", "cli", "opt_out", "+852****44") == tuple(told[k] for k in ("actor", "via", "action", "target"))
    assert "opt_out" in CliRunner().invoke(cli, ["audit"]).stdout
    monkeypatch.delenv("SENDMILL_ACTOR")
    assert "@" in this_person("cli").name
    async with AsyncClient(redis_url, namespace=namespace, actor=ALICE) as client:
        await client.remove_optout("+85298882844", reason="by letter")
        await client.acting(Actor("carol", "api")).record("reveal", "messages")
        assert ["carol", "alice", "bob"] == [each.actor for each in await client.audit()]
