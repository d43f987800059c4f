"""The soak's own judgement: its plan repeats, and its books find whatever must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from sendmill import Client
from sendmill.errors import NoSuchJob
from sendmill.messages import MessageInfo
from sendmill.states import State
from soak.__main__ import PAGE
from soak.books import Books, compare
from soak.invariants import MUTATIONS, PROMISES
from soak.jobs import JobKind, JobPlan, called_job, make_jobs, mark_of
from soak.plan import PROXY, VALKEY, Action, make_plan
from soak.powercut import AofWatch
from soak.report import write_section
from soak.sending import Sent
from soak.striking import Away
from soak.taken import FETCHED, NOT_TOLD, PUSH_FAILED, PUSHED, Taken, message_key, note_message

ROWS = 20
AT = datetime(2026, 3, 1, tzinfo=UTC)


# --- the plan ------------------------------------------------------------------------------------------------------


def test_a_seed_repeats_the_plan_and_the_jobs() -> None:
    """Strikes, faults, jobs, numbers and texts; another seed gives others."""

    def drawn(seed: int) -> tuple[Any, ...]:
        plan = make_plan(seed=seed, minutes=1, messages=2_000, appendfsync="always")
        jobs = make_jobs(seed=seed, load_s=60, messages=2_000)
        return plan, jobs, [job.numbers() for job in jobs], [job.options() for job in jobs]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_a_plan_kills_every_kind_and_does_everything_else_too() -> None:
    """Half an hour has more than a hundred kills, and freezes of up to thirty seconds."""
    plan = make_plan(seed=3, minutes=30, messages=200_000, appendfsync="always")
    kills = [strike for strike in plan.strikes if strike.action is Action.KILL]
    assert len(kills) >= 100
    assert {"worker_send", "worker_work", "beat", "push", VALKEY} == {strike.kind for strike in kills}
    assert {Action.KILL, Action.TERM, Action.FREEZE, Action.RESTART} == {strike.action for strike in plan.strikes}
    assert {PROXY} == {strike.kind for strike in plan.strikes} - {strike.kind for strike in kills}
    faults = {(each.order["kind"], each.order.get("status")): each.for_s for each in plan.faults}
    assert (60.0, True) == (faults["status", 302], ("close_unannounced", None) in faults)
    freezes = [strike.for_s for strike in plan.strikes if strike.action is Action.FREEZE]
    assert 15 < max(freezes) <= 30.2
    assert sorted(freezes)[len(freezes) // 2] < 10


def test_jobs_are_of_all_kinds_and_as_many_rows_as_asked_for() -> None:
    """No number twice in a job, every job in its lane."""
    jobs = make_jobs(seed=3, load_s=1_800, messages=50_000)
    assert 50_000 <= sum(job.rows for job in jobs) < 75_000
    singles = [job.at_s for job in jobs if job.rows == 1]
    assert len(singles) >= 24_000
    assert min(singles) < 10
    assert set(JobKind) == {job.kind for job in jobs}
    assert {"otp", "normal", "bulk"} == {job.lane for job in jobs}
    for job in jobs:
        assert job.rows == len(set(job.numbers()))


def test_a_mark_names_its_job_in_a_text_and_beside_it() -> None:
    """In the text, in a variable, or by the number that is called."""
    assert 17 == mark_of("Order #17# 已发出 No. 3", {})
    assert 17 == mark_of("", {"tid": "1", "a": "#17#"})
    assert mark_of("Order", {}) is None
    (job,) = [_job(JobKind.VOICE, index=41, rows=1)]
    assert 41 == called_job(job.numbers()[0])
    assert called_job("8529100004100") is None


# --- the books -----------------------------------------------------------------------------------------------------


def _job(kind: JobKind = JobKind.TEMPLATE, *, index: int = 1, rows: int = ROWS, duplicates_ok: bool = False) -> JobPlan:
    return JobPlan(
        index=index,
        at_s=0,
        kind=kind,
        rows=rows,
        lane="normal",
        account="xi",
        key="k",
        duplicates_ok=duplicates_ok,
        cancel_after_s=0,
        seed=1,
        pool=100,
    )


@dataclass
class World:
    """What ledger and vendors say, in agreement until a test changes it."""

    sent: Sent = field(default_factory=lambda: Sent(_job(), "job"))
    messages: list[MessageInfo] = field(default_factory=list)
    taken: Taken = field(default_factory=Taken)
    away: list[Away] = field(default_factory=list)
    began_at: datetime = AT

    def __post_init__(self) -> None:
        for row, number in enumerate(self.sent.plan.numbers(), 1):
            state = State.UNDELIVERED if row == 1 else State.DELIVERED
            self.messages.append(MessageInfo(f"job-{row}", f"+{number}", state, "xi", updated_at=AT))
            self.take(row, good=row != 1)

    def take(self, row: int, *, good: bool = True, told: int = PUSHED, times: int = 1) -> None:
        """A vendor takes a row so many times; what was told counts from now on."""
        self.taken.messages.pop(message_key(*self._message(row)), None)
        for _ in range(times):
            note_message(self.taken, self._message(row), word="good" if good else "bad", told=told, silent=False)

    def not_taken(self, row: int) -> None:
        """No vendor takes this row."""
        del self.taken.messages[message_key(*self._message(row))]

    def become(self, row: int, state: State, code: str | None = None, account: str | None = "xi") -> None:
        """A row is in another state."""
        self.messages[row - 1] = replace(self.messages[row - 1], state=state, code=code, account=account)

    def _message(self, row: int) -> tuple[int, str]:
        return self.sent.plan.index, self.sent.plan.numbers()[row - 1]

    def compare(self) -> Books:
        """The books of this world."""
        return compare(cast("Client", _FakeClient(self)), [self.sent], self.taken, self.away)


class _FakeClient:
    def __init__(self, world: World) -> None:
        self._world = world

    def messages(self, job: str) -> Iterator[MessageInfo]:
        if not self._world.messages:
            raise NoSuchJob(job)
        return iter(self._world.messages)

    def show(self, message_id: str) -> dict[str, Any]:
        return {"attempts": [{"call": int(message_id.partition("-")[2]), "began_at": self._world.began_at}]}


def test_what_agrees_is_in_order() -> None:
    """Delivered, undelivered, and what may be without a report."""
    world = World()
    world.become(3, State.SUBMITTED)
    world.take(3, told=PUSH_FAILED)
    world.become(4, State.SUBMITTED)
    world.take(4, told=FETCHED)
    world.become(6, State.SUBMITTED)
    world.take(6, told=NOT_TOLD)
    world.become(5, State.FAILED, code="invalid_number")
    world.not_taken(5)
    books = world.compare()
    assert (ROWS, 0, 0, {}) == (books.rows, books.lost, books.twice, dict(books.wrong))
    assert (2, 1) == (books.unheard, books.unasked)


def _left_on_its_way(world: World) -> None:
    world.become(2, State.QUEUED)


def _gone_from_the_ledger(world: World) -> None:
    del world.messages[4]


def _job_gone(world: World) -> None:
    world.messages.clear()


def _submitted_though_never_taken(world: World) -> None:
    world.become(2, State.SUBMITTED)
    world.not_taken(2)


def _delivered_though_never_taken(world: World) -> None:
    world.not_taken(2)


@pytest.mark.parametrize(
    "spoil",
    [_left_on_its_way, _gone_from_the_ledger, _job_gone, _submitted_though_never_taken, _delivered_though_never_taken],
)
def test_a_lost_row_is_found(spoil: Callable[[World], None]) -> None:
    """One of twenty is enough."""
    world = World()
    spoil(world)
    books = world.compare()
    assert books.lost >= 1
    assert books.wrong.total() >= 1


def test_a_row_that_was_taken_twice_is_found_unless_its_job_allows_it() -> None:
    """By the vendors' own account."""
    world = World()
    world.take(2, times=3)
    assert (2, 0) == (world.compare().twice, world.compare().twice_allowed)
    allowed = World(Sent(_job(duplicates_ok=True), "job"))
    allowed.take(2, times=3)
    assert (0, 2) == (allowed.compare().twice, allowed.compare().twice_allowed)
    allowed.become(2, State.SUBMITTED)
    assert (1, 0) == (allowed.compare().unheard, allowed.compare().wrong.total())


