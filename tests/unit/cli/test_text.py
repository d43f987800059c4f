"""`sendmill segments`."""

from __future__ import annotations

from tests.support.desk import Desk, objects, run


def test_segments_are_counted(desk: Desk) -> None:
    """For people and programs."""
    assert "2 segments: 71 16-bit units of UCS-2\n" == run(desk, "segments", "您" * 71).stdout
    assert [{"encoding": "GSM-7", "units": 2, "segments": 1}] == objects(run(desk, "segments", "€", "--json"))
