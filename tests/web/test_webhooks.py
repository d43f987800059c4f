"""Webhooks: real receivers are told of everything, in order, once each, whatever else receivers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner, Result
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from sendmill import Client, Sms
from sendmill.cli import cli
from sendmill.ledger.connection import Ledger, aconnect
from sendmill.ledger.keys import REFUSED, JobKeys
from sendmill.webhooks.client import WEBHOOK_DISABLED
from tasks.process import alerts
from tests.support.driving import Driven, driven, numbers
from tests.support.hook_events import delivered, messages
from tests.support.hook_receiver import WAIT_S, HookReceiver, Told, cut, endless, hanging, hook_receiver, status
from web.webhooks.all_webhooks import Deliverer
from web.webhooks.posting import Poster

SOON_S = (0.05,)

REFUSALS = {
    "500": status(500),
    "301": status(301, Location="/elsewhere"),
    "307": status(307, Location="/elsewhere"),
    "404": status(404),
    "cut": cut(),
    "hangs": hanging(),
}


@pytest.fixture
async def mill(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """Two accounts, whose reports the test makes."""
    async with driven(redis_url, namespace, ["hk", "world"]) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[HookReceiver]:
    """Answers 200 unless a test says otherwise."""
    async with hook_receiver() as made:
        yield made


class Web:
    """The part of the process `web` that tells webhooks."""

    def __init__(self, redis_url: str, namespace: str) -> None:
        self._server = aconnect(redis_url, timeout_s=2.0)
        self.ledger = Ledger(self._server, namespace, JobKeys(namespace), 0.5)
        self._poster: Poster | None = None
        self.deliverer: Deliverer | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self, *, timeout_s: float = 5.0, schedule_s: Sequence[float] = SOON_S, **options: Any) -> None:
        """Begin to tell."""
        self._poster = Poster(timeout_s=timeout_s)
        self.deliverer = Deliverer(self.ledger, self._poster, schedule_s=schedule_s, **options)
        self._running = asyncio.create_task(self.deliverer.run())

    async def stop(self) -> None:
        """End, as at SIGTERM."""
        if self._running is not None and self.deliverer is not None and self._poster is not None:
            self._running.cancel()
            await self.deliverer.stop()
            await self._poster.close()
            self._running = None
        await self._server.aclose()


@pytest.fixture
async def web(redis_url: str, namespace: str) -> AsyncIterator[Web]:
    """Not started yet."""
    made = Web(redis_url, namespace)
    yield made
    await made.stop()


def verified(secret: str, told: Told) -> Any:
    """What a receiver reads that checks the signature as Standard Webhooks says."""
    return Verifier(secret).verify(told.body, told.headers)


# --- what a receiver is told ----------------------------------------------------------------------------------------


async def test_everything_is_told_in_order_and_signed(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """Up to 500 events a POST, those of one account in their order, each once; any library can check the signature."""
    secret = mill.client.webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    expected = await delivered(mill, 1200)
    others = await delivered(mill, 30, account="world")
    web.start()
    await receiver.until(lambda: len(receiver.events("/crm")) >= 1230, "1,230 events")
    assert expected == messages(receiver.events("/crm"))
    assert others == messages(receiver.events("/crm"), "world")
    assert max(len(told.events) for told in receiver.told) == 500
    assert len({told.id for told in receiver.told}) == len(receiver.told)
    for told in receiver.told:
        assert "events" == verified(secret, told)["type"]


# --- receivers that misbehave ---------------------------------------------------------------------------------------


async def test_one_that_hangs_holds_up_no_other(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """Another endpoint gets all of its events while the first answer of the one that hangs is still waited for."""
    for name in ("slow", "crm"):
        mill.client.webhooks.add(name, f"{receiver.url}/{name}", allow_private=True)
    enough = asyncio.Event()
    receiver.always("/slow", hanging(enough))
    web.start(timeout_s=600.0)
    first = await delivered(mill, 700)
    await receiver.until(lambda: len(receiver.events("/crm")) == 700, "the other endpoint's events")
    await receiver.until(lambda: bool(receiver.at("/slow")), "the one that hangs was asked")
    second = await delivered(mill, 700)
    await receiver.until(lambda: len(receiver.events("/crm")) == 1400, "what came meanwhile")
    assert first + second == messages(receiver.events("/crm"))
    assert 1 == len(receiver.at("/slow"))
    enough.set()


async def test_what_was_not_taken_is_told_again_under_the_same_id(
    mill: Driven, receiver: HookReceiver, web: Web
) -> None:
    """The same events, the same body, a signature of its own time; what came meanwhile waits for its turn."""
    webhooks = mill.client.webhooks
    secrets = {name: webhooks.add(name, f"{receiver.url}/{name}", allow_private=True) for name in REFUSALS}
    for name, answer in REFUSALS.items():
        receiver.then(f"/{name}", answer, answer)
    first = await delivered(mill, 3)
    web.start(timeout_s=0.5)
    await receiver.until(lambda: all(receiver.at(f"/{name}") for name in secrets), "a first try of each")
    second = await delivered(mill, 2)
    await receiver.until(lambda: all(len(receiver.events(f"/{name}")) == 5 for name in secrets), "all events")
    assert {f"/{name}" for name in secrets} == {told.path for told in receiver.told}, "no redirect is followed"
    for name, secret in secrets.items():
        told = receiver.at(f"/{name}")
        tries = [each for each in told if messages(each.events) == first]
        assert 3 == len(tries)
        assert 1 == len({(each.id, each.body) for each in tries})
        assert first + second == messages(receiver.events(f"/{name}"))
        for each in told:
            verified(secret, each)
        await _until(lambda name=name: len(webhooks.deliveries(name)) == 4)  # type: ignore[misc]  # of this turn
        assert [(True, 1), (True, 3), (False, 2), (False, 1)] == [
            (each.ok, each.attempt) for each in webhooks.deliveries(name)
        ]


async def test_who_answers_200_and_talks_on_without_end_has_taken_it(
    mill: Driven, receiver: HookReceiver, web: Web
) -> None:
    """Nobody reads what a receiver says besides its status."""
    mill.client.webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    receiver.then("/crm", endless())
    expected = await delivered(mill, 600)
    web.start()
    await receiver.until(lambda: len(receiver.events("/crm")) == 600, "all events")
    assert expected == messages(receiver.events("/crm"))
    assert 2 == len(receiver.told)


async def test_410_ends_it_until_a_person_says_otherwise(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """It is disabled at once and an alert is open; when it is enabled it goes on where it stopped."""
    webhooks = mill.client.webhooks
    webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    receiver.then("/crm", status(410))
    first = await delivered(mill, 3)
    web.start()
    await _until(lambda: webhooks.all()[0].disabled is not None)
    assert "410" in str(webhooks.all()[0].disabled)
    await _until(lambda: bool(mill.client.alerts()))
    (alert,) = mill.client.alerts()
    assert (REFUSED, WEBHOOK_DISABLED) == (alert.account, alert.code)
    assert "crm" in alert.causes[0]
    second = await delivered(mill, 2)
    webhooks.enable("crm")
    await receiver.until(lambda: len(receiver.events("/crm")) >= 5, "all events")
    assert first + second == messages(receiver.events("/crm"))
    assert receiver.told[0].id == receiver.told[1].id
    assert [] == mill.client.alerts()


async def test_who_fails_for_days_is_disabled_and_loses_nothing(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """The time is the deliverer's setting: here it has run out with the second failure."""
    webhooks = mill.client.webhooks
    webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    receiver.then("/crm", status(503), status(503))
    first = await delivered(mill, 3)
    web.start(given_up_s=0.01)
    await _until(lambda: webhooks.all()[0].disabled is not None)
    assert "503" in str(webhooks.all()[0].disabled)
    assert webhooks.all()[0].failing_since is not None
    webhooks.enable("crm")
    await receiver.until(lambda: len(receiver.at("/crm")) == 3, "a third try")
    assert first == messages(receiver.told[2].events)


