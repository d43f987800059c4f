"""Fields as the body of a POST, in the two forms that vendors take."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from providers.base import Request
from providers.forms import FORM_HEADERS, encode_form

JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json; charset=utf-8"}


def form_post(url: str, pairs: Iterable[tuple[str, str]], charset: str = "utf-8") -> Request:
    """A form, its fields in the order given.

    Raises:
        NotEncodable: as `providers.forms.encode_text`.
    """
    return Request("POST", url, FORM_HEADERS, encode_form(pairs, charset).encode("ascii"))


def json_post(url: str, fields: Mapping[str, str]) -> Request:
    """A JSON object in UTF-8, without spaces; text beyond ASCII stands as it is."""
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return Request("POST", url, JSON_HEADERS, body.encode())
