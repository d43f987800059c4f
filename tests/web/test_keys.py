"""Keys: kept as digests, good for what they say, for as long as they say, from where they say, as often as they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from config.settings import Settings, Web
from sendmill.cli import cli
from sendmill.client import Client
from sendmill.errors import InvalidOption, NoSuchKey, UnknownAccount
from tests.support.api import NUMBER, Api, serving

SMS = {"content": {"kind": "sms", "text": "Hello", "to": NUMBER}}


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    """A client of the same ledger."""
    with Client(settings.redis_url, namespace=settings.namespace) as client:
        yield client


async def test_a_key_that_was_revoked_is_refused_within_a_second(api: Api) -> None:
    """Also by a process that has just believed it; nobody has to be told."""
    token = api.key("read")
    assert 200 == (await api.get("/v1/key", token=token)).status
    await asyncio.to_thread(api.client.revoke_key, token.split("_")[1])
    revoked = asyncio.get_running_loop().time()
    while (await api.get("/v1/key", token=token)).status != 401:
        assert asyncio.get_running_loop().time() < revoked + 1
        await asyncio.sleep(0.02)


async def test_two_secrets_are_good_while_a_key_is_rotated(api: Api) -> None:
    """A third one ends the first; with no time left the old one ends at once."""
    tokens = [api.key("read")]
    key_id = tokens[0].split("_")[1]
    tokens += [api.client.rotate_key(key_id).token, api.client.rotate_key(key_id).token]
    await until_known(api, tokens[2])
    assert [401, 200, 200] == [(await api.get("/v1/key", token=token)).status for token in tokens]
    tokens.append((await api.post(f"/v1/keys/{key_id}/rotate", {"old_for_h": 0})).body["token"])
    await until_known(api, tokens[3])
    await until_refused(api, tokens[2])


async def until_known(api: Api, token: str) -> None:
    """A new secret is good at once."""
    assert 200 == (await api.get("/v1/key", token=token)).status


async def until_refused(api: Api, token: str) -> None:
    """It ends; the test's own timeout is for what does not."""
    while (await api.get("/v1/key", token=token)).status != 401:  # noqa: ASYNC110 - time passes
        await asyncio.sleep(0.02)


async def test_a_key_ends_when_it_says(api: Api) -> None:
    """By the clock of whoever is asked, and not before."""
    later = api.key("read", ends_at=datetime.now(UTC) + timedelta(hours=1))
    ends_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    await until_refused(api, api.key("read", ends_at=ends_at))
    assert ends_at <= datetime.now(UTC)
    assert 200 == (await api.get("/v1/key", token=later)).status


async def test_a_key_comes_from_its_networks(settings: Settings, client: Client) -> None:
    """By the connected address; what X-Forwarded-For says counts from a proxy of the settings alone."""
    here = client.add_key("here", ["read"], networks=["127.0.0.0/8"]).token
    there = client.add_key("there", ["read"], networks=["203.0.113.0/24"]).token
    forwarded = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    async with serving(settings) as api:
        assert 200 == (await api.get("/v1/key", token=here)).status
        assert "forbidden" == (await api.get("/v1/key", token=there, headers=forwarded)).code
    behind = settings.model_copy(update={"web": Web(proxies=["127.0.0.1/32"])})
    async with serving(behind) as api:
        assert 200 == (await api.get("/v1/key", token=there, headers=forwarded)).status
        assert 403 == (await api.get("/v1/key", token=here, headers=forwarded)).status
        assert 200 == (await api.get("/v1/key", token=here)).status


async def test_requests_of_a_key_have_a_rate(api: Api) -> None:
    """In any second, over all processes; one too many hears when it may come again."""
    token = api.key("read", requests_per_s=5)
    said = await asyncio.gather(*(api.get("/v1/key", token=token) for _ in range(60)))
    refused = [each for each in said if each.status == 429]
    assert refused
    assert 5 <= sum(each.status == 200 for each in said) == 60 - len(refused)
    assert {("rate_limited", "after")} == {(each.code, each.body["retry"]) for each in refused}
    assert {*(each.headers["Retry-After"] for each in refused)} <= {"1", "2"}
    assert 200 == (await api.get("/v1/key")).status


