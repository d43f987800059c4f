"""What users install is what runs: the image's environment with every Procfile line, and an application with the wheel.

Nothing here runs in the developers' environment but Valkey, the simulator and the tests themselves.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from simulator.system import Installation, System
from simulator.vendor_accounts import five_accounts
from tests.support.installing import (
    ROOT,
    Environment,
    copied,
    copied_into_the_image,
    install,
    pins,
    sources,
    wheel,
)

HELPS = """
import sys
from click.testing import CliRunner
from sendmill.cli import cli
for command in sys.argv[1:]:
    print(CliRunner().invoke(cli, [command, "--help"], prog_name="sendmill").output)
"""
"""What each command says of itself, by one interpreter."""

IMPORTS = ROOT / "tests" / "support" / "imports.py"
IN_THE_IMAGE = ("sendmill", "config", "providers", "tasks", "web", "workers")
URL = "redis://127.0.0.1:6379/0"
"""As the README has it: the one thing that the tests change in its code."""

PEOPLE = "to,name,order\n+85298882844,Chan,7781\n+8613800138000,李雷,7782\nnobody,Wong,7783\n"

ONLY_IN_TESTS = {"pytest"}
"""`sendmill.testing` is a plugin of pytest: an application whose tests use it has pytest."""

NOT_IMPORTED = {
    "async-timeout": "redis-py wants it on Python before 3.11.3 alone",
    "tzdata": "for Windows",
    "markdown-it-py": "rich asks for it to show Markdown, which nothing of ours does",
    "mdurl": "the same",
}
"""Lines of requirements.lock from which nothing has to be imported, and why they stand there."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """As the Dockerfile makes it: the lock, the wheel without its dependencies, and the folders that it copies."""
    folder = tmp_path_factory.mktemp("image")
    found = Environment(folder / "env", copied(folder / "app", copied_into_the_image()))
    install(found.folder, "--require-hashes", "-r", ROOT / "requirements.lock")
    install(found.folder, "--no-deps", wheel(tmp_path_factory.mktemp("wheel")))
    return found


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """As the README's "In an application" says, word for word, in an empty folder beside a checkout."""
    folder = tmp_path_factory.mktemp("application")
    work = sources(folder / "work")
    (work / "people.csv").write_text(PEOPLE, "utf-8")
    (work / "send.py").write_text(_block("A code and a campaign", "python"), "utf-8")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins("requirements.lock")), "utf-8")
    found = Environment(work / "app", work)
    assert ["python -m venv app", "app/bin/pip install ."] == [
        line.partition("#")[0].strip() for line in _block("In an application", "sh").splitlines()[:2]
    ]
    # uv does both in seconds: it installs the same, and keeps what it has downloaded.
    install(found.folder, "--constraint", constraints, work)
    return found


def _blocks(heading: str, language: str) -> list[str]:
    """The blocks of code of one of the README's chapters."""
    text = (ROOT / "README.md").read_text("utf-8")
    chapter = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].partition("\n### Testing")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)


def _block(heading: str, language: str) -> str:
    """The one that there is."""
    (found,) = _blocks(heading, language)
    return found


def _lines(part: str) -> list[str]:
    """The words of the README's line for the shell that holds a part."""
    (line,) = [
        line for line in _block("In an application", "sh").splitlines() if line.startswith("app/") and part in line
    ]
    return line.partition("#")[0].split()


# --- running ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(image: Environment) -> Iterator[System]:
    """Every Procfile line from the image's environment, but for the clock: whatever is sent is sent without a tick."""
    with System.start(
        accounts=five_accounts,
        counts={"beat": 0},
        redis_over_tcp=True,
        runs=Installation(image.python, image.work),
    ) as system:
        yield system


def _as_application(application: Environment, running: System, *words: str) -> str:
    """What one of its programs printed; it may say nothing on stderr and must end well."""
    ended = application.run(*words, env={"SENDMILL_REDIS_URL": running.redis_url})
    assert (0, "") == (ended.returncode, ended.stderr), (words, ended.stdout)
    return ended.stdout


def test_the_readmes_code_sends_from_an_application(application: Environment, running: System) -> None:
    """Its code and its campaign are at the vendors though no clock runs; nothing is warned of."""
    script = application.work / "send.py"
    script.write_text(script.read_text("utf-8").replace(URL, running.redis_url), "utf-8")
    told = _as_application(application, running, *_lines("send.py"))
    assert "row 3 is not sent: invalid_number" in told
    texts = ("Your code is 1125", "Chan, your order 7781 has left.", "李雷, your order 7782 has left.")

    def at_vendors() -> bool:
        sent = json.dumps([dict(call) for call in running.simulator.journal()], ensure_ascii=False, default=str)
        return all(text in sent for text in texts)

    running.wait_until(at_vendors, timeout_s=60, what="all three are at the vendors")
    running.check()


