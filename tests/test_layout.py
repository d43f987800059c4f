"""What holds the repository together: one list of processes and queues, one package in the wheel, one lock."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from config import names, procfile, queues
from config.celery import soft_shutdown_s
from config.schedule import INTERVALS_S
from config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "bench",
    "config",
    "deploy",
    "docs",
    "providers",
    "sendmill",
    "simulator",
    "soak",
    "tasks",
    "tests",
    "web",
    "workers",
)


def compose() -> dict[str, Any]:
    """docker-compose.yml."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return content


def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# --- processes and queues ---------------------------------------------------------------------------------------------


def test_every_queue_is_taken_from_by_exactly_one_kind_of_process() -> None:
    """A queue that no Procfile line names would swallow work; one that two name would mix sending with planning."""
    taken = sorted(queue for command in procfile.processes().values() for queue in procfile.queues_of(command))
    assert taken == sorted(queues.ALL)


def test_sending_has_processes_of_its_own() -> None:
    """Planning and parsing would hold up the loop that sends."""
    lists = [tuple(procfile.queues_of(command)) for command in procfile.processes().values()]
    assert (queues.SEND,) in lists
    assert queues.WORK in lists


def test_every_task_has_a_queue() -> None:
    """A task without one would go to the default queue unnoticed."""
    tasks = {value for name, value in vars(names).items() if name.isupper()}
    assert set(queues.QUEUE_OF) == tasks
    assert set(INTERVALS_S) < tasks


def test_the_procfile_has_the_documented_processes() -> None:
    """Celery workers, the clock, the receiver of pushes, what people and programs reach over HTTP."""
    assert list(procfile.processes()) == ["worker_send", "worker_work", "beat", "push", "web"]


@pytest.mark.parametrize("kind", ["worker_send", "worker_work"])
def test_workers_run_the_pool_that_was_measured(kind: str) -> None:
    """Threads share the process's loop; other pools lose it, and Celery's own chatter costs Redis calls."""
    command = procfile.processes()[kind]
    for option in ("--pool=threads", "--without-gossip", "--without-mingle", "--without-heartbeat"):
        assert option in command


def test_compose_starts_what_the_procfile_says() -> None:
    """The image becomes a Procfile line by its name, so compose has no second list of commands."""
    services = {name: each for name, each in compose()["services"].items() if "profiles" not in each}
    commands = {name: service["command"] for name, service in services.items() if name != "redis"}
    assert commands == {name: [name] for name in procfile.processes()}
    assert 'ENTRYPOINT ["python", "-m", "config.procfile"]' in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_compose_waits_for_calls_on_the_wire() -> None:
    """A stop that is shorter than a vendor call leaves messages of which nobody knows whether they were sent."""
    needed_s = soft_shutdown_s(Settings())
    for service in compose()["services"].values():
        assert int(service["stop_grace_period"].removesuffix("s")) > needed_s > 30


def test_the_image_brings_its_own_health_check() -> None:
    """One probe for all processes, without Python; compose adds none, and nothing pings through Celery."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r'^HEALTHCHECK .* CMD \["alive"\]$', dockerfile, re.MULTILINE)
    assert "COPY deploy/alive /usr/local/bin/alive\n" in dockerfile
    assert {"redis"} == {name for name, service in compose()["services"].items() if "healthcheck" in service}


def test_compose_runs_two_beats() -> None:
    """The clock survives a machine."""
    assert compose()["services"]["beat"]["deploy"] == {"replicas": 2}


def test_compose_keeps_what_vendors_say_once() -> None:
    """While Redis takes nothing it lies on disk, which must outlive the container."""
    for name, service in compose()["services"].items():
        assert name == "redis" or "profiles" in service or "state:/var/lib/sendmill" in service["volumes"]
    assert "SENDMILL_STATE_DIR=/var/lib/sendmill" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_compose_keeps_what_redis_was_given() -> None:
    """A ledger needs an AOF and must never evict."""
    command = " ".join(compose()["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


# --- the wheel --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be published."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_sendmill_alone(wheel: zipfile.ZipFile) -> None:
    """Packages called config or tasks in somebody's site-packages would collide with theirs."""
    assert {name.split("/")[0] for name in wheel.namelist()} == {"sendmill", "sendmill-0.1.0.dist-info"}


