"""A cache with a bound: what was not used for longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class LruCache(Generic[_Key, _Value]):
    """A cache of the values that were used last.

    Args:
        most: the sum of the weights that are kept; a single value that is heavier stays until the next one comes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._values: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """The value, None where it is not kept (any more)."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: _Key, value: _Value, weight: int) -> None:
        """Keep a value, in the place of an older one of the same key."""
        if key in self._values:
            self._weight -= self._values.pop(key)[1]
        self._values[key] = (value, weight)
        self._weight += weight
        while self._weight > self._most and len(self._values) > 1:
            _, (_, gone) = self._values.popitem(last=False)
            self._weight -= gone