def test_of_a_job_that_nobody_confirmed_nothing_may_go_twice() -> None:
    """It may be there or not."""
    world = World(Sent(_job(), None))
    assert (ROWS, 0) == (world.compare().doubtful_taken, world.compare().twice)
    world.take(2, times=2)
    assert 1 == world.compare().twice


def _cancelled_though_taken(world: World) -> None:
    world.become(2, State.CANCELLED)


def _expired_here_though_taken(world: World) -> None:
    world.become(2, State.EXPIRED, code="expired_by_us")


def _delivered_though_it_was_not(world: World) -> None:
    world.become(1, State.DELIVERED)


def _undelivered_though_it_was(world: World) -> None:
    world.become(2, State.UNDELIVERED)


def _report_lost(world: World) -> None:
    world.become(2, State.SUBMITTED)


def _report_of_another(world: World) -> None:
    world.take(2, told=NOT_TOLD)


def _refused_without_a_reason(world: World) -> None:
    world.become(2, State.REJECTED)
    world.not_taken(2)


def _a_stranger(world: World) -> None:
    world.messages.append(MessageInfo("job-99", "+8613800000000", State.FAILED, "xi", code="x"))


def _a_wrong_cancellation(world: World) -> None:
    world.sent.cancelled = True


def _unmarked(world: World) -> None:
    world.taken.nameless = 1


