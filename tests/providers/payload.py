"""Payload files: bytes exactly as a vendor sends them, with their origin in ORIGIN.md beside them."""

from __future__ import annotations

import re
from pathlib import Path

from providers.base import Response

PAYLOADS = Path(__file__).parent / "payloads"


def payload(vendor: str, name: str) -> bytes:
    """The bytes of one payload file."""
    return (PAYLOADS / vendor / name).read_bytes()


def answer(body: bytes, status: int = 200) -> Response:
    """An HTTP answer with this body and a content type that says nothing, as the vendors' often do."""
    return Response(status, {"content-type": "text/html"}, body)


def origins(vendor: str) -> set[str]:
    """The names that the vendor's ORIGIN.md explains: each line is `- name: document page or "inferred"`."""
    text = (PAYLOADS / vendor / "ORIGIN.md").read_text(encoding="utf-8")
    return set(re.findall(r"^- ([^:\s]+): \S", text, flags=re.MULTILINE))


def files(vendor: str) -> set[str]:
    """The names of the vendor's payload files."""
    return {path.name for path in (PAYLOADS / vendor).iterdir()} - {"ORIGIN.md"}
