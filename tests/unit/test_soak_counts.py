"""The soak's look at counts would notice: each that is lost, doubled or made up is told, wherever it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from sendmill.states import State
from soak.counts import Kept, Key, Told, differences, of_counters

ROWS = {
    State.DELIVERED: 90,
    State.UNDELIVERED: 4,
    State.SUBMITTED: 3,
    State.UNCONFIRMED: 2,
    State.FAILED: 1,
}


@dataclass
class World:
    """An account that says the same everywhere, until a test changes it: 100 rows in 10 calls."""

    kept: Kept = field(default_factory=Kept)
    told: Told = field(default_factory=Told)
    journal: int = 98

    def __post_init__(self) -> None:
        self.kept.rows.update({("bulk", state.byte.decode()): rows for state, rows in ROWS.items()})
        self.kept.came["bulk"] = 100
        self.kept.ended.update({"accepted": 8, "unknown": 1, "not_sent": 2})
        self.kept.begun, self.kept.undone = 11, 1
        self.kept.taken, self.kept.doubtful = 97, 2
        both: dict[Key, int] = {("rows", "bulk", state): rows for state, rows in ROWS.items()}
        both["rows", "bulk", State.SUBMITTED] = 90
        both |= {("report", State.DELIVERED): 90, ("report", State.UNDELIVERED): 4, ("carrier",): 94}
        both |= {("call", "accepted"): 8, ("call", "unknown"): 2, ("call", "not_sent"): 2}
        self.told.metrics.update({**both, ("recipients",): 97, ("waited", "bulk"): 97})
        self.told.minutes.update({**both, ("came", "bulk"): 100})

    def differences(self) -> list[str]:
        """What the soak would say."""
        return list(differences("hk", self.kept, self.told, self.journal))


def test_what_agrees_is_in_order() -> None:
    """A message that was submitted may have left that state, one that is delivered never does."""
    assert [] == World().differences()


COUNTED = [(source, key) for source in ("metrics", "minutes") for key in getattr(World().told, source)]


@pytest.mark.parametrize(("source", "key"), COUNTED, ids=lambda each: "-".join(each) if type(each) is tuple else each)
def test_a_count_that_is_lost_is_found(source: str, key: Key) -> None:
    """One of each, of which many were right."""
    world = World()
    counts: Counter[Key] = getattr(world.told, source)
    counts[key] = 0 if key[-1] == State.SUBMITTED else counts[key] - 1
    (told, *_) = world.differences()
    assert "hk" in told


@pytest.mark.parametrize(("source", "key"), COUNTED, ids=lambda each: "-".join(each) if type(each) is tuple else each)
def test_a_count_that_is_doubled_is_found(source: str, key: Key) -> None:
    """But for states that a message may have been in before."""
    world = World()
    counts: Counter[Key] = getattr(world.told, source)
    counts[key] += 1
    may_be = key[0] == "rows" and key[-1] in {State.SUBMITTED, State.UNCONFIRMED}
    assert may_be == (not world.differences())


def _made_up(world: World) -> None:
    world.told.metrics["rows", "otp", State.DELIVERED] = 1


def _row_gone(world: World) -> None:
    world.kept.rows["bulk", "d"] -= 1


def _came_twice(world: World) -> None:
    world.kept.came["bulk"] += 1


def _waits_uncounted(world: World) -> None:
    world.kept.rows["bulk", "q"] = 1


def _call_without_end(world: World) -> None:
    world.kept.begun += 1


def _vendor_took_fewer(world: World) -> None:
    world.journal = 96


def _vendor_took_more(world: World) -> None:
    world.journal = 100


@pytest.mark.parametrize(
    "spoil",
    [_made_up, _row_gone, _came_twice, _waits_uncounted, _call_without_end, _vendor_took_fewer, _vendor_took_more],
)
def test_whatever_does_not_agree_is_found(spoil: Callable[[World], None]) -> None:
    """In the ledger and at the vendor too."""
    world = World()
    spoil(world)
    assert world.differences()


def test_counters_are_read_by_what_they_are_of() -> None:
    """The scripts' own names; what no message ended by is left out."""
    read = of_counters(
        {
            "rows:bulk:d": 3,
            "call:sms:r": 1,
            "call:mms:f": 1,
            "report:d": 3,
            "carrier:d:HK HKT": 3,
            "code:E": 1,
            "came:otp": 4,
        }
    )
    expected: dict[Key, int] = {
        ("rows", "bulk", State.DELIVERED): 3,
        ("call", "refused"): 2,
        ("report", State.DELIVERED): 3,
        ("carrier",): 3,
        ("came", "otp"): 4,
    }
    assert expected == read
