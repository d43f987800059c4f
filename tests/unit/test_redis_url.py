"""One URL for three libraries: what it says reaches redis-py, kombu and redbeat alike, or is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio
from kombu import Connection

from sendmill.broker import broker_at
from sendmill.broker.kombu_transport import Channel, Transport
from sendmill.client import Client
from sendmill.connecting.redis_url import RedisUrl
from sendmill.errors import ConfigError

TAKEN: list[tuple[str, dict[str, Any]]] = [
    ("redis://h", {"host": "h", "port": 6379, "db": 0}),
    ("redis://h:6380/3", {"host": "h", "port": 6380, "db": 3}),
    ("redis://h?db=2", {"host": "h", "db": 2}),
    ("valkey://h/1", {"host": "h", "db": 1}),
    ("redis://[::1]:6380/1", {"host": "::1", "port": 6380, "db": 1}),
    ("redis://user:p%40ss%2Fw:x@h/1", {"username": "user", "password": "p@ss/w:x"}),
    ("redis://:only@h", {"password": "only"}),
    ("redis://h?socket_timeout=2.5&socket_connect_timeout=1", {"socket_timeout": 2.5, "socket_connect_timeout": 1.0}),
    ("redis://h?protocol=3", {"protocol": 2}),
    ("redis://h?health_check_interval=30&client_name=shop", {"health_check_interval": 30.0, "client_name": "shop"}),
    ("unix:///run/v.sock", {"path": "/run/v.sock", "db": 0}),
    ("unix://user:pw@/run/v.sock?db=4", {"path": "/run/v.sock", "db": 4, "username": "user", "password": "pw"}),
    (
        "rediss://h:6380/1?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
        {"host": "h", "ssl_ca_certs": "/ca.pem", "ssl_certfile": "/c.pem", "ssl_keyfile": "/k.pem"},
    ),
    ("valkeys://h?ssl_cert_reqs=none&ssl_check_hostname=false", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
]

REFUSED = [
    ("redis://h?foo=bar", "foo"),
    ("redis://h?decode_responses=true", "decode_responses"),
    ("redis://h?ssl_ca_certs=/ca.pem", "ssl_ca_certs"),
    ("redis://h?sentinel_password=x", "sentinel_password"),
    ("redis://h?socket_timeout=soon", "socket_timeout"),
    ("redis://h?socket_timeout=inf", "socket_timeout"),
    ("redis://h?protocol=4", "protocol"),
    ("redis://h:70000/0", "port"),
    ("redis://h/zero", "database"),
    ("redis://h/0/1", "too many parts"),
    ("redis://a,b/0", "Sentinels"),
    ("redis+sentinel://a,b", "master"),
    ("unix://", "socket"),
    ("redis+cluster://a:1", "Cluster"),
    ("redis-cluster://a:1", "Cluster"),
    ("http://h", "http://"),
    ("h:6379", "redis://"),
    ("", "redis://"),
]


@pytest.mark.parametrize(("url", "expected"), TAKEN)
def test_what_a_url_says_reaches_every_library(url: str, expected: dict[str, Any]) -> None:
    """Over defaults of ours."""
    address = RedisUrl.parse(url)
    pools = [address.pool(socket_timeout=9.0), address.apool(redis.asyncio.BlockingConnectionPool, socket_timeout=9.0)]
    broker = broker_at(url)
    options = {"socket_timeout": 9.0, **broker.options}
    with Connection(broker.url, transport=broker.transport, transport_options=options) as connection:
        assert type(connection.transport) is Transport
        channel: Any = Channel.__new__(Channel)
        for name in channel.from_transport_options:
            if name in options:
                setattr(channel, name, options[name])
        pools.append(channel._get_pool())
    for pool in pools:
        found = pool.connection_kwargs
        assert expected == {name: found.get(name) for name in expected}
        assert 2 == found["protocol"]
        assert ("ssl" in pool.connection_class.__name__.lower()) == (url.startswith(("rediss:", "valkeys:")))


@pytest.mark.parametrize(("url", "named"), REFUSED)
def test_what_cannot_be_used_is_named_in_one_line(url: str, named: str) -> None:
    """By the client, and by the workers' configuration."""
    with pytest.raises(ConfigError) as refused:
        Client(url)
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_is_never_told() -> None:
    """Neither where the URL is refused nor where it is shown."""
    with pytest.raises(ConfigError) as refused:
        Client("redis://user:canary@h:port/0")
    assert "canary" not in str(refused.value)
    address = RedisUrl.parse("redis+sentinel://user:canary@a,b/m/0?sentinel_password=canary")
    assert "canary" not in repr(address) + address.shown + broker_at("redis://u:canary@h").url


def test_sentinels_and_their_own_password() -> None:
    """The server's user and password are not theirs."""
    address = RedisUrl.parse("redis+sentinel://user:pw@s1:1,s2,[::2]:3/mymaster/2?sentinel_password=other")
    for pool in (address.pool(socket_timeout=1.0), address.apool(socket_timeout=1.0)):
        manager = pool.sentinel_manager
        assert ("mymaster", 2, "user", "pw") == (
            pool.service_name,
            *(pool.connection_kwargs[name] for name in ("db", "username", "password")),
        )
        asked = [one.connection_pool.connection_kwargs for one in manager.sentinels]
        assert [("s1", 1), ("s2", 26379), ("::2", 3)] == [(one["host"], one["port"]) for one in asked]
        assert {"other"} == {one["password"] for one in asked}
        assert all(one.get("username") is None and one["socket_timeout"] == 1.0 for one in asked)


def test_the_broker_is_the_ledgers_server_however_it_is_written() -> None:
    """Then a job and its wake-up are one script."""
    one = RedisUrl.parse("redis://user:pw@h:6379/0?socket_timeout=1").place
    assert one == broker_at("redis://h?db=0").place
    assert one != broker_at("redis://h/1").place
    assert broker_at("unix:///s?db=1").place == broker_at("redis+socket:///s?virtual_host=1").place
    assert ("amqp://guest@h//", None, None) == (*broker_at("amqp://guest@h//")[:2], broker_at("amqp://h").place)
