"""The search for what must not be seen, in each form that it is to find."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

import pytest

from tests.support.canaries import Canaries

SECRET = "暗号/of 1125"
TEXT = "金丝雀的短信"
CANARIES = Canaries({"one": SECRET, "longer": f"{SECRET}-and-more"}, {"text": TEXT}, r"138770[0-9]{5}")


@pytest.mark.parametrize(
    "form",
    [
        SECRET.encode(),
        quote(SECRET, safe="").encode(),
        quote(SECRET, safe="").lower().encode(),
        quote(SECRET.encode("gbk"), safe="").encode(),
        json.dumps(SECRET).encode(),
        repr(SECRET.encode()).encode(),
        hashlib.md5(SECRET.encode(), usedforsecurity=False).hexdigest().upper().encode(),
        base64.b64encode(SECRET.encode()),
    ],
)
def test_a_secret_is_found_in_every_form(form: bytes) -> None:
    """As it is, in an address, escaped, hashed, encoded; wherever in a line."""
    assert CANARIES.secrets_in(b"pwd=" + form + b"&to=1") == {"secret one"}


@pytest.mark.parametrize(
    "form",
    [
        TEXT.encode(),
        TEXT.encode("gbk"),
        quote(TEXT).encode(),
        quote(TEXT, encoding="gbk").encode(),
        TEXT.encode("utf-16-be").hex().encode(),
        json.dumps(TEXT).encode(),
        json.dumps(json.dumps(TEXT)).encode(),
        repr(TEXT.encode()).encode(),
    ],
)
def test_a_text_is_found_in_every_form(form: bytes) -> None:
    """In the charsets of all vendors, and as logs print it."""
    assert CANARIES.texts_in(b"x" + form + b"y") == {"text text"}


def test_of_two_secrets_the_longer_one_is_told() -> None:
    """One may be the beginning of another."""
    assert CANARIES.in_(f"{SECRET}-and-more".encode()) == {"secret longer"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"to=13877000001", {"number"}),
        (b"+8613877000001", {"number"}),
        (b"008613877000001.", {"number"}),
        (b"138****01", set()),
        (b"4513877000001", set()),
        (b"138770000019", set()),
        (b'"f13877000001a-0"', {"number"}),
        (b'"0a1b2c3d-13de-4f5a-8b6c-a13877000001"', set()),
    ],
)
def test_a_number_is_found_with_and_without_its_country_code(raw: bytes, expected: set[str]) -> None:
    """And not where it is a part of something longer."""
    assert CANARIES.numbers_in(raw) == expected


def test_what_is_clean_is_clean() -> None:
    """A masked line holds nothing."""
    assert CANARIES.in_(b'{"event": "call not accepted", "to": "+861****01", "pwd": "[removed]"}') == set()
