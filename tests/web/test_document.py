"""The document: valid, equal to the table, and true of the server that runs."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.api import Api
from web.api import ROUTES
from web.api.openapi import document
from web.api.page import page
from web.api.problems import MEANINGS

ROOT = Path(__file__).resolve().parents[2]


def test_the_document_is_valid() -> None:
    """OpenAPI 3.1, every reference resolved; every route of the table and nothing else."""
    described = document(ROUTES)
    OpenAPIV31SpecValidator(described).validate()
    found = {
        (method.upper(), path): operation["operationId"]
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert {(route.method, route.path): route.name for route in ROUTES} == found
    assert len(ROUTES) == len(set(found.values()))


def test_the_page_has_a_place_for_every_error_and_every_address() -> None:
    """`type` of a problem leads there."""
    shown = page(document(ROUTES))
    for anchor in (*MEANINGS, *(route.name for route in ROUTES)):
        assert f'id="{anchor}"' in shown
    assert "<script" not in shown
    links = set(re.findall(r'href="#([^"]+)"', shown))
    assert links
    assert links <= set(re.findall(r'id="([^"]+)"', shown))


async def test_document_and_page_are_for_everybody(api: Api) -> None:
    """They hold nothing of the site; the page needs no script and nothing from elsewhere."""
    types = {"/openapi.json": "application/json", "/docs": "text/html", "/docs/style.css": "text/css"}
    for path, media_type in types.items():
        said = await api.get(path, token=None)
        assert (200, media_type) == (said.status, said.headers["Content-Type"].partition(";")[0])
        assert "default-src 'none'" in said.headers["Content-Security-Policy"]
        assert b"mainland" not in said.raw


CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,ignored_auth,unsupported_method"
)
"""All but those that want good data to be taken: which number exists, or account, no schema says."""


HOOKS = """
import schemathesis

@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
"""
"""How bodies of lines are written."""


@pytest.mark.timeout(170)
async def test_schemathesis_finds_nothing(api: Api, tmp_path: Path) -> None:
    """Made-up requests, good ones and bad ones, the same in each run, against the server that runs."""
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {api.token}", "--checks", CHECKS),
        *("--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "10", "--seed", "1", "--generation-deterministic", "--no-color", "--workers", "2"),
        *("--exclude-operation-id", "follow_events"),  # it never ends
        *("--exclude-operation-id", "balance"),  # a worker is waited for
    ]
    (tmp_path / "hooks.py").write_text(HOOKS, "utf-8")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "SCHEMATHESIS_HOOKS": "hooks"}
    ended = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert 0 == ended.returncode, ended.stdout[-6000:] + ended.stderr[-2000:]
