"""The fault programme in its short form: everything is killed, frozen and restarted under load, and vendors fail."""

from __future__ import annotations

from soak.plan import Action, make_plan
from soak.running import soak

SEED = 1125
MINUTES = 0.15
MESSAGES = 3_000


def test_a_short_storm_loses_nothing_and_doubles_nothing() -> None:
    """Every kind of process and Valkey itself die while all five vendors fail; every row is accounted for.

    `make soak SOAK="--minutes 0.15 --messages 3000 --seed 1125"` is the same with its account.
    """
    said: list[str] = []
    run = soak(make_plan(seed=SEED, minutes=MINUTES, messages=MESSAGES, appendfsync="always"), said.append)
    told = f"seed {SEED}: {run.faults_found}\n{dict(run.books.examples)}\n{said}"
    assert [] == run.faults_found, told
    assert (0, 0) == (run.books.lost, run.books.twice), told
    assert run.books.rows > MESSAGES // 2, told
    assert {"worker_send", "worker_work", "beat", "push", "valkey"} == {
        kind for kind, action in run.struck if action is Action.KILL
    }
    assert ("proxy", Action.RESTART) in run.struck
    assert {Action.KILL, Action.TERM, Action.FREEZE} <= {action for _, action in run.struck}
