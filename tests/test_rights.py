"""The rights that doctor looks at are those that the scripts need."""

from __future__ import annotations

import re
from pathlib import Path

from sendmill.doctor.rights import COMMANDS, RIGHTS

ROOT = Path(__file__).parents[1]


def test_every_command_of_a_script_is_looked_at() -> None:
    """A new script may need a new one."""
    scripts = [*ROOT.glob("tasks/*/lua/*.lua"), *ROOT.glob("sendmill/ledger/lua/*.lua")]
    texts = (script.read_text("utf-8") for script in scripts)
    called = {name for text in texts for name in re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", text)}
    assert len(called) > len(scripts) / 2
    assert set() == called - {name.partition("|")[0] for name in COMMANDS}


def test_the_line_for_the_acl_is_the_one_that_was_tried() -> None:
    """Who copies it from the page has what the tests run under."""
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    assert f"ACL SETUSER sendmill on >PASSWORD ~sendmill:* &* {RIGHTS}\n" in page
