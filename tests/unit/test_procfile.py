"""The Procfile is read strictly, and a process is what its line says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import procfile
from sendmill.errors import ConfigError


def test_comments_and_empty_lines_are_left_out(tmp_path: Path) -> None:
    """What remains is name and command, in order."""
    path = tmp_path / "Procfile"
    path.write_text("# who runs\n\nb: one --two=3\na:  four\n", encoding="utf-8")
    assert list(procfile.processes(path).items()) == [("b", "one --two=3"), ("a", "four")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web: a\nnonsense\n", ":2: not `name: command`"),
        ("web:\n", ":1: not `name: command`"),
        ("web: a\nweb: b\n", ":2: web stands twice: keep one"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """Nothing is started from a file that is not understood."""
    path = tmp_path / "Procfile"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        procfile.processes(path)
    assert str(refused.value) == f"{path}{problem}"


def test_queues_of_a_command() -> None:
    """A worker's, and none of what is no worker."""
    assert procfile.queues_of("celery -A x worker -Q a,b --pool=threads") == ["a", "b"]
    assert list(procfile.queues_of("python -m workers.push")) == []


def test_a_process_replaces_the_shell_that_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop signal reaches the process itself, and `$$` in its line is its own id."""
    command = f"{sys.executable} -c 'import os, sys; print(os.getpid(), sys.argv[1])' $$"
    monkeypatch.setattr(procfile, "processes", lambda: {"show": command})
    with subprocess.Popen(procfile.argv("show"), stdout=subprocess.PIPE, text=True) as process:
        printed, _ = process.communicate()
    assert printed == f"{process.pid} {process.pid}\n"


def test_the_running_interpreter_comes_first_on_the_path() -> None:
    """A Procfile's `celery` is that of the virtual environment, wherever it was started from."""
    environ = procfile.environment({"PATH": "/usr/bin", "KEPT": "yes"})
    assert environ == {"PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin"]), "KEPT": "yes"}


def test_an_unknown_process_is_one_line() -> None:
    """`docker run IMAGE wroker_send` says what there is."""
    ended = subprocess.run(
        [sys.executable, "-m", "config.procfile", "wroker_send"],
        cwd=procfile.PATH.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (
        1,
        "the Procfile has no wroker_send: one of worker_send, worker_work, beat, push, web\n",
    )