def test_the_readmes_shell_lines_send(application: Environment, running: System) -> None:
    """The same with the command line; then every command explains itself, and the doctor finds its way."""
    (application.work / "people.csv").write_text(PEOPLE.replace("nobody,Wong,7783\n", ""), "utf-8")
    lines = _block("A code and a campaign", "sh").replace(URL, running.redis_url)
    lines = lines.replace("login-7781", "login-of-the-shell").replace("orders-", "orders-of-the-shell-")
    before = len(list(running.simulator.journal()))
    ended = application.run("bash", "-euc", lines)
    assert (0, "") == (ended.returncode, ended.stderr)
    running.wait_until(
        lambda: len(list(running.simulator.journal())) > before, timeout_s=60, what="the code is at the vendor"
    )
    commands = re.findall(
        r"^  ([a-z][a-z-]*)  ", _as_application(application, running, "sendmill", "--help"), re.MULTILINE
    )
    assert {"send", "status", "doctor"} < set(commands)
    helped = _as_application(application, running, "app/bin/python", "-c", HELPS, *commands)
    assert len(commands) == helped.count("Usage: sendmill ")


def test_events_and_the_doctor_from_an_application(application: Environment, running: System) -> None:
    """With the clock: reports come, the README's other programs run, and the doctor finds every process."""
    running.start_more("beat")
    for place, block in enumerate(_blocks("In an application", "python")):
        program = application.work / f"program{place}.py"
        program.write_text(block.replace(URL, running.redis_url), "utf-8")
        _as_application(application, running, "app/bin/python", program.name)
    assert _as_application(application, running, *_lines("sendmill jobs")).count("otp") >= len({"send.py", "the shell"})
    running.wait_until(
        lambda: (
            "report"
            in application.run(
                "sendmill",
                "events",
                "--group",
                "shop",
                "--json",
                env={"SENDMILL_REDIS_URL": running.redis_url},
            ).stdout
        ),
        timeout_s=90,
        what="a report is read",
    )
    told = ("queue send: ", "queue plan: ", "queue reports: ", "beat: alive", "tick: last done")

    def all_are_found() -> bool:
        """A clock that was just started may not lead or have ticked yet: the doctor says to wait."""
        ended = application.run("sendmill", "doctor", env={"SENDMILL_REDIS_URL": running.redis_url})
        assert "" == ended.stderr
        return all(f"ok       {each}" in ended.stdout for each in told)

    running.wait_until(all_are_found, timeout_s=60, what="the doctor finds every process")
    running.check()


# --- imports ----------------------------------------------------------------------------------------------------------


def _imported(environment: Environment, *words: str) -> dict[str, Any]:
    ended = environment.run(environment.python, IMPORTS, *words)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_everything_that_the_image_imports_is_there(image: Environment) -> None:
    """Lazy imports and what third parties load by name too; and no line of the lock is there for nothing."""
    found = _imported(image, *IN_THE_IMAGE)
    assert ONLY_IN_TESTS == set(found["missing"])
    locked = {canonicalize_name(re.match(r"[\w.-]+", line)[0]) for line in pins("requirements.lock")}  # type: ignore[index]
    used = {canonicalize_name(name) for name in found["used"]}
    assert set(NOT_IMPORTED) == locked - used


def test_everything_that_an_application_imports_is_there(application: Environment) -> None:
    """The wheel and what it depends on, and nothing else."""
    with contextlib.suppress(FileNotFoundError):
        (application.work / "sendmill").rename(application.work / "sendmill-source")
    assert ONLY_IN_TESTS == set(_imported(application, "sendmill")["missing"])


@pytest.mark.parametrize("taken_out", ["packaging", "uvloop", "click-repl"])
def test_a_line_that_is_missing_in_the_lock_is_noticed(image: Environment, taken_out: str) -> None:
    """As `packaging` was: nothing of ours imports it by name, and no worker ran without it."""
    assert ONLY_IN_TESTS < set(_imported(image, "--without", taken_out, *IN_THE_IMAGE)["missing"])


@pytest.mark.parametrize("taken_out", ["packaging", "phonenumbers"])
def test_a_dependency_that_is_missing_in_the_wheel_is_noticed(application: Environment, taken_out: str) -> None:
    """The same for an application."""
    assert ONLY_IN_TESTS < set(_imported(application, "--without", taken_out, "sendmill")["missing"])


def test_the_image_gets_what_the_processes_need(image: Environment) -> None:
    """The test above copies what the Dockerfile copies: both say the same folders."""
    assert {"Procfile", *IN_THE_IMAGE} - {"sendmill"} == {path.name for path in image.work.iterdir()}
    assert (ROOT / "Procfile").read_bytes() == Path(image.work / "Procfile").read_bytes()
