"""What a power cut leaves of an append-only file: what was not forced to the disk by then is cut off.

A killed process loses nothing that it had written, because the kernel still writes it. A machine without power does.
Under `everysec` the server asks for a second's writes to be forced at a time, so what is older is safe and what is
younger may go: all of it goes here.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Final

_LOST_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.05


class AofWatch:
    """Remembers how long the server's newest append-only file was a second ago.

    Args:
        directory: the server's own.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "appendonlydir"
        self._seen: deque[tuple[float, Path, int]] = deque()

    def look(self) -> None:
        """Note how long it is now; call this every few hundredths of a second."""
        now = time.monotonic()
        if self._seen and now - self._seen[-1][0] < _LOOK_EVERY_S:
            return
        newest = self._newest()
        if newest is not None:
            self._seen.append((now, newest, newest.stat().st_size))
        while len(self._seen) > 1 and self._seen[1][0] <= now - _LOST_S:
            self._seen.popleft()

    def cut(self) -> int:
        """Cut off what is younger than a second; returns how many bytes that were. The server must be gone."""
        newest = self._newest()
        if newest is None or not self._seen:
            return 0
        _, path, size = self._seen[0]
        if path != newest:
            # A file that was begun less than a second ago: with it came a rewrite, which was forced to the disk.
            return 0
        lost = max(0, newest.stat().st_size - size)
        os.truncate(newest, size)
        self._seen.clear()
        return lost

    def _newest(self) -> Path | None:
        files = sorted(self._folder.glob("*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
        return files[-1] if files else None
