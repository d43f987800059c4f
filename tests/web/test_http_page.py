"""docs/http.md: its examples run, each in its language where the tool is here, and its tables are the server's."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sendmill.access.apikeys import Scope
from tests.support.api import Api
from web.api import ROUTES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
COMMANDS: Mapping[str, Sequence[str]] = {
    "bash": ("bash", "-euo", "pipefail"),
    "py": (sys.executable,),
    "js": ("node",),
    "java": ("java",),
    "go": ("go", "run"),
    "php": ("php",),
}
NAMES = {"bash": "send.sh", "py": "send.py", "js": "send.mjs", "java": "Send.java", "go": "send.go", "php": "send.php"}
BLOCKS = [
    pytest.param(found[1], found[2], id=f"{found[1]}-{number}")
    for number, found in enumerate(
        re.finditer(r"^```(bash|py|js|java|go|php)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
async def test_an_example_runs(api: Api, language: str, code: str, tmp_path: Path) -> None:
    """As a reader would run it, with a key of the scopes that the page's first lines make."""
    if language not in {"bash", "py"} and shutil.which(COMMANDS[language][0]) is None:
        pytest.skip(f"{COMMANDS[language][0]} is not on this machine: the page's example was not run")
    token = await asyncio.to_thread(api.key, "send:otp", "send:bulk", "read")
    (tmp_path / NAMES[language]).write_text(code, encoding="utf-8")
    env = {**os.environ, "SENDMILL_URL": api.url, "SENDMILL_KEY": token}
    process = await asyncio.create_subprocess_exec(
        *COMMANDS[language],
        str(tmp_path / NAMES[language]),
        cwd=tmp_path,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert 0 == process.returncode, (out + err).decode()
    if "/v1/events" in code:
        assert b'"events"' in out
    else:
        (job,) = await asyncio.to_thread(list, api.client.jobs())
        assert job.job_id.encode() in out
        assert job.total == code.count("+8529")


def test_the_page_lists_every_address_with_its_scope() -> None:
    """In the order of the table."""
    rows = re.findall(r"^\| `(\w+ /v1/\S+)` \| (.+?) \|", PAGE, re.MULTILINE)
    wanted = []
    for route in ROUTES:
        needs = "`send:` and the lane" if route.name in {"send", "estimate"} else "any"
        wanted.append((f"{route.method} {route.path}", f"`{route.scope}`" if route.scope is not None else needs))
    assert sorted(wanted) == sorted(rows)


def test_the_page_names_every_scope() -> None:
    """And no other."""
    table = PAGE.partition("| scope | may |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.strip().splitlines()]
    assert set(Scope) == {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}
