"""Configuration that the system writes is read back as it was."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as some

from simulator import toml

_TEXTS = some.text(some.characters(exclude_categories=["Cs"]), max_size=20)
_VALUES = _TEXTS | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False)
_TABLES = some.recursive(
    some.dictionaries(_TEXTS, _VALUES | some.lists(_VALUES, max_size=3), max_size=4),
    lambda inner: some.dictionaries(_TEXTS, _VALUES | inner | some.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=10,
)


@given(_TABLES)
def test_what_is_written_is_read_back(values: dict[str, object]) -> None:
    """Any texts, numbers, lists, tables and lists of tables."""
    assert values == tomllib.loads(toml.dump(values))
