"""Numbers and texts to send: valid, all different, and the same in every run."""

from __future__ import annotations

from collections.abc import Iterator

UNIQUE_TEXT = "Dear customer, your parcel {n} is at the counter until Friday."
ONE_TEXT = "Our shop opens at nine on Saturday."
SIGNATURE = "【Acme】"


def mainland(count: int, *, first: int = 0) -> Iterator[str]:
    """Mainland China's mobiles, E.164, one by one."""
    return (f"+86138{number:08d}" for number in range(first, first + count))


def unique_rows(count: int, *, first: int = 0) -> Iterator[dict[str, object]]:
    """Rows of a TemplateSms with `UNIQUE_TEXT`: a text of its own for each number."""
    return ({"to": to, "n": first + row} for row, to in enumerate(mainland(count, first=first)))
