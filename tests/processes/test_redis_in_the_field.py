"""Redis as it fails in the field, under real workers: refusing, resetting, demoted, replaced.

Nothing is lost or sent twice, no process ends, and an accepted message is not left unconfirmed for what Redis answers.
"""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis
import trustme

from sendmill.messages import AccountInfo, AlertEvent
from simulator.embedded import EmbeddedValkey, free_tcp_port
from simulator.sentinels import SentinelGroup
from simulator.system import System
from tests.support.relay import Relay
from tests.support.traffic import ACCOUNT, LATENCY, ROUTES, Traffic, world

STRIKE_S = 1.2
BEHIND_S = 1.5
FAR_BEHIND_S = 8.0
UP_S = 90.0


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + UP_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _all_is_well(system: System, traffic: Traffic) -> None:
    system.check()
    traffic.all_taken()
    assert (traffic.sent, 0) == (traffic.accepted, traffic.twice)
    with system.client() as client:
        system.wait_until(lambda: not list(client.unconfirmed()), timeout_s=UP_S, what="none is unconfirmed")


# --- refusing ----------------------------------------------------------------------------------------------------


def _readonly(server: Any, _: Path) -> Iterator[None]:
    server.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    server.execute_command("REPLICAOF", "NO", "ONE")


def _masterdown(server: Any, folder: Path) -> Iterator[None]:
    server.config_set("replica-serve-stale-data", "no")
    yield from _readonly(server, folder)
    server.config_set("replica-serve-stale-data", "yes")


def _noreplicas(server: Any, _: Path) -> Iterator[None]:
    server.config_set("min-replicas-to-write", 1)
    yield
    server.config_set("min-replicas-to-write", 0)


def _noperm(server: Any, _: Path) -> Iterator[None]:
    server.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval", "-brpop", "-hset", "-set")
    yield
    server.execute_command("ACL", "SETUSER", "default", "+@all")


def _noauth(server: Any, _: Path) -> Iterator[None]:
    server.config_set("requirepass", "changed")
    server.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield
    server.config_set("requirepass", "")


def _busy(server: Any, _: Path) -> Iterator[None]:
    server.config_set("busy-reply-threshold", 100)
    clock = "local function now() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end "
    server.eval(f"{clock} local ends = now() + {STRIKE_S} while now() < ends do end return 1", 0)
    yield


def _misconf(server: Any, folder: Path) -> Iterator[None]:
    (folder / "dump.rdb" / "in the way").mkdir(parents=True, exist_ok=True)
    server.config_set("stop-writes-on-bgsave-error", "yes")
    server.config_set("save", "3600 1")
    server.bgsave()
    _until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err")
    yield
    server.config_set("save", "")
    server.config_set("stop-writes-on-bgsave-error", "no")


REFUSALS: dict[str, Callable[[Any, Path], Iterator[None]]] = {
    "READONLY": _readonly,
    "MASTERDOWN": _masterdown,
    "NOREPLICAS": _noreplicas,
    "Redis refuses a command": _noperm,
    "Redis refuses the user or password": _noauth,
    "BUSY": _busy,
    "MISCONF": _misconf,
}


def test_a_redis_that_takes_nothing_for_a_while_ends_no_process_and_loses_no_outcome() -> None:
    """Whatever the word that it says: it was a fault in a place of its own for each, and workers ended of it."""
    with System.start(accounts=world, routes=ROUTES, counts={"worker_send": 2}, simulator_config=LATENCY) as system:
        with Traffic(system) as traffic, redis.Redis.from_url(system.valkey.redis_url) as server:
            traffic.goes_on()
            for word, strike in REFUSALS.items():
                heard = False
                while not heard:
                    for _ in strike(server, system.valkey.directory):
                        time.sleep(STRIKE_S)
                    traffic.goes_on()
                    heard = any(word in told for told in list(traffic.refused))
        _all_is_well(system, traffic)
        with system.client() as client:
            events = list(client.events("ops", kinds=["alert"], block_s=0))
        assert "redis_denied" in {event.code for event in events if isinstance(event, AlertEvent)}


# --- replaced ----------------------------------------------------------------------------------------------------


