"""The documents, kept true: their code runs, their commands parse, their links, paths and tests exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from config.load import load
from config.procfile import processes
from providers.base import Call, Message, Provider, Push, Response
from providers.registry import models
from sendmill.cli.app import cli
from sendmill.client import Client
from sendmill.errors import OutcomeUnknown
from sendmill.states import State
from sendmill.testing import FakeClient, sendmill_outbox
from tests.providers.contract import MADE_AT

__all__ = ["sendmill_outbox"]  # a fixture is found by its name; installed, the entry point brings it

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTED_URL = "redis://127.0.0.1:6379/0"
PEOPLE = "to,name,order\n+85298882844,Ada,A-1\n+8613800138000,王小明,A-2\n12,Nobody,A-3\n"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_PATH = re.compile(r"`((?:sendmill|config|providers|tasks|web|workers|simulator|tests|docs)/[\w./-]+)`")
_TEST = re.compile(r"`(test_\w+)`")


class Block(NamedTuple):
    """A fenced block of a page. `line` is where its first line stands, from 1."""

    page: Path
    line: int
    language: str
    text: str


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCED.finditer(text):
        yield Block(page, text.count("\n", 0, found.start(2)) + 1, found[1], found[2])


def _named(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{block.page.name}:{block.line}")
        for page in PAGES
        for block in _blocks(page)
        if block.language in languages
    ]


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _run(block: Block, **names: Any) -> dict[str, Any]:
    # Line numbers of errors are those of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec", dont_inherit=True)
    scope: dict[str, Any] = {"__name__": "documented", **names}
    exec(code, scope)  # noqa: S102 - our own pages
    return scope


@pytest.fixture
def outbox(request: pytest.FixtureRequest) -> FakeClient:
    """What every `Client` of a page's code sends into."""
    found = request.getfixturevalue("sendmill_outbox")
    assert isinstance(found, FakeClient)
    return found


# --- code ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", _named("python"))
def test_python_of_the_pages_runs(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outbox: FakeClient
) -> None:
    """Each block runs by itself, as a reader would paste it; every `Client` in it is the fake one."""
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _run(block)
    assert outbox.sent or "client.send" not in block.text or "FakeClient()" in block.text


def test_the_first_example_sends_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outbox: FakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's first block sends one code and one message for each good row, and names the bad one."""
    first = next(block for block in _blocks(ROOT / "README.md") if block.language == "python")
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    _run(first)
    assert [
        ("+85298882844", "Your code is 1125"),
        ("+85298882844", "Ada, your order A-1 has left."),
        ("+8613800138000", "王小明, your order A-2 has left."),
    ] == [(message.to, message.text) for message in outbox.sent]
    assert "row 3 is not sent: invalid_number" in capsys.readouterr().out


