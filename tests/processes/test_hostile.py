"""Hostile pushes at a real push process. How many there may be, and what honest ones wait, is for `make bench`."""

from __future__ import annotations

from bench.sections.hostile import MOST_ADDED_BYTES, attacked

NEVER_ANSWERED = {"broken off", "dripping head", "dripping body"}
EXPECTED = {
    "wrong token": {"404"},
    "fuzzed body": {"200"},
    "replay": {"200"},
    "no HTTP": {"400"},
    "long head": {"400"},
    "50 MB, wrong token": {"404"},
    "50 MB": {"413"},
    "50 MB in chunks": {"413"},
}


def test_hostile_pushes_store_nothing_and_take_little_memory() -> None:
    """Noise, guesses, bodies and heads without end, what was overheard: each is answered as it should be, and honest
    pushes are taken meanwhile."""
    found = attacked(pushes=300, per_s=300.0, large=3, dripping=20)
    assert (0, 0) == (found["hostile_stored"], found["honest_refused"])
    assert found["added_bytes"] < MOST_ADDED_BYTES
    answers = {kind: set(statuses) for kind, statuses in found["answers"].items() if kind not in NEVER_ANSWERED}
    assert answers == EXPECTED
    assert {*EXPECTED, *NEVER_ANSWERED} == set(found["sent"])