class _Pair:
    """A master and its replica, each on a port of its own; the replica hears of what it writes through a relay."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.servers = [stack.enter_context(EmbeddedValkey(tcp_port=free_tcp_port())) for _ in range(2)]
        self.master, self.replica = (
            stack.enter_context(redis.Redis.from_url(server.redis_url)) for server in self.servers
        )
        self.link = stack.enter_context(Relay(self.servers[0].tcp_port))
        self.replica.execute_command("REPLICAOF", "127.0.0.1", str(self.link.port))
        _until(lambda: self.replica.info("replication").get("master_link_status") == "up")

    def swap(self, front: Relay, *, behind_s: float) -> None:
        """The replica, which is behind, takes over; the old master lives on as its replica, its connections open."""
        self.link.hold()
        time.sleep(behind_s)
        self.replica.execute_command("REPLICAOF", "NO", "ONE")
        self.link.reset()
        self.master.execute_command("REPLICAOF", "127.0.0.1", str(self.servers[1].tcp_port))
        front.lead_to(self.servers[1].tcp_port)


def _started(stack: contextlib.ExitStack, redis_url: str, **site: Any) -> System:
    return stack.enter_context(
        System.start(
            accounts=world, routes=ROUTES, counts={"worker_send": 2}, simulator_config=LATENCY,
            redis_url=redis_url, namespace="sendmill", site=site,
        )
    )  # fmt: skip


def test_connections_that_are_reset_and_a_master_that_is_demoted() -> None:
    """A load balancer resets everything; then a replica 1.5 s behind takes over, and the old master lives on."""
    with contextlib.ExitStack() as stack:
        pair = _Pair(stack)
        front = stack.enter_context(Relay(pair.servers[0].tcp_port))
        system = _started(stack, front.redis_url)
        with Traffic(system) as traffic:
            for _ in range(3):
                traffic.goes_on()
                assert front.reset() > 0
            traffic.goes_on()
        _all_is_well(system, traffic)
        with Traffic(system) as after:
            # A job that only the old master had heard of is gone with it: nobody claimed it in time.
            after.goes_on()
            pair.swap(front, behind_s=BEHIND_S)
            after.goes_on(100)
        system.check()
        system.wait_until(lambda: _idle(system), timeout_s=UP_S, what="all that is left is sent")
        assert 0 == after.twice
        with system.client() as client:
            assert 1 == {each.sweep: each.found for each in client.sweeps()}["restarts"]


def _account(system: System) -> AccountInfo:
    with system.client(timeout_s=5.0) as client:
        (account,) = client.accounts()
        return account


def _idle(system: System) -> bool:
    account = _account(system)
    return not account.in_flight and not sum(account.backlog.values())


def test_a_replica_that_is_far_behind_stops_sending_until_a_person_says_so() -> None:
    """More is missing than workers remember: what was sent may be queued again, so nothing goes by itself."""
    with contextlib.ExitStack() as stack:
        pair = _Pair(stack)
        front = stack.enter_context(Relay(pair.servers[0].tcp_port))
        system = _started(stack, front.redis_url)
        with Traffic(system) as traffic:
            traffic.goes_on()
            pair.swap(front, behind_s=FAR_BEHIND_S)
            system.wait_until(lambda: _account(system).state == "paused", timeout_s=UP_S, what="the account is paused")
            before = traffic.accepted
            time.sleep(STRIKE_S)
            assert before == traffic.accepted
            with system.client(timeout_s=5.0) as client:
                assert {"ledger_lost"} == {alert.code for alert in client.alerts()}
                client.resume(ACCOUNT)
                assert [] == client.alerts()
            traffic.goes_on()
        system.check()


def test_sentinels_name_another_master_and_replicas_confirm_what_counts() -> None:
    """`replicas = 1`: a failover in order, a master that is killed, and one that is cut off with its clients.

    It goes on in the belief that it is the master still. Nothing is lost, nothing sent twice.
    """
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(SentinelGroup())
        system = _started(stack, group.redis_url, replicas=1)
        with Traffic(system) as traffic:
            traffic.goes_on()
            with system.client() as client:
                told = {each.check: each.said for each in client.doctor()}
            assert told["replicas"].startswith("1 online")
            for strike in (_handed_over, _killed, _cut_off):
                _until(group.is_whole)
                before = group.master()
                strike(group)
                assert before is not group.master()
                traffic.goes_on(100)
        _all_is_well(system, traffic)


def _handed_over(group: SentinelGroup) -> None:
    before = group.master()
    _until(group.fail_over)
    _until(lambda: group.master() is not before)


def _killed(group: SentinelGroup) -> None:
    killed = group.kill_master()
    _until(lambda: group.master() is not killed)
    killed.start()


def _cut_off(group: SentinelGroup) -> None:
    frozen = group.freeze_master()
    _until(lambda: group.master() is not frozen)
    group.thaw(frozen)


def test_a_redis_behind_tls_whose_certificate_changes(tmp_path: Path) -> None:
    """`rediss://` with an authority and a client's certificate of its own, for the ledger, Celery and the clock.

    Another certificate of the authority is believed; one of a stranger is not, and everything waits until it is gone.
    """
    authority, stranger = trustme.CA(), trustme.CA()
    files = {name: tmp_path / f"{name}.pem" for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
    authority.cert_pem.write_to_path(files["ssl_ca_certs"])
    own = authority.issue_cert("workers@sendmill.example")
    own.private_key_pem.write_to_path(files["ssl_keyfile"])
    files["ssl_certfile"].write_bytes(b"".join(each.bytes() for each in own.cert_chain_pems))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(EmbeddedValkey(tcp_port=free_tcp_port()))
        front = stack.enter_context(Relay(server.tcp_port, tls=tls))
        words = "&".join(f"{name}={path}" for name, path in files.items())
        system = _started(stack, f"rediss://127.0.0.1:{front.port}/0?{words}")
        with Traffic(system) as traffic:
            traffic.goes_on()
            authority.issue_cert("127.0.0.1").configure_cert(tls)
            assert front.reset() > 0
            traffic.goes_on()
            stranger.issue_cert("127.0.0.1").configure_cert(tls)
            front.reset()
            time.sleep(STRIKE_S)
            system.wait_until(lambda: traffic.refused, timeout_s=UP_S, what="a client says that Redis is a stranger")
            authority.issue_cert("127.0.0.1").configure_cert(tls)
            traffic.goes_on()
        _all_is_well(system, traffic)
