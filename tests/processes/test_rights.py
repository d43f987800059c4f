"""A user of Redis with the rights of docs/operating.md and no more can run everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from sendmill.client import Client
from sendmill.doctor.findings import Level
from sendmill.doctor.rights import RIGHTS, examine_rights
from sendmill.ledger.connection import connect
from sendmill.messages import Sms
from simulator.embedded import EmbeddedValkey, free_tcp_port
from simulator.system import System
from tests.support.flow import hong_kong, mainland


def _refused(server: Any) -> Sequence[Any]:
    """What the server refused anybody, by its own log."""
    return [(each["username"], each["reason"], each["object"]) for each in server.acl_log()]


def test_the_rights_that_are_documented_are_enough() -> None:
    """Workers, clock, push, client, and each command of the shell that only reads."""
    with EmbeddedValkey(tcp_port=free_tcp_port()) as valkey, redis.Redis.from_url(valkey.redis_url) as server:
        server.execute_command("ACL", "SETUSER", "mill", "on", ">pw", "~sendmill:*", "&*", *RIGHTS.split())
        url = f"redis://mill:pw@127.0.0.1:{valkey.tcp_port}/0"
        with System.start(redis_url=url, namespace="sendmill") as system, system.client(timeout_s=5.0) as client:
            job = client.send(Sms("Your code is 1125【Acme】", [*mainland(30), *hong_kong(30)]), lane="otp")
            system.wait_until(lambda: client.status(job.id).done, timeout_s=90, what="all are reported")
            client.cancel(job.id)
            client.add_optout(hong_kong(1)[0])
            list(client.optouts())
            client.pause("hk")
            client.resume("hk")
            assert [] == [each for each in client.doctor() if each.level is Level.PROBLEM]
            for words in (["jobs"], ["accounts"], ["replies"], ["alerts"], ["sweeps"], ["find", hong_kong(1)[0]]):
                ended = subprocess.run(
                    [str(Path(sys.executable).with_name("sendmill")), *words],
                    env=system.environment(), capture_output=True, text=True, timeout=60, check=False,
                )  # fmt: skip
                assert (0, "") == (ended.returncode, ended.stderr)
            client.forget(mainland(1)[0])
            system.check()
        assert [] == _refused(server)


def test_doctor_names_what_is_not_allowed() -> None:
    """In the words of an ACL, before a message waits for it."""
    with EmbeddedValkey(tcp_port=free_tcp_port()) as valkey, redis.Redis.from_url(valkey.redis_url) as server:
        rights = [*RIGHTS.split(), "-xadd", "-wait"]
        server.execute_command("ACL", "SETUSER", "mill", "on", ">pw", "~sendmill:*", "&*", *rights)
        url = f"redis://mill:pw@127.0.0.1:{valkey.tcp_port}/0"
        with Client(url) as client:
            (told,) = [each for each in client.doctor(timeout_s=1.0) if each.check == "rights"]
        assert (Level.PROBLEM, True) == (told.level, "WAIT, XADD" in told.said)


def test_the_question_leaves_the_server_alive() -> None:
    """Valkey 9.1 ends where it is asked about a script by a user of some keys without as many words as a script has."""
    with EmbeddedValkey(tcp_port=free_tcp_port()) as valkey, redis.Redis.from_url(valkey.redis_url) as server:
        server.execute_command("ACL", "SETUSER", "mill", "on", ">pw", "~sendmill:*", "&*", *RIGHTS.split())
        ledger = connect(f"redis://mill:pw@127.0.0.1:{valkey.tcp_port}/0", "sendmill", timeout_s=5.0)
        for place in range(300):
            server.set(f"sendmill:{place % 97}", "x" * (place * 13 % 4000))
            assert [Level.OK] == [each.level for each in examine_rights(ledger)]
        ledger.server.close()
