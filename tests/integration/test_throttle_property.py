"""The sliding log against plain lists of what was written when, under a clock of the test's own.

Processes are slow, stop between grant and write for any time, tell late that they wrote, give up. What counts is when a
call was written: no window over that may hold more than a limit allows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sendmill import ledger
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.scripts import Script
from tasks.process.limits import Limit
from tasks.send.grants import ON_TIME_S

BEGAN_MS = 1_800_000_000_000.0
RESERVE_MS = 20.0
ON_TIME_MS = 1000 * ON_TIME_S

LIMITS = {
    "6 a minute": [Limit("calls_per_min", "calls", 60_000, 6)],
    "1 a second": [Limit("calls_per_s", "calls", 1_000, 1)],
    "4 a second": [Limit("calls_per_s", "calls", 1_000, 4)],
    "20 a second": [Limit("calls_per_s", "calls", 1_000, 20)],
    "three at once": [
        Limit("calls_per_s", "calls", 1_000, 4),
        Limit("recipients_per_s", "recipients", 1_000, 9),
        Limit("recipients_per_min", "recipients", 60_000, 30),
    ],
}


@dataclass
class Granted:
    """A call between its grant and the word that it was written. `written_ms` is None before it was."""

    number: int
    recipients: int
    granted_ms: float
    written_ms: float | None = None


@dataclass
class Walk:
    """One account, with what the vendor saw of it."""

    server: redis.Redis
    script: Script
    keys: AccountKeys
    limits: list[Limit]
    now_ms: float = BEGAN_MS
    numbers: int = 0
    unwritten: list[Granted] = field(default_factory=list)
    untold: list[Granted] = field(default_factory=list)
    seen: list[tuple[float, int]] = field(default_factory=list)

    def run(self, what: str, *args: float | str) -> float:
        """Run the script at this moment."""
        packed = msgspec.msgpack.encode(list(self.limits))
        return float(self.script.run(self.server, self.keys.state, f"{self.now_ms:.3f}", what, packed, *args))

    def ask(self, recipients: int, lane: str = "normal") -> float:
        """Ask for a call; returns the ms to wait."""
        self.numbers += 1
        wait_ms = self.run("ask", self.numbers, recipients, lane)
        if not wait_ms:
            self.unwritten.append(Granted(self.numbers, recipients, self.now_ms))
        return wait_ms

    def write(self, place: int) -> None:
        """A process gets to its write, whenever that is."""
        call = self.unwritten.pop(place % len(self.unwritten))
        call.written_ms = self.now_ms
        self.seen.append((self.now_ms, call.recipients))
        self.untold.append(call)
        self.check()

    def tell(self, place: int) -> None:
        """A process tells of a write."""
        call = self.untold.pop(place % len(self.untold))
        assert call.written_ms is not None
        if call.written_ms - call.granted_ms <= ON_TIME_MS:
            self.run("on_time", call.number, call.recipients)
        else:
            self.run("late", call.number, call.recipients, f"{call.granted_ms:.3f}", f"{call.written_ms:.3f}")

    def give_up(self, place: int) -> None:
        """A process finds a grant too old."""
        call = self.unwritten.pop(place % len(self.unwritten))
        self.run("giveup", call.number, call.recipients, f"{call.granted_ms:.3f}")

    def check(self) -> None:
        """No window that ends with the newest write holds more than any limit allows."""
        newest, _ = self.seen[-1]
        for limit in self.limits:
            inside = [
                recipients if limit.unit == "recipients" else 1
                for at, recipients in self.seen
                if at > newest - limit.window_ms
            ]
            assert sum(inside) <= limit.most

    def check_books(self) -> None:
        """The sum that the gate goes by is that of the log, and the log is in order."""
        for limit in self.limits:
            entries = [each.split() for each in self.server.lrange(self.keys.used(limit.name), 0, -1)]
            counted = self.server.hget(self.keys.clock, f"sum:{limit.name}") or b"0"
            assert int(counted) == sum(int(units) for _, units in entries)
            assert all(int(units) >= 0 for _, units in entries)
            times = [float(at) for at, _ in entries]
            assert sorted(times) == times


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Script:
    """The script of the walk, which includes the throttle as it is."""
    folder = tmp_path_factory.mktemp("lua")
    for path in (Path(ledger.__file__).parent / "lua" / "throttle.lua", Path(__file__).with_name("throttle_walk.lua")):
        shutil.copy(path, folder)
    return Script(folder / "throttle_walk.lua")


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """A connection."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


