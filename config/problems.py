"""From pydantic's account of what is wrong to one line that a person can act on. Values are never repeated."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.source import Source, has
from sendmill.errors import ConfigError

_IN_THE_FILE: Final = {
    "string_type": "should be a text in quotes",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "mapping_type": "should be a table",
    "list_type": "should be a list",
    "too_short": "should not be empty",
    "string_too_short": "should not be empty",
}


def first_problem(
    error: ValidationError, source: Source, keys: Sequence[str | int], values: Any, model: type[BaseModel]
) -> ConfigError:
    """The problem that stands first in the file; how many more there are is said too.

    Args:
        error: what validating `values` as `model` raised.
        source: the file.
        keys: where in the file `values` stand.
        values: what was validated.
        model: what it was validated as.
    """
    details = error.errors(include_url=False, include_context=False, include_input=False)
    found = [((*keys, *_within(values, detail["loc"], detail["type"])), detail) for detail in details]
    # An unknown key is most likely the missing one, written wrong.
    found.sort(key=lambda item: (item[1]["type"] == "missing", source.line_of(item[0])))
    where, detail = found[0]
    problem = _sentence(detail, model, where[len(keys) :])
    if len(found) > 1:
        problem += f" (and {len(found) - 1} more)"
    return source.error(where, problem)


def nearest(word: str, known: Sequence[str]) -> str:
    """`did you mean x?`, or all that is known."""
    matches = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else f"known are {', '.join(sorted(known))}"


def _sentence(detail: ErrorDetails, model: type[BaseModel], loc: Sequence[str | int]) -> str:
    if detail["type"] == "extra_forbidden":
        return f"unknown key: {nearest(str(loc[-1]), _fields_at(model, loc[:-1]))}"
    if detail["type"] == "missing":
        return "missing: add it here"
    if detail["type"] in _IN_THE_FILE:
        return _IN_THE_FILE[detail["type"]]
    message = detail["msg"].removeprefix("Value error, ")
    for theirs in ("Input should ", "String should ", "Value should "):
        message = message.replace(theirs, "should ", 1)
    return message[:1].lower() + message[1:]


def _within(values: Any, loc: Sequence[str | int], kind: str) -> Sequence[str | int]:
    """The way through the file: pydantic also names branches of unions and functions, which no file has."""
    way: list[str | int] = []
    for position, key in enumerate(loc):
        last = position == len(loc) - 1
        if has(values, (key,)):
            values = values[key]
        elif not (last and kind == "missing"):
            continue
        way.append(key)
    return way


def _fields_at(model: type[BaseModel], loc: Sequence[str | int]) -> Sequence[str]:
    known: set[str] = set()
    models = [model]
    for key in loc:
        models = [inner for outer in models for inner in _models_in(outer, key)]
    for found in models:
        known.update(field.alias or name for name, field in found.model_fields.items())
    return sorted(known)


def _models_in(model: type[BaseModel], key: str | int) -> list[type[BaseModel]]:
    if isinstance(key, int) or key not in model.model_fields:
        return [model]
    return _models_of(model.model_fields[key].annotation)


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_of(argument)]
