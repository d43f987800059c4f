"""The OpenAPI 3.1 document, made of the route table and of the types that the server decodes and encodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any, Final

import msgspec

from web.api.bodies import JSON
from web.api.problems import CONTENT_TYPE, MEANINGS, ProblemBody
from web.api.route import Route
from web.api.shapes.events import AnyEvent
from web.api.shapes.jobs import JobHead

_REF: Final = "#/components/schemas/{name}"
_PART: Final = re.compile(r"\{(\w+)\}")
_BODIES: Final[Mapping[str, str]] = {
    "application/x-ndjson": "The first line is the job (JobHead), each further line a row.",
    "text/csv": "A header, then a row a line; what the job is stands in the query.",
    "text/plain": "A number a line.",
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "application/x-ndjson": '{"content": {"kind": "sms", "text": "Hello"}, "lane": "bulk"}\n{"to": "+85298882844"}\n',
    "text/csv": "to,name\n+85298882844,Ada\n",
    "text/plain": "+85298882844\n",
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "The same key is the same job for as long as the job is kept, also for the Python client and the command line. "
        "Repeated, it is answered with 200 and Idempotent-Replayed; with other content it is refused."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of these routes."""
    types = list(dict.fromkeys([ProblemBody, JobHead, *_types(routes)]))
    _, schemas = msgspec.json.schema_components([*types, AnyEvent], ref_template=_REF)
    schemas["ProblemBody"]["properties"]["code"]["enum"] = list(MEANINGS)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    queries = {route.query.__name__ for route in routes if route.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sendmill",
            "version": metadata.version("sendmill"),
            "description": "Hands SMS jobs to vendors and accounts for every message. Nothing is accepted twice under "
            "one Idempotency-Key, and what is not accepted says so.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in queries},
            "responses": {
                "Problem": {
                    "description": "What went wrong, as RFC 9457 has it.",
                    "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="ProblemBody")}}},
                }
            },
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "`sendmill keys create` makes one."}
            },
        },
    }


def _types(routes: Iterable[Route]) -> Iterable[type[msgspec.Struct]]:
    for route in routes:
        for each in (route.query, route.body, route.answer):
            if each is not None:
                yield each
        for more in (route.also or {}).values():
            yield from more


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    scopes = [] if route.scope is None else [str(route.scope)]
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [{"key": scopes}],
        "parameters": [*_parts(route), *_query(route, schemas)],
        "responses": _responses(route),
    }
    if route.name == "send":
        operation["parameters"].append(_KEY)
    body = _body(route)
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _parts(route: Route) -> list[dict[str, Any]]:
    """The parts of the address."""
    told = route.parts or {}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": told[name],
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        }
        for name in _PART.findall(route.path)
    ]


def _query(route: Route, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = schemas[route.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": _without_null(of)}
        for name, of in schema["properties"].items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A value of a query is there or is not: it is never null."""
    plain = {name: value for name, value in schema.items() if not (name == "default" and value is None)}
    others = [each for each in plain.pop("anyOf", []) if each != {"type": "null"}]
    if len(others) == 1:
        plain |= others[0]
    elif others:
        plain["anyOf"] = others
    return plain


def _body(route: Route) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if route.body is not None:
        content[JSON] = {"schema": {"$ref": _REF.format(name=route.body.__name__)}}
    for media_type in route.takes:
        if media_type not in _BODIES:  # a file, as it is
            content[media_type] = {}
            continue
        schema = {"type": "string", "description": _BODIES[media_type]}
        content[media_type] = {"schema": schema, "example": _EXAMPLES[media_type]}
    return content


def _responses(route: Route) -> dict[str, Any]:
    problem = {"$ref": "#/components/responses/Problem"}
    answers: dict[int, tuple[type[msgspec.Struct], ...]] = dict(route.also or {})
    if route.answer is not None:
        answers[route.status] = (route.answer,)
    found: dict[str, Any] = {}
    for status, types in sorted(answers.items()):
        refs = [{"$ref": _REF.format(name=each.__name__)} for each in types]
        found[str(status)] = {
            "description": (types[0].__doc__ or "").splitlines()[0],
            "content": {JSON: {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}},
        }
    if not answers and not route.gives:
        found["204"] = {"description": "Done."}
    for media_type in route.gives:
        answer = found.setdefault(str(route.status), {"description": route.summary, "content": {}})
        answer["content"][media_type] = {"schema": {"type": "string"}}
    return {**found, "4XX": problem, "5XX": problem}