def _unconfirmed_for_nothing(world: World) -> None:
    world.become(2, State.UNCONFIRMED)
    world.not_taken(2)


@pytest.mark.parametrize(
    "spoil",
    [
        _cancelled_though_taken,
        _expired_here_though_taken,
        _delivered_though_it_was_not,
        _undelivered_though_it_was,
        _report_lost,
        _report_of_another,
        _refused_without_a_reason,
        _a_stranger,
        _a_wrong_cancellation,
        _unmarked,
        _unconfirmed_for_nothing,
    ],
)
def test_a_state_to_which_nothing_leads_is_found(spoil: Callable[[World], None]) -> None:
    """Each by itself, in one row of twenty."""
    world = World()
    spoil(world)
    assert 1 == world.compare().wrong.total()


def test_an_unconfirmed_row_is_explained_by_a_struck_call_once() -> None:
    """One struck call explains one call of ours, at its own account and time."""
    world = World()
    for row in (2, 3):
        world.become(row, State.UNCONFIRMED)
        world.not_taken(row)
    world.taken.struck["xi"] = [AT.timestamp() + 0.01]
    books = world.compare()
    assert {"a fault of the vendor": 1, "nothing": 1} == dict(books.unconfirmed)
    world.taken.struck["xi"] = [AT.timestamp() - 60, AT.timestamp() + 60]
    world.taken.struck["bulk"] = [AT.timestamp()]
    assert {"nothing": 2} == dict(world.compare().unconfirmed)


@pytest.mark.parametrize(
    ("kind", "after_s", "explains"),
    [("worker_send", 1.0, True), (VALKEY, 1.0, True), ("beat", 1.0, False), ("worker_send", 600.0, False)],
)
def test_an_unconfirmed_row_is_explained_by_a_strike_while_it_was_open(
    kind: str, after_s: float, *, explains: bool
) -> None:
    """At a sender or at Redis; a clock that dies leaves no call open."""
    world = World()
    world.become(2, State.UNCONFIRMED)
    world.not_taken(2)
    world.away = [Away(kind, Action.KILL, AT.timestamp() + after_s, AT.timestamp() + after_s + 1)]
    assert ({f"kill -9 of {kind}": 1} if explains else {"nothing": 1}) == dict(world.compare().unconfirmed)


# --- the rest ------------------------------------------------------------------------------------------------------


def test_a_power_cut_takes_what_is_younger_than_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is as long as it was then; one that was begun since is left alone."""
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    file = folder / "appendonly.aof.1.incr.aof"
    now = 100.0
    monkeypatch.setattr("soak.powercut.time.monotonic", lambda: now)
    watch = AofWatch(tmp_path)
    for length in range(20):
        file.write_bytes(b"x" * length)
        watch.look()
        now += 0.125
    file.write_bytes(b"x" * 25)
    assert 14 == watch.cut()
    assert 11 == file.stat().st_size
    watch.look()
    (folder / "appendonly.aof.2.incr.aof").write_bytes(b"new")
    assert 0 == watch.cut()


def test_a_section_is_written_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    """Twice is as once; a page without marks is not touched."""
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- soak always begins: written by make soak -->\nold\n<!-- soak always ends -->\nafter\n", "utf-8"
    )
    for _ in range(2):
        write_section(page, "always", "new\n")
        assert "before\n<!-- soak always begins: written by make soak -->\nnew\n<!-- soak always ends -->\nafter\n" == (
            page.read_text("utf-8")
        )
    with pytest.raises(ValueError, match="has no lines"):
        write_section(page, "everysec", "new\n")


def test_the_page_has_a_place_for_each_section(tmp_path: Path) -> None:
    """What the programs measure can be written down when they are through."""
    page = tmp_path / "guarantees.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    for name, by in (("always", "make soak"), ("everysec", "make soak"), ("mutations", "make mutations")):
        write_section(page, name, f"{name} was written\n", by=by)
        assert f"{name} was written" in page.read_text("utf-8")


def test_every_promise_has_a_line_and_a_test_that_exist() -> None:
    """`make mutations` proves them; what it changes must still stand in the code, once."""
    root = Path(__file__).resolve().parents[2]
    assert set(PROMISES) == {one.promise for one in MUTATIONS}
    for one in MUTATIONS:
        assert 1 == (root / one.file).read_text("utf-8").count(one.old), one
        path, _, name = one.test.partition("::")
        assert f"def {name}(" in (root / path).read_text("utf-8"), one
