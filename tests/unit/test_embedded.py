"""The embedded server keeps what it promised over a stop, and tells when it is gone."""

from __future__ import annotations

import os

import pytest
import redis

from simulator.embedded import EmbeddedValkey, free_tcp_port


def test_data_outlives_a_stop(own_valkey: EmbeddedValkey) -> None:
    """What was written is there after an ordinary stop and start."""
    with redis.Redis.from_url(own_valkey.redis_url) as client:
        client.set("kept", "yes")
        own_valkey.stop()
        assert own_valkey.is_running() is False
        own_valkey.start()
        assert client.get("kept") == b"yes"


def test_a_stopped_server_refuses_connections(own_valkey: EmbeddedValkey) -> None:
    """Tests of outages rely on it: nobody answers on the socket after a kill."""
    own_valkey.kill()
    with redis.Redis.from_url(own_valkey.redis_url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_it_never_evicts_and_keeps_an_aof(own_valkey: EmbeddedValkey) -> None:
    """The server runs as the documents tell operators to run theirs."""
    with redis.Redis.from_url(own_valkey.redis_url) as client:
        settings = {name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy")}
    assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}


def test_closing_leaves_neither_process_nor_files() -> None:
    """`make demo` ends without a trace."""
    server = EmbeddedValkey().start()
    pid, directory = server.pid, server.directory
    server.close()
    assert directory.exists() is False
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_listens_on_a_port_where_one_is_asked_for() -> None:
    """Programs that cannot use a unix socket get a port of 127.0.0.1."""
    with EmbeddedValkey(tcp_port=free_tcp_port()) as server, redis.Redis.from_url(server.tcp_url) as client:
        assert client.ping() is True


def test_the_redis_fixture_is_empty(redis_url: str) -> None:
    """Every test starts with nothing in the session's server."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
