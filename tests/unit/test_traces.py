"""A number in raw bytes."""

from __future__ import annotations

import pytest

from sendmill.ledger.personal_traces import Traces


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"Mobile=13812345678&Message=hi", True),
        (b"8613812345678,DELIVRD", True),
        (b"+8613812345678", True),
        (b"to=%2B8613812345678&x=1", True),
        (b"at=10%2013812345678", True),
        (b"%0A13812345678%0A", True),
        (b"<m>008613812345678</m>", True),
        (b"013812345678;", True),
        (b"138123456789", False),
        (b"913812345678", False),
        (b"1381234567", False),
        (b"85213812345678", False),
        (b"", False),
    ],
)
def test_a_number_is_found_in_every_form_and_never_in_a_longer_one(*, raw: bytes, found: bool) -> None:
    """With and without country code, prefixes, percent-encoded; other people's entries are not taken for theirs."""
    assert found == Traces("+8613812345678").found_in(raw)