async def test_a_receivers_wish_to_wait_is_heeded(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """Retry-After in seconds goes before the schedule; a test that is taken ends the wait."""
    webhooks = mill.client.webhooks
    webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    receiver.then("/crm", status(429, Retry_After="3600"))
    expected = await delivered(mill, 3)
    web.start()
    await _until(lambda: webhooks.all()[0].next_try_at is not None)
    webhook = webhooks.all()[0]
    assert webhook.next_try_at is not None
    assert webhook.failing_since is not None
    assert 3599 <= (webhook.next_try_at - webhook.failing_since).total_seconds() <= 2 * 3600
    tested = await asyncio.to_thread(webhooks.test, "crm")
    assert (True, 200, "test") == (tested.ok, tested.status, tested.what)
    await receiver.until(lambda: [3, 0, 3] == [len(each.events) for each in receiver.told], "the events, again")
    assert expected == messages(receiver.told[-1].events)
    await _until(lambda: webhooks.all()[0].failing_since is None)
    assert webhooks.all()[0].next_try_at is None


# --- where nothing may be posted to ---------------------------------------------------------------------------------


async def test_private_addresses_are_refused_where_the_socket_is_made(
    mill: Driven, receiver: HookReceiver, web: Web
) -> None:
    """A name that leads to this machine gets no connection, whatever was looked at before; nothing is lost."""
    webhooks = mill.client.webhooks
    port = receiver.url.rpartition(":")[2]
    webhooks.add("crm", f"https://localhost:{port}/crm")
    await delivered(mill, 3)
    web.start()
    await _until(lambda: bool(webhooks.deliveries("crm")))
    (delivery, *_) = webhooks.deliveries("crm")
    assert (False, None, "private_address") == (delivery.ok, delivery.status, delivery.error)
    assert [] == receiver.told


async def test_no_spelling_of_a_private_address_gets_a_connection(receiver: HookReceiver) -> None:
    """As a number, as an old short form, inside IPv6, by a name: what counts is where the socket would lead."""
    port = receiver.url.rpartition(":")[2]
    poster = Poster(timeout_s=5.0)
    hosts = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0")  # noqa: S104
    try:
        for host in hosts:
            url = f"http://{host}:{port}/"
            outcome = await poster.post(url, b"{}", {}, allow_private=False)
            assert not outcome.ok
            assert outcome.error in {"private_address", "wrong_address"}, host
        assert [] == receiver.told
        assert (await poster.post(f"http://127.0.0.1:{port}/", b"{}", {}, allow_private=True)).ok
    finally:
        await poster.close()


# --- asked for by a person ------------------------------------------------------------------------------------------


async def test_a_webhook_begins_when_it_is_added_and_can_be_told_again(
    mill: Driven, receiver: HookReceiver, web: Web
) -> None:
    """What happened before is no news to it. A replay tells again what it was told, then what is new."""
    webhooks = mill.client.webhooks
    before = await delivered(mill, 3)
    webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    await asyncio.sleep(0.01)  # events are told from each other by the millisecond
    since = datetime.now(UTC)
    told = await delivered(mill, 700, at_once=20)
    web.start()
    await receiver.until(lambda: len(receiver.events("/crm")) == 700, "what is new")
    webhooks.replay("crm", since)
    await receiver.until(lambda: len(receiver.events("/crm")) == 1400, "all of it again")
    new = await delivered(mill, 2)
    await receiver.until(lambda: len(receiver.events("/crm")) == 1402, "what is new")
    assert told + told + new == messages(receiver.events("/crm"))
    webhooks.replay("crm", since - timedelta(days=1))
    await receiver.until(lambda: len(receiver.events("/crm")) == 1402 + 705, "what there ever was")
    assert before + told + new == messages(receiver.events("/crm"))[1402:]


async def test_only_what_it_wants(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """By kind and by state; what is left out is not told later either."""
    webhooks = mill.client.webhooks
    webhooks.add("failures", f"{receiver.url}/failures", kinds=["report"], states=["failed"], allow_private=True)
    webhooks.add("alerts", f"{receiver.url}/alerts", kinds=["alert"], allow_private=True)
    await delivered(mill, 3)
    refused = mill.client.send(Sms("Hello", ["12", *numbers(1)]), account="hk")
    await mill.plan(refused.id)
    await alerts.open_alert(mill.runtime.server, mill.runtime.keys_of("hk"), alerts.LOW_BALANCE, "7 left")
    web.start()
    await receiver.until(lambda: len(receiver.told) == 2, "one batch each")
    (failure,) = receiver.events("/failures")
    assert (f"{refused.id}-1", "failed", "invalid_number", None) == (
        failure["message_id"],
        failure["state"],
        failure["code"],
        failure["account"],
    )
    (alert,) = receiver.events("/alerts")
    assert ("alert", "low_balance", "7 left", True) == (
        alert["kind"],
        alert["code"],
        alert["detail"],
        alert["open"],
    )


async def test_secrets_change_without_a_gap(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """A receiver that knows either secret can check what comes; neither is kept where it is listed."""
    webhooks = mill.client.webhooks
    old = webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    new = webhooks.rotate_secret("crm")
    assert old != new
    assert not any(secret in repr(webhooks.all()) for secret in (old, new))
    await delivered(mill, 1)
    web.start()
    await receiver.until(lambda: bool(receiver.told), "an event")
    for secret in (old, new):
        verified(secret, receiver.told[0])
    newest = webhooks.rotate_secret("crm", old_for_s=0)
    await asyncio.to_thread(webhooks.test, "crm")
    verified(newest, receiver.told[-1])
    with pytest.raises(WebhookVerificationError):
        verified(new, receiver.told[-1])


async def test_what_was_trimmed_is_told_as_a_gap(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """A receiver that was away for longer than the streams keep hears how much it missed, once."""
    mill.client.webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    expected = await delivered(mill, 10, at_once=1)
    await mill.runtime.server.xtrim(mill.runtime.keys_of("hk").events, maxlen=4, approximate=False)
    web.start()
    await receiver.until(lambda: len(receiver.events("/crm")) == 5, "what is kept")
    (gap, *rest) = receiver.events("/crm")
    assert ("alert", "gap", "hk") == (gap["kind"], gap["code"], gap["account"])
    assert gap["detail"].startswith("6 entries")
    assert expected[6:] == messages(rest)
    new = await delivered(mill, 1)
    await receiver.until(lambda: len(receiver.events("/crm")) == 6, "what is new")
    assert new == messages(receiver.told[-1].events)


async def test_the_command_line_does_all_of_it(
    mill: Driven, receiver: HookReceiver, web: Web, redis_url: str, namespace: str
) -> None:
    """Added, listed, tested, told again, rotated, stopped, removed; the secret is shown once and never again."""

    async def shell(*arguments: str) -> Result:
        # Each command closes its client.
        made = partial(Client, redis_url, namespace=namespace)
        return await asyncio.to_thread(CliRunner().invoke, cli, ["webhooks", *arguments], obj=made)

    url = f"{receiver.url}/crm?token=hush"
    refused = await shell("add", "crm", url)
    assert (2, True) == (refused.exit_code, "allow private addresses" in refused.output)
    added = await shell("add", "crm", url, "--allow-private", "--kind", "report", "--state", "delivered")
    secret = added.stdout.strip()
    assert (0, True) == (added.exit_code, secret.startswith("whsec_"))
    assert 2 == (await shell("add", "crm", url, "--allow-private")).exit_code
    web.start()
    tested = await shell("test", "crm")
    assert (0, "crm took it: HTTP 200") == (tested.exit_code, tested.output.partition(" after")[0])
    assert "test" == verified(secret, receiver.told[0])["type"]
    await delivered(mill, 3)
    await receiver.until(lambda: len(receiver.told) == 2, "the events")
    assert 0 == (await shell("replay", "crm", "--since", "1h")).exit_code
    await receiver.until(lambda: len(receiver.told) == 3, "the events again")
    receiver.then("/crm", status(500))
    failed = await shell("test", "crm")
    assert (1, True) == (failed.exit_code, "crm did not take it: HTTP 500" in failed.output)
    rotated = (await shell("rotate", "crm")).stdout.strip()
    listed = await shell("list", "--json")
    tables = [await shell(*words) for words in (("list",), ("deliveries", "crm"), ("deliveries", "crm", "--json"))]
    shown = "".join(each.output for each in (listed, *tables))
    assert ("crm", ["report"], ["delivered"]) == tuple(
        json.loads(listed.stdout)[k] for k in ("name", "kinds", "states")
    )
    assert not any(each in shown for each in (secret, rotated, secret[6:], rotated[6:]))
    assert "hush" not in tables[0].output
    assert 4 == len(tables[2].stdout.splitlines())
    assert 0 == (await shell("disable", "crm")).exit_code
    assert "by a person" in (await shell("list")).output
    assert 0 == (await shell("enable", "crm")).exit_code
    assert 0 == (await shell("remove", "crm")).exit_code
    assert "there is no webhook" in (await shell("list")).output
    assert 2 == (await shell("remove", "crm")).exit_code
    done = [(entry.action, entry.target, entry.failed) for entry in reversed(mill.client.audit())]
    steps = ("add", "replay", "rotate", "disable", "enable", "remove")
    assert [(f"{step}_webhook", "crm", "") for step in steps] == list(dict.fromkeys(e for e in done if not e[2]))
    assert [("add_webhook", "crm", "InvalidOption")] == [each for each in done if each[2]]
    assert not any(each in str(mill.client.audit()) for each in (secret, rotated, "hush"))


async def test_a_removed_webhook_leaves_nothing(mill: Driven, receiver: HookReceiver, web: Web) -> None:
    """No key and no consumer group; its name can be used again and begins anew."""
    webhooks = mill.client.webhooks
    webhooks.add("crm", f"{receiver.url}/crm", allow_private=True)
    await delivered(mill, 3)
    web.start()
    await receiver.until(lambda: len(receiver.events("/crm")) == 3, "the events")
    stream = mill.runtime.keys_of("hk").events
    await _until_groups(mill, stream, ["webhook:crm"])
    webhooks.remove("crm")
    assert [] == webhooks.all()
    await _until_groups(mill, stream, [])
    await delivered(mill, 2)
    webhooks.add("crm", f"{receiver.url}/new", allow_private=True)
    new = await delivered(mill, 1)
    await receiver.until(lambda: bool(receiver.at("/new")), "what is new")
    assert new == messages(receiver.events("/new"))
    assert 3 == len(receiver.events("/crm"))


async def _until_groups(mill: Driven, stream: str, expected: list[str]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if expected == [group["name"].decode() for group in await mill.runtime.server.xinfo_groups(stream)]:
                return
            await asyncio.sleep(0.02)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)
