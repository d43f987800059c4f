"""A file that each process's loop touches every second, so that a probe need not start a Python to see that it turns.

`SENDMILL_ALIVE_FILE` names it; without it there is none. Its age is the only thing that counts: a Redis that is away is
no reason to be restarted, so nothing here asks Redis. `deploy/alive` is the probe.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ALIVE_FILE: Final = "SENDMILL_ALIVE_FILE"
EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


class AliveFile:
    """The file of this process.

    Args:
        environ: names it, or does not.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get(ALIVE_FILE)
        self._path = Path(name) if name else None
        self._said = False

    def touch(self) -> None:
        """Say that the loop turns. A file that cannot be written is said once: the probe will call for a restart."""
        if self._path is None:
            return
        try:
            self._path.touch()
        except OSError as error:
            if not self._said:
                _log.error("%s cannot be written: %s", ALIVE_FILE, error.strerror)
            self._said = True

    async def keep_touching(self) -> None:
        """Touch it every second, on the loop that is to be watched."""
        while self._path is not None:
            self.touch()
            await asyncio.sleep(EVERY_S)