def test_the_wheel_holds_every_file_of_sendmill(wheel: zipfile.ZipFile) -> None:
    """The Lua scripts and the marker of types travel with the code."""
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sendmill").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if name.startswith("sendmill/")} == there
    assert "sendmill/py.typed" in there
    assert any(name.endswith(".lua") for name in there)


HTTP_CLIENTS = ("aiohttp.ClientSession", "urllib.request", "import http.client", "import requests", "httpx")


def test_nothing_that_runs_in_production_speaks_http_but_through_three_doors() -> None:
    """`exchange` for messages, `ask` for questions, `Poster` for webhooks and callbacks. None follows a redirect, so
    that no answer leads us to an address that nobody configured.

    `sendmill doctor` runs where no worker does, and asks the site's own push process whether it is ready. It follows
    none either.
    """
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("sendmill", "config", "providers", "tasks", "web", "workers")
        for path in (ROOT / package).rglob("*.py")
        for text in (path.read_text("utf-8"),)
        if any(client in text for client in HTTP_CLIENTS) and any(client in _code(path) for client in HTTP_CLIENTS)
    }
    assert found == {"sendmill/doctor/system.py", "providers/asking.py", "web/webhooks/posting.py"}
    for asks in ("providers/asking.py", "web/webhooks/posting.py"):
        assert 1 == _code(ROOT / asks).count("allow_redirects=False")
    assert "build_opener(_NoRedirect)" in _code(ROOT / "sendmill" / "doctor" / "system.py")


def _code(path: Path) -> str:
    """A module without its docstrings and comments."""
    return ast.unparse(_without_docstrings(ast.parse(path.read_text("utf-8"))))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _includes(text: str) -> list[str]:
    return re.findall(r"^-- include (\S+)$", text, re.MULTILINE)


TAKES_IN_WHAT_IS_NEW = {"commit", "put"}
READS_ALONE = {"counts", "follow", "rights", "scan", "slicelist"}


def test_every_script_goes_on_on_a_full_server_but_those_that_take_in_what_is_new() -> None:
    """A script that forgot to say so at its head would leave accepted messages standing there."""
    scripts = {path: path.read_text("utf-8") for path in ROOT.glob("*/*/lua/*.lua")}
    included = {Path(name).stem for text in scripts.values() for name in _includes(text)}
    silent = {path.stem for path, text in scripts.items() if not text.startswith("#!lua flags=allow-oom\n")}
    assert silent - included == TAKES_IN_WHAT_IS_NEW | READS_ALONE
    assert {"pressure", "rows"} <= included <= silent, "the head of a script is its own"
    checks = {path.stem for path, text in scripts.items() if "-- include pressure.lua\n" in text}
    assert checks == TAKES_IN_WHAT_IS_NEW


