"""Billed parts of a text (helper in progress)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text is billed: its encoding, its length in units of that encoding, and the number of parts.

    `encoding` is `GSM-7` (units are septets) or `UCS-2` (units are 16-bit words), or the vendor's own name.
    """

    encoding: str
    units: int
    segments: int


def count_segments(text: str) -> Segments:
    """Count as the GSM standard does."""
    raise NotImplementedError
