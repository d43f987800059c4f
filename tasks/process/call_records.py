"""A vendor call as Redis is told of it: the rows that it carries, and what became of it."""

from __future__ import annotations

from typing import Any

import msgspec


class CallRows(msgspec.Struct, frozen=True):
    """A call's number and the rows that it carries: (slice id, epoch, first, last, first, last, …) each."""

    number: int
    recipients: int
    rows: list[list[Any]]


class CallOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a call: `state` is that of its rows now, as a State's byte. finish.lua knows the defaults.

    `unknown`: the vendor may have taken rows that go again all the same, because their job takes duplicates.

    `down_after` is for the breaker: 0 where the vendor answered as it should, else how many such ends in a row open it;
    -1 where this one says nothing about that.

    `refs` are its vendor's ids (`ledger.refs.ref_of`), that of the whole call first.
    """

    no: int
    state: str
    vmid: str = ""
    code: str = ""
    detail: str = ""
    answer: str = ""
    ask_ms: int = 0
    back_ms: int = 0
    cool_ms: int = 0
    down_after: int = 0
    limited: bool = False
    unreported: bool = False
    unknown: bool = False
    refs: list[tuple[str, msgspec.Raw]] = []
    apart: list[tuple[str, int, str, str, str]] = []
