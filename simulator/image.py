"""`make image`: build the image, run its five processes beside Valkey and the simulator, and look at all they promise.

docker, podman or buildah does it, whichever is there and works. BASE names another base image. Prints what it saw; ends
with 1 and one line where something is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from config import procfile
from config.celery import soft_shutdown_s
from config.settings import Settings
from sendmill.messages import Sms
from sendmill.states import State
from simulator.interrupts import interruptible
from simulator.system import ROOT, System, SystemFailed

TOOLS: Final = ("docker", "podman", "buildah")
IMAGE: Final = "sendmill:0.1.0"
PASSED_ON: Final = ("SENDMILL_CONFIG", "SENDMILL_REDIS_URL", "SENDMILL_NAMESPACE", "SENDMILL_LOG_LEVEL", "PORT")
"""The rest is the image's own: where it spools, what its probe looks at."""

NUMBER: Final = "+85298882844"
WELL_S: Final = 60.0
_LOOK_S: Final = 0.02


class ImageFailed(Exception):
    """What is not as it should be, in one line."""


def tool() -> str:
    """The first of the tools that works here.

    Raises:
        ImageFailed: none does.
    """
    for each in TOOLS:
        asked = [each, "info"]
        if shutil.which(each) and subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return each
    raise ImageFailed(f"no image was built: none of {', '.join(TOOLS)} works on this machine")


@dataclass(slots=True)
class Containers:
    """Runs each process of the Procfile in a container of its own, on the host's network."""

    tool: str
    made: dict[str, str]
    """Container by kind of process."""

    def command(self, kind: str, env: Mapping[str, str]) -> tuple[Sequence[str], Path, Mapping[str, str]]:
        """The tool's own client: a stop signal goes through it to the process."""
        folder = Path(env["SENDMILL_CONFIG"]).parent
        folder.chmod(0o755)  # the image's user is nobody here
        passed_on = [f"--env={name}={env[name]}" for name in PASSED_ON]
        mount = f"--volume={folder}:{folder}:ro"
        if self.tool == "buildah":
            container = self.made[kind] = _said(self.tool, "from", IMAGE)
            entry = ["--", "python", "-m", "config.procfile", kind]
            words = ["run", "--network=host", mount, *passed_on, container, *entry]
        else:
            container = self.made[kind] = f"sendmill-image-{kind}-{os.getpid()}"
            words = ["run", "--rm", "--network=host", f"--name={container}", mount, *passed_on, IMAGE, kind]
        return [self.tool, *words], ROOT, os.environ

    def well(self, kind: str) -> bool:
        """What the image's health check says."""
        words = (
            ["run", self.made[kind], "--", "alive"] if self.tool == "buildah" else ["exec", self.made[kind], "alive"]
        )
        return subprocess.run([self.tool, *words], capture_output=True, check=False).returncode == 0

    def stop(self, system: System, kind: str) -> None:
        """SIGTERM for the process in the container, and wait until its client has ended too.

        Raises:
            ImageFailed: it did not end in the time that it has.
        """
        limit_s = soft_shutdown_s(Settings()) + 10
        if self.tool != "buildah":
            if system.stop(kind, timeout_s=limit_s):
                raise ImageFailed(f"{kind} did not end when it was told to")
            return
        # buildah passes no signal on: its death would be the process's, by SIGKILL.
        for pid in system.processes(kind):
            for process in psutil.Process(pid).children(recursive=True):
                if not process.cmdline()[0].startswith("buildah"):
                    process.terminate()
        deadline = time.monotonic() + limit_s
        while system.processes(kind):
            if time.monotonic() > deadline:
                raise ImageFailed(f"{kind} did not end when it was told to")
            time.sleep(_LOOK_S)
        if "killed" in system.logs(kind):
            raise ImageFailed(f"{kind} was killed")

    def remove(self) -> None:
        """What docker and podman remove by themselves (--rm), buildah keeps."""
        if self.tool == "buildah":
            subprocess.run([self.tool, "rm", *self.made.values()], capture_output=True, check=False)


def _said(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ImageFailed(f"{' '.join(words)}: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
    return ended.stdout.strip()


def build(by: str, base: str | None) -> None:
    """Build it; what the tool prints is shown.

    Raises:
        ImageFailed: it could not be built.
    """
    options = [f"--build-arg=BASE={base}"] if base else []
    if by != "docker":
        options.append("--format=docker")  # the one that has health checks
    if subprocess.run([by, "build", "--network=host", *options, f"--tag={IMAGE}", str(ROOT)], check=False).returncode:
        raise ImageFailed(f"{by} could not build the image: what it says stands above")


def size_mb(by: str) -> float:
    """The image with its base, in megabytes."""
    if by == "buildah":
        return _bytes_of(IMAGE) / 1e6
    return int(_said(by, "image", "inspect", "--format={{.Size}}", IMAGE)) / 1e6


def _bytes_of(image: str) -> int:
    number, unit = _said("buildah", "images", "--format={{.Size}}", image).split()
    return int(float(number) * {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit])


def run(by: str) -> None:
    """Run it and look: a message reaches the vendor, every process is well, and each ends in time and in order.

    Raises:
        ImageFailed: what is not so.
        SystemFailed: it did not come up.
    """
    containers = Containers(by, {})
    kinds = list(procfile.processes())
    try:
        with System.start(redis_over_tcp=True, runs=containers, counts={"web": 1}) as system, system.client() as client:
            job = client.send(Sms("Your code is 1125", NUMBER), lane="otp").id
            sent = (State.SUBMITTED, State.DELIVERED)
            system.wait_until(
                lambda: any(client.status(job).states.get(state) for state in sent),
                timeout_s=WELL_S,
                what="the message is at the vendor",
            )
            print("a message went from the image to the vendor")
            for kind in kinds:
                system.wait_until(lambda kind=kind: containers.well(kind), timeout_s=WELL_S, what=f"{kind} is well")  # type: ignore[misc]
            print(f"health checks: {', '.join(kinds)} are well")
            for kind in kinds:
                began = time.monotonic()
                containers.stop(system, kind)
                print(f"{kind} stopped in {time.monotonic() - began:.1f} s")
    finally:
        containers.remove()


def main(arguments: Sequence[str]) -> int:
    """Build and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make image", description=__doc__)
    parser.add_argument("--base", default=os.environ.get("BASE") or None, help="a base image with Python at `python`")
    chosen = parser.parse_args(arguments)
    try:
        with interruptible():
            by = tool()
            build(by, chosen.base)
            run(by)
            print(f"{IMAGE}, built by {by}: {size_mb(by):,.0f} MB with its base")
    except (ImageFailed, SystemFailed) as error:
        print(f"make image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