async def test_recipients_of_a_key_have_a_rate(api: Api) -> None:
    """What is over it is not stored, and nothing of it is counted; a repeated job is not counted again."""
    token = api.key("send:normal", recipients_per_day=3)
    two = {"content": {"kind": "sms", "text": "x", "to": [NUMBER, "+85298882845"]}}
    statuses = []
    for key, body in (("a", two), ("a", two), ("b", two), ("c", SMS), ("d", SMS)):
        said = await api.post("/v1/jobs", body, token=token, headers={"Idempotency-Key": key})
        statuses.append(said.status)
    assert [202, 200, 429, 202, 429] == statuses
    assert 2 == await api.jobs()


async def test_nothing_of_a_key_is_kept_but_its_digest(api: Api, settings: Settings) -> None:
    """Whoever reads Redis has no key; lists show none. When it was used is known."""
    token = (await api.post("/v1/keys", {"name": "shop", "scopes": ["read"]})).body["token"]
    await until_known(api, token)
    secret = token.split("_", 2)[2].encode()
    with redis.Redis.from_url(settings.redis_url) as server:
        for key in server.scan_iter(match=f"{settings.namespace}:*"):
            assert secret not in (server.dump(key) or b"")
    listed = await api.get("/v1/keys")
    assert secret not in listed.raw
    assert {"shop", "of a test"} == {key["name"] for key in listed.body["keys"]}
    async with serving(settings) as other:
        await until_known(other, token)
    # A process that ends has written down what it knew of.
    (used_at,) = [each.used_at for each in await asyncio.to_thread(api.client.keys) if each.name == "shop"]
    assert used_at is not None


def test_the_command_line_makes_shows_rotates_and_ends_keys(client: Client) -> None:
    """The key is printed once, alone on stdout; the rest speaks of it by its 8 characters."""

    def said(*words: str) -> Any:
        return CliRunner().invoke(cli, ["keys", *words], obj=lambda: client)

    made = said("create", "shop", "--scope", "send:otp", "--scope", "read", "--requests-per-s", "10")
    token = made.stdout.strip()
    key_id = token.split("_")[1]
    assert (0, "smk", 8) == (made.exit_code, token.split("_")[0], len(key_id))
    (line,) = said("list", "--json").stdout.splitlines()
    shown = json.loads(line)
    assert (key_id, "shop", ["read", "send:otp"], 10) == (
        shown["key"], shown["name"], shown["scopes"], shown["requests_per_s"],
    )  # fmt: skip
    assert token.split("_", 2)[2] not in line
    assert key_id in said("list").stdout
    rotated = json.loads(said("rotate", key_id, "--json").stdout)
    assert rotated["token"] != token
    assert 2 == len(rotated["secrets"])
    assert 0 == said("revoke", key_id).exit_code
    gone = said("revoke", key_id)
    assert (1, f"sendmill: no key '{key_id}' is kept: `sendmill keys list` lists those that are\n") == (
        gone.exit_code, gone.stderr,
    )  # fmt: skip
    assert 2 == said("create", "shop", "--scope", "fly").exit_code


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"networks": ["everywhere"]}, InvalidOption),
        ({"requests_per_s": 0}, InvalidOption),
        ({"recipients_per_day": -1}, InvalidOption),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, InvalidOption),
        ({"ends_at": datetime(2040, 1, 1)}, InvalidOption),  # noqa: DTZ001 - naive on purpose
        ({"sender": "two\nlines"}, InvalidOption),
        ({"accounts": ["nobody"]}, UnknownAccount),
        ({"test": True}, InvalidOption),
    ],
)
def test_a_key_that_cannot_be_is_refused(client: Client, wishes: dict[str, Any], error: type[Exception]) -> None:
    """And nothing is kept."""
    with pytest.raises(error):
        client.add_key("shop", ["read"], **wishes)
    with pytest.raises(InvalidOption):
        client.add_key("shop", [])
    with pytest.raises(InvalidOption):
        client.add_key("", ["read"])
    with pytest.raises(NoSuchKey):
        client.rotate_key("none")
    assert [] == client.keys()
