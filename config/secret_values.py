"""`env:NAME` and `file:PATH` in place of a value: how secrets stay out of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.source import Source


def resolve(source: Source, environ: Mapping[str, str]) -> dict[str, Any]:
    """The file's values with every `env:` and `file:` replaced by what it names.

    A relative path counts from the file's own folder. One line end at the end is dropped, of a variable as of a file;
    more of them, and a byte order mark, are refused: nobody would see why a password is wrong.

    Raises:
        ConfigError: a variable is not set, a file cannot be read.
    """
    return {key: _resolved(value, (key,), source, environ) for key, value in source.values.items()}


def _resolved(value: Any, keys: tuple[str | int, ...], source: Source, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, (*keys, key), source, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, (*keys, index), source, environ) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    kind, separator, name = value.partition(":")
    if separator and kind == "env":
        return _from_environment(name, keys, source, environ)
    if separator and kind == "file":
        return _from_file(name, keys, source)
    return value


def _from_environment(name: str, keys: tuple[str | int, ...], source: Source, environ: Mapping[str, str]) -> str:
    try:
        return _one_line(environ[name], f"{name} in the environment", keys, source)
    except KeyError:
        raise source.error(keys, f"the environment has no {name}: set it, or name another variable") from None


def _from_file(name: str, keys: tuple[str | int, ...], source: Source) -> str:
    path = source.path.parent / name
    try:
        # As it stands: Python would make one kind of line end of all.
        return _one_line(path.read_bytes().decode(), str(path), keys, source)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise source.error(keys, f"{path} cannot be read ({why})") from None


def _one_line(value: str, where: str, keys: tuple[str | int, ...], source: Source) -> str:
    value = value.removesuffix("\n").removesuffix("\r")
    if value.startswith("\ufeff"):
        raise source.error(keys, f"{where} begins with a byte order mark: save it as UTF-8 without one")
    if value.endswith(("\n", "\r")):
        raise source.error(keys, f"{where} ends with several line ends: leave one or none")
    return value
