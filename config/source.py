"""A configuration file as it was written: its values, and the line of each for whoever has to mend it.

`tomllib` tells no positions of keys. They are only needed once something is wrong, so they are found then by parsing
ever longer beginnings of the file: the statement that brings a key is the one that ends where the key first appears.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sendmill.errors import ConfigError

_LINE_OF_SYNTAX_ERROR = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """One file: `values` is what TOML makes of it."""

    path: Path
    text: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read and parse it.

        Raises:
            ConfigError: it is not there, cannot be read, is not UTF-8, or is not TOML.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: no such file: copy config/sendmill.example.toml to it, or set SENDMILL_CONFIG"
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: not UTF-8: save the file in UTF-8") from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(_syntax_error(path, text, str(error))) from None
        return cls(path, text, values)

    def error(self, keys: Sequence[str | int], problem: str) -> ConfigError:
        """One line that names file, line, key and problem.

        Args:
            keys: the way to the value; where it leads to nothing, the line of its nearest table is named.
            problem: what is wrong and how it is mended, without the value: it may be a secret.
        """
        return ConfigError(f"{self.path}:{self.line_of(keys)}: {dotted(keys)}: {problem}")

    def line_of(self, keys: Sequence[str | int]) -> int:
        """The line, counted from 1, of the statement that brings the value or else its nearest table."""
        while keys and not has(self.values, keys):
            keys = keys[:-1]
        if not keys:
            return 1
        lines = self.text.splitlines()
        statement = 1
        for end in range(1, len(lines) + 1):
            try:
                values = tomllib.loads("\n".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value of several lines
            if has(values, keys):
                return statement
            statement = end + 1
        return statement


def dotted(keys: Sequence[str | int]) -> str:
    """The way to a value as people write it: `accounts.hk.sms.pwd`, `routes[2].accounts`, lists counted from 1."""
    return "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def has(values: Any, keys: Sequence[str | int]) -> bool:
    """Whether the way leads to something."""
    for key in keys:
        if isinstance(values, Mapping):
            if key not in values:
                return False
        elif not (isinstance(values, list) and isinstance(key, int) and key < len(values)):
            return False
        values = values[key]
    return True


def _syntax_error(path: Path, text: str, message: str) -> str:
    found = _LINE_OF_SYNTAX_ERROR.search(message)
    line = found.group(1) if found and found.group(1) else str(max(1, len(text.splitlines())))
    return f"{path}:{line}: not TOML: {_LINE_OF_SYNTAX_ERROR.sub('', message)}"
