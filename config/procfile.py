"""The Procfile is the one list of processes: the demo, the tests and the image start what it says.

`python -m config.procfile NAME` becomes that process, which is how the image is told what to be.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sendmill.errors import ConfigError

PATH: Final = Path(__file__).resolve().parent.parent / "Procfile"

_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(\S.*)$")


def processes(path: Path = PATH) -> Mapping[str, str]:
    """Command by name, in the file's order.

    Raises:
        ConfigError: a line is no `name: command`, or a name stands twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        matched = _LINE.match(line)
        if not matched:
            raise ConfigError(f"{path}:{number}: not `name: command`")
        name, command = matched.groups()
        if name in found:
            raise ConfigError(f"{path}:{number}: {name} stands twice: keep one")
        found[name] = command
    return found


def argv(name: str) -> list[str]:
    """What to execute, from the repository's root, to become that process: a plain shell that its command replaces.

    Raises:
        ConfigError: the Procfile has no such name.
    """
    known = processes()
    if name not in known:
        raise ConfigError(f"the Procfile has no {name}: one of {', '.join(known)}")
    return ["/bin/sh", "-c", f"exec {known[name]}"]


def environment(environ: Mapping[str, str], python: Path = Path(sys.executable)) -> dict[str, str]:
    """The environment that a Procfile line expects: `celery` and `python` are those beside an interpreter."""
    here = str(python.parent)
    return {**environ, "PATH": os.pathsep.join([here, environ.get("PATH", os.defpath)])}


def queues_of(command: str) -> Sequence[str]:
    """The queues that a worker's command takes from; empty for what is no worker."""
    words = shlex.split(command)
    return words[words.index("-Q") + 1].split(",") if "-Q" in words else ()


def main(arguments: Sequence[str]) -> None:
    """Become the named process."""
    if len(arguments) != 1:
        sys.exit(f"usage: python -m config.procfile {'|'.join(processes())}")
    try:
        command = argv(arguments[0])
    except ConfigError as error:
        sys.exit(str(error))
    os.execv(command[0], command)  # noqa: S606 - the Procfile's own line, in the shell that it is written for


if __name__ == "__main__":
    main(sys.argv[1:])
