"""Writing TOML, which Python's library only reads: tables, lists of tables, texts, numbers, truths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def dump(values: Mapping[str, Any]) -> str:
    """A TOML document of nested mappings; lists of mappings become `[[tables]]`."""
    return "\n".join(_lines(values, ())) + "\n"


def _lines(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in values.items():
        if not isinstance(value, Mapping) and not _is_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in values.items():
        inner = (*path, _key(key))
        if isinstance(value, Mapping):
            yield f"[{'.'.join(inner)}]"
            yield from _lines(value, inner)
        elif _is_tables(value):
            for each in value:
                yield f"[[{'.'.join(inner)}]]"
                yield from _lines(each, inner)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return f"[{', '.join(_value(each) for each in value)}]"
    raise TypeError(f"{type(value).__name__} has no form in TOML")


def _text(text: str) -> str:
    # A JSON text is a basic string of TOML, except that TOML does not take DEL as it stands.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
