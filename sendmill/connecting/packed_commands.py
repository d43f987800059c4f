"""redis-py's connections for coroutines, with commands packed in C.

Its connections for threads let hiredis do that; those for coroutines do it in Python, which took a tenth of the time of
a job that is handed over.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from redis.connection import HiredisRespSerializer

_SERIALIZER: Final = HiredisRespSerializer()


class _Packed:
    def pack_command(self, *args: Any) -> list[bytes]:
        """A command as the wire has it. Raises redis.DataError: an argument that is neither text, bytes nor number."""
        packed: list[bytes] = _SERIALIZER.pack(*args)
        return packed


@cache
def packed(kind: type[Any]) -> type[Any]:
    """A kind of connection, whose commands hiredis packs."""
    return type(f"Packed{kind.__name__}", (_Packed, kind), {})