STEP = st.tuples(
    st.sampled_from(["ask", "ask", "ask", "write", "write", "tell", "tell", "give_up"]),
    st.integers(0, 50),
    st.one_of(*[st.just(0.0), st.floats(0, 5)] * 3, st.floats(5, 400), st.floats(400, 2_500), st.floats(2_500, 70_000)),
)


def _walked(walk: Walk, steps: list[tuple[str, int, float]], lane: str) -> None:
    most = min((limit.most for limit in walk.limits if limit.unit == "recipients"), default=3)
    for what, place, after_ms in steps:
        walk.now_ms = round(walk.now_ms + after_ms, 3)
        if what == "ask":
            walk.ask(1 + place % most, lane)
        elif what == "write" and walk.unwritten:
            walk.write(place)
        elif what == "tell" and walk.untold:
            walk.tell(place)
        elif what == "give_up" and walk.unwritten:
            walk.give_up(place)
    walk.check_books()


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=60), lane=st.sampled_from(["otp", "normal", "bulk"]))
def test_no_window_over_the_writes_holds_more_than_a_limit_allows(
    server: redis.Redis,
    script: Script,
    limits: list[Limit],
    steps: list[tuple[str, int, float]],
    lane: str,
) -> None:
    """However long a process stops between its grant and its write, and whenever it tells."""
    server.flushall()
    walk = Walk(server, script, AccountKeys("walk", "one"), limits)
    _walked(walk, steps, lane)
    while walk.unwritten:
        walk.now_ms += 300
        walk.write(0)


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=40), lane=st.sampled_from(["otp", "normal", "bulk"]))
def test_after_the_wait_that_was_told_a_call_is_granted(
    server: redis.Redis,
    script: Script,
    limits: list[Limit],
    steps: list[tuple[str, int, float]],
    lane: str,
) -> None:
    """Nothing is lost: once every write is told of, a call waits as long as it is told to, at most a window."""
    server.flushall()
    walk = Walk(server, script, AccountKeys("walk", "one"), limits)
    _walked(walk, steps, lane)
    while walk.unwritten:
        walk.give_up(0)
    while walk.untold:
        walk.tell(0)
    waited_ms = wait_ms = walk.ask(1)
    while wait_ms:
        walk.now_ms = round(walk.now_ms + wait_ms, 3)
        wait_ms = walk.ask(1)
        waited_ms += wait_ms
    longest = max(limit.window_ms for limit in limits)
    assert waited_ms <= longest + RESERVE_MS + 1


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
def test_the_limit_is_used(server: redis.Redis, script: Script, limits: list[Limit]) -> None:
    """Who asks whenever he may gets all that a limit allows in a window and its reserve, slow limits as fast ones."""
    server.flushall()
    walk = Walk(server, script, AccountKeys("walk", "one"), limits)
    longest = max(limits, key=lambda limit: limit.window_ms / limit.most)
    rounds = 3
    while len(walk.seen) < rounds * longest.most + 1:
        wait_ms = walk.ask(1)
        if wait_ms:
            walk.now_ms = round(walk.now_ms + wait_ms, 3)
            continue
        walk.write(0)
        walk.tell(0)
    merged_ms = longest.window_ms / 400
    assert walk.seen[-1][0] - walk.seen[0][0] <= rounds * (longest.window_ms + RESERVE_MS + merged_ms) + 1


def test_a_call_that_left_long_after_its_grant_takes_from_no_other(server: redis.Redis, script: Script) -> None:
    """Its own units have left the log; those of calls that were granted since are not moved in their place."""
    walk = Walk(server, script, AccountKeys("walk", "one"), LIMITS["4 a second"])
    assert 0 == walk.ask(1)
    walk.now_ms += 2_000
    assert 0 == walk.ask(1)
    walk.now_ms += 10
    walk.write(0)
    walk.tell(0)
    assert [0, 0] == [walk.ask(1), walk.ask(1)]
    assert walk.ask(1) > 0
    walk.check_books()
