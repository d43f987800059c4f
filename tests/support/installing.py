"""Environments as users have them: from a lock or from the wheel, never the developers' own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_S = 300.0

PROMISED_PYTHONS = re.findall(
    r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
)
AGAIN = (
    *("-q", "-p", "no:cacheprovider", "--hypothesis-profile=few"),
    *("-k", "not (proportion or hostile_form or million_rows or long_table or memory_does_not_grow or unannounced)"),
)
"""Options of pytest where tests run once more in another environment, which finds what it lacks with few examples. How
cost grows with size, and what waits for a vendor's clock, is the same everywhere and takes half of the time."""

OTHER_PYTHONS = [each for each in PROMISED_PYTHONS if each != f"{sys.version_info.major}.{sys.version_info.minor}"]
"""Versions that the classifiers promise, but for the one that runs the tests."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, and a folder in which its programs run; nothing of this checkout is on its path."""

    folder: Path
    work: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *words: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its programs; a name without a slash is looked for there first."""
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.work,
            env={**environ(self.folder / "bin"), **(env or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def environ(*bins: Path) -> dict[str, str]:
    """What a shell of somebody who has only these programs would have besides the machine's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SENDMILL_", "PYTHON"))}
    return {**kept, "PATH": os.pathsep.join([*map(str, bins), os.environ.get("PATH", os.defpath)])}


def install(folder: Path, *what: str | Path, python: str | Path = sys.executable) -> None:
    """Install what `uv pip install` is told into a virtual environment, which is made where there is none.

    Raises:
        AssertionError: it cannot be installed; the message holds what uv said.
    """
    if not folder.exists():
        _uv("venv", "--quiet", "--python", python, folder)
    _uv("pip", "install", "--quiet", "--python", folder / "bin" / "python", *what)


def _uv(*words: str | Path) -> None:
    """Files are hard links where they can be. Where pip is told of another index or certificates, so is uv."""
    env = environ(Path(sys.executable).parent)
    if "UV_DEFAULT_INDEX" not in env and (index := _pips("global.index-url")):
        env["UV_DEFAULT_INDEX"] = index
    command = [sys.executable, "-m", "uv", *map(str, words), "--no-config"]
    ended = subprocess.run(
        command if words[0] == "venv" else [*command, "--system-certs"],
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def _pips(setting: str) -> str:
    if setting == "global.index-url" and "PIP_INDEX_URL" in os.environ:
        return os.environ["PIP_INDEX_URL"]
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", setting], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() if told.returncode == 0 else ""


def wheel(folder: Path) -> Path:
    """The wheel, built from a copy of what the sdist holds, so that nothing is left in the checkout."""
    source = sources(folder / "source")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    (found,) = folder.glob("*.whl")
    return found


def sources(folder: Path) -> Path:
    """What the wheel is made of, copied."""
    return copied(folder, ["pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "sendmill"])


def copied(folder: Path, names: Sequence[str]) -> Path:
    """Files and folders of this checkout, copied to a new folder without what Python left in them."""
    folder.mkdir(parents=True)
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def copied_into_the_image() -> list[str]:
    """What the Dockerfile copies into the image beside the environment."""
    stage = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    lines = re.findall(r"^COPY (?!--from)(.+) (?!/)\S+$", stage, re.MULTILINE)
    return [name for line in lines for name in line.split()]


def pins(lock: str) -> list[str]:
    """The lines of a lock without their hashes, for pip's constraints."""
    return re.findall(r"^[\w.-]+(?:\[\w+\])?==[^\\\n]+", (ROOT / lock).read_text("utf-8"), re.MULTILINE)


def interpreter(version: str) -> Path | None:
    """A Python of that version: on the path, or beside our own, where pyenv and uv keep those that they installed."""
    kept = sorted(Path(sys.base_prefix).parent.glob(f"*{version}.*/bin/python3"))
    for each in (f"python{version}", *map(str, kept)):
        try:
            asked = subprocess.run(
                [each, "-c", "import sys, venv, ensurepip; print(sys.executable, *sys.version_info[:2])"],
                env=environ(), capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        path, *found = asked.stdout.split()
        if ".".join(found) == version:
            return Path(path)
    return None
