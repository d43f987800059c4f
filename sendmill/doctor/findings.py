"""What a look at one thing comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is. A note is worth knowing and no fault."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what it is like, and what to do about it where something is to be done."""

    check: str
    level: Level
    said: str
    do: str | None = None


def ok(check: str, said: str) -> Finding:
    """As it should be."""
    return Finding(check, Level.OK, said)


def note(check: str, said: str, do: str | None = None) -> Finding:
    """Worth knowing."""
    return Finding(check, Level.NOTE, said, do)


def problem(check: str, said: str, do: str) -> Finding:
    """To be mended."""
    return Finding(check, Level.PROBLEM, said, do)