def test_the_first_commands_send_what_the_first_example_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twins in the shell hand over the same jobs."""
    blocks = list(_blocks(ROOT / "README.md"))
    python = next(block for block in blocks if block.language == "python")
    shell = next(block for block in blocks if block.language == "sh" and "sendmill send" in block.text)
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    by_code, by_shell = FakeClient(), FakeClient()
    monkeypatch.setattr("sendmill.Client", lambda _url: by_code, raising=False)
    _run(python)
    for line in shell.text.splitlines():
        if line.startswith("sendmill send"):
            ran = CliRunner().invoke(cli, shlex.split(line)[1:], obj=lambda: by_shell)
            assert 0 == ran.exit_code, ran.output
    assert [(sent.to, sent.text, sent.options) for sent in by_code.sent] == [
        (sent.to, sent.text, sent.options) for sent in by_shell.sent
    ]
    assert 3 == len(by_shell.sent)


def test_the_first_example_runs_on_a_real_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """The same against Redis itself: without workers the job waits there, whole."""
    python = next(block for block in _blocks(ROOT / "README.md") if block.language == "python")
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert python.text.count(DOCUMENTED_URL) == 1
    scope = _run(python._replace(text=python.text.replace(DOCUMENTED_URL, redis_url)))
    with Client(redis_url) as client:
        assert {State.ACCEPTED: 1} == client.status(scope["code"].id).states
        assert {State.ACCEPTED: 2, State.FAILED: 1} == client.status(scope["campaign"].id).states


def test_the_example_provider_works() -> None:
    """The provider of docs/adding-a-provider.md is whole: it builds a request and reads answers and a report."""
    page = ROOT / "docs" / "adding-a-provider.md"
    example = next(block for block in _blocks(page) if block.language == "python")
    provider_class: type[Provider] = _run(example)["Example"]
    table = {"provider": "example", "base_url": "https://example.com/api", "uid": "u", "pwd": "a-long-password"}
    provider = provider_class("shop", provider_class.settings_model.model_validate(table))
    message = Message("Hello", signature="【Acme】")
    call = Call(provider.services()[0], message, ["+85298882844"], "ref1", MADE_AT)
    assert "https://example.com/api/send" == provider.submit_request(call).url
    accepted = provider.submitted(call, Response(200, {}, b'{"code":"0","id":"77"}'))
    assert "77" == accepted.vendor_message_id
    with pytest.raises(OutcomeUnknown):
        provider.submitted(call, Response(200, {}, b"<html>Bad Gateway</html>"))
    (report,) = provider.pushed(Push("POST", b"", {}, b"id=77&to=%2B85298882844&state=DELIVRD")).reports
    assert (State.DELIVERED, "77", "+85298882844") == (report.state, report.vendor_message_id, report.number)
    assert "a-long-password" in provider.secrets()


@pytest.mark.parametrize("block", _named("toml"))
def test_configuration_of_the_pages_is_taken(block: Block, tmp_path: Path) -> None:
    """Each block is a part of a configuration file; one that names a provider is a whole file that loads."""
    parsed = tomllib.loads(block.text)
    assert parsed
    if not any("provider" in account for account in parsed.get("accounts", {}).values()):
        return
    path = tmp_path / "sendmill.toml"
    path.write_text(block.text, encoding="utf-8")
    environ = dict.fromkeys(re.findall(r'"env:(\w+)"', block.text), "a-value-of-8-characters")
    assert set(parsed["accounts"]) == set(load(path, models(), environ).accounts)


# --- commands -----------------------------------------------------------------------------------------------------


def _command_lines() -> list[Any]:
    lines = []
    for page in PAGES:
        for block in _blocks(page):
            if block.language in {"sh", "console"}:
                for number, line in enumerate(block.text.replace("\\\n", " ").splitlines(), block.line):
                    lines.append(pytest.param(line.removeprefix("$ "), id=f"{page.name}:{number}"))
    return lines


@pytest.mark.parametrize("line", _command_lines())
def test_commands_of_the_pages_are_commands(line: str) -> None:
    """A `sendmill` line parses with its command's own options; a `make` line is a target of the Makefile."""
    words = shlex.split(line, comments=True)
    match words:
        case ["sendmill", *arguments]:
            group = cli.make_context("sendmill", list(arguments))
            name, command, rest = cli.resolve_command(group, arguments)
            assert command is not None
            with click.Context(command, parent=group, info_name=name) as _:
                command.make_context(name, rest, parent=group)
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert targets
            assert [] == [target for target in targets if "=" not in target and f"\n{target}:" not in makefile]


def test_processes_of_the_readme_are_those_of_the_procfile() -> None:
    """The table of processes has a row for each line of the Procfile, in its order."""
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Running it")[2].partition("\n## ")[0]
    assert list(processes()) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "simulator" / "README.md"], ids=lambda p: p.name
)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    """A link to a file names one that is there, and its anchor a heading of it."""
    broken = []
    for target in _LINK.findall(_prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(target)
    assert [] == broken


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_paths_of_the_pages_exist(page: Path) -> None:
    """Every file or folder of ours that a page names is there."""
    named = {path for path in _PATH.findall(_prose(page)) if path not in _MADE_BY_READERS}
    assert [] == sorted(path for path in named if not (ROOT / path).exists())


_MADE_BY_READERS = {"config/sendmill.toml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_tests_of_the_pages_exist(page: Path) -> None:
    """Every test that a page cites as evidence is one."""
    defined: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        defined.update(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert [] == sorted(name for name in _TEST.findall(_prose(page)) if name not in defined)


def test_the_pages_know_no_machine() -> None:
    """No path or host of whoever wrote them."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found += [f"{page.name}: {hit}" for hit in re.findall(r"/(?:home|Users|root|work)/\S+", text)]
    assert [] == found
