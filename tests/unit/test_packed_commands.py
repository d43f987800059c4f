"""Commands that hiredis packs are those that redis-py would have sent."""

from __future__ import annotations

import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from sendmill.connecting.packed_commands import packed

Argument = str | bytes | int | float
ARGUMENTS: st.SearchStrategy[Argument] = st.text() | st.binary() | st.integers() | st.floats(allow_nan=False)


@given(st.lists(ARGUMENTS, max_size=20))
def test_a_command_is_the_same_on_the_wire(arguments: list[Argument]) -> None:
    """Whatever its arguments; a name of two words is two arguments."""
    kind = redis.asyncio.Connection
    expected, found = (made().pack_command("SCRIPT LOAD", *arguments) for made in (kind, packed(kind)))
    assert b"".join(expected) == b"".join(found)