def test_the_scripts_of_a_room_are_run_and_included_by_those_that_may_import_it() -> None:
    """Who changes a script sees in one folder who runs it; what it takes from another room lies further down."""
    rooms = [room for layer in _room_layers() for room in layer]
    assert set(rooms) == {path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py")}
    below: dict[str, set[str]] = {}
    seen: set[str] = set()
    for layer in reversed(_room_layers()):
        below |= {room: {*seen, room} for room in layer}
        seen |= layer
    run: set[Path] = set()
    for room in rooms:
        folder = ROOT / "tasks" / room
        for module in folder.glob("*.py"):
            run |= {folder / "lua" / name for name in re.findall(r'"(\w+\.lua)"', module.read_text("utf-8"))}
        for script in folder.glob("lua/*.lua"):
            for name in _includes(script.read_text("utf-8")):
                other, _, file = name.rpartition("/")
                assert not other or other in below[room], f"{script}: {name}"
                if (included := ROOT / "tasks" / (other or room) / "lua" / file).exists():
                    run.add(included)
    assert run == set((ROOT / "tasks").glob("*/lua/*.lua"))


def _room_layers() -> list[set[str]]:
    """The rooms of tasks/ as import-linter holds them, the highest first."""
    (contract,) = (
        each for each in pyproject()["tool"]["importlinter"]["contracts"] if each.get("containers") == ["tasks"]
    )
    return [set(map(str.strip, layer.split("|"))) for layer in contract["layers"]]


def test_the_wheel_needs_what_sendmill_imports(wheel: zipfile.ZipFile) -> None:
    """An application that installs the wheel alone can import all of it."""
    metadata = wheel.read("sendmill-0.1.0.dist-info/METADATA").decode()
    needed = {
        canonicalize_name(Requirement(line).name)
        for line in re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    }
    imported = {
        module
        for path in (ROOT / "sendmill").rglob("*.py")
        for module in re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    third_party = imported - set(sys.stdlib_module_names) - {"sendmill", "pytest"}
    assert {canonicalize_name(module) for module in third_party} <= needed


def test_the_wheel_brings_the_command_and_the_fixtures(wheel: zipfile.ZipFile) -> None:
    """`sendmill` on the path, `sendmill_outbox` in pytest."""
    entry_points = wheel.read("sendmill-0.1.0.dist-info/entry_points.txt").decode()
    assert "sendmill = sendmill.cli:main" in entry_points
    assert "[pytest11]\nsendmill = sendmill.testing" in entry_points


# --- the lock ---------------------------------------------------------------------------------------------------------


def locked(name: str) -> dict[str, str]:
    """Version by package."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {
        canonicalize_name(package): version
        for package, version in re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE)
    }


def wanted(group: str) -> list[Requirement]:
    """What a group of pyproject.toml asks for, the wheel's own dependencies included."""
    groups = pyproject()["dependency-groups"]
    flat: list[str] = list(pyproject()["project"]["dependencies"])
    for entry in groups[group]:
        flat += [entry] if isinstance(entry, str) else groups[entry["include-group"]]
    return [Requirement(line) for line in flat]


@pytest.mark.parametrize(("lock", "group"), [("requirements.lock", "workers"), ("requirements-dev.lock", "dev")])
def test_the_lock_fits_what_is_asked_for(lock: str, group: str) -> None:
    """Whoever changes a dependency runs `make lock`."""
    pins = locked(lock)
    missing = [
        str(requirement)
        for requirement in wanted(group)
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert missing == []


def test_the_image_runs_what_was_tested() -> None:
    """Both locks hold the same versions."""
    tested = locked("requirements-dev.lock")
    assert {name: version for name, version in locked("requirements.lock").items() if tested.get(name) != version} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_knows_no_machine(lock: str) -> None:
    """Hashes for every package; no index, no host, no path."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|^-|--find-links|--index-url|--trusted-host| @ ", text, re.MULTILINE) == []
    assert text.count("==") <= text.count("--hash=sha256:")


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_the_top_level_is_what_the_documents_say() -> None:
    """A new folder is a decision that docs/architecture.md explains."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    folders = {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}
    assert folders <= set(PACKAGES)


def test_what_stands_at_the_top_of_sendmill_is_what_applications_import() -> None:
    """Values and clients. What they are made of is in a folder that says what is in it."""
    top = {path.stem for path in (ROOT / "sendmill").glob("*.py")}
    values = {"actor", "errors", "events", "features", "media", "messages", "options", "optouts", "segments", "states"}
    assert top == values | {"__init__", "client", "async_client", "testing", "moment"}


@pytest.mark.parametrize("package", ["sendmill", "tasks"])
def test_every_folder_stands_in_the_documents(package: str) -> None:
    """A folder that docs/architecture.md does not name is one that a stranger has to guess at."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert folders == set(re.findall(rf"`{package}/(\w+)/`", page))


def test_every_dependency_is_explained() -> None:
    """docs/dependencies.md says of each what it does for us."""
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    unexplained = [requirement.name for requirement in wanted("dev") if f"`{requirement.name}`" not in page]
    assert unexplained == []
