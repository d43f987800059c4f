"""Options that are written NAME=VALUE and may stand several times."""

from __future__ import annotations

from collections.abc import Sequence

from sendmill.errors import InvalidOption


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """The values by name.

    Raises:
        InvalidOption: one is not written so, or a name stands twice.
    """
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidOption(f"{option} {pair!r} is no NAME=VALUE")
        if name in found:
            raise InvalidOption(f"{option} names {name!r} twice")
        found[name] = value
    return found
