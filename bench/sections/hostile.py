"""Honest pushes alone and under attack: their latencies, what was stored, what memory the push process took for it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import redis

from bench import hostile
from bench.context import Bench
from bench.figures import quantile
from bench.hostile import ACCESS_SECRET, TOKEN, Target
from bench.markdown import table
from bench.section import Aim, Raw, Section
from bench.usage import cpu_s, peak_rss_bytes, rss_bytes
from sendmill.ledger.keys import AccountKeys
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts

HONEST_PER_S: Final = 50
MOST_ADDED_BYTES: Final = 20_000_000
MOST_RATIO: Final = 2.0
_ALONE: Final = {"worker_send": 0, "worker_work": 0, "beat": 0}
_WARM_S: Final = 2.0


def accounts(url: str) -> Accounts:
    """Two accounts whose vendors push: one signs what it pushes, one does not."""
    five = five_accounts(url)
    return {
        "bulk": {**five["bulk"], "push_token": TOKEN},
        "xi": {**five["xi"], "push_token": TOKEN, "access_secret": ACCESS_SECRET},
    }


def attacked(*, pushes: int, per_s: float, large: int, dripping: int, seed: int = 1) -> dict[str, Any]:
    """Attack a push process that has nothing else to do, while honest pushes come at a steady pace.

    They come as long before, for comparison.

    Args:
        pushes: see `bench.hostile.attack`, as the others.
        per_s: pushes in a second.
        large: bodies of 50 MB.
        dripping: connections that are never done.
        seed: of the run.
    """
    with System.start(accounts=accounts, routes=[], counts=_ALONE) as system:
        [pid] = system.processes("push")
        sizes = {"pushes": pushes, "per_s": per_s, "large": large, "dripping": dripping, "seed": seed}
        found, honest = asyncio.run(_attacked(Target(system.push_port), pid, sizes))
        return {**sizes, **found, "hostile_stored": _stored(system) - honest}


def _stored(system: System) -> int:
    """What lies in the inboxes and on disk."""
    with redis.Redis.from_url(system.redis_url) as server:
        entries = sum(int(server.xlen(AccountKeys(system.namespace, name).inbox)) for name in system.accounts)
    return entries + len(list((system.folder / "state").rglob("*.answer")))


async def _attacked(target: Target, pid: int, sizes: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The figures, and how many pushes were honest."""
    honest = _Honest(target)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=hostile.be_ready) as processes:
        await asyncio.wrap_future(processes.submit(time.monotonic))  # it runs and has imported what it needs
        await honest.push_for(_WARM_S)
        idle_ms = await honest.push_for(sizes["pushes"] / sizes["per_s"])
        before_bytes, before_cpu_s, began = rss_bytes(pid), cpu_s([pid]), time.monotonic()
        attack = asyncio.wrap_future(processes.submit(hostile.run_attack, target, sizes))
        during_ms = await honest.push_until(attack)
    tally, took_s = attack.result(), time.monotonic() - began
    found = {
        "took_s": took_s,
        "sent": dict(sorted(tally.sent.items())),
        "answers": {kind: {str(status): many for status, many in tally.statuses(kind).items()} for kind in tally.sent},
        "idle_ms": {share: quantile(idle_ms, float(share)) for share in ("0.5", "0.99")},
        "attacked_ms": {share: quantile(during_ms, float(share)) for share in ("0.5", "0.99")},
        "added_bytes": max(0, peak_rss_bytes(pid) - before_bytes),
        "cpu_percent": 100 * (cpu_s([pid]) - before_cpu_s) / took_s,
        "honest_refused": honest.refused,
    }
    # Who knows the token of an account without a proof is taken for its vendor: what he says is kept, unread.
    return found, honest.taken + tally.overheard + tally.answers["fuzzed body", hostile.TAKEN]


class _Honest:
    """A vendor that pushes at a steady pace, each report on a connection of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sent = 0
        self.taken = 0
        self.refused = 0

    async def push_for(self, seconds: float) -> list[float]:
        """Latencies in ms."""
        return await self.push_until(asyncio.create_task(asyncio.sleep(seconds)))

    async def push_until(self, ends: asyncio.Future[Any]) -> list[float]:
        """Latencies in ms, until a task is done."""
        pushing: list[asyncio.Task[float]] = []
        began = time.monotonic()
        while not ends.done():
            pushing.append(asyncio.create_task(self._push()))
            await asyncio.sleep(max(0.0, began + len(pushing) / HONEST_PER_S - time.monotonic()))
        return list(await asyncio.gather(*pushing))

    async def _push(self) -> float:
        self._sent += 1
        body = f"Report=id{self._sent},13800000001,DELIVRD,1735696800".encode()
        began = time.perf_counter()
        status = await hostile.exchange(self._target, hostile.request(f"/push/bulk/{TOKEN}", body), host="127.0.0.1")
        took_ms = 1000 * (time.perf_counter() - began)
        if status == hostile.TAKEN:
            self.taken += 1
        else:
            self.refused += 1
        return took_ms


# --- as a section ----------------------------------------------------------------------------------------------------


def measure(bench: Bench) -> dict[str, Any]:
    """10,000 hostile pushes within 40 s, and what drips all the while."""
    pushes, large, dripping = bench.size((10_000, 30, 200), (300, 3, 20))
    return attacked(pushes=pushes, per_s=250.0, large=large, dripping=dripping)


def _ratio(found: Raw) -> float:
    return float(found["attacked_ms"]["0.99"] / found["idle_ms"]["0.99"])


def chapter(found: Raw) -> list[str]:
    """What came and what was answered."""
    rows = [
        (
            kind,
            f"{many:,}",
            ", ".join(f"{status if status != '0' else 'closed'} {count:,}" for status, count in answers),
        )
        for kind, many in found["sent"].items()
        for answers in [sorted(found["answers"][kind].items())]
    ]
    honest = [
        (name, f"{found[key]['0.5']:.1f}", f"{found[key]['0.99']:.1f}")
        for name, key in (("alone", "idle_ms"), ("under attack", "attacked_ms"))
    ]
    return [
        "## Hostile pushes",
        "",
        f"{found['pushes']:,} hostile pushes in {found['took_s']:.0f} s (seed {found['seed']}) from eight addresses",
        f"at one push process, with {found['large']} bodies of 50 MB, and {found['dripping']} connections that say a",
        f"byte every half second. Beside them {HONEST_PER_S} honest reports a second, each on a connection of its own.",
        f"Of the hostile ones {found['hostile_stored']} were stored, of the honest ones {found['honest_refused']} were",
        f"refused. The process took {found['added_bytes'] / 1e6:.1f} MB more memory at its peak, and",
        f"{found['cpu_percent']:.0f} % of a core.",
        "",
        *table(("honest pushes, ms", "median", "99th percentile"), honest),
        *table(("hostile", "sent", "answers"), rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """Nothing stored, little memory, nobody kept waiting."""
    return [
        Aim.at_most("hostile pushes that were stored", found["hostile_stored"], 0),
        Aim.at_most("memory that they took, MB", found["added_bytes"] / 1e6, MOST_ADDED_BYTES / 1e6, form=".1f"),
        Aim.at_most("99th percentile of honest pushes, under attack to alone", _ratio(found), MOST_RATIO, form=".2f"),
    ]


SECTION = Section("hostile", measure, chapter, alone=True, aims=aims)
