"""`/docs`: what the document says, as a page for people. It needs no script and nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from web.api.problems import MEANINGS

POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

STYLE: Final = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; }
h3 { margin: 1.5rem 0 .25rem; font: 600 1rem ui-monospace, monospace; overflow-wrap: anywhere; }
p { margin: .25rem 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8886; }
code, pre { font: .875rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; }
"""

_INTRODUCTION: Final = """\
<p>Send a key with every request: <code>Authorization: Bearer smk_…</code>. <code>sendmill keys create</code> makes one,
with the scopes that are named at each address. The same as a machine reads it:
<a href="/openapi.json">/openapi.json</a>.</p>
<p>Give each job an <code>Idempotency-Key</code>: then it can be repeated after any error, and there is one job in the
end.</p>"""


def page(document: Mapping[str, Any]) -> str:
    """The page of a document."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>sendmill: HTTP API</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="stylesheet" href="/docs/style.css"></head><body><main>',
            f"<h1>{escape(document['info']['title'])}: HTTP API</h1>",
            _INTRODUCTION,
            "<h2>Addresses</h2>",
            *_addresses(document),
            "<h2>Errors</h2>",
            *_errors(),
            "<h2>Types</h2>",
            *_types(schemas),
            "</main></body></html>",
        ]
    )


def _addresses(document: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f'<h3 id="{operation["operationId"]}">{method.upper()} {escape(path)}</h3>'
            yield f"<p>{escape(operation['summary'])}</p>"
            scopes = ", ".join(operation["security"][0]["key"]) or "any key; a job needs send: and its lane"
            yield f"<p>Scope: <code>{escape(scopes)}</code></p>"
            if operation["parameters"]:
                named = ", ".join(
                    f"<code>{escape(each['name'])}</code>{'' if each['required'] else '?'}"
                    for each in operation["parameters"]
                )
                yield f"<p>Takes: {named}</p>"
            yield from _contents("Body", operation.get("requestBody", {}).get("content", {}))
            for status, answer in operation["responses"].items():
                if status.isdigit():
                    yield from _contents(status, answer.get("content", {"nothing": {}}))


def _contents(what: str, content: Mapping[str, Any]) -> Iterator[str]:
    for media_type, of in content.items():
        schema = of.get("schema", {})
        refs = [each["$ref"].rpartition("/")[2] for each in schema.get("anyOf", [schema]) if "$ref" in each]
        linked = " or ".join(f'<a href="#{name}">{name}</a>' for name in refs) or escape(schema.get("description", ""))
        yield f"<p>{what}: <code>{escape(media_type)}</code> {linked}</p>"
        if "example" in of:
            yield f"<pre>{escape(of['example'])}</pre>"


def _errors() -> Iterator[str]:
    yield "<table><thead><tr><th>code<th>status<th>meaning</tr></thead><tbody>"
    for code, (status, meaning) in MEANINGS.items():
        yield f'<tr id="{code}"><td><code>{code}</code><td>{status}<td>{escape(meaning)}</tr>'
    yield "</tbody></table>"


def _types(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(schemas.items()):
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
        if "description" in schema:
            yield f"<p>{escape(schema['description'])}</p>"
        shown = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        yield f"<pre>{escape(json.dumps(shown, indent=2, ensure_ascii=False))}</pre>"
