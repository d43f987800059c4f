"""`sendmill forget` over a client without Redis."""

from __future__ import annotations

import pytest

from sendmill.messages import Forgotten, Sms
from tests.support.desk import GOOD, OTHER, Desk, objects, run


def test_forget_says_what_was_cleared() -> None:
    """A line for people, an object for programs; the number itself is not shown."""
    desk = Desk()
    desk.send(Sms("Hello", [GOOD, OTHER]))
    desk.reply(GOOD, "T")
    result = run(desk, "forget", GOOD)
    assert 0 == result.exit_code
    assert "1 message cleared (0 cancelled before they went), 1 reply and 0 raw answers removed" in result.stdout
    assert "still not written to" in result.stdout
    assert GOOD not in result.output
    result = run(desk, "forget", OTHER[3:], "--region", "CN", "--json")
    expected = {"messages": 1, "cancelled": 0, "replies": 0, "raw": 0, "opted_out": False, "left": []}
    assert [expected] == objects(result)


def test_forget_fails_where_something_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who runs it in a script must not take it for done."""
    desk = Desk()
    left = Forgotten(2, 0, 0, 0, opted_out=False, left=("process a:1:x",))
    monkeypatch.setattr(desk, "forget", lambda *_, **__: left)
    result = run(desk, "forget", GOOD)
    assert 1 == result.exit_code
    assert "process a:1:x: forget it again" in result.stderr
