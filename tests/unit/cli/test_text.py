"""`sendmill segments`."""

from __future__ import annotations

import pytest

from tests.support.desk import Desk, objects, run


def test_segments_are_counted(desk: Desk) -> None:
    """For people and programs."""
    assert "2 segments: 71 16-bit units of UCS-2\n" == run(desk, "segments", "您" * 71).stdout
    assert [{"encoding": "GSM-7", "units": 2, "segments": 1}] == objects(run(desk, "segments", "€", "--json"))


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("accessyou", "1 segment: 71 characters of ASCII\n"),
        ("xioo", "2 segments: 71 16-bit units of UCS-2\n"),
        ("smsadmin", "2 segments: 71 16-bit units of UCS-2\n"),
        ("ihuyi", "1 segment: 71 septets of GSM-7\n"),
        ("sms467890", "2 segments: 71 16-bit units of UCS-2\n"),
    ],
)
def test_segments_are_counted_as_a_vendor_bills(desk: Desk, provider: str, told: str) -> None:
    """It needs no Redis."""
    assert told == run(desk, "segments", "a" * 71, "--provider", provider).stdout


def test_segments_are_counted_as_an_account_bills(published: Desk) -> None:
    """With the signature that it puts to a text; an account that nobody knows is an error."""
    counted = objects(run(published, "segments", "a" * 65, "--account", "cn", "--json"))
    assert [{"encoding": "UCS-2", "units": 71, "segments": 2}] == counted
    assert "1 segment: 65 characters of ASCII\n" == run(published, "segments", "a" * 65, "--account", "hk").stdout
    unknown = run(published, "segments", "a", "--account", "no")
    assert ("sendmill: no account no is configured: there are cn, hk\n", 1) == (unknown.stderr, unknown.exit_code)
    both = run(published, "segments", "a", "--account", "hk", "--provider", "xioo")
    assert ("sendmill segments: --provider and --account exclude each other", 2) == (
        both.stderr.partition(" (see")[0],
        both.exit_code,
    )
